"""A chunk of a map for somebody who joins late or has lost a patch."""

from dataclasses import dataclass

import numpy as np

from livestrain_daemon.publish.feed import SLICE, little_endian
from livestrain_daemon.publish.publisher import Publisher
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scan.values import read_maps
from livestrain_daemon.scanfolder import ResultState, runs_of
from livestrain_wire.messages import MapInfo, Run, SnapshotReply, SnapshotRequest
from livestrain_wire.topics import Topic

CHUNK_BYTES = 1 << 20
"""No chunk is larger [bytes]."""


class NoSuchMap(Exception):
    """A map that the scan does not have under this revision."""


@dataclass(frozen=True)
class Chunk:
    """The answer to a snapshot request."""

    reply: SnapshotReply
    payload: bytes


def snapshot(request: SnapshotRequest, scan: LiveScan, publisher: Publisher) -> Chunk:
    """
    The acknowledged values within the chunk asked for.

    Raises
    ------
    NoSuchMap
        If there is no such map, or the revision is not the current one.
    """
    revision = scan.revision
    if revision is None or request.revision not in {None, revision.plan.revision}:
        raise NoSuchMap(
            f"expected revision {revision.plan.revision if revision else 'none yet'}, found {request.revision}"
        )
    info = next((info for info in revision.maps if info.name == request.name), None)
    if info is None:
        known = ", ".join(known.name for known in revision.maps)
        raise NoSuchMap(f"expected one of {known}, found {request.name}")
    positions = scan.seen.positions
    count = min(request.count, _largest_chunk(info), max(0, positions - request.first))
    states = revision.positions_done.states()[request.first : request.first + count]
    runs: list[Run] = [(request.first + start, length) for start, length in runs_of(states == ResultState.ANALYSED)]
    reference = scan.references.current
    reply = SnapshotReply(
        id=request.id,
        epoch=publisher.epoch,
        scan_id=scan.id,
        name=info.name,
        revision=revision.plan.revision,
        reference_revision=reference.revision if info.derived and reference else 0,
        axes=reference.axes if info.derived and reference else "",
        sequence=publisher.sequence(Topic(scan.id, "map", info.name)),
        first=request.first,
        count=count,
        positions=positions,
        runs=tuple(runs),
        dtype=info.dtype,
    )
    if not runs:
        return Chunk(reply, b"")
    values = read_maps([info.name], revision.results, reference, request.first, count)[info.name]
    chosen = [values[first - request.first : first - request.first + length] for first, length in runs]
    return Chunk(reply, np.concatenate(chosen).astype(little_endian(info.dtype), copy=False).tobytes())


def _largest_chunk(info: MapInfo) -> int:
    bytes_each = np.dtype(info.dtype).itemsize * int(np.prod(info.shape, dtype=np.int64))
    return min(CHUNK_BYTES // max(1, bytes_each), 2 * SLICE)
