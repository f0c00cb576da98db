"""Which channel of an image is the frame: one of them, or their sum."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.intake.detectors.dectris.pixels import NativePixels, Packed, to_native, unpack
from livestrain_daemon.intake.detectors.dectris.told import BadMessage, Mask
from livestrain_daemon.intake.payload import Block
from livestrain_recordings.dectris import VIRTUAL_PIXEL
from livestrain_wire.messages import FrameDtype

SUM = "sum"
"""In place of the name of a channel."""

_WIDER: dict[FrameDtype, FrameDtype] = {
    "uint8": "uint16",
    "uint16": "uint32",
    "uint32": "uint32",
    "float32": "float32",
}


@dataclass(frozen=True, slots=True)
class Channels:
    """
    What is taken of each image.

    Parameters
    ----------
    choice
        Name of a channel; `sum` for all of them; empty for the first.
    names
        Channels of the detector, in its order.
    dtype
        Of a pixel of a channel.
    saturation
        Counts from which on a pixel of a channel says nothing [counts].
    """

    choice: str
    names: tuple[str, ...]
    dtype: FrameDtype
    saturation: float | None

    @property
    def is_sum(self) -> bool:
        """More than one channel makes the frame."""
        return self.choice == SUM and len(self.names) > 1

    @property
    def missing(self) -> str:
        """What was expected and found, if the detector has no channel of the name that was asked for."""
        try:
            _ = self.name
        except BadMessage as error:
            return str(error)
        return ""

    @property
    def name(self) -> str:
        """
        Of the channel that is taken.

        Raises
        ------
        BadMessage
            If the detector has none of the name that was asked for.
        """
        # where there is only one, there is nothing to choose, and stream v1 does not name it
        if len(self.names) == 1 or not self.choice or self.choice == SUM:
            return self.names[0]
        if self.choice not in self.names:
            raise BadMessage(f"channel: expected one of {', '.join(self.names)}, found {self.choice}")
        return self.choice

    @property
    def frame_dtype(self) -> FrameDtype:
        """Of the frames: a sum needs more room."""
        return _WIDER[self.dtype] if self.is_sum else self.dtype

    @property
    def frame_saturation(self) -> float | None:
        """
        Of the frames [counts].

        A masked pixel has the largest value that there is, so that one is no count even where the detector names no
        other limit. In a sum every pixel that a channel says nothing about has that value.
        """
        if self.dtype == "float32":
            return self.saturation
        largest = float(np.iinfo(self.frame_dtype).max)
        return largest if self.is_sum or self.saturation is None else min(self.saturation, largest)

    def frame(self, channels: dict[str, Packed], shape: tuple[int, int], largest: int) -> NativePixels:
        """
        The frame that an image stands for.

        Parameters
        ----------
        channels
            Of the image.
        shape
            What each must have (rows, columns).
        largest
            Refuse to unpack more than this [bytes].

        Raises
        ------
        BadMessage
            If a channel is not there or is not what the header announced.
        PayloadError
            If it cannot be unpacked.
        """
        if not self.is_sum:
            return to_native(self._checked(channels, self.name, shape), largest)
        layers = [unpack(self._checked(channels, name, shape), largest) for name in self.names]
        added, clipped = self._added(layers)
        return NativePixels("raw", added.reshape(-1).view(np.uint8).data, clipped)

    def unusable(self, masks: dict[str, Mask], shape: tuple[int, int]) -> Block | None:
        """
        Pixels that must not be looked at, (1, rows, columns); None if nothing is known of them.

        Raises
        ------
        BadMessage
            If the mask is of another shape than the frames.
        """
        names = self.names if self.is_sum else (self.name,)
        found = [masks[name] for name in names if name in masks]
        for mask in found:
            if mask.shape != shape:
                raise BadMessage(f"pixel_mask: expected {shape} pixels as in the frames, found {mask.shape}")
        if not found:
            return None
        marked = np.any([(mask & ~np.uint32(VIRTUAL_PIXEL)) != 0 for mask in found], axis=0)
        unusable: NDArray[np.uint8] = marked.astype(np.uint8)[np.newaxis]
        return unusable

    def _checked(self, channels: dict[str, Packed], name: str, shape: tuple[int, int]) -> Packed:
        packed = channels.get(name)
        if packed is None:
            raise BadMessage(f"data: expected the channel {name}, found {', '.join(channels)}")
        if (packed.shape, packed.dtype) != (shape, self.dtype):
            text = f"data: expected {shape} of {self.dtype}, found {packed.shape} of {packed.dtype}"
            raise BadMessage(text)
        return packed

    def _added(self, layers: list[Block]) -> tuple[NDArray[np.generic], int]:
        """The sum, and the number of its pixels that are counts and do not fit."""
        if self.dtype == "float32":
            added: NDArray[np.float32] = np.sum(layers, axis=0, dtype="<f4")
            return added, 0
        largest = np.iinfo(self.frame_dtype).max
        limit = min(self.saturation or np.inf, np.iinfo(self.dtype).max)
        total = np.sum(layers, axis=0, dtype=np.uint64)
        no_count = np.any([layer >= limit for layer in layers], axis=0)
        # the largest value is no count any more
        clipped = int(np.count_nonzero((total >= largest) & ~no_count))
        total = np.where(no_count, largest, np.minimum(total, largest))
        return total.astype(np.dtype(self.frame_dtype).newbyteorder("<")), clipped
