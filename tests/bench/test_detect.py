import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livestrain_bench.case import Case, Given, Truth, read_case
from livestrain_bench.detect import bench_detect
from livestrain_bench.finding import DETECTABLE, compare, detectable
from livestrain_client.cli.command import run
from livestrain_client.cli.exits import OK

PLACES = np.array([[20.0, 20.0], [20.0, 50.0], [50.0, 20.0], [50.0, 50.0]])
LEVEL = 2.0
"""Background [counts/px]."""


def drawn(electrons: list[float], places: np.ndarray = PLACES, frames: int = 3) -> Case:
    """Frames of a flat background, and the truth about disks; what is in the disks is not looked at."""
    usable = np.ones((70, 70), np.bool_)
    given = Given(np.full((frames, 70, 70), LEVEL, np.float32), None, np.zeros((70, 70), np.float32))
    counts = np.tile(np.array(electrons), (frames, 1))
    positions = np.tile(places, (frames, 1, 1))
    return Case("drawn", given, Truth(positions, counts, np.ones_like(counts), usable, 5.0, 0.5), None)


def test_a_disk_is_detectable_by_its_counts_over_their_deviation() -> None:
    under = LEVEL * np.pi * 5.0**2
    # the ring's own scatter adds to the noise, so that the limit is a little higher than without it
    limit = DETECTABLE * np.sqrt(under)
    found = detectable(drawn([1.1 * limit, 1.5 * limit, 2.2 * limit, 10 * limit]))
    assert found.tolist() == [[False, False, True, True]] * 3


def test_hidden_and_overlapping_disks_are_not_detectable() -> None:
    near = PLACES.copy()
    near[1] = near[0] + [0.0, 9.0]
    assert detectable(drawn([1e5] * 4)).all()
    assert detectable(drawn([1e5] * 4, near)).tolist() == [[False, False, True, True]] * 3
    hidden = drawn([1e5] * 4)
    hidden.truth.visible[:, 2] = 0.5
    assert detectable(hidden).tolist() == [[True, True, False, True]] * 3


def test_each_disk_is_found_once_and_the_rest_is_false() -> None:
    case = drawn([1e5] * 4)
    wanted = detectable(case)
    found = np.full((3, 6, 2), np.nan)
    found[:, :4] = PLACES + np.array([0.3, -0.4])
    perfect = compare(found, case, wanted)
    assert perfect.recall == 1
    assert perfect.false_per_frame == 0
    assert perfect.detectable_per_frame == 4
    assert perfect.position_rms_px == pytest.approx(0.5 / np.sqrt(2))
    found[0, 4] = PLACES[0] + 1.0
    found[1, 4] = 5.0
    found[2, 0] = np.nan
    worse = compare(found, case, wanted)
    assert worse.recall == pytest.approx(11 / 12)
    assert worse.false_per_frame == pytest.approx(2 / 3)


def test_what_is_found_where_disks_overlap_is_not_false() -> None:
    near = PLACES.copy()
    near[1] = near[0] + [0.0, 8.0]
    case = drawn([1e5] * 4, near)
    found = np.tile(near[0] + [0.0, 4.0], (3, 1, 1))
    assert compare(found, case, detectable(case)).false_per_frame == 0


def test_nothing_found_is_a_recall_of_zero() -> None:
    case = drawn([1e5] * 4)
    nothing = compare(np.full((3, 0, 2), np.nan), case, detectable(case))
    assert nothing.recall == 0
    assert np.isnan(nothing.position_rms_px)


def test_disks_of_crystals_and_polycrystals_are_found(cases: Path) -> None:
    for name in ("small", "small_poly"):
        result = bench_detect(read_case(cases / f"{name}.h5"), peer=False, rounds=1)
        assert result.findings.recall > 0.97
        assert result.findings.false_per_frame < 0.2
        assert result.fps > 0


def test_a_case_without_a_probe_finds_nothing_and_says_why(small: Case) -> None:
    blank = replace(small.given, vacuum_probe=np.zeros_like(small.given.vacuum_probe))
    result = bench_detect(replace(small, given=blank), peer=False, rounds=1)
    assert result.findings.recall == 0
    assert result.reason


@pytest.mark.skipif(
    importlib.util.find_spec("libertem_blobfinder") is None, reason="the peer libertem-blobfinder is not installed"
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_peer_correlates_the_same_frames(cases: Path) -> None:
    result = bench_detect(read_case(cases / "small_poly.h5"), peer=True, rounds=2)
    (peer,) = result.peer.values()
    assert peer.fps > 0
    assert peer.speedup == pytest.approx(result.fps / peer.fps, rel=0.8)


def test_the_verb_prints_json_and_a_table(cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "detect", "--cases", str(cases), "--only", "small_hot", "--repeats", "1"]
    assert run([*arguments, "--json"]) == OK
    (one,) = json.loads(capsys.readouterr().out)["cases"]
    assert set(one) == {
        *("case", "recall", "detectable_per_frame", "false_per_frame", "position_rms_px", "fps", "reason", "peer")
    }
    assert run(arguments) == OK
    assert "recall" in capsys.readouterr().out
