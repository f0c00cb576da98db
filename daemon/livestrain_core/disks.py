from math import inf

import numpy as np

from livestrain_core.dynamical import USUAL, Contrast
from livestrain_core.lattice import Lattice, refuse_singular
from livestrain_core.layout import ENOUGH_PX, task_for, work_for
from livestrain_core.probe import Probe
from livestrain_core.tracking import track_frames
from livestrain_core.types import Disks, Estimator, Frames, Indices, Usable


def track(
    frames: Frames,
    usable: Usable | None,
    lattice: Lattice,
    hk: Indices,
    probe: Probe,
    search_px: float,
    *,
    estimator: Estimator = "precise",
    contrast: Contrast | None = None,
    saturation: float | None = None,
    spacing_px: float | None = None,
) -> Disks:
    """
    Disks of each frame near where a lattice predicts them.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns of u1, u2, u4 or f4 [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at; a pixel that is not finite is not looked at in its frame.
    lattice
        Lattice of the plan; frames may differ from it by a shift, a strain and a rotation [px].
    hk : (m, 2)
        Indices of the disks to look for.
    probe
        Radius and edge of a disk [px].
    search_px
        Half the side of the window around each predicted position, for shift and strain together [px].
    estimator
        `precise` measures the disks twice, the second time from a lattice through the first places; `fast` does so only
        where the disks were far from where the search had put them.
    contrast
        What was learned of the counts and of the intensity inside disks. Without it the contrast is moderate, a count
        is one electron, and a frame of floats with under 1000 counts is taken to hold 1e5 electrons.
    saturation
        Counts from which on a pixel is not looked at in its frame; None where no pixel saturates [counts].
    spacing_px
        Distance between disks up to which the filters look; that of the lattice if None. Lattices that differ little
        share their filters if it is given [px].

    Returns
    -------
    Disks
        NaN positions where a disk is hidden, outside the frame or too faint.

    Raises
    ------
    SingularLattice
        The lattice spans no plane.

    Notes
    -----
    A disk minus its annulus, correlated by column sums of the binned frame, gives the shift of the frame from all
    disks together, then a peak for each. A robust lattice through the peaks predicts where the filters of `templates`
    measure each disk. Each frame is tracked from the plan alone.
    """
    refuse_singular(lattice)
    frames = np.ascontiguousarray(frames)
    n, m = len(frames), len(hk)
    intensity, score, noise_part = (np.empty((n, m), np.float32) for _ in range(3))
    out = np.empty((n, m, 2), np.float32), intensity, score, noise_part
    if m == 0:
        return Disks(*out)
    everywhere = usable is None or bool(np.all(usable))
    hidden = None if usable is None or everywhere else np.asarray(usable, np.bool_).tobytes()
    indices = np.asarray(hk, np.float64).tobytes()
    counts = frames.dtype.kind != "f"
    checked = not counts or saturation is not None
    exact = estimator == "precise" and (checked or hidden is not None)
    task = task_for(
        frames.shape[1:], hidden, lattice, indices, probe, float(search_px), contrast or USUAL, spacing_px, exact
    )
    pixels = task.pixels._replace(
        checked=checked,
        limit=inf if saturation is None else float(saturation),
        electrons_per_count=contrast.electrons_per_count if contrast else float(counts),
    )
    track_frames(frames, task._replace(pixels=pixels, enough_px=ENOUGH_PX[estimator]), work_for(task), out)
    return Disks(*out)
