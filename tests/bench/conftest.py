from dataclasses import replace
from pathlib import Path

import pytest

from livestrain_bench.case import Case, read_case
from livestrain_simulator.cases.case import Case as Made
from livestrain_simulator.cases.file import write_case

SMALL = Made(
    "small",
    (96, 100),
    spacing_px=21.0,
    radius_px=5.0,
    disks=9,
    nonuniformity=0.2,
    scan_shape=(4, 6),
    seed=5,
)


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a crystal, one with hot pixels, a vacuum and a polycrystal."""
    folder = tmp_path_factory.mktemp("cases")
    write_case(folder, SMALL)
    write_case(folder, replace(SMALL, name="small_hot", faults=("hot",), nonuniformity=0.0))
    write_case(folder, replace(SMALL, name="small_poly", grains=2, disks=7))
    return folder


@pytest.fixture(scope="session")
def small(cases: Path) -> Case:
    return read_case(cases / "small.h5")
