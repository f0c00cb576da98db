"""Recordings read to the end."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.opening import open_recording

CUBE: NDArray[np.uint16] = np.random.default_rng(3).poisson(2.0, (6, 5, 16, 24)).astype(np.uint16)


def whole(path: Path, dataset: str | None = None) -> NDArray[Any]:
    """All frames in the shape that the recording has."""
    with open_recording(path, dataset) as recording:
        return np.concatenate(list(recording.blocks())).reshape(recording.shape)
