"""What has piled up while frames were stored is stored together: the busier the intake, the cheaper a frame."""

from collections.abc import Iterable, Iterator, Sequence

from livestrain_daemon.intake.detectors.merging import room
from livestrain_daemon.intake.receiver import Arrival
from livestrain_wire.messages import Frames

PIXEL_BYTES = {"uint8": 1, "uint16": 2, "uint32": 4, "float32": 4}


def joined(arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
    """
    The same arrivals in the same order, with consecutive frames that are not packed together in one of them.

    Parameters
    ----------
    arrivals
        As they came in.
    """
    run: list[tuple[Frames, Arrival]] = []
    left = 0
    for arrival in arrivals:
        frames = _one_by_one(arrival)
        if frames and run and frames.count <= left and _follows(run[-1][0], frames):
            run.append((frames, arrival))
            left -= frames.count
            continue
        if run:
            yield _whole(run)
            run = []
        if frames is None:
            yield arrival
            continue
        run = [(frames, arrival)]
        left = room(_frame_bytes(frames)) - frames.count
    if run:
        yield _whole(run)


def _one_by_one(arrival: Arrival) -> Frames | None:
    """The message, if it has frames that are not packed together."""
    message = arrival.message
    if not isinstance(message, Frames):
        return None
    if arrival.parts:
        return message
    if arrival.payload is None:
        return None
    # raw frames lie one behind the other; of another size than they should have, they are looked at by themselves
    raw = message.encoding == "raw" and len(arrival.payload) == message.count * _frame_bytes(message)
    return message if message.count == 1 or raw else None


def _frame_bytes(message: Frames) -> int:
    rows, columns = message.shape
    return rows * columns * PIXEL_BYTES[message.dtype]


def _parts(message: Frames, arrival: Arrival) -> Sequence[memoryview]:
    """Of each frame."""
    payload = arrival.payload
    if arrival.parts or payload is None:
        return arrival.parts
    if message.count == 1:
        return (payload,)
    size = _frame_bytes(message)
    return [payload[at : at + size] for at in range(0, len(payload), size)]


def _follows(before: Frames, frames: Frames) -> bool:
    return (
        frames.first_index == before.first_index + before.count
        and frames.scan_id == before.scan_id
        and frames.encoding == before.encoding
        and frames.dtype == before.dtype
        and frames.shape == before.shape
    )


def _whole(run: list[tuple[Frames, Arrival]]) -> Arrival:
    first, alone = run[0]
    if len(run) == 1:
        return alone
    count = sum(frames.count for frames, _ in run)
    parts = tuple(part for frames, one in run for part in _parts(frames, one))
    return Arrival(
        first.model_copy(update={"count": count}), size=sum(one.size for _, one in run), frames=count, parts=parts
    )
