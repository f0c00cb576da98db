"""The verb ``reference``."""

import json

import pytest

from helpers.wire_daemon import WireDaemon
from livestrain_client.cli import exits
from livestrain_client.cli.command import run
from livestrain_client.cli.reference import parse_region
from livestrain_client.errors import BadRegion
from livestrain_wire.messages import (
    ReferenceInfo,
    ReferenceRequest,
)


def test_reference_is_set_and_undone(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reference", "--region", "0:4,2:10"]) == exits.OK
    told = capsys.readouterr()
    assert "region 0:4,2:10" in told.out
    assert "--revert-to 1" in told.err
    assert run(["reference", "--values", "0", "3", "3.5", "-1", "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out)["reference"]["vectors"] == [0.0, 3.0, 3.5, -1.0]
    assert run(["reference", "--revert-to", "2"]) == exits.OK
    assert run(["reference", "--median"]) == exits.OK
    assert run(["reference", "--axes", "scan"]) == exits.OK
    assert run(["reference", "--axes", "g1", "--region", "0:4,2:10"]) == exits.OK
    asked = [request for request in daemon.requests if isinstance(request, ReferenceRequest)]
    assert asked[0].region == (0, 2, 4, 10)
    assert [request.revert_to for request in asked] == [None, None, 2, None, None, None]
    assert [request.axes for request in asked] == [None, None, None, None, "scan", "g1"]


def test_undo_goes_to_before_the_latest_request_and_says_what_it_undoes(
    daemon: WireDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    # two medians have come by themselves since somebody gave values
    daemon.reference = ReferenceInfo(revision=7, kind="region", vectors=(0.0, 3.0, 3.0, 0.0), undo_to=4)
    assert run(["reference", "--undo"]) == exits.OK
    assert "undone: revision 7 (region)" in capsys.readouterr().err
    asked = [request.revert_to for request in daemon.requests if isinstance(request, ReferenceRequest)]
    assert asked == [4]


def test_without_a_request_there_is_nothing_to_undo(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.reference = ReferenceInfo(revision=7, kind="median", vectors=(0.0, 3.0, 3.0, 0.0))
    assert run(["reference", "--undo"]) == exits.NO_DATA
    assert "no change of the reference to undo" in capsys.readouterr().err
    assert not [request for request in daemon.requests if isinstance(request, ReferenceRequest)]


def test_a_wrong_reference_is_a_usage_error_and_none_is_no_data(
    daemon: WireDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["reference", "--region", "4:4,0:2"]) == exits.USAGE
    assert run(["reference", "--median", "--undo"]) == exits.USAGE
    assert run(["reference", "--axes", "sideways"]) == exits.USAGE
    assert run(["reference", "--axes", "scan", "--undo"]) == exits.USAGE
    assert not daemon.requests
    assert run(["reference"]) == exits.NO_DATA
    assert run(["reference", "--undo"]) == exits.NO_DATA
    told = capsys.readouterr().err
    assert "there is no reference yet" in told
    assert "no change of the reference to undo" in told
    for text in ("", "1:2", "1:2,3", "a:b,c:d", "2:1,0:1", "-1:2,0:1", f"0:1,0:{'9' * 30}"):
        with pytest.raises(BadRegion, match=r"expected .* found"):
            parse_region(text)


@pytest.mark.parametrize("values", ["0 0 0 0", "1 2 2 4", "nan 1 2 3", "inf 0 0 1"])
def test_vectors_that_span_no_area_are_a_usage_error(
    values: str, daemon: WireDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["reference", "--values", *values.split()]) == exits.USAGE
    assert f"expected g1 and g2 that span an area [px], found {values}" in capsys.readouterr().err
    assert not daemon.requests
