import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from core.patterns import draw_disk
from daemon.small_scan import known_plan
from livestrain_core.bright_disk import measure_probe
from livestrain_core.probe import Probe
from livestrain_daemon.config import AnalysisConfig
from livestrain_daemon.errors import ConfigError
from livestrain_daemon.given import read_given
from livestrain_daemon.scanfolder.journal import Journal


def given(**fields: Any) -> AnalysisConfig:
    return AnalysisConfig.model_validate(fields)


def test_nothing_is_given_unless_named() -> None:
    found = read_given(given())
    assert (found.vacuum_probe, found.usable_pixels, found.plan) == (None, None, None)


def test_images_and_plan_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "probe.npy", np.arange(6, dtype=np.uint16).reshape(2, 3))
    np.save(tmp_path / "usable.npy", np.array([[1, 0], [1, 1]], np.uint8))
    (tmp_path / "plan.json").write_text(known_plan().model_dump_json())
    found = read_given(
        given(vacuum_probe=tmp_path / "probe.npy", usable_pixels=tmp_path / "usable.npy", plan=tmp_path / "plan.json")
    )
    assert found.vacuum_probe is not None
    assert found.usable_pixels is not None
    assert found.vacuum_probe.dtype == np.float32
    assert found.usable_pixels.tolist() == [[True, False], [True, True]]
    assert found.plan == known_plan()


def test_dark_and_gain_are_read_from_numpy_and_from_hdf5(tmp_path: Path) -> None:
    image = np.arange(6, dtype=np.uint16).reshape(2, 3)
    np.save(tmp_path / "dark.npy", image)
    with h5py.File(tmp_path / "gain.h5", "w") as file:
        file["somewhere/else"] = image / 7.0
        file["name"] = "flat field"
    found = read_given(given(dark=tmp_path / "dark.npy", gain=tmp_path / "gain.h5"))
    assert found.dark is not None
    assert found.gain is not None
    assert found.dark.pixels.tolist() == image.tolist()
    np.testing.assert_allclose(found.gain.pixels, image / 7.0, rtol=1e-6)


@pytest.mark.parametrize("names", [[], ["one", "two"]])
def test_a_file_with_no_image_or_several_is_refused(tmp_path: Path, names: list[str]) -> None:
    with h5py.File(tmp_path / "dark.h5", "w") as file:
        for name in names:
            file[name] = np.zeros((2, 3))
    with pytest.raises(ConfigError, match=r"analysis\.dark: expected one image"):
        read_given(given(dark=tmp_path / "dark.h5"))


HEADER = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 99999999999999), }"
NO_IMAGES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not an image"),
    "cut": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8'"),
    "zip": lambda path: path.write_bytes(b"PK\x03\x04 not a zip file"),
    "archive": lambda path: path.write_bytes(archive()),
    "objects": lambda path: np.save(path, np.array([[{}]], dtype=object)),
    "line": lambda path: np.save(path, np.zeros(5)),
    "complex": lambda path: np.save(path, np.zeros((2, 2), complex)),
    "words": lambda path: np.save(path, np.array([["a"]])),
    "folder": lambda path: path.mkdir(),
    "huge": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00" + len(HEADER).to_bytes(2, "little") + HEADER),
}


def archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.zeros((2, 2)))
    return file.getvalue()


@pytest.mark.parametrize("key", ["vacuum_probe", "usable_pixels"])
@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_is_no_image_is_refused_naming_key_and_file(tmp_path: Path, key: str, kind: str) -> None:
    path = tmp_path / "image.npy"
    NO_IMAGES[kind](path)
    with pytest.raises(ConfigError, match=rf"analysis\.{key}: .*image\.npy"):
        read_given(given(**{key: path}))


