"""A DECTRIS master file: what the detector knows, and links to the files with the frames."""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import accumulate, islice
from math import isfinite
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.errors import NoFrames, UnusableRecording
from livestrain_recordings.hdf5_facts import plain
from livestrain_recordings.linked import checked_reading, linked_file, shown
from livestrain_recordings.recording import (
    LONGEST_TEXT,
    MOST_FACTS,
    Fact,
    Recording,
    by_number,
    checked_shape,
    given_type,
)

DATA = "/entry/data"
DETECTOR = "/entry/instrument/detector"
SPECIFIC = f"{DETECTOR}/detectorSpecific"
VIRTUAL_PIXEL = 1 << 31
"""In a pixel mask: a pixel with an interpolated value. It can be looked at, all others that are marked cannot."""
MOST_FILES = 1 << 16
STEM = "STEM Metadata"
"""Group of the file that a microscope writes beside the master's."""


@dataclass(frozen=True, slots=True)
class Part:
    """Frames that follow each other in one dataset."""

    path: Path
    dataset: str
    shape: tuple[int, ...]
    """(frames, rows, columns)"""
    dtype: np.dtype[Any]
    absent: NDArray[np.bool_]
    """(frames,)"""


@dataclass
class Parts:
    """Frames over several files, of which one is open at a time."""

    parts: list[Part]
    ends: list[int]
    """Number of the first frame behind each part."""
    _number: int | None = None
    _reading: Callable[[Any], NDArray[Any]] | None = None
    _closing: ExitStack = field(default_factory=ExitStack)

    def frames(self, first: int, count: int) -> NDArray[Any]:
        """
        Consecutive frames.

        Raises
        ------
        OSError
            If a file cannot be read; names it.
        """
        found: list[NDArray[Any]] = []
        end = first + count
        while first < end:
            number = bisect_right(self.ends, first)
            start = self.ends[number] - self.parts[number].shape[0]
            until = min(end, self.ends[number])
            found.append(self._read(number)(slice(first - start, until - start)))
            first = until
        return found[0] if len(found) == 1 else np.concatenate(found)

    def close(self) -> None:
        """Close the file that is open."""
        self._closing.close()
        self._number = None

    def _read(self, number: int) -> Callable[[Any], NDArray[Any]]:
        if self._reading is None or number != self._number:
            self.close()
            part = self.parts[number]
            try:
                dataset = self._closing.enter_context(h5py.File(part.path, "r"))[part.dataset]
                self._reading = checked_reading(dataset).read
            except (OSError, KeyError, RuntimeError, ValueError) as error:
                raise OSError(f"{part.path}: {error}") from error
            if (dataset.shape, dataset.dtype) != (part.shape, part.dtype):
                raise OSError(f"{part.path}: expected {part.shape} of {part.dtype}, found {dataset.shape}")
            self._number = number
        return self._reading


@dataclass(frozen=True, slots=True)
class Detector:
    """What is known of the detector, for a `Recording`."""

    facts: dict[str, Fact] = field(default_factory=dict)
    unusable: NDArray[np.bool_] | None = None
    saturation: float | None = None


def is_master(file: Any) -> bool:
    """Whether frames are linked from ``/entry/data`` rather than stored."""
    return bool(_links(file))


def open_master(path: Path, file: Any) -> Recording:
    """Frames of all linked files, in the order of their names; errors as `livestrain_recordings.opening`."""
    found = [_part(path, file, name) for name in _links(file)]
    first = found[0]
    for part in found[1:]:
        if (part.shape[1:], part.dtype) != (first.shape[1:], first.dtype):
            raise UnusableRecording(
                f"{path}: expected {first.shape[1:]} of {first.dtype} in all linked files, "
                f"found {part.shape[1:]} of {part.dtype} in {part.path.name}"
            )
    parts = Parts(found, list(accumulate(part.shape[0] for part in found)))
    beside = _beside(path)
    shape = checked_shape(path, DATA, _shape(parts.ends[-1], first.shape[1:], beside))
    detector = detector_of(path, file, shape[-2:], first.dtype)
    absent = np.concatenate([part.absent for part in found])
    stack = ExitStack()
    stack.callback(parts.close)
    return Recording(
        path=path,
        name=DATA,
        shape=shape,
        dtype=given_type(path, DATA, first.dtype),
        read=by_number(shape, parts.frames),
        chunks=(1,) * (len(shape) - 2),
        facts={**beside, **detector.facts},
        absent=absent if absent.any() else None,
        unusable=detector.unusable,
        saturation=detector.saturation,
        resources=stack,
    )


