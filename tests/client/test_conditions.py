import numpy as np
import pytest

from livestrain_client.conditions import Condition, Met, parse_condition
from livestrain_client.errors import BadCondition
from livestrain_client.state import MapState
from livestrain_wire.messages import MapInfo


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("e_xx > 0.02", Condition("e_xx", ">", 0.02)),
        ("e_xx<=-1e-3", Condition("e_xx", "<=", -1e-3)),
        ("  total >= 5.  ", Condition("total", ">=", 5.0)),
        ("adf.inner < +.5", Condition("adf.inner", "<", 0.5)),
    ],
)
def test_a_condition_is_a_map_a_comparison_and_a_number(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition
    assert parse_condition(str(condition)) == condition


@pytest.mark.parametrize(
    "text", ["", "e_xx", "e_xx >", "> 2", "e_xx == 2", "e_xx > 0.02 or 1", "__import__('os') > 1", "a > b", "a > nan"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadCondition, match=r"e_xx > 0\.02"):
        parse_condition(text)


def test_only_measured_positions_can_meet_it() -> None:
    state = MapState(MapInfo(name="total", dtype="int32"), (2, 3), 1)
    condition = parse_condition("total < 5")
    assert condition.met_by(state) is None
    state.known[1, 2] = True
    assert condition.met_by(state) == Met(1, 2, 0.0)


def test_nan_meets_nothing_and_vectors_by_any_component() -> None:
    state = MapState(MapInfo(name="g", dtype="float64", shape=(2, 2)), (2, 3), 1)
    state.known[:] = True
    assert parse_condition("g > -1e9").met_by(state) is None
    state.values[0, 1, 1, 0] = 3.0
    assert parse_condition("g > 2").met_by(state) == Met(0, 1, 3.0)
    assert parse_condition("g > 3").met_by(state) is None
    assert np.isnan(state.values).sum() == 23
