import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestrain_wire.codec import MAX_HEADER_BYTES, decode, encode
from livestrain_wire.errors import WireError
from livestrain_wire.messages import (
    FRAME_MESSAGES,
    MAP_MESSAGES,
    PROTOCOL_VERSION,
    REPLIES,
    REQUESTS,
    FrameReply,
    Frames,
    MapPatch,
    Message,
    PlanRequest,
    ReferenceRequest,
    ScanStart,
    SnapshotRequest,
    StatusRequest,
)

SMALL = {"scan_id": "s", "scan_shape": (1, 1), "frame_shape": (1, 1), "dtype": "uint8"}
EVERY = {**FRAME_MESSAGES, **MAP_MESSAGES, **REQUESTS, **REPLIES}
ids = st.text(min_size=1, max_size=64)
counts = st.integers(0, 1 << 62)


def fields_of(message: Message) -> dict[str, object]:
    fields: dict[str, object] = msgpack.unpackb(encode(message))
    return fields


def test_every_type_is_known_by_one_name_only() -> None:
    assert len(EVERY) == sum(map(len, (FRAME_MESSAGES, MAP_MESSAGES, REQUESTS, REPLIES)))
    for name, kind in EVERY.items():
        assert kind.model_fields["type"].default == name


@given(st.lists(st.tuples(counts, counts), max_size=20), counts, counts, ids)
def test_a_patch_comes_back_as_it_was_sent(runs: list[tuple[int, int]], first: int, second: int, epoch: str) -> None:
    patch = MapPatch(
        epoch=epoch, sequence=first, scan_id="s", name="e_xx", revision=second, runs=tuple(runs), dtype="float32"
    )
    assert decode(encode(patch), MAP_MESSAGES) == patch


@given(ids, st.dictionaries(st.text(), st.floats(allow_nan=False) | st.integers(-(1 << 63), (1 << 64) - 1)))
def test_a_change_of_the_plan_comes_back_as_it_was_sent(request_id: str, changes: dict[str, float]) -> None:
    request = PlanRequest(id=request_id, changes=changes, based_on=0)
    assert decode(encode(request), REQUESTS) == request


@given(st.lists(st.floats(width=64), min_size=6, max_size=6))
def test_numbers_keep_every_bit(lattice: list[float]) -> None:
    reply = FrameReply.model_validate(
        {
            "id": "1",
            "epoch": "",
            "scan_id": "s",
            "row": 0,
            "column": 0,
            "shape": (1, 1),
            "dtype": "u1",
            "lattice": lattice,
        }
    )
    found = decode(encode(reply), REPLIES)
    assert isinstance(found, FrameReply)
    assert found.lattice is not None
    assert np.array(found.lattice).tobytes() == np.array(lattice).tobytes()


def test_what_is_none_is_left_out() -> None:
    assert "scan_id" not in fields_of(ReferenceRequest(id="1", median=True))
    assert fields_of(StatusRequest(id="1")) == {"v": PROTOCOL_VERSION, "type": "status", "id": "1"}


def test_unknown_fields_of_a_newer_sender_are_ignored() -> None:
    packed = msgpack.packb({**fields_of(StatusRequest(id="1")), "novelty": {"deep": [1]}})
    assert decode(packed, REQUESTS) == StatusRequest(id="1")


def test_an_older_version_is_understood() -> None:
    packed = msgpack.packb({**fields_of(StatusRequest(id="1")), "v": 0})
    assert decode(packed, REQUESTS).v == 0


def test_bytes_and_views_of_bytes_are_both_read() -> None:
    packed = encode(StatusRequest(id="1"))
    assert decode(memoryview(bytearray(packed)), REQUESTS) == decode(packed, REQUESTS)


def test_a_message_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        StatusRequest(id="1").__setattr__("id", "2")


def test_a_header_has_a_largest_size() -> None:
    fields = {"scan_id": "s", "scan_shape": (1, 1), "frame_shape": (1, 1), "dtype": "uint8"}
    spare = MAX_HEADER_BYTES - len(encode(ScanStart.model_validate({**fields, "metadata": {"p": "x" * 70_000}})))
    for more in (0, 1):
        padding = "x" * (70_000 + spare + more)
        start = ScanStart.model_validate({**fields, "metadata": {"p": padding}})
        assert len(encode(start)) == MAX_HEADER_BYTES + more
        if more:
            with pytest.raises(WireError, match="header of at most"):
                decode(encode(start), FRAME_MESSAGES)
        else:
            assert decode(encode(start), FRAME_MESSAGES) == start


@pytest.mark.parametrize(
    "wrong",
    [
        {"region": [0, 0, 1, 1], "median": True},
        {"median": False},
        {},
        {"values": [1, 2, 3]},
        {"region": [0, 0, -1, 1]},
        {"revert_to": 1.5},
    ],
)
def test_a_reference_is_chosen_in_exactly_one_way(wrong: dict[str, object]) -> None:
    with pytest.raises(WireError, match="reference"):
        decode(msgpack.packb({"v": 1, "type": "reference", "id": "1", **wrong}), REQUESTS)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Frames, {"scan_id": "s", "first_index": 0, "shape": (1, 1), "dtype": "uint16", "encoding": "zip"}),
        (Frames, {"scan_id": "s", "first_index": 0, "shape": (1, 1), "dtype": "int64"}),
        (ScanStart, {"scan_id": "s", "scan_shape": (0, 1), "frame_shape": (1, 1), "dtype": "uint8"}),
        (ScanStart, {"scan_id": "s", "scan_shape": (1, 1 << 17), "frame_shape": (1, 1), "dtype": "uint8"}),
        (ScanStart, {**SMALL, "pixel_size_mrad": 1e7}),
        (ScanStart, {**SMALL, "semiangle_mrad": 1e7}),
        (SnapshotRequest, {"id": "1", "scan_id": "s", "name": "e_xx", "count": 0}),
        (SnapshotRequest, {"id": "", "scan_id": "s", "name": "e_xx"}),
        (SnapshotRequest, {"id": "x" * 65, "scan_id": "s", "name": "e_xx"}),
    ],
)
def test_values_out_of_bounds_are_refused_naming_the_field(kind: type[Message], fields: dict[str, object]) -> None:
    name = kind.model_fields["type"].default
    with pytest.raises(WireError, match=rf"^{name}\."):
        decode(msgpack.packb({"v": 1, "type": name, **fields}), EVERY)


def test_values_at_their_bounds_are_read() -> None:
    start = {"v": 1, "type": "scan_start", **SMALL, "pixel_size_mrad": 1e6, "semiangle_mrad": 1e6}
    assert isinstance(decode(msgpack.packb(start), EVERY), ScanStart)