@pytest.mark.parametrize(
    ("kind", "found"),
    [("text", "text that begins with 'not an image'"), ("archive", "a zip archive"), ("empty", "an empty file")],
)
def test_what_a_file_is_instead_of_an_image_is_told(tmp_path: Path, kind: str, found: str) -> None:
    for name in ("image.npy", "image.h5"):
        NO_IMAGES[kind](tmp_path / "image.npy")
        (tmp_path / "image.npy").rename(tmp_path / name)
        with pytest.raises(ConfigError, match=rf"expected a \.npy or HDF5 file at .*{name}, found {found}"):
            read_given(given(vacuum_probe=tmp_path / name))


@pytest.mark.parametrize("name", ["image.npy", "image.h5"])
def test_an_image_is_known_by_its_form_and_not_by_its_name(tmp_path: Path, name: str) -> None:
    with h5py.File(tmp_path / name, "w") as file:
        file["image"] = draw_disk((64, 64), AT, PROBE)
    assert read_given(given(vacuum_probe=tmp_path / name)).vacuum_probe is not None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"stages": {"diffraction": ["alchemy"]}},
        {"stages": {"diffraction": ["patterns"]}},
        {"detectors": [{"name": "total", "outer": 1.0}]},
    ],
)
def test_a_plan_that_no_scan_could_be_analysed_under_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(known_plan().model_dump(mode="json") | fields if fields else {}))
    with pytest.raises(ConfigError, match=r"analysis\.plan: "):
        read_given(given(plan=path))


@pytest.mark.parametrize("name", ["total", "beam_centre", "g1", "sum", "e_xx", "theta"])
def test_a_virtual_detector_cannot_have_the_name_of_another_map(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"analysis\.detectors: .*{name}"):
        read_given(given(detectors=[{"name": name, "outer": 1.0}]))


def test_two_virtual_detectors_cannot_have_one_name() -> None:
    with pytest.raises(ConfigError, match=r"analysis\.detectors: .*twins"):
        read_given(given(detectors=[{"name": "twins", "outer": 1.0}, {"name": "twins", "outer": 2.0}]))


AT, PROBE = np.array([31.2, 32.9]), Probe(8.0, 0.8)


@pytest.mark.parametrize("shape", [(12,), (3, 4)])
@pytest.mark.parametrize("suffix", ["npy", "h5"])
def test_a_scan_of_vacuum_images_is_laid_on_each_other(tmp_path: Path, shape: tuple[int, ...], suffix: str) -> None:
    rng, path = np.random.default_rng(2), tmp_path / f"vacuum.{suffix}"
    stack = np.array([rng.poisson(90 * draw_disk((64, 64), AT + rng.uniform(-3, 3, 2), PROBE)) for _ in range(12)])
    stack = stack.astype(np.uint16).reshape(*shape, 64, 64)
    if suffix == "npy":
        np.save(path, stack)
    else:
        with h5py.File(path, "w") as file:
            file["entry/data"] = stack
            file["entry/times"] = np.arange(12.0)
    image = read_given(given(vacuum_probe=path)).vacuum_probe
    assert image is not None
    assert image.shape == (64, 64)
    assert measure_probe(image).probe.edge_px == pytest.approx(0.8, abs=0.15)


def test_only_so_many_images_of_a_long_vacuum_scan_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livestrain_daemon.given.MOST_IMAGES", 4)
    stack = np.arange(1, 9)[:, None, None] * draw_disk((64, 64), AT, PROBE)
    np.save(tmp_path / "vacuum.npy", stack)
    image = read_given(given(vacuum_probe=tmp_path / "vacuum.npy")).vacuum_probe
    assert image is not None
    # the first, third, fifth and seventh
    np.testing.assert_allclose(image, 4 * draw_disk((64, 64), AT, PROBE), rtol=1e-5, atol=1e-6)


def test_dark_and_gain_must_be_single_images(tmp_path: Path) -> None:
    np.save(tmp_path / "dark.npy", np.zeros((3, 8, 8)))
    with pytest.raises(ConfigError, match=r"analysis\.dark: expected one image"):
        read_given(given(dark=tmp_path / "dark.npy"))


