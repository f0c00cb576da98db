import base64
import json
from typing import Any

import numpy as np
import pytest

from core.apertures import draw_bullseye
from livestrain_core.vacuum import measure_pattern
from livestrain_daemon.errors import PlanError
from livestrain_daemon.plan import CalibrationPlan, parse_calibration
from livestrain_daemon.template import ProbeValues, pattern_fields

MEASURED = measure_pattern(900 * draw_bullseye((64, 64), np.array([30.2, 33.7]), 9.0, 0.8))


def fields(**pattern: Any) -> dict[str, Any]:
    """A calibration with the pattern measured above, and some of the pattern's fields changed."""
    return {
        "centre": MEASURED.centre,
        "radius_px": MEASURED.probe.radius_px,
        "edge_px": MEASURED.probe.edge_px,
        "vacuum_probe": True,
        "pattern": {**(pattern_fields(MEASURED.probe.pattern) or {}), **pattern},
    }


def encoded(values: Any) -> str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def test_a_pattern_comes_back_bit_by_bit_from_a_recorded_plan() -> None:
    recorded = json.loads(json.dumps(parse_calibration(fields()).model_dump(mode="json")))
    assert parse_calibration(recorded).probe == MEASURED.probe


def test_without_a_pattern_disks_are_flat() -> None:
    flat = parse_calibration({**fields(), "pattern": None, "vacuum_probe": False})
    assert flat.probe.pattern is None
    assert flat.probe.radius_px == MEASURED.probe.radius_px


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pixels": "no base64!"}, "base64"),
        ({"pixels": "\u00e9\u00e9\u00e9\u00e9"}, "base64"),
        ({"pixels": ""}, "found 0 bytes"),
        ({"half": 1, "pixels": encoded(np.ones(8))}, "3 x 3"),
        ({"half": 0, "pixels": encoded(1.0)}, "half"),
        ({"half": 10**9}, "half"),
        ({"half": 1, "pixels": encoded(np.zeros(9))}, "above 0"),
        ({"half": 1, "pixels": encoded(np.full(9, np.nan))}, "above 0"),
        ({"half": 1, "pixels": encoded(np.full(9, np.inf))}, "above 0"),
        ({"half": 1, "pixels": encoded(np.arange(9) - 1.0)}, "above 0"),
        ({"half": 1, "pixels": encoded(np.full(9, 1e30))}, "above 0"),
        ({"half": 1, "pixels": encoded(np.ones(9))}, "cannot hold"),
        ({"offset": (0.0, float("nan"))}, "offset"),
        ({"offset": (0.0, 3.0)}, "offset"),
        ({"scale": 2}, "scale"),
    ],
)
def test_what_is_no_pattern_is_refused_naming_the_field(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=rf"calibration.*{said}"):
        parse_calibration(fields(**wrong))


def test_a_pattern_without_a_vacuum_probe_is_refused() -> None:
    with pytest.raises(PlanError, match="vacuum_probe"):
        parse_calibration({**fields(), "vacuum_probe": False})


def test_given_values_make_a_probe() -> None:
    assert (
        ProbeValues(radius_px=5.5, edge_px=0.7).probe()
        == CalibrationPlan(centre=(9.0, 9.0), radius_px=5.5, edge_px=0.7).probe
    )
