"""Files as a Merlin writes them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from livestrain_simulator.emulators.merlin.headers import acquisition_header, frame_header
from livestrain_simulator.emulators.merlin.pixels import PixelKind
from livestrain_simulator.emulators.merlin.settings import SETTINGS


def write_mib(path: Path, frames: NDArray[Any], kind: PixelKind, scan_shape: tuple[int, int]) -> None:
    """
    Write a ``.mib`` and the ``.hdr`` beside it.

    Parameters
    ----------
    path
        Of the ``.mib``.
    frames : (n, rows, columns)
        Counts.
    kind
        How they are written.
    scan_shape
        Scan positions (rows, columns).
    """
    now = datetime.now(UTC)
    settings = {name: setting.default for name, setting in SETTINGS.items()}
    settings |= {"NUMFRAMESTOACQUIRE": len(frames), "STEMSCANY": scan_shape[0], "STEMSCANX": scan_shape[1]}
    path.with_suffix(".hdr").write_bytes(acquisition_header(settings, kind, now))
    with path.open("wb") as file:
        for number, frame in enumerate(frames, 1):
            file.write(frame_header(number, kind, kind.sent_shape(frame.shape), now, settings["ACQUISITIONTIME"]))
            file.write(kind.encoded(frame))
