"""A list of scan positions, one for each frame, from a file."""

import re
import warnings
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.errors import ConfigError
from livestrain_daemon.intake_config import ScanGeometry

Table = NDArray[np.uint32]
"""(frames,) flat scan positions."""

MOST_FRAMES = 1 << 26
LARGEST_BYTES = 1 << 31
WHOLE = re.compile("[+-]?[0-9]{1,18}")
KEY = "intake.scan.positions"


def read_positions(geometry: ScanGeometry) -> Table | None:
    """
    The position of every frame, where a file says it.

    Parameters
    ----------
    geometry
        Names the file, and the shape of the scan.

    Returns
    -------
    (frames,) or None
        Flat positions; None where frames run over the scan in rows.

    Raises
    ------
    ConfigError
        If the file cannot be read or names a position that the scan does not have.
    """
    path, shape = geometry.positions, geometry.shape
    if path is None or shape is None:
        return None
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ConfigError(f"{KEY}: expected at most {LARGEST_BYTES} bytes in {path}, found {path.stat().st_size}")
        listed = _read(path)
    except FileNotFoundError as error:
        raise ConfigError(f"{KEY}: there is no file {path.absolute()}") from error
    except (OSError, ValueError, EOFError, MemoryError, OverflowError) as error:
        raise ConfigError(f"{KEY}: expected a .npy or .csv file of whole numbers at {path}, found {error}") from error
    if listed.ndim not in (1, 2) or (listed.ndim == 2 and listed.shape[1] != 2) or listed.dtype.kind not in "iu":
        found = f"{listed.dtype} {listed.shape}"
        raise ConfigError(
            f"{KEY}: expected whole numbers (frames,), or (frames, 2) for rows and columns, in {path}, found {found}"
        )
    if not 1 <= len(listed) <= MOST_FRAMES:
        raise ConfigError(f"{KEY}: expected 1 to {MOST_FRAMES} positions in {path}, found {len(listed)}")
    return _flat(listed, shape, path)


def _read(path: Path) -> NDArray[np.generic]:
    if path.suffix == ".npy":
        stored: NDArray[np.generic] = np.load(path, allow_pickle=False)
        return stored
    with path.open(encoding="utf-8-sig") as file, warnings.catch_warnings():
        # no number at all is told by who asks
        warnings.simplefilter("ignore", UserWarning)
        line = file.readline()
        # names may stand above the numbers
        lines = chain([line] if any(letter.isdecimal() for letter in line) else [], file)
        try:
            listed = np.loadtxt(lines, dtype=np.int64, delimiter=",", ndmin=2)
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            raise ValueError(_wrong_line(path) or str(error)) from error
    return listed[:, 0] if listed.shape[1] == 1 else listed


def _wrong_line(path: Path) -> str:
    """Where a list of numbers stops to be one, by the number of its line from 1; empty if that is not clear."""
    columns = 0
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            text = line.split("#")[0].strip()
            # names may stand above the numbers
            if not text or (number == 1 and not any(letter.isdecimal() for letter in text)):
                continue
            values = text.split(",")
            columns = columns or len(values)
            if len(values) != columns or not all(WHOLE.fullmatch(one.strip()) for one in values):
                return f"{text[:60]!r} in line {number}"
    return ""


def _flat(listed: NDArray[np.generic], shape: tuple[int, int], path: Path) -> Table:
    limits = np.array(shape if listed.ndim == 2 else [shape[0] * shape[1]])
    found = listed.reshape(len(listed), -1).astype(np.int64)
    outside = np.flatnonzero(((found < 0) | (found >= limits)).any(axis=1))
    if outside.size:
        frame = int(outside[0])
        text = f"expected positions within {shape[0]} x {shape[1]} in {path}"
        raise ConfigError(f"{KEY}: {text}, found {found[frame].tolist()} for frame {frame}")
    flat = found @ np.array([shape[1], 1] if listed.ndim == 2 else [1])
    table: Table = flat.astype("<u4")
    return table
