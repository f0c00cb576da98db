from math import isfinite
from pathlib import Path

from livestrain_bench.profile import profile

PARTS = {
    "image",
    "binned column sums",
    "coarse search",
    "robust lattice",
    "filters, one round",
    "track",
    "lattice fit",
    "centre of mass",
    "and two virtual detectors",
}


def test_every_part_of_a_frame_is_timed(cases: Path) -> None:
    """How long each takes is for the reader: on a busy machine no order of times is certain."""
    parts = profile(cases / "small.h5")
    assert parts.pop("case") == "small"
    assert parts.keys() == PARTS
    assert all(isinstance(time, float) and isfinite(time) for time in parts.values())
