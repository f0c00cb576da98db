"""A map from patches and chunks: the same bits, whatever the network does."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from livestrain_client import state as state_module
from livestrain_client.state import Chunk, MapState
from livestrain_wire.errors import WireError
from livestrain_wire.messages import MapInfo, MapPatch, MapValues, MapWhole, Run, SnapshotReply

SHAPE = (4, 5)
POSITIONS = 20
INFO = MapInfo(name="e_xx", dtype="float32", derived=True)

Sent = tuple[MapValues, bytes]


class Publisher:
    """One map's topic, as the daemon keeps it."""

    def __init__(self, shape: tuple[int, int] = SHAPE) -> None:
        self.positions = shape[0] * shape[1]
        self.known = np.zeros(self.positions, np.bool_)
        self.reference = 1
        self.sequence = 0

    def truth(self) -> NDArray[np.float32]:
        """Every value under the present reference; some measured positions are NaN, too."""
        values = np.arange(self.positions, dtype=np.float32) / np.float32(7) - np.float32(self.reference)
        values[3::8] = np.nan
        return values

    def patch(self, *runs: Run) -> Sent:
        for first, count in runs:
            self.known[first : first + count] = True
        return self._sent(MapPatch, runs)

    def refer_anew(self, parts: int) -> list[Sent]:
        self.reference += 1
        step = -(-self.positions // parts)
        return [
            self._sent(MapWhole, self._runs(first, step), first=first == 0) for first in range(0, self.positions, step)
        ]

    def chunk(self, asked: Chunk, most: int = 1 << 20) -> tuple[SnapshotReply, bytes]:
        first, count = asked[0], min(asked[1], most)
        runs = self._runs(first, count)
        reply = SnapshotReply(
            id="1",
            epoch="a",
            scan_id="scan",
            name="e_xx",
            revision=1,
            reference_revision=self.reference,
            sequence=self.sequence,
            first=first,
            count=count,
            positions=self.positions,
            runs=runs,
            dtype="float32",
        )
        return reply, self._payload(runs)

    def _runs(self, first: int, count: int) -> tuple[Run, ...]:
        return tuple((int(at), 1) for at in np.flatnonzero(self.known) if first <= at < first + count)

    def _payload(self, runs: tuple[Run, ...]) -> bytes:
        return b"".join(self.truth()[first : first + count].tobytes() for first, count in runs)

    def _sent(self, kind: type[MapPatch] | type[MapWhole], runs: tuple[Run, ...], **more: bool) -> Sent:
        self.sequence += 1
        fields = {"epoch": "a", "sequence": self.sequence, "scan_id": "scan", "name": "e_xx", "revision": 1}
        message = kind.model_validate(
            {**fields, "reference_revision": self.reference, "runs": runs, "dtype": "float32", **more}
        )
        return message, self._payload(runs)


def settle(state: MapState, publisher: Publisher) -> None:
    """Answer what is wanted, without faults, until nothing is."""
    state.heard(publisher.sequence)
    for _ in range(100):
        asked = state.next_chunk()
        if asked is None:
            break
        state.chunk(asked, *publisher.chunk(asked))
    assert state.in_step


def assert_same_bits(state: MapState, publisher: Publisher) -> None:
    expected = np.where(publisher.known, publisher.truth(), np.float32(np.nan))
    assert state.known.ravel().tolist() == publisher.known.tolist()
    assert state.values.tobytes() == expected.astype(np.float32).tobytes()


FATE = st.sampled_from(["deliver", "lose", "twice", "late"])
# Asking and answering come as often as everything else together: a snapshot must end between the faults.
KINDS = ["patch"] * 4 + ["refer"] + ["ask", "answer"] * 4 + ["lose_reply", "late", "beat"]
ACTION = st.tuples(st.sampled_from(KINDS), st.integers(0, POSITIONS - 1), st.integers(1, 6), FATE)
Action = tuple[str, int, int, str]


class Network:
    """Carries messages between a publisher and a map, badly."""

    def __init__(self, publisher: Publisher, state: MapState) -> None:
        self.publisher, self.state = publisher, state
        self.delayed: list[Sent] = []
        self.replies: list[tuple[Chunk, SnapshotReply, bytes]] = []

    def publish(self, sent: Sent, fate: str) -> None:
        if fate == "late":
            self.delayed.append(sent)
        for _ in range({"deliver": 1, "twice": 2}.get(fate, 0)):
            self.state.patch(*sent)

    def act(self, action: str, first: int, count: int, fate: str) -> None:
        if action == "patch":
            self.publish(self.publisher.patch((first, min(count, POSITIONS - first))), fate)
        elif action == "refer":
            for sent in self.publisher.refer_anew(1 + first % 3):
                self.publish(sent, fate)
        elif action == "ask" and (asked := self.state.next_chunk()) is not None:
            self.replies.append((asked, *self.publisher.chunk(asked, 4)))
        elif action == "answer" and self.replies:
            self.state.chunk(*self.replies.pop(0))
        elif action == "lose_reply" and self.replies:
            self.state.chunk_refused(self.replies.pop(0)[0])
        elif action == "late" and self.delayed:
            self.state.patch(*self.delayed.pop())
        elif action == "beat":
            self.state.heard(self.publisher.sequence)


@settings(max_examples=300, deadline=None)
@given(before=st.lists(ACTION, max_size=10), after=st.lists(ACTION, min_size=10, max_size=60))
def test_any_interleaving_loss_and_repetition_ends_with_the_same_bits(
    before: list[Action], after: list[Action]
) -> None:
    publisher = Publisher()
    elsewhere = Network(publisher, MapState(INFO, SHAPE, 1))
    for action in before:
        elsewhere.act(*action)
    original = state_module.CHUNK_BYTES
    state_module.CHUNK_BYTES = 28
    try:
        state = MapState(INFO, SHAPE, 1)
        network = Network(publisher, state)
        for action in after:
            network.act(*action)
        for reply in network.replies:
            state.chunk(*reply)
        for sent in network.delayed:
            state.patch(*sent)
        settle(state, publisher)
    finally:
        state_module.CHUNK_BYTES = original
    assert_same_bits(state, publisher)


def test_patches_in_step_need_no_snapshot_again() -> None:
    publisher, state = Publisher(), MapState(INFO, SHAPE, 1)
    settle(state, publisher)
    for first in range(0, POSITIONS, 2):
        assert state.patch(*publisher.patch((first, 2))) == ((first, 2),)
    assert state.in_step
    assert state.next_chunk() is None
    assert_same_bits(state, publisher)


def test_a_gap_in_the_sequence_asks_for_a_snapshot() -> None:
    publisher, state = Publisher(), MapState(INFO, SHAPE, 1)
    settle(state, publisher)
    publisher.patch((0, 4))
    state.patch(*publisher.patch((4, 4)))
    assert not state.in_step
    settle(state, publisher)
    assert_same_bits(state, publisher)


def test_a_lost_last_patch_is_noticed_by_the_heartbeat() -> None:
    publisher, state = Publisher(), MapState(INFO, SHAPE, 1)
    settle(state, publisher)
    publisher.patch((0, 4))
    assert state.next_chunk() is None
    state.heard(publisher.sequence)
    assert not state.in_step
    settle(state, publisher)
    assert_same_bits(state, publisher)


def test_a_new_reference_voids_what_was_there() -> None:
    publisher, state = Publisher(), MapState(INFO, SHAPE, 1)
    settle(state, publisher)
    state.patch(*publisher.patch((0, POSITIONS)))
    first, second = publisher.refer_anew(2)
    assert state.patch(*first) == ((0, POSITIONS),)
    assert state.known.sum() == POSITIONS // 2
    state.patch(*second)
    assert state.in_step
    assert_same_bits(state, publisher)


def test_values_of_an_older_reference_are_ignored() -> None:
    publisher, state = Publisher(), MapState(INFO, SHAPE, 1)
    settle(state, publisher)
    old = publisher.patch((0, 4))
    (new,) = publisher.refer_anew(1)
    state.patch(*new)
    assert state.patch(*old) == ()
    assert_same_bits(state, publisher)


def test_values_of_another_plan_revision_count_only_in_the_sequence() -> None:
    publisher, state = Publisher(), MapState(INFO, SHAPE, 1)
    settle(state, publisher)
    message, payload = publisher.patch((0, 4))
    assert state.patch(message.model_copy(update={"revision": 2}), payload) == ()
    assert state.in_step
    assert not state.known.any()


@pytest.mark.parametrize(
    "change",
    [{"runs": ((18, 4),)}, {"runs": ((0, 3),)}, {"dtype": "float64"}, {"dtype": "O"}, {"dtype": "no such type"}],
)
def test_a_patch_that_does_not_fit_is_refused_and_its_gap_is_healed(change: dict[str, object]) -> None:
    publisher, state = Publisher(), MapState(INFO, SHAPE, 1)
    settle(state, publisher)
    message, payload = publisher.patch((0, 4))
    with pytest.raises(WireError, match="e_xx"):
        state.patch(message.model_copy(update=change), payload)
    assert not state.known.any()
    settle(state, publisher)
    assert_same_bits(state, publisher)


def test_integers_are_zero_where_not_known() -> None:
    state = MapState(MapInfo(name="total", dtype="uint64", shape=(2,)), SHAPE, 1)
    assert state.values.shape == (*SHAPE, 2)
    assert not state.values.any()
    assert not state.known.any()


@pytest.mark.parametrize("info", [{"dtype": "O"}, {"dtype": "U8"}, {"dtype": "f4", "shape": (1 << 40,)}])
def test_a_map_that_no_array_can_hold_is_refused(info: dict[str, object]) -> None:
    with pytest.raises(WireError, match="e_xx"):
        MapState(MapInfo.model_validate({"name": "e_xx", **info}), SHAPE, 1)


def test_two_thousand_patches_take_well_under_a_second() -> None:
    shape = (64, 64)
    publisher, state = Publisher(shape), MapState(INFO, shape, 1)
    settle(state, publisher)
    sent = [publisher.patch((2 * index, 2)) for index in range(2000)]
    begin = time.perf_counter()
    for message, payload in sent:
        state.patch(message, payload)
    assert time.perf_counter() - begin < 0.5
    assert state.in_step
    assert_same_bits(state, publisher)
