"""The benchmark of an intake: real processes on both sides, small scans."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from livestrain_client.rig.bench import app
from livestrain_client.rig.intake import PackedStream
from livestrain_client.rig.rates import Comparison, Form, Rate, compare, packed_stream, show

STREAM = PackedStream("dectris-v2", 0, "bslz4", 96, 512, 256, 1e4, 32)


def rate(bytes_per_second: float, processor_us: float = 10.0) -> Rate:
    return Rate(bytes_per_second / 18432, bytes_per_second, processor_us, 5.0)


def test_ratios_are_taken_round_by_round() -> None:
    found = Comparison(
        STREAM,
        (rate(6e8, 20.0), rate(8e8, 30.0), rate(4e8, 25.0)),
        (rate(1e9), rate(2e9), rate(5e8)),
        (8e8, 8e8, 5e8),
        (6e8, 4e8, 4e8),
    )
    assert found.of_native == pytest.approx((0.6, 0.4, 0.8))
    assert found.of_unpacking == pytest.approx((0.75, 1.0, 0.8))
    assert found.of_unpacking_beside == pytest.approx((1.0, 2.0, 1.0))
    assert found.cores_for_arina == pytest.approx(120_000 * 25e-6)


def test_frames_fill_whole_rows_and_messages_whole_rows_too() -> None:
    stream = packed_stream("dectris-v1", "raw", (300, 256), 64, 1e5, 24)
    assert (stream.frames, stream.encoding, stream.frames_per_message) == (512, "none", 8)


@pytest.mark.parametrize("form", ["merlin", "asi"])
def test_protocols_without_packed_pixels_are_not_asked_for_them(form: Form) -> None:
    packed_stream(form, "none", (256, 256), 64, 1e5, 32)
    with pytest.raises(typer.BadParameter, match="expected the encoding none, found bslz4"):
        packed_stream(form, "bslz4", (256, 256), 64, 1e5, 32)
    result = CliRunner().invoke(app, ["stream", "--as", form, "--encoding", "bslz4"])
    assert result.exit_code == 2


@pytest.mark.parametrize(("form", "encoding"), [("dectris-v2", "bslz4"), ("merlin", "raw"), ("asi", "raw")])
def test_every_frame_of_a_small_scan_is_stored_in_every_round(
    form: Form, encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = packed_stream(form, encoding, (512, 256), 32, 1e4, 32)
    found = compare(stream, 1, "ring", tmp_path)
    assert len(found.detector) == len(found.native) == 1
    assert all(one.frames_per_second > 0 for one in (*found.detector, *found.native))
    assert len(found.unpacking) == len(found.unpacking_beside) == (encoding == "bslz4")
    show(found, as_json=False)
    assert form in capsys.readouterr().out
    show(found, as_json=True)
    assert json.loads(capsys.readouterr().out)["of_native"] == list(found.of_native)
