"""
How long things take, beside each other.

What counts is processor time: on an idle machine it is the time that passes, and beside others it is still one's own.
A task with several threads pays for all of them.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np


def interleaved(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """
    Time tasks in turn, so that whatever else the machine does meets all of them.

    Parameters
    ----------
    tasks
        By name; each is done once before the clock runs, to compile.
    rounds
        How often each is timed.

    Returns
    -------
    dict
        Processor time of each task, one per round [s].
    """
    for task in tasks.values():
        task()
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            start = time.process_time()
            task()
            times[name].append(time.process_time() - start)
    return times


def speedup(ours: list[float], theirs: list[float]) -> float:
    """How many times as fast ours is: the median over the rounds of times taken one after the other."""
    return float(np.median(np.array(theirs) / np.array(ours)))
