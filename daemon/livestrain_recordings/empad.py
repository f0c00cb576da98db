"""Scans of an EMPAD: an ``.xml`` that describes the acquisition, and the raw frames beside it."""

from contextlib import suppress
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.recording import LONGEST_TEXT, Fact, Recording, by_number, checked_shape

SIDE = 128
STORED_ROWS = 130
"""The last two are no image."""
LARGEST_XML = 1 << 22
"""[bytes]"""
NAME = "frames"
VOLTAGE = "iom_measurements/source.get_voltage"
"""[V]"""


def is_empad(path: Path) -> bool:
    """Whether a file is such an ``.xml``."""
    if path.suffix.lower() != ".xml":
        return False
    with path.open("rb") as file:
        return b"<raw_file " in file.read(LARGEST_XML)


def open_empad(path: Path) -> Recording:
    """
    Frames of a scan; one that was cut short lacks its last frames.

    Without the scan's shape in the description, or with another number of frames, they are a stack. Errors as
    `livestrain_recordings.opening.open_recording`.
    """
    root = _described(path)
    named = root.find("raw_file")
    # the folder is that of the machine which took them
    raw = path.parent / PurePosixPath((named.get("filename", "") if named is not None else "").replace("\\", "/")).name
    if not raw.is_file():
        raise OSError(f"{path}: expected the raw file {raw}, found none")
    frame_bytes = STORED_ROWS * SIDE * 4
    whole = raw.stat().st_size // frame_bytes
    if not whole:
        raise OSError(f"{raw}: expected a frame of {frame_bytes} bytes, found {raw.stat().st_size}")
    scan = _scan_shape(root)
    if scan is None or prod(scan) < whole:
        scan = (whole,)
    shape = checked_shape(path, NAME, (*scan, SIDE, SIDE))
    absent = np.zeros(prod(shape[:-2]), np.bool_)
    absent[whole:] = True

    def frames(first: int, count: int) -> NDArray[Any]:
        present = max(0, min(count, whole - first))
        wanted = present * STORED_ROWS * SIDE
        values = np.fromfile(raw, "<f4", wanted, offset=first * frame_bytes)
        if len(values) != wanted:
            raise OSError(f"{raw}: expected {wanted} pixels, found {len(values)}")
        images = np.zeros((count, SIDE, SIDE), "<f4")
        images[:present] = values.reshape(present, STORED_ROWS, SIDE)[:, :SIDE]
        return images

    chunks = (1,) * (len(shape) - 2)
    reading = by_number(shape, frames)
    return Recording(path, NAME, shape, "float32", reading, chunks, _facts(root), absent if absent.any() else None)


def _described(path: Path) -> ElementTree.Element:
    with path.open("rb") as file:
        text = file.read(LARGEST_XML + 1)
    if len(text) > LARGEST_XML:
        raise OSError(f"{path}: expected at most {LARGEST_XML} bytes of XML, found more")
    try:
        # of bounded length, and expat bounds how much its entities may grow
        return ElementTree.fromstring(text)  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise OSError(f"{path}: expected the XML of an EMPAD: {error}") from error


def _scan_shape(root: ElementTree.Element) -> tuple[int, ...] | None:
    """(rows, columns), as older or newer software writes them."""
    places = (("pix_y", "pix_x"), tuple(f"scan_parameters[@mode='acquire']/scan_resolution_{axis}" for axis in "yx"))
    for place in places:
        with suppress(ValueError):
            rows, columns = (int(root.findtext(name, "0")) for name in place)
            if rows > 0 and columns > 0:
                return rows, columns
    return None


def _facts(root: ElementTree.Element) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for place in ("software_version", "exposure_time", "iom_measurements/optics.get_cameralength"):
        text = root.findtext(place, "").strip()
        if text:
            facts[place.rpartition(".")[2].rpartition("/")[2]] = text[:LONGEST_TEXT]
    with suppress(ValueError):
        volts = float(root.findtext(VOLTAGE, "0"))
        if volts > 0:
            facts["energy_kev"] = volts / 1000
    return facts
