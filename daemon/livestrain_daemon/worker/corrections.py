"""Dark, gain and saturation as a plan names them, applied to frames as they are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.corrections import corrected
from livestrain_daemon.analyses import FrameKind
from livestrain_daemon.plan import CorrectionsPlan
from livestrain_daemon.scanfolder import FrameLayout
from livestrain_daemon.scanfolder.detector_images import load_image


@dataclass(frozen=True)
class Corrections:
    """What makes stored frames what analyses see."""

    dark: NDArray[np.float32] | None
    """(rows, columns) [counts]"""
    gain: NDArray[np.float32] | None
    """(rows, columns)"""
    saturation: float | None
    """Stored counts from which on a pixel says nothing [counts]."""

    @property
    def change_frames(self) -> bool:
        """True where analyses see other values than those stored."""
        return self.dark is not None or self.gain is not None

    def kind(self, layout: FrameLayout) -> FrameKind:
        """What the analyses' frames have in common."""
        dtype = np.dtype(np.float32) if self.change_frames else layout.dtype
        return FrameKind(layout.frame_shape, dtype, layout.scan_shape)

    def apply(self, frames: NDArray[Any], *, without_saturated: bool = True) -> NDArray[Any]:
        """
        Frames as analyses see them.

        Parameters
        ----------
        frames : (n, rows, columns)
            As stored [counts].
        without_saturated
            True: where a saturated pixel is known as such no more after the correction, it is NaN.
        """
        if not self.change_frames:
            return frames
        return corrected(frames, self.dark, self.gain, self.saturation if without_saturated else None)

    def for_calibration(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Frames (n, rows, columns) for a calibration, which looks for nothing saturated itself: it is NaN there."""
        saturated = self.saturation is not None and bool((frames >= self.saturation).any())
        return corrected(frames, self.dark, self.gain, self.saturation) if self.change_frames or saturated else frames


def load_corrections(folder: Path, plan: CorrectionsPlan, frame_shape: tuple[int, int]) -> Corrections:
    """
    The corrections that a plan names, from its scan folder.

    Raises
    ------
    StorageError
        If an image is not there.
    """
    dark, gain = (
        None if digest is None else load_image(folder, digest, frame_shape) for digest in (plan.dark, plan.gain)
    )
    return Corrections(dark, gain, plan.saturation)
