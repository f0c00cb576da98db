from pathlib import Path

from livestrain_bench.profile import profile


def test_every_part_of_a_frame_takes_some_time_and_the_parts_less_than_a_call(cases: Path) -> None:
    parts = profile(cases / "small.h5")
    assert parts.pop("case") == "small"
    times = {name: float(value) for name, value in parts.items()}
    assert len(times) == 9
    assert min(times.values()) > 0.0
    assert times["filters, one round"] < times["track"]
    assert times["centre of mass"] < 1.5 * times["and two virtual detectors"]
