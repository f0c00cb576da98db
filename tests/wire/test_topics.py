import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestrain_wire.errors import WireError
from livestrain_wire.topics import NO_SCAN, Topic, decode_topic

part = st.text(st.characters(blacklist_characters="/", blacklist_categories=["Cs"]), min_size=1)


@given(part, part, part)
def test_a_topic_comes_back_as_it_was_sent(scan_id: str, kind: str, name: str) -> None:
    topic = Topic(scan_id, kind, name)
    assert decode_topic(topic.encode()) == topic


def test_a_prefix_subscribes_to_a_scan_or_to_a_kind_of_it() -> None:
    encoded = Topic("scan-1", "map", "e_xx").encode()
    assert encoded.startswith(b"scan-1/")
    assert encoded.startswith(b"scan-1/map/")
    assert Topic(NO_SCAN, "heartbeat", "daemon").encode() == b"_/heartbeat/daemon"


@pytest.mark.parametrize("data", [b"", b"a", b"a/b", b"a/b/c/d", b"/b/c", b"a//c", b"\xff/b/c", b"///"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_topic(data)
