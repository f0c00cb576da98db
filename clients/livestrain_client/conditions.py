"""Conditions on maps, such as ``e_xx > 0.02``."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_client.errors import BadCondition
from livestrain_client.state import MapState

COMPARISONS: dict[str, Callable[[Any, float], NDArray[np.bool_]]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
CONDITION = re.compile(rf"\s*([A-Za-z0-9_][A-Za-z0-9_.-]*)\s*(>=|<=|>|<)\s*({NUMBER})\s*")


@dataclass(frozen=True)
class Met:
    """The first position that meets a condition."""

    row: int
    column: int
    value: float


@dataclass(frozen=True)
class Condition:
    """A map, a comparison and a number."""

    map: str
    comparison: str
    number: float

    def __str__(self) -> str:
        return f"{self.map} {self.comparison} {self.number:g}"

    def met_by(self, state: MapState) -> Met | None:
        """The first measured position that meets it, if any; of several values per position, any may."""
        with np.errstate(invalid="ignore"):
            fulfilled = COMPARISONS[self.comparison](state.values, self.number)
        fulfilled &= state.known.reshape(state.known.shape + (1,) * len(state.info.shape))
        if not fulfilled.any():
            return None
        where = np.unravel_index(int(np.argmax(fulfilled)), fulfilled.shape)
        return Met(int(where[0]), int(where[1]), float(state.values[where]))


def parse_condition(text: str) -> Condition:
    """
    The condition in this text: a map, one of > < >= <=, and a number.

    Raises
    ------
    BadCondition
        If it is anything else.
    """
    match = CONDITION.fullmatch(text)
    if match is None:
        raise BadCondition(f"expected a condition such as 'e_xx > 0.02', found {text!r:.60}")
    return Condition(match[1], match[2], float(match[3]))
