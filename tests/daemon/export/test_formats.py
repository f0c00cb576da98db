"""Files that are written whole or not at all, and what is in those of each format."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import matplotlib.image
import numpy as np
import pytest
import tifffile

from daemon.export.scans import PIXEL_MRAD, STEP_NM
from daemon.small_scan import CAMERA, SCAN
from livestrain_daemon.export import FORMATS, Choice, Exported, ExportError, MissingLibrary, png, read_scan, write_scan
from livestrain_wire.messages import ReferenceInfo

HYPERSPY_PYTHON = os.environ.get("LIVESTRAIN_HYPERSPY_PYTHON", "")

needs_hyperspy = pytest.mark.skipif(
    not HYPERSPY_PYTHON, reason="HyperSpy is not here: LIVESTRAIN_HYPERSPY_PYTHON names no interpreter that has it"
)

LOAD = """
import json, sys, hyperspy.api as hs
found = {}
for signal in hs.load(sys.argv[1]):
    axes = [[axis.name, axis.size, axis.scale, axis.offset, str(axis.units)] for axis in signal.axes_manager._axes]
    found[signal.metadata.General.title] = {
        "data": signal.data.tolist(),
        "axes": axes,
        "navigation": signal.axes_manager.navigation_dimension,
        "type": type(signal).__name__,
        "quantity": signal.metadata.Signal.quantity,
        "strain": signal.metadata.livestrain.strain.axes,
        "convention": signal.metadata.livestrain.strain.convention,
    }
