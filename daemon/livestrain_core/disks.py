import numpy as np

from livestrain_core.lattice import refuse_singular
from livestrain_core.layout import task_for, work_for
from livestrain_core.target import Target
from livestrain_core.tracking import track_frames
from livestrain_core.types import Disks, Frames, Usable


def track(frames: Frames, usable: Usable | None, target: Target) -> Disks:
    """
    Disks of each frame near where a lattice predicts them.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns of u1, u2, u4 or f4 [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at; a pixel that is not finite is not looked at in its frame.
    target
        Which disks, and how they are measured.

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
    refuse_singular(target.lattice)
    frames = np.ascontiguousarray(frames)
    n, m = len(frames), len(target.hk)
    intensity, score, noise_part = (np.empty((n, m), np.float32) for _ in range(3))
    out = np.empty((n, m, 2), np.float32), intensity, score, noise_part
    if m:
        everywhere = usable is None or bool(np.all(usable))
        hidden = None if usable is None or everywhere else np.asarray(usable, np.bool_).tobytes()
        task = task_for(frames.shape[1:], hidden, target, frames.dtype.kind != "f")
        track_frames(frames, task, work_for(task), out)
    return Disks(*out)
