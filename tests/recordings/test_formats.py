import importlib.util
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from livestrain_core.scale import mrad_from_per_nm
from livestrain_recordings import formats
from livestrain_recordings.errors import ExtraMissing, NoFrames, UnusableRecording
from livestrain_recordings.opening import open_recording
from recordings.whole import CUBE, whole

COUNTS = CUBE[:, :, :, :16].astype(np.uint8)
WRITERS = {**formats.READERS, ".blo": "blockfile", ".hspy": "hspy"}
UNITS = ("nm", "nm", "1/nm", "1/nm")

needs_rosettasciio = pytest.mark.skipif(
    importlib.util.find_spec("rsciio") is None, reason="rosettasciio (the extra formats) is not installed"
)


def signal(data: Any) -> dict[str, Any]:
    """As rosettasciio's writers take one."""
    tem = {"beam_energy": 200.0, "convergence_angle": 1.5, "camera_length": 20.0}
    axes = [
        {
            "_type": "UniformDataAxis", "name": name, "units": units, "size": size, "scale": 0.5, "offset": 0.0,
            "navigate": index < data.ndim - 2, "is_binned": False, "index_in_array": index,
        }
        for index, (name, units, size) in enumerate(zip(("y", "x", "ky", "kx"), UNITS, data.shape, strict=False))
    ]  # fmt: skip
    return {
        "data": data,
        "axes": axes,
        "metadata": {
            "General": {"title": "made"},
            "Signal": {"signal_type": "electron_diffraction"},
            "Acquisition_instrument": {"TEM": tem},
        },
        "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "none", "package_version": "0"},
        "learning_results": {},
        "tmp_parameters": {},
        "models": {},
    }


def write(path: Path, data: Any, **options: Any) -> Path:
    """Through the writer of rosettasciio; of some formats the name of the file gets a number."""
    module = pytest.importorskip(f"rsciio.{WRITERS[path.suffix]}", exc_type=ImportError)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module.file_writer(str(path), signal(data), **options)
        except ModuleNotFoundError as error:
            pytest.skip(f"rosettasciio cannot write {path.suffix}: {error}")
    return next(iter(sorted(path.parent.glob(f"*{path.suffix}"))))


@needs_rosettasciio
@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".blo", COUNTS),
        (".hspy", CUBE),
        (".hspy", CUBE.astype(np.float32)),
        (".zspy", CUBE),
        (".zspy", CUBE.astype(">i4")),
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


@needs_rosettasciio
def test_what_the_file_tells_of_the_microscope_is_among_the_facts(tmp_path: Path) -> None:
    with open_recording(write(tmp_path / "scan.zspy", CUBE)) as recording:
        facts = recording.facts
    assert facts == {
        "title": "made", "energy_kev": 200.0, "semiangle_mrad": 1.5, "camera_length_cm": 20.0, "step_nm": 0.5,
        "pixel_size_per_nm": 0.5, "pixel_size_mrad": mrad_from_per_nm(0.5, 200.0),
    }  # fmt: skip


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


def write_empad(folder: Path, frames: Any) -> Path:
    """A scan of an EMPAD: 130 rows of 128 pixels a frame, of which the last two are no image."""
    rows, columns = frames.shape[:2]
    raw = np.full((rows, columns, 130, 128), -1.0, "<f4")
    raw[:, :, :128] = frames
    (folder / f"scan_x{columns}_y{rows}.raw").write_bytes(raw.tobytes())
    scan = f'<raw_file filename="scan_x{columns}_y{rows}.raw"/>'
    size = f"<scan_resolution_x>{columns}</scan_resolution_x><scan_resolution_y>{rows}</scan_resolution_y>"
    text = (
        '<root name="made"><timestamp timestamp="1559820600.0" isoformat="2019-06-06T13:30:00"/>'
        f"<software_version>0.51 211118</software_version><type>scan</type><pix_x>{columns}</pix_x>"
        f'<pix_y>{rows}</pix_y>{scan}<exposure_time>1</exposure_time><scan_parameters mode="acquire">{size}'
        "<scan_size>0.5</scan_size></scan_parameters></root>"
    )
    path = folder / "made.xml"
    path.write_text(text)
    return path


@needs_rosettasciio
def test_a_scan_of_an_empad_is_read_and_a_missing_raw_file_is_named(tmp_path: Path) -> None:
    frames = np.random.default_rng(2).normal(5.0, 3.0, (3, 4, 128, 128)).astype(np.float32)
    path = write_empad(tmp_path, frames)
    np.testing.assert_array_equal(whole(path), frames)
    (tmp_path / "scan_x4_y3.raw").unlink()
    with pytest.raises(OSError, match=r"made\.xml: .*scan_x4_y3\.raw"):
        open_recording(path)


@needs_rosettasciio
def test_a_signal_is_chosen_by_its_title(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.zspy", CUBE)
    np.testing.assert_array_equal(whole(path, "made"), CUBE)
    with pytest.raises(NoFrames, match=r"scan\.zspy: no signal 'other' of frames"):
        open_recording(path, "other")


@needs_rosettasciio
def test_double_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableRecording, match="float64, which cannot be sent without loss"):
        open_recording(write(tmp_path / "scan.zspy", CUBE.astype(np.float64)))


@needs_rosettasciio
def test_nothing_that_a_zspy_file_holds_is_run(tmp_path: Path) -> None:
    """A filter of it can ask for Python's pickle."""
    path = write(tmp_path / "scan.zspy", CUBE)
    described = next(path.rglob("data/.zarray"))
    fields = json.loads(described.read_text())
    assert whole(path).shape == CUBE.shape
    described.write_text(json.dumps({**fields, "filters": [{"id": "pickle", "protocol": 5}]}))
    with pytest.raises(OSError, match=r"scan\.zspy: .*pickle"):
        open_recording(path)


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
