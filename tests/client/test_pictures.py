"""Pictures of maps: colours, half blocks, the live view and the figure."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from helpers.waiting import wait_until
from helpers.wire_daemon import WireDaemon
from livestrain_client.colours import NO_DATA, ColourScale, scale_of
from livestrain_client.live import Live
from livestrain_client.saving import KNOWN_SUFFIX, save_figure, save_maps
from livestrain_client.terminal import HalfBlocks, fitted
from livestrain_client.view import LiveView, Screen, part_done, rates_line
from livestrain_wire.messages import MapInfo, Progress, StageCounts


def test_diverging_colours_are_symmetric_about_white_and_grey_is_no_data() -> None:
    scale = ColourScale("diverging", -0.03, 0.03)
    blue, white, red, none = scale.colours(np.array([[-0.05, 0.0, 0.05, np.nan]]))[0].astype(int)
    assert blue[2] > blue[0]
    assert red[0] > red[2]
    assert white.min() > 230
    assert tuple(none) == NO_DATA


def test_strain_is_shown_to_three_percent_whatever_the_values() -> None:
    small = np.full((2, 2), 1e-4)
    assert scale_of(MapInfo(name="e_xx", dtype="float32"), small) == ColourScale("diverging", -0.03, 0.03)
    assert scale_of(MapInfo(name="e_xx", dtype="float32", limit=0.01), small).high == 0.01
    sums = scale_of(MapInfo(name="total", dtype="uint64"), np.arange(101.0)[None])
    assert (sums.kind, sums.low, sums.high) == ("sequential", 1.0, 99.0)


def test_scales_exist_before_the_first_value() -> None:
    nothing = np.full((2, 2), np.nan)
    for kind in ("sequential", "diverging", "categorical"):
        scale = scale_of(MapInfo.model_validate({"name": "m", "dtype": "float32", "colours": kind}), nothing)
        assert (scale.colours(nothing) == NO_DATA).all()


def test_images_are_enlarged_by_repeating_and_reduced_by_averaging() -> None:
    image = np.array([[1.0, 2.0], [3.0, np.nan]])
    np.testing.assert_array_equal(fitted(image, 5, 4), np.kron(image, np.ones((2, 2))))
    assert fitted(image, 1, 1).item() == 2.0
    wide = fitted(np.ones((10, 40)), 20, 20)
    assert wide.shape == (5, 20)
    assert (wide == 1).all()


def test_half_blocks_put_two_pixels_into_a_character() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=20)
    red, blue = (255, 0, 0), (0, 0, 255)
    console.print(HalfBlocks(np.array([[red, red], [blue, blue], [red, blue]], np.uint8)))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert written.count("▀▀") == 1
    assert "38;2;255;0;0;48;2;0;0;255m▀▀" in written
    assert len(written.splitlines()) == 2


SHAPE = (16, 24)


@pytest.fixture
def live() -> Iterator[Live]:
    e_xx = np.random.default_rng(0).normal(0, 0.01, SHAPE).astype(np.float32)
    with WireDaemon() as daemon:
        daemon.begin({"e_xx": e_xx, "theta": e_xx, "total": np.ones(SHAPE, np.uint32), "g": np.ones((*SHAPE, 2))})
        daemon.acknowledge((0, 300))
        daemon.tell("the reference is frozen")
        with Live(daemon.maps_endpoint, daemon.control_endpoint) as live:
            wait_until(lambda: live.poll(0.01) is not None and all(m.known.any() for m in live.maps.values()))
            yield live


def test_the_view_shows_maps_counts_rates_and_events(live: Live) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=40)
    view = LiveView(live)
    with Screen(view, console) as screen:
        screen.show([])
    written = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("scan-1", "16 x 24", "e_xx", "± 3 %", "theta", "▀", "stored 300/384", "1,000 frames/s", "lag 0"):
        assert text in written
    assert "total" not in written


@pytest.mark.parametrize(
    ("stages", "percent"), [({}, 0.0), ({"diffraction": StageCounts(analysed=3, pending=1)}, 0.75)]
)
def test_nothing_is_done_before_there_is_a_plan(stages: dict[str, StageCounts], percent: float) -> None:
    assert part_done(progress(stages=stages)) == percent


@pytest.mark.parametrize(("rate", "lag"), [(0.0, "lag 4"), (8.0, "lag 4 (0.5 s)")])
def test_a_lag_has_seconds_only_where_there_is_a_rate(rate: float, lag: str) -> None:
    told = rates_line(progress(stages={}, analysed_per_second=rate, lag_positions=4, lag_seconds=rate and 4 / rate))
    assert told.endswith(lag)


def progress(**fields: object) -> Progress:
    sent = {"epoch": "", "sequence": 0, "scan_id": "scan-1", "revision": 0, "positions": 4, "stored": 4, "missing": 0}
    rates = {"frames_per_second": 1.0, "analysed_per_second": 0.0, "lag_positions": 0, "lag_seconds": 0.0, "faults": {}}
    return Progress.model_validate(sent | rates | fields)


def test_the_view_shows_the_maps_that_were_chosen(live: Live) -> None:
    console = Console(file=io.StringIO(), width=60, height=24)
    console.print(LiveView(live, ["total", "no_such_map", "g"]))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "total" in written
    assert "e_xx" not in written


def test_the_view_waits_for_a_scan() -> None:
    console = Console(file=io.StringIO(), width=60)
    with WireDaemon() as daemon, Live(daemon.maps_endpoint, daemon.control_endpoint) as live:
        console.print(LiveView(live))
    assert "waiting for a scan" in console.file.getvalue()  # type: ignore[attr-defined]


def test_saved_maps_hold_all_values_masks_plan_and_counts(live: Live, tmp_path: Path) -> None:
    path = save_maps(live, tmp_path / "new" / "folder")
    with np.load(path) as saved:
        for name, state in live.maps.items():
            assert saved[name].tobytes() == state.values.tobytes()
            assert saved[name + KNOWN_SUFFIX].sum() == 300
        assert '"stored": 300' in str(saved["about__progress"])
        assert '"revision": 1' in str(saved["about__plan"])
        assert str(saved["about__ended"]) == "null"
    assert [file.name for file in path.parent.iterdir()] == ["maps.npz"]


def grey_pixels(path: Path) -> int:
    image = pytest.importorskip("matplotlib.image").imread(path)[..., :3]
    return int((np.abs(image - 0.55) < 0.01).all(axis=-1).sum())


def test_the_figure_is_drawn_from_the_saved_maps(live: Live, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = save_figure(live, tmp_path)
    assert path is not None
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert grey_pixels(path) > 1000


@pytest.mark.parametrize("missing", [False, True])
def test_the_figure_shows_missing_values_grey_and_no_others(tmp_path: Path, missing: bool) -> None:
    pytest.importorskip("matplotlib")
    from livestrain_client.figure import strain_figure

    truth: dict[str, NDArray[np.float64]] = {name: np.full((12, 12), 0.01) for name in ("e_xx", "e_yy", "theta")}
    maps = {name: values.copy() for name, values in truth.items()}
    if missing:
        maps["e_yy"][3:9] = np.nan
    strain_figure(maps, tmp_path / "a.png", "title", truth, step_nm=2.0)
    assert (grey_pixels(tmp_path / "a.png") > 1000) == missing


def test_the_figure_of_nothing_but_other_maps_is_refused(tmp_path: Path) -> None:
    from livestrain_client.figure import strain_figure

    with pytest.raises(ValueError, match="e_xx"):
        strain_figure({"total": np.ones((2, 2))}, tmp_path / "a.png")
