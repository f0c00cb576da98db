"""What has piled up while frames were stored is stored together: the busier the intake, the cheaper a frame."""

from collections.abc import Iterable, Iterator

from livestrain_daemon.intake.detectors.merging import room
from livestrain_daemon.intake.receiver import Arrival
from livestrain_wire.messages import Frames

PIXEL_BYTES = {"uint8": 1, "uint16": 2, "uint32": 4, "float32": 4}


def joined(arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
    """
    The same arrivals in the same order, with consecutive frames that are packed one by one in one of them.

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
        rows, columns = frames.shape
        left = room(rows * columns * PIXEL_BYTES[frames.dtype]) - frames.count
    if run:
        yield _whole(run)


def _one_by_one(arrival: Arrival) -> Frames | None:
    """The message, if it has frames that are not packed together."""
    message = arrival.message
    if isinstance(message, Frames) and (arrival.parts or (message.count == 1 and arrival.payload is not None)):
        return message
    return None


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
    parts = tuple(part for _, one in run for part in (one.parts or (one.payload,)) if part is not None)
    return Arrival(
        first.model_copy(update={"count": count}), size=sum(one.size for _, one in run), frames=count, parts=parts
    )
