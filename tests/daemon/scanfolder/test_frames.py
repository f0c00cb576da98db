import os
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from daemon.scanfolder.scans import ask, child, new_scan, pixels, run_child, scan_start
from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder import FrameReader, FrameState, FrameWriter, open_frames

# HDF5 shares what it has cached between all handles of a process, so each way of looking gets its own
LOOK_AFRESH = """
import h5py, json, sys
for line in sys.stdin:
    with h5py.File(sys.argv[1]) as file:
        print(json.dumps([file["ledger"][()].tolist(), int(file["frames"][()].sum())]), flush=True)
"""

LOOK_AGAIN = """
import h5py, json, sys
with h5py.File(sys.argv[1]) as file:
    ledger, frames = file["ledger"], file["frames"]
    ledger[()], frames[()]
    for line in sys.stdin:
        ledger.refresh()
        frames.refresh()
        print(json.dumps([ledger[()].tolist(), int(frames[()].sum())]), flush=True)
"""

OPEN = """
import h5py, sys
for mode in sys.argv[2:]:
    try:
        h5py.File(sys.argv[1], mode).close()
        print(mode, "opened")
    except OSError as error:
        print(mode, "refused" if "lock" in str(error) else str(error))
"""

FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder import FrameWriter, open_frames
layout = open_frames(Path(sys.argv[1]))
block = np.ones((layout.positions, *layout.frame_shape), layout.dtype)
with FrameWriter(layout) as writer:
    writer.write_run(0, block[:5])
    resource.setrlimit(resource.RLIMIT_FSIZE, (layout.frames_offset + 10 * layout.frame_bytes + 1,) * 2)
    try:
        if sys.argv[2:] == ["parts"]:
            writer.write_frames(5, [frame.reshape(-1).view("u1").data for frame in block[5:]])
        else:
            writer.write_run(5, block[5:])
    except StorageError as error:
        print(error)
    print((writer.ledger() == 1).sum())
