"""Waiting in tests: on a condition, with a deadline, never by guessing a duration."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


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
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(0.01)
