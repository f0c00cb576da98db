"""The newest Bragg vector map is held, in whatever order published ones and replies come."""

from typing import Any

import numpy as np
import pytest

from helpers.wire_scan import vector_map_info
from livestrain_client.state import pixels_of
from livestrain_client.vector_map import VectorMapState
from livestrain_wire.codec import decode, encode
from livestrain_wire.errors import WireError
from livestrain_wire.messages import REPLIES, BraggVectorMap, BraggVectorMapReply


def take(state: VectorMapState, how: str, positions: int, revision: int = 1, epoch: str = "e") -> bool:
    """Whether a map of so many positions was taken, published or as a reply."""
    about = vector_map_info().model_copy(update={"positions": positions, "revision": revision})
    payload = np.full(about.shape, positions, "<f4").tobytes()
    if how == "reply":
        return bool(state.replied(BraggVectorMapReply(id="1", epoch=epoch, scan_id="s", about=about), payload))
    return bool(state.published(BraggVectorMap(epoch=epoch, sequence=1, scan_id="s", about=about), payload))


def positions(state: VectorMapState) -> tuple[int, float]:
    """Of the map held, as it says and as its pixels have it."""
    assert state.held is not None
    return state.held.about.positions, float(state.held.pixels.max())


@pytest.mark.parametrize(("older", "newer"), [("reply", "published"), ("published", "reply"), ("reply", "reply")])
def test_an_older_map_that_comes_late_is_ignored(older: str, newer: str) -> None:
    state = VectorMapState()
    assert take(state, newer, 512)
    assert not take(state, older, 256)
    assert positions(state) == (512, 512.0)


@pytest.mark.parametrize(("older", "newer"), [("reply", "published"), ("published", "reply"), ("reply", "reply")])
def test_maps_that_come_in_order_are_all_taken(older: str, newer: str) -> None:
    state = VectorMapState()
    assert take(state, older, 256)
    assert take(state, newer, 512)
    assert positions(state) == (512, 512.0)


def test_a_later_plan_revision_counts_for_more_than_positions() -> None:
    state = VectorMapState()
    assert take(state, "published", 512)
    assert take(state, "published", 256, revision=2)
    assert not take(state, "reply", 1024, revision=1)
    assert positions(state) == (256, 256.0)


def test_after_a_restart_of_the_daemon_any_map_is_newer() -> None:
    state = VectorMapState()
    assert take(state, "published", 512)
    state.renew()
    assert take(state, "reply", 256, epoch="another")
    assert positions(state) == (256, 256.0)


@pytest.mark.parametrize("dtype", ["S4", "U1", "O", "V4", "f4,f4", "(2,)f4", "M8[s]", "", "nonsense"])
def test_pixels_of_something_else_than_numbers_are_a_wire_error(dtype: str) -> None:
    with pytest.raises(WireError, match="number type"):
        pixels_of(bytes(8), dtype, (1, 2))


def test_pixels_of_numbers_are_an_image() -> None:
    assert pixels_of(np.arange(4, dtype="<u2").tobytes(), "uint16", (2, 2)).tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(("dtype", "fits"), [("float32", True), ("float64", True), ("S4", False), ("uint8", False)])
def test_a_vector_map_of_another_type_is_no_message(dtype: Any, fits: bool) -> None:
    about = vector_map_info().model_copy(update={"dtype": dtype})
    packed = encode(BraggVectorMapReply(id="1", epoch="e", scan_id="s", about=about))
    if fits:
        assert isinstance(decode(packed, REPLIES), BraggVectorMapReply)
    else:
        with pytest.raises(WireError):
            decode(packed, REPLIES)
