"""Files that rosettasciio reads, a piece at a time."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.errors import ExtraMissing, NoFrames, UnusableRecording
from livestrain_recordings.recording import (
    LARGEST_CHUNK_BYTES,
    LONGEST_TEXT,
    Fact,
    Recording,
    checked_shape,
    given_type,
)
from livestrain_recordings.units import Axis, axis_facts, is_frequency

READERS = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emd": "emd",
    ".emi": "tia",
    ".mrc": "mrc",
    ".ser": "tia",
    ".tvips": "tvips",
}
"""rosettasciio's reader for each suffix."""
EXTRA = 'the extra formats: pip install "livestrain[formats]"'
TEM = ("Acquisition_instrument", "TEM")
TEM_FACTS = {
    "beam_energy": "energy_kev",
    "convergence_angle": "semiangle_mrad",
    "camera_length": "camera_length_cm",
    "magnification": "magnification",
}
"""In the units that rosettasciio has for them, which are ours."""

Signal = Mapping[str, Any]


def open_format(path: Path, dataset: str | None) -> Recording:
    """
    Frames of a file that rosettasciio knows, by its suffix; errors as `livestrain_recordings.opening`.

    Parameters
    ----------
    path
        Its suffix is in `READERS`.
    dataset
        Title of the signal where the file holds several; None takes the largest with the most axes.
    """
    reader = READERS[path.suffix.lower()]
    if reader == "digitalmicrograph":
        _check_byte_order(path)
    signal = _chosen(path, _signals(path, reader), dataset)
    title = _text(signal, "General", "title") or reader
    array = _in_order(signal)
    shape = checked_shape(path, title, (1,) * (4 - array.ndim) * (array.ndim == 2) + array.shape)
    given = given_type(path, title, array.dtype)
    chunks = tuple(max(along) for along in array.chunks)
    if prod(chunks) * array.dtype.itemsize > LARGEST_CHUNK_BYTES:
        raise UnusableRecording(
            f"{path}: {title}: expected pieces of at most {LARGEST_CHUNK_BYTES} bytes, found some of {chunks}"
        )

    def read(piece: Any) -> NDArray[Any]:
        try:
            return np.asarray(array[piece if array.ndim > 2 else ...].compute(scheduler="synchronous"))
        except Exception as error:
            # a reader of another project may fail in any way
            raise OSError(f"rosettasciio: {one_line(error)}") from error

    return Recording(path, title, shape, given, read, chunks[:-2] or (1, 1), _facts(signal))


def _check_byte_order(path: Path) -> None:
    """What describes an image is swapped by rosettasciio, its pixels are not."""
    with path.open("rb") as file:
        begin = file.read(16)
    # the length behind the version has 4 bytes in DM3, and 8 in DM4
    at = {3: 8, 4: 12}.get(int.from_bytes(begin[:4]))
    if at is not None and begin[at : at + 4] == bytes(4):
        raise UnusableRecording(
            f"{path}: expected little-endian pixels, found big-endian ones, of a Macintosh; save the file anew"
        )


def _signals(path: Path, reader: str) -> Sequence[Signal]:
    module = _module(path, reader)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Sequence[Signal] = module.file_reader(str(path), lazy=True)
    except ModuleNotFoundError as error:
        raise ExtraMissing(f"{path}: a {path.suffix} file needs {EXTRA}: {error}") from error
    except Exception as error:
        # a reader of another project may fail in any way
        raise OSError(
            f"{path}: expected a {path.suffix} file, which rosettasciio cannot read: {one_line(error)}"
        ) from error
    return found


def _module(path: Path, reader: str) -> ModuleType:
    try:
        module = import_module(f"rsciio.{reader}")
    except ModuleNotFoundError as error:
        raise ExtraMissing(f"{path}: a {path.suffix} file needs {EXTRA}") from error
    # it would write between our lines
    logging.getLogger("rsciio").setLevel(logging.CRITICAL)
    return module


def _chosen(path: Path, signals: Sequence[Signal], title: str | None) -> Signal:
    frames = [one for one in signals if one["data"].ndim in {2, 3, 4} and one["data"].dtype.kind in "buif"]
    if title is not None:
        frames = [one for one in frames if _text(one, "General", "title") == title]
    if not frames:
        what = f"no signal {title!r} of frames" if title else "no signal with two to four axes"
        raise NoFrames(f"{path}: {what}, which would be (scan_rows, scan_columns, rows, columns)")
    return max(frames, key=lambda one: (one["data"].ndim, one["data"].size))


def _axes(signal: Signal) -> tuple[list[int], list[int]]:
    """
    Axes of the scan and of the frame, in the order of the array.

    DigitalMicrograph has written them either way round over the years; where they have units, these tell.
    """
    axes = signal["axes"]
    frame = [number for number, axis in enumerate(axes) if not axis.get("navigate")]
    if len(axes) != signal["data"].ndim or len(frame) != 2:
        frame = list(range(signal["data"].ndim))[-2:]
    scan = [number for number in range(signal["data"].ndim) if number not in frame]
    if len(scan) == 2 and all(is_frequency(_axis(signal, one)) for one in scan):
        turned = not any(is_frequency(_axis(signal, one)) for one in frame)
        return (frame, scan) if turned else (scan, frame)
    return scan, frame


def _in_order(signal: Signal) -> Any:
    """The array with the axes of the frame last, in pieces that are computed when they are asked for."""
    scan, frame = _axes(signal)
    array = signal["data"]
    if not hasattr(array, "compute"):
        array = import_module("dask.array").from_array(array)
    return array.transpose(*scan, *frame)


def _facts(signal: Signal) -> dict[str, Fact]:
    tem = _microscope(signal)
    known = ((ours, tem.get(name)) for name, ours in TEM_FACTS.items())
    facts: dict[str, Fact] = {ours: float(value) for ours, value in known if isinstance(value, (int, float))}
    for name in ("title", "date", "time", "notes"):
        text = _text(signal, "General", name)
        if text:
            facts[name] = text
    energy = facts.get("energy_kev")
    scan, frame = ([_axis(signal, number) for number in some] for some in _axes(signal))
    return {**axis_facts(scan, frame, energy if isinstance(energy, float) else None), **facts}


def _microscope(signal: Signal) -> Mapping[str, Any]:
    """What rosettasciio has found, and what its table tells to take from the file's own description."""
    found = dict(_within(signal["metadata"], *TEM))
    for place, (name, converted) in (signal.get("mapping") or {}).items():
        *above, last = place.split(".")
        value = _within(signal.get("original_metadata"), *above).get(last)
        path = tuple(name.split("."))
        if value is None or path[:-1] != TEM:
            continue
        # a converter of another project may fail in any way
        with suppress(Exception):
            found.setdefault(path[-1], converted(value) if converted else value)
    return found


def _axis(signal: Signal, number: int) -> Axis:
    axis = signal["axes"][number] if number < len(signal["axes"]) else {}
    return Axis(float(axis.get("scale") or 0), str(axis.get("units") or ""))


def _within(tree: Any, *names: str) -> Mapping[str, Any]:
    for name in names:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree if isinstance(tree, Mapping) else {}


def _text(signal: Signal, *names: str) -> str:
    value = _within(signal["metadata"], *names[:-1]).get(names[-1])
    return " ".join(value.split())[:LONGEST_TEXT] if isinstance(value, str) else ""


def one_line(error: Exception) -> str:
    """What an error of another project says, for a line of ours."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST_TEXT]
