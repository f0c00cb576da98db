"""A small scan with known strain, analysed and recorded as the daemon does it."""

from pathlib import Path
from typing import Any

from daemon import small_scan
from daemon.desk import EVERYTHING, Desk
from livestrain_daemon.plan import Plan
from livestrain_wire.messages import Run

STEP_NM = 1.5
PIXEL_MRAD = 0.4


def recorded(
    folder: Path, plan: Plan | None = None, runs: tuple[Run, ...] = EVERYTHING, over: bool = True, **start: Any
) -> Path:
    """
    A scan folder.

    Parameters
    ----------
    runs
        The positions that are stored and analysed.
    over
        False leaves the scan in progress.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with Desk(folder) as desk:
        hand = desk.open("small", **{"step_nm": STEP_NM, "pixel_size_mrad": PIXEL_MRAD, **start})
        plan = plan or small_scan.known_plan()
        small_scan.lay_out(hand.scan.folder, plan)
        hand.scan.begin_revision(plan)
        desk.store(*runs)
        if over:
            desk.end()
            desk.finish()
        else:
            desk.work()
            desk.turn()
        return hand.scan.folder
