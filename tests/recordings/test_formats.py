import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pytest

from helpers.gatan import Calibration, Form, write_dm
from livestrain_core.scale import mrad_from_per_nm
from livestrain_recordings import formats
from livestrain_recordings.errors import ExtraMissing, UnusableRecording
from livestrain_recordings.opening import open_recording
from recordings.whole import CUBE, whole
from recordings.written import needs_rosettasciio, write

COUNTS = CUBE[:, :, :, :16].astype(np.uint8)


@needs_rosettasciio
@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".blo", COUNTS),
        (".hspy", CUBE),
        (".hspy", CUBE.astype(np.float32)),
        (".tvips", COUNTS),
    ],
    ids=lambda value: value if isinstance(value, str) else value.dtype.name,
)
def test_frames_are_read_as_rosettasciio_wrote_them(tmp_path: Path, suffix: str, data: Any) -> None:
    path = write(tmp_path / f"scan{suffix}", data, show_progressbar=False)
    np.testing.assert_array_equal(whole(path).reshape(data.shape), data)


@needs_rosettasciio
def test_an_emd_file_of_rosettasciio_is_read_although_it_is_turned(tmp_path: Path) -> None:
    np.testing.assert_array_equal(whole(write(tmp_path / "scan.emd", CUBE)), CUBE)


def write_mrc(path: Path, frames: Any) -> None:
    """By the published description of MRC2014: 1024 bytes of header, then sections."""
    header = np.zeros(256, "<i4")
    mode = {"int16": 1, "float32": 2, "uint16": 6}[frames.dtype.name]
    header[:4] = [*frames.shape[::-1], mode]
    header[7:10] = header[:3]
    header[10:13] = header[:3].astype("<f4").view("<i4")
    header[16:19] = 1, 2, 3
    header[52], header[53] = int.from_bytes(b"MAP ", "little"), 0x4444
    path.write_bytes(header.tobytes() + frames.astype(frames.dtype.newbyteorder("<")).tobytes())


@needs_rosettasciio
@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_a_stack_of_an_mrc_file_is_read(tmp_path: Path, dtype: Any) -> None:
    stack = CUBE.reshape(30, 16, 24).astype(dtype)
    write_mrc(tmp_path / "stack.mrc", stack)
    np.testing.assert_array_equal(whole(tmp_path / "stack.mrc"), stack)


@needs_rosettasciio
# a reader of rosettasciio that fails leaves its file to be closed with the error
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("suffix", sorted(formats.READERS))
def test_other_content_under_a_known_suffix_is_refused_with_its_name(tmp_path: Path, suffix: str) -> None:
    for number, content in enumerate([b"", b"text", bytes(5000), b"\xff" * 5000, b"MAP " * 2000]):
        path = tmp_path / f"other{number}{suffix}"
        path.write_bytes(content)
        with pytest.raises((OSError, UnusableRecording), match=path.name):
            open_recording(path)


@needs_rosettasciio
@pytest.mark.parametrize("version", [3, 4])
def test_big_endian_pixels_of_digitalmicrograph_are_refused(tmp_path: Path, version: Literal[3, 4]) -> None:
    """rosettasciio would take their bytes the wrong way round."""
    path = write_dm(tmp_path / f"old.dm{version}", CUBE, form=Form(version, little=False))
    with pytest.raises(UnusableRecording, match=r"old\.dm.: expected little-endian pixels, found big-endian ones"):
        open_recording(path)


@needs_rosettasciio
def test_a_dm4_file_tells_steps_and_pixel_sizes(tmp_path: Path) -> None:
    axes = [Calibration(2.0, "nm")] * 2 + [Calibration(0.05, "1/nm")] * 2
    microscope = {"Microscope Info": {"Voltage": np.float32(200_000), "Indicated Magnification": np.float32(50_000)}}
    path = write_dm(tmp_path / "scan.dm4", CUBE, axes, microscope)
    with open_recording(path) as recording:
        facts = recording.facts
    assert (facts["energy_kev"], facts["step_nm"]) == (200.0, 2.0)
    assert facts["pixel_size_per_nm"] == pytest.approx(0.05)
    assert facts["pixel_size_mrad"] == pytest.approx(mrad_from_per_nm(0.05, 200.0))