BAD_PIXELS: dict[str, tuple[object, str]] = {
    "all NaN": (np.full((4, 4), np.nan), "no finite pixel"),
    "none": (np.zeros((0, 64)), "no finite pixel"),
    "one infinite": (np.where(np.eye(4) > 0, np.inf, 1.0), "4 pixels that are infinite"),
    "one too large": (np.where(np.eye(4) > 0, 1e300, 1.0), "4 pixels that are infinite"),
}


@pytest.mark.parametrize("key", ["dark", "gain"])
@pytest.mark.parametrize("kind", BAD_PIXELS)
def test_an_image_that_no_frame_could_be_corrected_with_is_refused(tmp_path: Path, key: str, kind: str) -> None:
    pixels, said = BAD_PIXELS[kind]
    np.save(tmp_path / "image.npy", np.asarray(pixels))
    with pytest.raises(ConfigError, match=rf"analysis\.{key}: .*image\.npy, found {said}"):
        read_given(given(**{key: tmp_path / "image.npy"}))


@pytest.mark.parametrize(("pixels", "said"), [(np.zeros((4, 4)), "no pixel above 0"), (-np.eye(4), "4 pixels below 0")])
def test_a_gain_without_a_positive_or_with_a_negative_factor_is_refused_and_such_a_dark_is_not(
    tmp_path: Path, pixels: NDArray[np.float64], said: str
) -> None:
    path = tmp_path / "image.npy"
    np.save(path, pixels)
    with pytest.raises(ConfigError, match=rf"analysis\.gain: .*{said}"):
        read_given(given(gain=path))
    assert read_given(given(dark=path)).dark is not None


@pytest.mark.parametrize("key", ["dark", "gain"])
def test_single_pixels_that_an_image_says_nothing_of_are_allowed(tmp_path: Path, key: str) -> None:
    np.save(tmp_path / "image.npy", np.where(np.eye(4) > 0, np.nan, 1.0))
    found = getattr(read_given(given(**{key: tmp_path / "image.npy"})), key)
    assert found is not None


def test_a_vacuum_image_without_a_probe_makes_no_template(tmp_path: Path) -> None:
    path = tmp_path / "vacuum.npy"
    np.save(path, 50 * draw_disk((64, 64), AT, PROBE))
    assert read_given(given(vacuum_probe=path, template="image")).vacuum_probe is not None
    np.save(path, np.ones((64, 64)))
    assert read_given(given(vacuum_probe=path)).vacuum_probe is not None
    with pytest.raises(ConfigError, match=r"analysis\.vacuum_probe: no template .*nothing stands out"):
        read_given(given(vacuum_probe=path, template="image"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"template": "image"}, "needs a vacuum_probe"),
        ({"vacuum_probe": "a.npy", "probe": {"radius_px": 5.0}}, "give one"),
        ({"template": "bullseye"}, "template"),
        ({"probe": {"edge_px": 1.0}}, "radius_px"),
        ({"probe": {"radius_px": -1.0}}, "radius_px"),
        ({"probe": {"radius_px": 5.0, "semiangle": 2.0}}, "semiangle"),
    ],
)
def test_a_template_that_cannot_be_made_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        given(**fields)


def test_a_plan_is_read_from_the_folder_of_the_scan_that_had_it(tmp_path: Path) -> None:
    plan = known_plan()
    with Journal(tmp_path) as journal:
        for revision in (1, 2):
            journal.append("plan", plan=plan.model_copy(update={"revision": revision}).model_dump(mode="json"))
        journal.append("synced", runs=[])
    assert read_given(given(plan=tmp_path)).plan == plan.model_copy(update={"revision": 2})


@pytest.mark.parametrize("lines", [None, b"", b'{"kind": "synced"}\n', b"nonsense\n", b'{"kind": "plan"}\n'])
def test_a_folder_without_a_plan_is_refused(tmp_path: Path, lines: bytes | None) -> None:
    if lines is not None:
        (tmp_path / "journal.jsonl").write_bytes(lines)
    with pytest.raises(ConfigError, match=r"analysis\.plan: .*journal"):
        read_given(given(plan=tmp_path))
