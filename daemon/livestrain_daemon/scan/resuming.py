"""Whether results of an earlier life of the daemon, perhaps of another version, can be gone on with."""

import numpy as np

from livestrain_daemon.analyses import FrameKind, stage_outputs
from livestrain_daemon.errors import PlanError, StorageError
from livestrain_daemon.plan import Plan
from livestrain_daemon.scanfolder import FrameLayout, Output, open_results


def difference(frames: FrameLayout, plan: Plan) -> str:
    """
    What sets the results file of a plan apart from one that would be laid out now.

    Parameters
    ----------
    frames
        Where the scan is.
    plan
        Has a results file in its folder.

    Returns
    -------
    str
        Empty where it is just as this version writes it.

    Raises
    ------
    StorageError
        If the file is damaged, or no analysis of this version can follow the plan.
    """
    corrected = plan.corrections.dark is not None or plan.corrections.gain is not None
    dtype = np.dtype(np.float32) if corrected else frames.dtype
    try:
        stages = stage_outputs(plan, FrameKind(frames.frame_shape, dtype, frames.scan_shape))
    except PlanError as error:
        raise StorageError(f"no analysis can follow plan revision {plan.revision}: {error}") from error
    there = open_results(frames.folder, plan.revision)
    found = {(stage, name): _form(there.outputs[name]) for stage, names in there.stages.items() for name in names}
    wanted = {(stage, output.name): _form(output) for stage, outputs in stages.items() for output in outputs}
    parts = {
        "lacks": sorted(name for stage, name in wanted.keys() - found.keys()),
        "has in addition": sorted(name for stage, name in found.keys() - wanted.keys()),
        "has otherwise": sorted(key[1] for key in found.keys() & wanted.keys() if found[key] != wanted[key]),
    }
    return "; ".join(f"{how} {', '.join(names)}" for how, names in parts.items() if names)


def _form(output: Output) -> tuple[tuple[int, ...], np.dtype[np.generic], bool]:
    return output.shape, np.dtype(output.dtype), output.per_block
