"""Detects disks, for `detect`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.contrast import Contrast
from livestrain_core.corrections import in_electrons
from livestrain_core.detect import detect
from livestrain_core.detect_options import DetectOptions
from livestrain_core.probe import Probe
from livestrain_core.types import Usable
from livestrain_daemon.analyses.protocol import FrameKind, Prepared, Results
from livestrain_daemon.plan import Plan
from livestrain_daemon.unusable import pixels_outside


def detecting(plan: Plan, kind: FrameKind) -> Prepared:
    """The plan's probe, looked for in frames of a kind."""
    without = (*plan.unusable, *plan.calibration.broken)
    return _Detecting(
        usable=pixels_outside(without, kind.shape) if without else None,
        probe=plan.calibration.probe,
        options=plan.detect.options(),
        contrast=plan.calibration.contrast.contrast() if plan.calibration.contrast else None,
    )


@dataclass(frozen=True)
class _Detecting:
    usable: Usable | None
    probe: Probe
    options: DetectOptions
    contrast: Contrast | None

    def analyse(self, frames: NDArray[Any], positions: NDArray[np.int64], earlier: Results) -> Results:
        del positions, earlier
        electrons = in_electrons(frames, self.contrast)
        found = detect(electrons, self.usable, self.probe, self.options)
        per_count = self.contrast.electrons_per_count if self.contrast and electrons is not frames else 1.0
        intensity = found.intensity / np.float32(per_count)
        # the direct beam says little about the specimen, and would drown all else
        others = np.nansum(intensity[:, 1:], axis=1, dtype=np.float32)
        return {
            "peak_position": found.position,
            "peak_intensity": intensity,
            "peak_score": found.score,
            "peak_count": found.count,
            "peak_total": np.where(found.count > 0, others, np.float32(np.nan)),
        }
