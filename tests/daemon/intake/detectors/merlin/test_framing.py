import numpy as np
import pytest

from livestrain_daemon.intake.detectors.merlin.framing import (
    LARGEST_MESSAGE,
    Junk,
    Splitter,
    framed,
    payload_bytes,
)

FRAMES = [b"MQ1," + bytes([number]) * 3000 for number in range(1, 6)]


def split(parts: list[bytes], splitter: Splitter | None = None) -> list[bytes | Junk]:
    """What comes out of a stream that comes in these parts, and then stops."""
    splitter = splitter or Splitter()
    found: list[bytes | Junk] = []

    def drain(quiet: bool) -> None:
        while (message := splitter.next(quiet)) is not None:
            found.append(message if isinstance(message, Junk) else bytes(message))

    for part in parts:
        space = splitter.space()
        space[: len(part)] = part
        splitter.filled(len(part))
        drain(quiet=False)
    drain(quiet=True)
    return found


def messages(found: list[bytes | Junk]) -> list[bytes]:
    return [item for item in found if not isinstance(item, Junk)]


def test_the_length_counts_the_comma_before_the_payload() -> None:
    assert framed(b"CMD,ABORT") == b"MPX,0000000010,CMD,ABORT"
    assert payload_bytes(b"MPX,0000000010,") == 9


@pytest.mark.parametrize("size", [1, 7, 15, 16, 3019, 3023, 100_000])
def test_messages_come_out_whole_however_the_stream_is_cut(size: int) -> None:
    stream = b"".join(map(framed, FRAMES))
    assert split([stream[at : at + size] for at in range(0, len(stream), size)]) == FRAMES


def test_a_message_cut_short_costs_only_itself() -> None:
    stream = b"".join(framed(frame)[: 1500 if number == 2 else None] for number, frame in enumerate(FRAMES))
    found = split([stream])
    assert messages(found) == [FRAMES[0], FRAMES[1], FRAMES[3], FRAMES[4]]
    assert [item for item in found if isinstance(item, Junk)] == [
        Junk("expected a message of 3004 bytes, found the next one in the middle of it")
    ]


def test_the_last_but_one_message_cut_short_does_not_take_the_last_one_with_it() -> None:
    found = split([framed(FRAMES[0]), framed(FRAMES[1])[:1500], framed(FRAMES[2])])
    assert messages(found) == [FRAMES[0], FRAMES[2]]


@pytest.mark.parametrize("damage", [b"MPX,9999999999,", b"MPX,0000000000,", b"MPX,00000x3005,", b"XXXX,000003005,"])
def test_a_damaged_length_costs_only_its_message(damage: bytes) -> None:
    stream = [framed(frame) for frame in FRAMES]
    stream[2] = damage + FRAMES[2]
    found = split([b"".join(stream)])
    assert messages(found) == [FRAMES[0], FRAMES[1], FRAMES[3], FRAMES[4]]
    assert len(found) == 5


@pytest.mark.parametrize("length", [1000, 3004, 3007, 5000])
def test_a_wrong_length_costs_no_more_than_its_message(length: int) -> None:
    stream = [framed(frame) for frame in FRAMES]
    stream[2] = b"MPX,%010d," % length + FRAMES[2]
    kept = messages(split([b"".join(stream)]))
    assert [frame for frame in kept if frame in FRAMES[:2] + FRAMES[3:]] == FRAMES[:2] + FRAMES[3:]


@pytest.mark.parametrize("damage", [b"MPX,9999999999,MQ1,", b"MPX,0000003005,MQ9,", b"XXXX,000003005,MQ1,"])
def test_a_message_cut_short_before_a_damaged_one_is_not_taken_for_whole(damage: bytes) -> None:
    stream = [framed(frame) for frame in FRAMES]
    stream[1] = stream[1][:1500]
    stream[2] = damage + FRAMES[2][4:]
    kept = messages(split([b"".join(stream)]))
    assert [frame for frame in kept if frame[:4] == b"MQ1,"] == [FRAMES[0], *FRAMES[3:]]


def test_a_length_one_too_small_is_tolerated() -> None:
    stream = b"".join(b"MPX,%010d," % len(frame) + frame for frame in FRAMES)
    assert split([stream]) == [frame[:-1] for frame in FRAMES]


def test_a_length_of_ten_nines_is_refused_without_memory_for_it() -> None:
    splitter = Splitter()
    found = split([b"MPX,9999999999,"], splitter)
    assert found == [Junk(f"expected a message of 1 to {LARGEST_MESSAGE} bytes, found a length of 9999999999")]
    assert len(splitter.space()) < 1 << 23
    assert split([framed(FRAMES[0])], splitter) == [FRAMES[0]]


def test_an_endless_stream_of_no_messages_takes_no_memory_and_ends_with_the_next_message() -> None:
    splitter = Splitter()
    noise = np.random.default_rng(0).bytes(1 << 16)
    found = split([noise] * 500 + [framed(FRAMES[0])], splitter)
    assert messages(found) == [FRAMES[0]]
    assert len(found) == 2
    assert len(splitter.space()) < 1 << 23


def test_what_is_forgotten_is_counted() -> None:
    splitter = Splitter()
    split([framed(FRAMES[0])[:100]], splitter)
    assert splitter.waiting == 100
    splitter.reset()
    assert split([framed(FRAMES[1])], splitter) == [FRAMES[1]]


def test_messages_of_changing_length_are_each_cut_by_their_own() -> None:
    payloads = [b"MQ1," + bytes(size) for size in (300, 300, 301, 300, 310, 310)]
    assert split([b"".join(map(framed, payloads))]) == payloads
