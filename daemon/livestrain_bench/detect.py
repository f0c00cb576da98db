"""`bench detect`: disks found without a lattice, beside a peer's whole-frame correlation."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np

from livestrain_bench.case import Case, Float64, Given
from livestrain_bench.finding import Findings, compare, detectable
from livestrain_bench.ours import BLOCK, CALIBRATION_FRAMES
from livestrain_bench.timing import interleaved, speedup
from livestrain_core.calibrate import calibrate
from livestrain_core.detect import detect
from livestrain_core.errors import NoProbe
from livestrain_core.probe import Probe
from livestrain_core.types import Frames, Usable

FULL_FRAME = "libertem_full_frame"


@dataclass(frozen=True)
class PeerSpeed:
    """A peer's speed in the same run."""

    fps: float
    speedup: float
    """How many times as fast ours was [1]."""


@dataclass(frozen=True)
class DetectResult:
    """What came out for one case."""

    case: str
    findings: Findings
    fps: float
    reason: str = ""
    """Why nothing was looked for."""
    peer: dict[str, PeerSpeed] = field(default_factory=dict)

    def facts(self) -> dict[str, object]:
        """Everything, as plain values."""
        peer = {name: asdict(speed) for name, speed in self.peer.items()}
        return {"case": self.case, **asdict(self.findings), "fps": self.fps, "reason": self.reason, "peer": peer}


def bench_detect(case: Case, peer: bool, rounds: int) -> DetectResult:
    """
    Find the disks of a case, wherever they are.

    Parameters
    ----------
    case
        What is given, and the truth.
    peer
        Whether LiberTEM correlates the same frames, in turn with ours; it is told where the disks are.
    rounds
        How often both are timed; the best time counts.

    Returns
    -------
    DetectResult
        Disks found and missed, and speed.
    """
    frames = case.given.frames
    wanted = detectable(case)
    tasks: dict[str, Callable[[], object]] = {}
    prepared = _prepare(case.given)
    found = np.full((len(frames), 0, 2), np.nan)
    if not isinstance(prepared, str):
        found = _run(frames, *prepared)
        tasks["ours"] = partial(_run, frames, *prepared)
    if peer:
        from livestrain_bench import libertem  # noqa: PLC0415 - an optional library

        tasks[FULL_FRAME] = partial(libertem.run_full, frames, libertem.prepare_full(case))
    times = interleaved(tasks, rounds)
    peers = {}
    if peer:
        ratio = speedup(times["ours"], times[FULL_FRAME]) if "ours" in times else float("nan")
        peers[FULL_FRAME] = PeerSpeed(len(frames) / min(times[FULL_FRAME]), ratio)
    fps = len(frames) / min(times["ours"]) if "ours" in times else float("nan")
    return DetectResult(
        case.name, compare(found, case, wanted), fps, prepared if isinstance(prepared, str) else "", peers
    )


def _prepare(given: Given) -> tuple[Probe, Usable | None] | str:
    """Probe and usable pixels from what is given, or why there are none."""
    try:
        calibration = calibrate(given.frames[:CALIBRATION_FRAMES], given.usable, given.vacuum_probe)
    except NoProbe as error:
        return str(error)
    usable = np.ones(given.frames.shape[1:], np.bool_) if given.usable is None else given.usable.copy()
    usable[calibration.broken[:, 0], calibration.broken[:, 1]] = False
    return calibration.probe, None if usable.all() else usable


def _run(frames: Frames, probe: Probe, usable: Usable | None) -> Float64:
    """Positions of the disks of all frames, (n, k, 2) [px]."""
    blocks = [detect(frames[i : i + BLOCK], usable, probe).position for i in range(0, len(frames), BLOCK)]
    return np.concatenate(blocks).astype(np.float64)