"""


def test_what_is_written_is_read(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s")
    frames = pixels(layout)
    with FrameWriter(layout) as writer, FrameReader(layout) as reader:
        assert writer.write_run(3, frames[3:9]) == []
        writer.write(15, frames[15])
        writer.write(16, memoryview(frames[16].tobytes()))
        np.testing.assert_array_equal(reader.read(3, 6), frames[3:9])
        np.testing.assert_array_equal(reader.read(15, 2), frames[15:17])
        stored = np.isin(np.arange(20), [*range(3, 9), 15, 16])
        np.testing.assert_array_equal(reader.ledger(), np.where(stored, FrameState.STORED, FrameState.EXPECTED))
        np.testing.assert_array_equal(reader.ledger(8, 3), [1, 0, 0])
        np.testing.assert_array_equal(writer.ledger(), reader.ledger())
        np.testing.assert_array_equal(
            reader.checksums(3, 6), [xxh3_64_intdigest(frame.tobytes()) for frame in frames[3:9]]
        )


def test_frames_are_read_into_a_given_array(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s")
    frames = pixels(layout)
    out = np.zeros((8, *layout.frame_shape), layout.dtype)
    with FrameWriter(layout) as writer, FrameReader(layout) as reader:
        writer.write_run(0, frames)
        found = reader.read(4, 5, out)
        assert np.shares_memory(found, out)
        np.testing.assert_array_equal(out[:5], frames[4:9])
        assert not out[5:].any()
        with pytest.raises(ValueError, match="room for 9 frames"):
            reader.read(4, 9, out)


def test_a_long_run_is_stored(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s", scan_start((80, 80), (2, 3)))
    frames = pixels(layout)
    with FrameWriter(layout) as writer, FrameReader(layout) as reader:
        writer.write_run(0, frames)
        assert (reader.ledger() == FrameState.STORED).all()
        np.testing.assert_array_equal(reader.read(0, 6400), frames)


def test_frames_that_do_not_lie_together_are_stored_as_if_they_did(tmp_path: Path) -> None:
    whole, parts = (new_scan(tmp_path / name, scan_start((40, 40), (2, 3))) for name in "ab")
    frames = pixels(whole)
    with FrameWriter(whole) as writer, FrameWriter(parts) as other:
        writer.write_run(3, frames[3:])
        other.write_frames(3, [frame.reshape(-1).view(np.uint8).data for frame in frames[3:]])
        for wrong in ([memoryview(bytes(11))], [memoryview(bytes(12)), memoryview(bytes(13))]):
            with pytest.raises(ValueError, match="expected frames of 12 bytes"):
                other.write_frames(0, wrong)
    with FrameReader(whole) as reader, FrameReader(parts) as second:
        np.testing.assert_array_equal(second.ledger(), reader.ledger())
        np.testing.assert_array_equal(second.read(3, 1597), frames[3:])
    with h5py.File(whole.path) as file, h5py.File(parts.path) as second_file:
        np.testing.assert_array_equal(second_file["checksums"][3:], file["checksums"][3:])


def test_positions_outside_the_scan_and_wrong_frames_are_refused(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s")
    frames = pixels(layout)
    before = layout.path.read_bytes()
    with FrameWriter(layout) as writer, FrameReader(layout) as reader:
        for wrong in (
            lambda: writer.write_run(18, frames[:3]),
            lambda: writer.write(-1, frames[0]),
            lambda: writer.write(0, frames[:2]),
            lambda: writer.write(0, frames[0].astype(np.float32)),
            lambda: writer.write(0, frames[0].view(np.int16)),
            lambda: writer.mark([(19, 2)], FrameState.MISSING),
            lambda: reader.read(19, 2),
            lambda: reader.read(0, -1),
            lambda: reader.ledger(21),
        ):
            with pytest.raises(ValueError, match="expected"):
                wrong()
        with pytest.raises(TypeError):
            writer.write_run(0, frames[:, :, ::2].repeat(2, axis=2)[:, :, ::-1])
    assert layout.path.read_bytes() == before


def test_marks_are_in_the_file_and_stay_for_the_next_writer(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s")
    with FrameWriter(layout) as writer:
        writer.write_run(0, pixels(layout)[:4])
        writer.mark([(1, 2), (10, 1)], FrameState.MISSING)
        writer.mark([], FrameState.MISSING)
        writer.sync()
    expected = [1, 2, 2, 1, *[0] * 6, 2, *[0] * 9]
    with FrameWriter(open_frames(tmp_path / "s")) as writer, FrameReader(layout) as reader:
        assert writer.ledger().tolist() == expected == reader.ledger().tolist()


@pytest.mark.parametrize("look", [LOOK_AFRESH, LOOK_AGAIN], ids=["opened anew", "kept open and refreshed"])
def test_another_process_sees_frames_while_they_are_written(tmp_path: Path, look: str) -> None:
    layout = new_scan(tmp_path / "s")
    frames = pixels(layout)
    with FrameWriter(layout) as writer, child(look, layout.path) as looking:
        assert ask(looking) == [[0] * 20, 0]
        for first in range(0, 20, 8):
            writer.write_run(first, frames[first : first + 8])
            end = min(first + 8, 20)
            assert ask(looking) == [[1] * end + [0] * (20 - end), int(frames[:end].sum())]


def test_nobody_opens_the_file_for_writing_while_it_is_written(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s")
    modes = ("r", "r+", "a")
    with FrameWriter(layout) as writer:
        assert run_child(OPEN, layout.path, *modes).stdout.splitlines() == ["r opened", "r+ refused", "a refused"]
        writer.write(0, pixels(layout)[0])
    assert run_child(OPEN, layout.path, *modes).stdout.splitlines() == ["r opened", "r+ opened", "a opened"]
    assert open_frames(layout.folder) == layout


def test_a_writer_is_refused_while_another_program_may_change_the_file(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s")
    with h5py.File(layout.path, "r+"), pytest.raises(StorageError, match="is open for writing in another program"):
        FrameWriter(layout)
    FrameWriter(layout).close()


@pytest.mark.parametrize("how", ["whole", "parts"])
def test_a_full_disk_is_a_storage_error_and_the_ledger_stays_true(tmp_path: Path, how: str) -> None:
    layout = new_scan(tmp_path / "s")
    # a limit of the file size stands for a disk without space; checksums and ledger lie before the frames
    assert max(layout.ledger_offset, layout.checksums_offset) < layout.frames_offset
    full = run_child(FULL, layout.folder, how)
    text, stored = full.stdout.splitlines()
    assert str(layout.path) in text
    assert "too large" in text
    assert stored == "5"
    with FrameReader(layout) as reader:
        assert reader.ledger().tolist() == [1] * 5 + [0] * 15


def test_frames_are_synced_beside_the_writing_thread(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s")
    frames = pixels(layout)
    with FrameWriter(layout) as writer:
        syncing = threading.Thread(target=writer.sync)
        syncing.start()
        for position in range(20):
            writer.write(position, frames[position])
        syncing.join()
        writer.sync()
        assert (writer.ledger() == FrameState.STORED).all()


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s")
    writer, reader = FrameWriter(layout), FrameReader(layout)
    for file in (writer, reader):
        file.close()
        file.close()


def test_a_reader_of_a_file_cut_meanwhile_gets_an_error(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "s")
    with FrameReader(layout) as reader:
        os.truncate(layout.path, layout.frames_offset + 5 * layout.frame_bytes + 1)
        assert reader.read(0, 5).shape == (5, 6, 7)
        with pytest.raises(StorageError, match="the file ends after"):
            reader.read(0, 6)
