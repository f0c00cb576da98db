"""What the daemon answers with pixels."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from livestrain_wire.messages import FrameReply, PatternReply, VectorMapInfo


class Frame(NamedTuple):
    """One position's diffraction pattern and what was found in it."""

    pixels: NDArray[Any]
    """(rows, columns) [counts]."""
    found: FrameReply


class Pattern(NamedTuple):
    """A pattern of the whole scan."""

    pixels: NDArray[Any]
    """(rows, columns) [counts]."""
    about: PatternReply


class VectorMap(NamedTuple):
    """A Bragg vector map."""

    pixels: NDArray[Any]
    """(rows, columns) summed intensity [counts]."""
    about: VectorMapInfo
