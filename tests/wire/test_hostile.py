import pytest

from helpers.hostile import (
    END,
    FRAMES,
    START,
    broken_bytes,
    broken_versions,
    hostile_headers,
    msgpack_of,
    other_messages,
)
from livestrain_wire.codec import decode, encode
from livestrain_wire.errors import NewerProtocol, UnknownMessage, WireError
from livestrain_wire.messages import FRAME_MESSAGES, MAP_MESSAGES, REPLIES, REQUESTS

HEADERS = list(hostile_headers())
EVERYWHERE = [*broken_bytes(), *broken_versions()]


@pytest.mark.parametrize("fields", [START, FRAMES, END])
def test_the_messages_that_hostile_ones_are_made_from_are_valid(fields: dict[str, object]) -> None:
    message = decode(msgpack_of(fields), FRAME_MESSAGES)
    assert decode(encode(message), FRAME_MESSAGES) == message


@pytest.mark.parametrize(("name", "packed"), HEADERS, ids=[name for name, _ in HEADERS])
def test_the_frames_decoder_refuses_with_one_line(name: str, packed: bytes) -> None:
    with pytest.raises(WireError) as refusal:
        decode(packed, FRAME_MESSAGES)
    assert 0 < len(str(refusal.value)) < 300
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("known", [MAP_MESSAGES, REQUESTS, REPLIES], ids=["maps", "requests", "replies"])
def test_every_other_decoder_refuses_what_is_no_message(known: dict[str, type]) -> None:
    accepted = [name for name, packed in EVERYWHERE if not _refused(packed, known)]
    assert accepted == []


def test_a_newer_version_and_an_unknown_type_have_errors_of_their_own() -> None:
    with pytest.raises(NewerProtocol):
        decode(msgpack_of({**START, "v": 2}), FRAME_MESSAGES)
    for _, packed in other_messages():
        with pytest.raises(UnknownMessage):
            decode(packed, FRAME_MESSAGES)


def _refused(packed: bytes, known: dict[str, type]) -> bool:
    try:
        decode(packed, known)
    except WireError:
        return True
    return False
