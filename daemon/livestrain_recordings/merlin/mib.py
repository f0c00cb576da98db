"""
Files of a Merlin: ``.mib`` with the frames, ``.hdr`` beside it with what is known of the acquisition.

A ``.mib`` is what the data connection sends without the lengths and the header of the acquisition.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.merlin.errors import NotAMib, WrongMessage
from livestrain_recordings.merlin.header import (
    LARGEST_HEADER,
    LARGEST_OFFSET,
    AcquisitionHeader,
    Geometry,
    acquisition_header,
    depth_in_header,
    frame_header,
)
from livestrain_recordings.merlin.pixels import RAW, Bytes, Frames, PixelFormat, pixel_format

_NUMBER = re.compile(rb"MQ1,([0-9]{1,12}),")
_LONGEST_NUMBER = 17


class MibFile:
    """
    Frames of a ``.mib`` file, read when they are asked for.

    Parameters
    ----------
    path
        Of the ``.mib``; an ``.hdr`` of the same name is read, too, if there is one.

    Raises
    ------
    NotAMib
        If the file is not one, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.header = _header_beside(path)
            """What the ``.hdr`` says; None without one."""
            self._geometry, self._layout = self._described()
            self._stride = self._geometry.offset + self._layout.size
            self._count = path.stat().st_size // self._stride
            if not self._count:
                text = f"expected at least one frame of {self._stride} bytes, found none"
                raise WrongMessage("wrong_size", text)
        except (OSError, WrongMessage) as error:
            raise NotAMib(f"{path}: {error}") from error

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, rows, columns)."""
        return (self._count, *self._layout.frame_shape)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of the frames, little-endian."""
        return self._layout.dtype

    @property
    def scan_shape(self) -> tuple[int, int] | None:
        """Scan positions (rows, columns), if the ``.hdr`` tells them."""
        return self.header.scan_shape if self.header else None

    @property
    def unusable(self) -> NDArray[np.uint8] | None:
        """(rows, columns), not zero where no chip is; None without a gap."""
        return self._layout.unusable()

    @property
    def leftover_bytes(self) -> int:
        """Behind the last whole frame: of one that was cut short."""
        return self.path.stat().st_size - self._count * self._stride

    @property
    def mapped(self) -> Frames | None:
        """All frames as the file holds them, big-endian, without reading any; None if they are raw."""
        if self._geometry.code == RAW:
            return None
        table: Bytes = np.memmap(self.path, np.uint8, "r", shape=(self._count, self._stride))
        return self._layout.decode(table[:, self._geometry.offset :])

    def numbers(self) -> NDArray[np.int64]:
        """(n,) numbers of the frames as their headers tell; -1 where a header is none."""
        found = np.zeros(len(self), np.int64)
        with self.path.open("rb", buffering=0) as file:
            for row in range(len(self)):
                match = _NUMBER.match(os.pread(file.fileno(), _LONGEST_NUMBER, row * self._stride))
                found[row] = int(match[1]) if match else -1
        return found

    def __len__(self) -> int:
        return self._count

    def frames(self, first: int, count: int) -> Frames:
        """
        Consecutive frames.

        Returns
        -------
        Frames
            (count, rows, columns), fewer at the end of the file.

        Raises
        ------
        OSError
            If the file has become shorter.
        """
        size = max(0, min(count, self._count - first)) * self._stride
        # a file that shrinks while it is read is an error here, and would kill the process if it were mapped
        found = np.fromfile(self.path, np.uint8, size, offset=first * self._stride)
        if len(found) != size:
            raise OSError(f"{self.path}: expected {size} bytes from frame {first} on, found {len(found)}")
        return self._layout.decoded(found.reshape(-1, self._stride)[:, self._geometry.offset :])

    def __iter__(self) -> Iterator[Frames]:
        for number in range(len(self)):
            yield self.frames(number, 1)[0]

    def _described(self) -> tuple[Geometry, PixelFormat]:
        with self.path.open("rb") as file:
            begin = file.read(LARGEST_OFFSET)
        _, geometry = frame_header(memoryview(begin))
        depth = depth_in_header(begin[: geometry.offset]) or (self.header.depth if self.header else None)
        return geometry, pixel_format(geometry, depth)


def _header_beside(path: Path) -> AcquisitionHeader | None:
    beside = path.with_suffix(".hdr")
    if not beside.is_file():
        return None
    with beside.open("rb") as file:
        return acquisition_header(file.read(LARGEST_HEADER + 1))