def detector_of(path: Path, file: Any, frame_shape: tuple[int, ...], dtype: np.dtype[Any]) -> Detector:
    """
    What a file in the form of NeXus tells of a DECTRIS detector; nothing if it is none.

    Raises
    ------
    UnusableRecording
        If the pixel mask is of another shape than the frames.
    """
    if not isinstance(file.get(SPECIFIC), h5py.Group):
        return Detector()
    return Detector(_facts(file), _unusable(path, file, frame_shape), _saturation(file, dtype))


def _links(file: Any) -> list[str]:
    group = file.get(DATA) if file.get(DATA, getclass=True) is h5py.Group else None
    if group is None:
        return []
    names = [name for name in group if name.startswith("data")]
    return sorted(name for name in names if isinstance(group.get(name, getlink=True), h5py.ExternalLink))[:MOST_FILES]


def _part(path: Path, file: Any, name: str) -> Part:
    link = file[DATA].get(name, getlink=True)
    linked = linked_file(path, link.filename)
    named = shown(linked)
    # a damaged name may hold anything, which the system refuses in its own way
    if "\0" in link.filename or not linked.is_file():
        raise OSError(f"{path}: {DATA}/{name}: expected the linked file {named}, found none")
    try:
        with h5py.File(linked, "r") as other:
            dataset = other[link.path]
            if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 3 or not dataset.size:
                raise NoFrames(f"{path}: {DATA}/{name}: expected (frames, rows, columns) in {named}, found {dataset}")
            absent = checked_reading(dataset).absent
            none = np.zeros(dataset.shape[0], np.bool_)
            return Part(linked, link.path, dataset.shape, dataset.dtype, none if absent is None else absent)
    except UnusableRecording:
        raise
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise OSError(f"{path}: {DATA}/{name}: cannot read the linked file {named}: {error}") from error


def _shape(frames: int, frame_shape: tuple[int, ...], beside: Mapping[str, Fact]) -> tuple[int, ...]:
    rows, columns = (beside.get(name, 0) for name in ("NumPixelsY", "NumPixelsX"))
    if isinstance(rows, int) and isinstance(columns, int) and rows * columns == frames:
        return (rows, columns, *frame_shape)
    return (frames, *frame_shape)


def _beside(path: Path) -> dict[str, Fact]:
    """What the microscope's own file ``NAME.h5`` says of the scan of ``NAME_master.h5``."""
    other = path.with_name(path.name.replace("_master", ""))
    if other == path or not other.is_file() or not h5py.is_hdf5(other):
        return {}
    with h5py.File(other, "r") as file:
        group = file.get(STEM)
        found = {name: plain(value) for name, value in group.attrs.items()} if group is not None else {}
    return {name: value for name, value in found.items() if value is not None}


def _facts(file: Any) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for place in (SPECIFIC, DETECTOR):
        group = file.get(place)
        for name in islice(group, MOST_FACTS - len(facts)) if isinstance(group, h5py.Group) else ():
            value = _value(file, f"{place}/{name}")
            if value is not None and len(str(value)) <= LONGEST_TEXT:
                facts[name] = value
    energy = _positive(_value(file, "/entry/instrument/beam/incident_energy")) or _positive(facts.get("photon_energy"))
    if energy:
        facts["energy_kev"] = energy / 1000
    frame_time = _positive(facts.get("frame_time"))
    if frame_time:
        facts["dwell_us"] = round(frame_time * 1e6, 6)
    return facts


def _unusable(path: Path, file: Any, frame_shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    mask = file.get(f"{SPECIFIC}/pixel_mask")
    if not isinstance(mask, h5py.Dataset) or mask.dtype.kind not in "ui":
        return None
    if mask.shape != frame_shape:
        text = f"{path}: pixel_mask: expected {frame_shape} pixels as in the frames, found {mask.shape}"
        raise UnusableRecording(text)
    unusable: NDArray[np.bool_] = mask[()].astype(np.uint32) & ~np.uint32(VIRTUAL_PIXEL) != 0
    return unusable


def _saturation(file: Any, dtype: np.dtype[Any]) -> float | None:
    """The detector's, or else the largest value there is, which marks a masked pixel."""
    told = _positive(_value(file, f"{DETECTOR}/saturation_value"))
    if dtype.kind != "u":
        return told
    return min(told or float("inf"), float(np.iinfo(dtype).max))


def _value(file: Any, name: str) -> Fact | None:
    """A dataset with one value."""
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or dataset.size != 1:
        return None
    return plain(dataset[()])


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and isfinite(value) and value > 0 else None
