"""Waiting in tests: on a condition, with a deadline, never by guessing a duration."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SHORTEST, LONGEST = 0.005, 0.05
"""Between two questions: a tenth of the time waited so far, so that long waits leave the processor to others [s]."""


def wait_until(condition: Callable[[], T], seconds: float = 20.0, what: str = "the condition") -> T:
    """
    The first true value of a condition.

    Parameters
    ----------
    condition
        Asked again and again until its value is true.
    seconds
        The deadline [s].
    what
        Names the condition in the failure.

    Raises
    ------
    AssertionError
        If the deadline passes first.
    """
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(min(max(waited / 10, SHORTEST), LONGEST))
