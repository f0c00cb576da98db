import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

Checksums = npt.NDArray[np.uint64]


def checksum(frame: memoryview) -> int:
    """The xxh3 checksum of a frame."""
    found: int = xxh3_64_intdigest(frame)
    return found


def checksums_into(out: Checksums, frames: memoryview, frame_bytes: int) -> None:
    """
    The xxh3 checksum of each frame of a block.

    Parameters
    ----------
    out : (count,)
        Filled.
    frames
        The bytes of ``count`` frames.
    frame_bytes
        Size of a frame [bytes].
    """
    for number in range(len(out)):
        start = number * frame_bytes
        out[number] = xxh3_64_intdigest(frames[start : start + frame_bytes])
