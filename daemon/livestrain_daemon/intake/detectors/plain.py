"""Values that a detector tells and that can be written anywhere: in a message, a file and a log."""

import math
from collections.abc import Iterable
from typing import TypeAlias, TypeGuard

Plain: TypeAlias = str | int | float | bool

MOST_VALUES = 256
"""Of a header."""
LONGEST_TEXT = 200
LARGEST_NUMBER = 1 << 53


def plain_values(items: Iterable[tuple[object, object]]) -> dict[str, Plain]:
    """
    Of names with their values, those that are plain.

    Parameters
    ----------
    items
        As they were told; behind the first `MOST_VALUES` that are plain nothing is kept.
    """
    kept: dict[str, Plain] = {}
    for name, value in items:
        if len(kept) < MOST_VALUES and is_plain(name) and isinstance(name, str) and is_plain(value):
            kept[name] = value
    return kept


def is_plain(value: object) -> TypeGuard[Plain]:
    """Whether it is a short text, a number that is one, or yes or no."""
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT and value.isprintable()
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and abs(value) < LARGEST_NUMBER
