"""What a detector says of a series, whichever of its streams it says it in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.emulators.dectris.packing import Compression

Detail: TypeAlias = Literal["all", "basic", "none"]
Setting: TypeAlias = str | int | float | bool

IMAGE_NS = 1_000_000
"""From one image to the next, as told in time stamps [ns]."""


@dataclass(frozen=True)
class Series:
    """One series, as it is told."""

    number: int
    unique_id: str
    frames: int
    frame_shape: tuple[int, int]
    """(rows, columns)."""
    dtype: str
    compression: Compression
    detail: Detail
    channels: tuple[str, ...]
    mask: NDArray[np.uint32]
    """(rows, columns), 0 where a pixel is good."""
    config: Mapping[str, Setting]
    """Of the detector, by the keys of its REST interface."""

    @property
    def saturation(self) -> int:
        """Largest count; the one above marks masked pixels."""
        return int(np.iinfo(self.dtype).max) - 1


Images: TypeAlias = Mapping[str, NDArray[Any]]
"""By channel: (rows, columns)."""
FrameSource: TypeAlias = Callable[[int], Images]
"""The channels of an image of a series, by its number."""


def repeated(stacks: Mapping[str, NDArray[Any]]) -> FrameSource:
    """Images of stacks (images, rows, columns), one for each channel, over and over."""

    def images(number: int) -> Images:
        return {name: stack[number % len(stack)] for name, stack in stacks.items()}

    return images