print("FOUND" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def scan(folder: Path) -> Exported:
    return read_scan(folder, Choice(maps=("e_xx", "theta", "bright_field", "ring", "reason")))


@pytest.fixture(scope="module")
def half(running: Path) -> Exported:
    return read_scan(running, Choice(maps=("e_xx", "bright_field", "reason")))


def values(scan: Exported, name: str) -> Any:
    found = scan.map(name)
    assert found is not None
    return found.values


# --- tiff ---


def test_a_tiff_holds_the_map_its_scale_and_its_convention(scan: Exported, tmp_path: Path) -> None:
    written = write_scan(scan, "tiff", tmp_path / "maps")
    assert {path.name for path in written} == {
        *(f"{name}.tif" for name in ("e_xx", "theta", "bright_field", "ring", "reason", "bragg_vector_map"))
    }
    with tifffile.TiffFile(tmp_path / "maps" / "e_xx.tif") as file:
        assert file.asarray().dtype == np.float32
        np.testing.assert_array_equal(file.asarray(), values(scan, "e_xx"))
        count, over = file.pages[0].tags["XResolution"].value  # type: ignore[union-attr]
        assert count / over == pytest.approx(1 / STEP_NM)
        assert file.imagej_metadata is not None
        assert file.imagej_metadata["unit"] == "nm"
        told = json.loads(file.imagej_metadata["Info"])
    assert (told["strain"]["axes"], told["map"]["unit"]) == ("detector", "1")
    assert "F = R U" in told["strain"]["convention"]
    with tifffile.TiffFile(tmp_path / "maps" / "bragg_vector_map.tif") as file:
        assert file.imagej_metadata is not None
        assert file.imagej_metadata["unit"] == "mrad"
        assert scan.bragg is not None
        np.testing.assert_array_equal(file.asarray(), scan.bragg.pixels.astype(np.float32))


def test_a_tiff_of_a_running_scan_has_nan(half: Exported, tmp_path: Path) -> None:
    write_scan(half, "tiff", tmp_path)
    for name in ("e_xx", "reason"):
        found = tifffile.imread(tmp_path / f"{name}.tif")
        assert np.isnan(found.ravel()[170:]).all()
        assert np.isfinite(found.ravel()[:170]).all()


def test_without_a_step_a_tiff_counts_pixels(without_disks: Path, tmp_path: Path) -> None:
    write_scan(read_scan(without_disks, Choice(maps=("ring",))), "tiff", tmp_path)
    with tifffile.TiffFile(tmp_path / "ring.tif") as file:
        assert file.imagej_metadata is not None
        assert file.imagej_metadata["unit"] == "pixel"


# --- png ---


def test_a_picture_shows_what_is_not_measured_in_grey(half: Exported, tmp_path: Path) -> None:
    written = write_scan(half, "png", tmp_path / "pictures")
    assert {path.name for path in written} == {"e_xx.png", "bright_field.png", "reason.png", "bragg_vector_map.png"}
    grey = np.abs(matplotlib.image.imread(tmp_path / "pictures" / "e_xx.png")[..., :3] - 0.55).max(axis=2) < 0.01
    assert 0.15 < grey.mean() < 0.5


@pytest.mark.parametrize(
    ("reference", "told"),
    [("0:9,2:20", "reference: region 0:9,2:20"), ("median", "reference: median"), ("plan", "the plan's lattice")],
)
def test_the_title_of_a_picture_says_against_what_strain_is(folder: Path, reference: str, told: str) -> None:
    found = read_scan(folder, Choice(maps=("e_xx", "total"), reference=reference))
    strain, total = found.maps
    assert png._subtitle(found, strain).endswith(told)
    assert "reference" not in png._subtitle(found, total)


def test_a_region_that_is_wanted_but_not_used_is_not_in_the_title() -> None:
    used = ReferenceInfo(revision=1, kind="region", vectors=(20.0, 0.0, 0.0, 20.0), region=(0, 0, 9, 20))
    assert png._reference_line(used) == "region 0:9,0:20"
    assert png._reference_line(used.model_copy(update={"kind": "plan"})) == "the plan's lattice"


def test_a_picture_of_a_whole_scan_has_no_grey(scan: Exported, tmp_path: Path) -> None:
    write_scan(scan, "png", tmp_path)
    picture = matplotlib.image.imread(tmp_path / "e_xx.png")[..., :3]
    assert (np.abs(picture - 0.55).max(axis=2) < 0.01).mean() < 0.005
    # diverging about zero: a map of both signs shows both colours
    red, blue = picture[..., 0] - picture[..., 2] > 0.3, picture[..., 2] - picture[..., 0] > 0.3
    assert red.mean() > 0.02
    assert blue.mean() > 0.02


@pytest.mark.parametrize("shape", [(1, 12), (12, 1), (1, 1)])
def test_a_map_without_extent_or_value_still_makes_a_picture(
    scan: Exported, tmp_path: Path, shape: tuple[int, int]
) -> None:
    nothing = np.full(shape, np.nan, np.float32)
    maps = tuple(replaced(one, values=nothing) for one in scan.maps)
    for path in write_scan(replaced(scan, maps=maps, scan_shape=shape), "png", tmp_path):
        assert path.stat().st_size > 1000


def replaced(one: Any, **fields: Any) -> Any:
    return dataclasses.replace(one, **fields)


# --- csv ---


def test_a_table_has_a_row_for_every_position(scan: Exported, tmp_path: Path) -> None:
    [path] = write_scan(scan, "csv", tmp_path / "table.csv")
    lines = path.read_text().splitlines()
    told = [line for line in lines if line.startswith("#")]
    names, *rows = (line.split(",") for line in lines[len(told) :])
    assert names == ["row", "column", "e_xx", "theta", "bright_field", "ring", "reason", "why"]
    assert [(int(row[0]), int(row[1])) for row in rows] == list(np.ndindex(SCAN))
    found = np.array([row[2:6] for row in rows], np.float32).T.reshape(4, *SCAN)
    for name, column in zip(names[2:6], found, strict=True):
        np.testing.assert_array_equal(column, values(scan, name))
    assert {row[-1] for row in rows} == {"fitted"}
    text = "\n".join(told)
    for expected in ("axes of strain: detector: x is axis 0", "F = R U", "theta [rad]", "opposite sign", "step 1.5 nm"):
        assert expected in text


def test_a_table_of_a_running_scan_says_nan_and_why(half: Exported, tmp_path: Path) -> None:
    [path] = write_scan(half, "csv", tmp_path / "table.csv")
    rows = [line for line in path.read_text().splitlines() if not line.startswith("#")][1:]
    assert rows[170].endswith(",nan,nan,nan,pending")
    assert "nan" not in rows[169]


# --- hspy ---


def test_the_markup_is_that_of_hyperspy(scan: Exported, tmp_path: Path) -> None:
    [path] = write_scan(scan, "hspy", tmp_path / "maps.hspy")
    with h5py.File(path) as file:
        assert dict(file.attrs) == {"file_format": "HyperSpy", "file_format_version": "3.3"}
        assert set(file["Experiments"]) == {
            *("e_xx", "theta", "bright_field", "ring", "reason", "virtual_images", "bragg_vector_map")
        }
        signal = file["Experiments/e_xx"]
        np.testing.assert_array_equal(signal["data"][...], values(scan, "e_xx"))
        assert (
            dict(signal["axis-1"].attrs).items() >= {"name": "x", "scale": STEP_NM, "units": "nm", "size": 20}.items()
        )
        assert signal["metadata/livestrain/strain"].attrs["axes"] == "detector"


@needs_hyperspy
def test_hyperspy_loads_maps_stack_and_vector_map(scan: Exported, tmp_path: Path) -> None:
    [path] = write_scan(scan, "hspy", tmp_path / "maps.hspy")
    done = subprocess.run([HYPERSPY_PYTHON, "-c", LOAD, path], capture_output=True, text=True, timeout=110, check=False)
    assert "FOUND" in done.stdout, done.stderr[-2000:]
    found = json.loads(done.stdout.split("FOUND")[1])
    rows, columns = SCAN
    for name in ("e_xx", "theta", "bright_field", "ring", "reason"):
        np.testing.assert_array_equal(np.array(found[name]["data"], np.float32), values(scan, name))
        assert found[name]["axes"] == [["y", rows, STEP_NM, 0.0, "nm"], ["x", columns, STEP_NM, 0.0, "nm"]]
        assert found[name]["type"] == "Signal2D"
        assert found[name]["strain"] == "detector"
        assert "F = R U" in found[name]["convention"]
    assert found["theta"]["quantity"] == "theta (rad)"
    stack = found["virtual_images"]
    assert stack["navigation"] == 1
    np.testing.assert_array_equal(
        np.array(stack["data"], np.float32), np.stack([values(scan, "bright_field"), values(scan, "ring")])
    )
    bragg = found["bragg_vector_map"]
    assert scan.bragg is not None
    np.testing.assert_array_equal(bragg["data"], scan.bragg.pixels)
    # zero of the axes is the direct beam
    assert bragg["axes"] == [
        ["kx", CAMERA.shape[0], PIXEL_MRAD, pytest.approx(-PIXEL_MRAD * scan.origin[0]), "mrad"],
        ["ky", CAMERA.shape[1], PIXEL_MRAD, pytest.approx(-PIXEL_MRAD * scan.origin[1]), "mrad"],
    ]


def test_metadata_of_any_name_and_length_can_be_exported(scan: Exported, tmp_path: Path) -> None:
    facts = {"scan": {"metadata": {".": 1, "": "x", "a/b": 2.0, "long": "x" * 100_000}}, **scan.about["strain"]}
    odd = replaced(scan, about={**scan.about, **facts})
    [path] = write_scan(odd, "hspy", tmp_path / "odd.hspy")
    with h5py.File(path) as file:
        assert file["Experiments/e_xx/metadata/livestrain/scan"].attrs["metadata"].endswith("(cut)")


# --- files ---


@pytest.mark.parametrize("to", FORMATS)
def test_a_file_that_exists_is_replaced_only_by_force(scan: Exported, tmp_path: Path, to: str) -> None:
    place = tmp_path / "out"
    first = write_scan(scan, to, place)
    kept = first[-1].read_bytes()
    first[-1].write_bytes(b"precious")
    with pytest.raises(ExportError, match="exists already; --force replaces it"):
        write_scan(scan, to, place)
    assert first[-1].read_bytes() == b"precious"
    assert write_scan(scan, to, place, force=True) == first
    assert abs(len(first[-1].read_bytes()) - len(kept)) < 100


@pytest.mark.parametrize("to", FORMATS)
def test_without_an_output_it_is_named_after_scan_and_revision(
    scan: Exported, tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written = write_scan(scan, to)
    first = "small-r0001-" + to if FORMATS[to].many else "small-r0001" + FORMATS[to].suffix
    assert {path.parts[0] for path in written} == {first}
    assert [path.name for path in tmp_path.iterdir()] == [first]


def test_a_folder_as_output_gets_the_file(scan: Exported, tmp_path: Path) -> None:
    assert write_scan(scan, "csv", tmp_path) == [tmp_path / "small-r0001.csv"]


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A place where nothing can be made, not even by root: below a file."""
    (tmp_path / "file").write_text("in the way")
    return tmp_path / "file" / "out"


@pytest.mark.parametrize("to", FORMATS)
def test_a_place_that_cannot_be_written_is_refused_in_a_line(scan: Exported, locked: Path, to: str) -> None:
    with pytest.raises(ExportError, match=r"cannot be (made|written)") as caught:
        write_scan(scan, to, locked)
    assert "\n" not in str(caught.value)


def test_a_disk_that_is_full_leaves_no_half_made_file(folder: Path, tmp_path: Path) -> None:
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"
    prepared = f"{code}; import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    program = f"""{prepared}
import sys
from pathlib import Path
from livestrain_daemon.export import Choice, ExportError, read_scan, write_scan
found = read_scan(Path(sys.argv[1]), Choice())
for to in ("csv", "tiff", "png", "hspy", "py4dstem"):
    try:
        write_scan(found, to, Path(sys.argv[2]) / to / "out")
    except ExportError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, folder, tmp_path], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.count("cannot be written: ") == 5, done.stdout + done.stderr
    assert not list(tmp_path.rglob("*.partial"))
    assert not (tmp_path / "csv" / "out").exists()


@pytest.mark.parametrize(("to", "library"), [("tiff", "tifffile"), ("png", "matplotlib")])
def test_a_missing_library_is_named_with_its_extra(
    scan: Exported, to: str, library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibrary, match=r"'livestrain\[export\]', or in a clone pip install -e '\.\[export\]' \("):
        write_scan(scan, to, tmp_path / "out")
    assert not (tmp_path / "out").exists()
