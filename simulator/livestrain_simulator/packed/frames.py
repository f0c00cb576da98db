"""The frames of a benchmark, and what unpacking them takes on one core."""

import time
from dataclasses import dataclass
from typing import Any, Literal

import bitshuffle
import lz4.block
import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.patterns import Renderer
from livestrain_simulator.simulate import optics
from livestrain_simulator.specimen import SPECIMENS

Encoding = Literal["none", "bslz4", "lz4"]

DISTINCT = 64
"""Frames that are rendered."""
BLOCK_BYTES = 8192
PASS_SECONDS = 0.5
"""Unpacking is timed for so long [s]."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What is sent."""

    form: Literal["native", "dectris-v1", "dectris-v2", "merlin", "asi"]
    """Its protocol."""
    port: int
    """Where it is bound; with the native protocol: where it connects to. 0 for any."""
    encoding: Encoding
    side: int
    """Of a frame [px]."""
    frames: int
    """In each scan."""
    columns: int
    """Of the scan."""
    dose: float
    """Electrons per frame [counts]."""
    frames_per_message: int
    """Of the native protocol."""


def rendered(stream: Stream) -> NDArray[Any]:
    """Different frames of a crystal, as a detector counts them, (frames, rows, columns) uint16."""
    lattice, camera = optics((stream.side, stream.side), None, None, "square", dose=stream.dose)
    specimen = SPECIMENS["gradient"]((8, DISTINCT // 8), lattice)
    return np.ascontiguousarray(Renderer(specimen, camera).frames(np.arange(DISTINCT)))


def unpacking_rate(frames: NDArray[Any], encoding: Encoding) -> float | None:
    """
    How fast the library unpacks the frames one by one, with nothing around it, on one core.

    Parameters
    ----------
    frames : (frames, rows, columns)
        Packed before the time is taken, with the block size that detectors use.
    encoding
        Of the frames.

    Returns
    -------
    float or None
        None where there is nothing to unpack [bytes/s].
    """
    if encoding == "none":
        return None
    if encoding == "lz4":
        blocks = [lz4.block.compress(frame.tobytes(), store_size=False) for frame in frames]
        size = frames[0].nbytes
        return _rate(lambda: [lz4.block.decompress(block, uncompressed_size=size) for block in blocks], frames.nbytes)
    pixels = BLOCK_BYTES // frames.itemsize
    chunks = [bitshuffle.compress_lz4(frame.reshape(-1), pixels) for frame in frames]
    shape, dtype = frames[0].shape, frames.dtype
    return _rate(lambda: [bitshuffle.decompress_lz4(chunk, shape, dtype, pixels) for chunk in chunks], frames.nbytes)


def _rate(work: Any, size: int) -> float:
    work()
    passes, begun = 0, time.perf_counter()
    while (seconds := time.perf_counter() - begun) < PASS_SECONDS:
        work()
        passes += 1
    return passes * size / seconds
