"""What a subscriber holds, saved as files."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_client.colours import SHOWN_FIRST
from livestrain_client.live import Live
from livestrain_client.view import measured_values

KNOWN_SUFFIX = "__known"


def save_maps(live: Live, folder: Path) -> Path:
    """
    Write every map with its mask, the plan and the counts to ``maps.npz``.

    Parameters
    ----------
    live
        The scan that was followed.
    folder
        Made where it does not exist; an older ``maps.npz`` is replaced at once or not at all.

    Returns
    -------
    Path
        The file; read it with `numpy.load`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {}
    for name, state in live.maps.items():
        arrays[name] = state.values
        arrays[name + KNOWN_SUFFIX] = state.known
    about = {"scan": live.scan, "plan": live.plan, "progress": live.progress, "ended": live.ended}
    for name, message in about.items():
        arrays["about__" + name] = np.array(
            "null" if message is None else json.dumps(message.model_dump(mode="json", exclude_none=True))
        )
    path, partial = folder / "maps.npz", folder / "maps.npz.partial"
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return path


def save_figure(live: Live, folder: Path) -> Path | None:
    """
    Draw the strain maps to ``strain.png``, unless there are none.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is not installed.
    """
    from livestrain_client.figure import strain_figure  # noqa: PLC0415 - needs matplotlib only when called

    maps = {name: measured_values(live.maps[name]) for name in SHOWN_FIRST if name in live.maps}
    if not maps or live.scan is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "strain.png"
    strain_figure(maps, path, title=live.scan.start.scan_id, step_nm=live.scan.start.step_nm)
    return path
