from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from livestrain_recordings.errors import UnusableRecording
from livestrain_recordings.opening import open_recording
from recordings.whole import whole

FRAMES: NDArray[np.float32] = np.random.default_rng(2).normal(5.0, 3.0, (3, 4, 128, 128)).astype(np.float32)
RAW = "scan_x4_y3.raw"


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


def test_frames_are_read_in_the_scan_that_is_described(tmp_path: Path) -> None:
    path = write_empad(tmp_path, FRAMES)
    np.testing.assert_array_equal(whole(path), FRAMES)
    with open_recording(path) as recording:
        assert (recording.absent, recording.facts["exposure_time"]) == (None, "1")


def test_the_raw_file_is_looked_for_beside_the_description_only(tmp_path: Path) -> None:
    path = write_empad(tmp_path, FRAMES)
    text = path.read_text()
    for folder in ("/somewhere/else/", "..\\..\\other\\", "../../"):
        path.write_text(text.replace(RAW, f"{folder}{RAW}"))
        np.testing.assert_array_equal(whole(path), FRAMES)
    (tmp_path / RAW).unlink()
    with pytest.raises(OSError, match=r"made\.xml: expected the raw file .*scan_x4_y3\.raw, found none"):
        open_recording(path)


def test_a_scan_that_was_cut_short_lacks_its_last_frames(tmp_path: Path) -> None:
    path = write_empad(tmp_path, FRAMES)
    raw = tmp_path / RAW
    raw.write_bytes(raw.read_bytes()[:-100])
    with open_recording(path) as recording:
        assert recording.absent is not None
        assert np.flatnonzero(recording.absent).tolist() == [11]
    np.testing.assert_array_equal(whole(path).reshape(12, 128, 128)[:11], FRAMES.reshape(12, 128, 128)[:11])
    raw.write_bytes(b"")
    with pytest.raises(OSError, match=r"expected a frame of 66560 bytes, found 0"):
        open_recording(path)


@pytest.mark.parametrize("columns", ["3", "x", "-4", "0"])
def test_frames_that_do_not_fit_the_description_are_a_stack(tmp_path: Path, columns: str) -> None:
    path = write_empad(tmp_path, FRAMES)
    path.write_text(path.read_text().replace("_x>4<", f"_x>{columns}<"))
    np.testing.assert_array_equal(whole(path), FRAMES.reshape(12, 128, 128))


def test_a_description_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    path = write_empad(tmp_path, FRAMES)
    text = path.read_text()
    path.write_text(text.replace("_x>4<", f"_x>{1 << 40}<"))
    with pytest.raises(UnusableRecording, match=r"made\.xml: frames: expected at most"):
        open_recording(path)
    for other in (text[:-5], "<raw_file " * 100, '<!DOCTYPE r [<!ENTITY a "&b;">]><raw_file >&a;'):
        path.write_text(other)
        with pytest.raises(OSError, match=r"made\.xml: expected the XML of an EMPAD"):
            open_recording(path)


def test_entities_that_grow_without_end_are_refused(tmp_path: Path) -> None:
    names = [f"a{number}" for number in range(12)]
    entities = [f'<!ENTITY {name} "{f"&{inner};" * 10}">' for inner, name in zip(["lol", *names], names, strict=False)]
    bomb = f'<!DOCTYPE r [<!ENTITY lol "lolololol">{"".join(entities)}]><root><raw_file />&a11;</root>'
    (tmp_path / "bomb.xml").write_text(bomb)
    with pytest.raises(OSError, match=r"bomb\.xml: expected the XML of an EMPAD"):
        open_recording(tmp_path / "bomb.xml")