@needs_rosettasciio
@pytest.mark.parametrize("unit", ["nm", ""])
def test_a_dm4_file_that_begins_with_the_axes_of_the_frame_is_turned(tmp_path: Path, unit: str) -> None:
    """Whether or not the scan was calibrated: 1/nm are never steps of a scan."""
    frame, scan = [Calibration(0.05, "1/nm")] * 2, [Calibration(2.0, unit)] * 2
    turned = np.ascontiguousarray(CUBE.transpose(2, 3, 0, 1))
    np.testing.assert_array_equal(whole(write_dm(tmp_path / "turned.dm4", turned, frame + scan)), CUBE)
    np.testing.assert_array_equal(whole(write_dm(tmp_path / "straight.dm4", CUBE, scan + frame)), CUBE)


@needs_rosettasciio
def test_a_dm4_file_without_units_has_the_axes_of_the_frame_last(tmp_path: Path) -> None:
    np.testing.assert_array_equal(whole(write_dm(tmp_path / "scan.dm4", CUBE)), CUBE)


def test_without_rosettasciio_the_extra_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scan.mrc"
    path.write_bytes(bytes(2000))
    program = (
        "import sys; sys.modules['rsciio'] = None\n"
        "from pathlib import Path\n"
        "from livestrain_recordings.opening import open_recording\n"
        f"try:\n    open_recording(Path({str(path)!r}))\n"
        "except ValueError as error:\n    sys.stdout.write(f'{type(error).__name__} {error}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == (
        f'{ExtraMissing.__name__} {path}: a .mrc file needs the extra formats: pip install "livestrain[formats]"'
    )


def test_files_that_are_read_natively_need_no_rosettasciio(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", CUBE)
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from livestrain_recordings.opening import open_recording\n"
        f"open_recording(Path({str(tmp_path / 'scan.npy')!r}))\n"
        "sys.stdout.write(' '.join(sorted({'rsciio', 'dask', 'zarr', 'numba'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == ""


def test_a_verb_without_rosettasciio_ends_with_69(tmp_path: Path) -> None:
    path = tmp_path / "scan.mrc"
    path.write_bytes(bytes(2000))
    for app, options in (
        ("livestrain_simulator.cli import replay_app as app", ["--endpoint", "ipc:///nowhere"]),
        ("livestrain_daemon.analyse.cli import analyse_app as app", ["--spool", str(tmp_path / "spool")]),
    ):
        program = f"import sys; sys.modules['rsciio'] = None\nfrom {app}\napp()\n"
        done = subprocess.run(
            [sys.executable, "-c", program, str(path), *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (69, "")
        *_, last = done.stderr.splitlines()
        assert last.endswith(f'{path}: a .mrc file needs the extra formats: pip install "livestrain[formats]"')
        assert "Traceback" not in done.stderr


def write_velox(path: Path, frames: Any) -> None:
    """A stack as Velox keeps it: the frames along the last axis, and JSON for each."""
    facts = {
        "Core": {"MetadataDefinitionVersion": "7.9"},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1700000000"}},
        "Scan": {"DwellTime": "1e-3", "FrameTime": "1"},
        "BinaryResult": {
            "Detector": "Ceta", "PixelSize": {"width": "1e8", "height": "1e8"}, "PixelUnitX": "1/m",
            "PixelUnitY": "1/m", "Offset": {"x": "0", "y": "0"},
        },
        "Detectors": {"Detector-0": {"DetectorName": "Ceta", "DetectorType": "ImagingDetector"}},
    }  # fmt: skip
    text = np.frombuffer(json.dumps(facts).encode().ljust(2000, b"\0"), np.uint8)
    with h5py.File(path, "w") as file:
        file["Version"] = np.array([json.dumps({"format": "Velox", "version": "1.5"}).encode()])
        group = file.create_group("Data/Image/0123456789abcdef0123456789abcdef")
        turned = frames.transpose(1, 2, 0)
        group.create_dataset("Data", data=turned, chunks=(*turned.shape[:2], 1))
        group["Metadata"] = np.repeat(text[:, np.newaxis], len(frames), axis=1)
        group["FrameLookupTable"] = np.arange(len(frames))[:, np.newaxis]
        for name in ("Presentation", "Displays/ImageDisplay", "Operations"):
            file.create_group(name)


@needs_rosettasciio
def test_frames_of_velox_lie_along_the_last_axis_and_are_turned(tmp_path: Path) -> None:
    stack = CUBE.reshape(30, 16, 24)
    write_velox(tmp_path / "stack.emd", stack)
    np.testing.assert_array_equal(whole(tmp_path / "stack.emd"), stack)
    with open_recording(tmp_path / "stack.emd") as recording:
        assert recording.facts["pixel_size_per_nm"] == 0.1
