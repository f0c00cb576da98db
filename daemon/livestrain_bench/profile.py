"""
Where the time of a frame goes, kernel by kernel: ``python -m livestrain_bench.profile CASE.h5 ...``.

Each kernel runs over and over on the same frame, in the cache as it finds it; the sum is therefore less than a frame
takes among others. Times are processor time of one thread, the best of many.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numba import njit

from livestrain_bench import ours
from livestrain_bench.case import read_case
from livestrain_core import coarse, image, tracking
from livestrain_core.disks import track
from livestrain_core.lattice import fit_lattice
from livestrain_core.layout import task_for, work_for
from livestrain_core.robust import robust_fit
from livestrain_core.target import Target
from livestrain_core.tracking import Task, Work
from livestrain_core.types import Disks, Frames
from livestrain_core.virtual import Detector, measure

REPEATS = 20
INNER = 50
BLOCK = 32


@njit(cache=True)
def _images(frames: Frames, task: Task, work: Work) -> None:
    # by index: numba takes frames from an iterator for arrays that are not contiguous
    for i in range(len(frames)):
        image.to_image(frames[i], task.pixels, work.image)


@njit(cache=True)
def _column_sums(n: int, task: Task, work: Work) -> None:
    for _ in range(n):
        coarse.column_prefix(work.image, task.search, work.room.prefix, work.room.line)


@njit(cache=True)
def _coarse(n: int, task: Task, work: Work) -> None:
    for _ in range(n):
        coarse.coarse(work.image, task.search, task.seen, work.room, work.found)


@njit(cache=True)
def _fits(n: int, task: Task, work: Work) -> None:
    kept = work.found[1].copy()
    for _ in range(n):
        work.found[1][:] = kept
        robust_fit(task.hk, work.found[0], work.found[1], work.vectors, work.inverse)


@njit(cache=True)
def _filters(n: int, task: Task, work: Work) -> None:
    for _ in range(n):
        tracking.put_on_lattice(task.hk, work.vectors, work.found[0])
        tracking.measure_disks(work, task.pixels.cover, task.pixels.margin, task.bank, tracking.Round(2.0, True, False))


def profile(path: Path) -> dict[str, float | str]:
    """
    Times of the kernels on one case.

    Parameters
    ----------
    path
        A case file.

    Returns
    -------
    dict
        By part, per frame [us].

    Raises
    ------
    SystemExit
        The case has no lattice.
    """
    case = read_case(path)
    prepared = ours.prepare(case.given, "fast")
    if isinstance(prepared, str):
        sys.exit(f"{path}: {prepared}")
    frames, found = case.given.frames[:BLOCK], prepared.calibration
    if found.target is None:
        sys.exit(f"{path}: {found.reason}")
    target = replace(found.target, estimator="fast")
    return {"case": case.name} | _kernels(frames, target) | _whole(frames, target)


def _kernels(frames: Frames, target: Target) -> dict[str, float]:
    """Parts of the tracking."""
    task = task_for((frames.shape[1], frames.shape[2]), None, target)
    work = work_for(task)
    parts = {"image": _best(lambda: _images(frames, task, work), len(frames))}
    for name, kernel in (
        ("binned column sums", _column_sums),
        ("coarse search", _coarse),
        ("robust lattice", _fits),
        ("filters, one round", _filters),
    ):
        parts[name] = _best(partial(kernel, INNER, task, work), INNER)
    parts["coarse search"] -= parts["binned column sums"]
    return parts


def _whole(frames: Frames, target: Target) -> dict[str, float]:
    """What an analysis calls."""
    radius, centre = target.probe.radius_px, target.lattice.centre

    def disks() -> Disks:
        return track(frames, None, target)

    tracked = disks()
    detectors = (Detector(0.0, radius), Detector(1.5 * radius, 6.0 * radius))
    return {
        "track": _best(disks, len(frames)),
        "lattice fit": _best(lambda: fit_lattice(tracked, target.indices), len(frames)),
        "centre of mass": _best(lambda: measure(frames, None, centre, radius, ()), len(frames)),
        "and two virtual detectors": _best(lambda: measure(frames, None, centre, radius, detectors), len(frames)),
    }


def _best(call: Callable[[], object], frames: int) -> float:
    """Processor time per frame, the best of many [us]."""
    call()
    best = np.inf
    for _ in range(REPEATS):
        began = time.thread_time_ns()
        call()
        best = min(best, time.thread_time_ns() - began)
    return float(best) / frames / 1e3


def main() -> None:
    """Prints one line of JSON per case."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("cases", nargs="+", type=Path)
    for path in parser.parse_args().cases:
        facts = {name: value if isinstance(value, str) else round(value, 2) for name, value in profile(path).items()}
        sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
