"""The pixels of consecutive frames on their way to a file: in one block of memory, or each frame for itself."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.checksum import Checksums, checksum, checksums_into

MOST_PARTS = 512
"""Written with one call; the system takes 1024."""


class Pixels(Protocol):
    """Frames that can be written one after the other."""

    def __len__(self) -> int:
        """How many frames."""
        ...

    def part(self, first: int, end: int) -> Self:
        """Those from ``first`` to before ``end``."""
        ...

    def write_at(self, descriptor: int, offset: int, path: Path) -> None:
        """
        Write all of them, from this offset on.

        Raises
        ------
        StorageError
            If there is no space, or the disk fails.
        """
        ...

    def checksums_into(self, out: Checksums) -> None:
        """The checksum of each frame, (count,)."""
        ...


@dataclass(frozen=True, slots=True)
class Contiguous:
    """Frames in one block of memory."""

    raw: memoryview
    """Of format "B"."""
    frame_bytes: int

    def __len__(self) -> int:
        return len(self.raw) // self.frame_bytes

    def part(self, first: int, end: int) -> "Contiguous":
        """Those from ``first`` to before ``end``."""
        return Contiguous(self.raw[first * self.frame_bytes : end * self.frame_bytes], self.frame_bytes)

    def write_at(self, descriptor: int, offset: int, path: Path) -> None:
        """Write all of them, from this offset on."""
        files.write_at(descriptor, self.raw, offset, path)

    def checksums_into(self, out: Checksums) -> None:
        """The checksum of each frame, (count,)."""
        checksums_into(out, self.raw, self.frame_bytes)


@dataclass(frozen=True, slots=True)
class Scattered:
    """Frames that lie anywhere; they are written without being put together first."""

    frames: Sequence[memoryview]
    """Each of the same size and of format "B"."""

    def __len__(self) -> int:
        return len(self.frames)

    def part(self, first: int, end: int) -> "Scattered":
        """Those from ``first`` to before ``end``."""
        return Scattered(self.frames[first:end])

    def write_at(self, descriptor: int, offset: int, path: Path) -> None:
        """Write all of them, from this offset on."""
        frames = self.frames
        for first in range(0, len(frames), MOST_PARTS):
            group = frames[first : first + MOST_PARTS]
            wanted = sum(map(len, group))
            try:
                done = os.pwritev(descriptor, group, offset)
            except OSError as error:
                text = f"{path}: writing {wanted} bytes at {offset} failed: {files.reason(error)}"
                raise StorageError(text) from error
            if done < wanted:
                # at the edge of a full disk: what is left says why
                _write_rest(descriptor, group, done, offset, path)
            offset += wanted

    def checksums_into(self, out: Checksums) -> None:
        """The checksum of each frame, (count,)."""
        for number, frame in enumerate(self.frames):
            out[number] = checksum(frame)


def _write_rest(descriptor: int, frames: Sequence[memoryview], done: int, offset: int, path: Path) -> None:
    for frame in frames:
        written = min(done, len(frame))
        if written < len(frame):
            files.write_at(descriptor, frame[written:], offset + written, path)
        done -= written
        offset += len(frame)
