"""The detector that the configuration names."""

from typing import Any

import pytest
from pydantic import ValidationError

from livestrain_daemon.intake.detectors.asi.source import AsiDetector
from livestrain_daemon.intake.detectors.choice import chosen
from livestrain_daemon.intake_config import IntakeConfig


def asi(scan: dict[str, Any] | None = None, **table: Any) -> AsiDetector:
    config = IntakeConfig.model_validate({"asi": {"host": "detector", **table}, "scan": scan or {}})
    found = chosen(config)
    assert found is not None
    name, detector = found
    assert name == "asi"
    assert isinstance(detector, AsiDetector)
    return detector


@pytest.mark.parametrize(
    ("table", "endpoint"),
    [
        ({}, "tcp://detector:8088"),
        ({"form": "tpx3"}, "tcp://detector:8283"),
        ({"data_port": 9000}, "tcp://detector:9000"),
        ({"listen": "10.0.0.1", "data_port": 9000}, "tcp://10.0.0.1:9000"),
    ],
)
def test_the_table_says_where_frames_come_from(table: dict[str, Any], endpoint: str) -> None:
    assert asi(**table).endpoint == endpoint


@pytest.mark.parametrize(
    ("scan", "frames"),
    [
        ({}, None),
        ({"shape": [4, 6]}, 24),
        ({"shape": [4, 6], "flyback_frames": 2, "skip_frames": 3}, 35),
        ({"shape": [4, 6], "repeat": True}, None),
    ],
)
def test_where_nobody_says_how_long_a_series_is_the_scan_does(scan: dict[str, Any], frames: int | None) -> None:
    assert asi(scan).settings.frames == frames


@pytest.mark.parametrize("other", ["dectris", "merlin"])
def test_only_one_detector_can_be_named(other: str) -> None:
    with pytest.raises(ValidationError, match=f"{other} and asi both say where frames come from"):
        IntakeConfig.model_validate({"asi": {"host": "a"}, other: {"host": "b"}})


@pytest.mark.parametrize("table", [{"form": "raw"}, {"data_port": 0}, {"channel": "x"}])
def test_what_the_table_cannot_say_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        IntakeConfig.model_validate({"asi": {"host": "a", **table}})
