"""From acknowledged results to patches: collected for a tick, sent once per map; whole maps in slices."""

import time
from collections import deque
from typing import Any

import numpy as np

from livestrain_daemon.publish.publisher import Publisher
from livestrain_daemon.runset import RunSet
from livestrain_daemon.scan.revision import Revision
from livestrain_daemon.scan.values import read_maps
from livestrain_daemon.scanfolder import ResultState, runs_of
from livestrain_wire.messages import MapInfo, MapPatch, MapWhole, ReferenceInfo, Run
from livestrain_wire.topics import Topic

SLICE = 1 << 13
"""Positions read, derived and sent in one go: about a millisecond's work."""
FLUSH_SECONDS = 0.004
"""So long may one flush take; what is left waits for the next [s]."""


class MapFeed:
    """
    What subscribers of one scan have still to be told.

    Parameters
    ----------
    scan_id
        The scan.
    publisher
        Where it goes.
    """

    def __init__(self, scan_id: str, publisher: Publisher) -> None:
        self._scan_id = scan_id
        self._publisher = publisher
        self._fresh = RunSet()
        self._slices: deque[tuple[int, bool]] = deque()

    @property
    def idle(self) -> bool:
        """True when there is nothing left to tell."""
        return not len(self._fresh) and not self._slices

    def acknowledged(self, runs: list[Run]) -> None:
        """Positions that have new results."""
        for first, count in runs:
            self._fresh.add(first, count)

    def revision_changed(self) -> None:
        """What was waiting concerned an older plan."""
        self._fresh = RunSet()
        self._slices.clear()

    def reference_changed(self, positions: int) -> None:
        """All derived maps go out again, a slice at a time."""
        self._slices = deque((first, first == 0) for first in range(0, positions, SLICE))

    def flush(self, revision: Revision, reference: ReferenceInfo | None) -> None:
        """Sends what is fresh, and one slice of whole maps."""
        if self._slices:
            first, begins = self._slices.popleft()
            done = revision.positions_done.states()[first : first + SLICE] == ResultState.ANALYSED
            runs = [(first + start, count) for start, count in runs_of(done)]
            if runs or begins:
                derived = [info for info in revision.maps if info.derived]
                self._send(revision, reference, derived, runs, whole=begins)
        deadline = time.monotonic() + FLUSH_SECONDS
        while len(self._fresh) and time.monotonic() < deadline:
            self._send(revision, reference, list(revision.maps), self._next_window(), whole=None)

    def _next_window(self) -> list[Run]:
        first, _ = next(iter(self._fresh))
        runs = self._fresh.overlap(first, SLICE)
        self._fresh.remove(first, SLICE)
        return runs

    def _send(
        self,
        revision: Revision,
        reference: ReferenceInfo | None,
        maps: list[MapInfo],
        runs: list[Run],
        whole: bool | None,
    ) -> None:
        names = [info.name for info in maps]
        start, stop = (runs[0][0], sum(runs[-1])) if runs else (0, 0)
        values = read_maps(names, revision.results, reference, start, stop - start)
        for info in maps:
            topic = Topic(self._scan_id, "map", info.name)
            fields = {
                **self._publisher.next(topic),
                "scan_id": self._scan_id,
                "name": info.name,
                "revision": revision.plan.revision,
                "reference_revision": reference.revision if info.derived and reference else 0,
                "axes": reference.axes if info.derived and reference else "",
                "runs": runs,
                "dtype": info.dtype,
            }
            message = MapPatch(**fields) if whole is None else MapWhole(**fields, first=whole)
            chosen = [values[info.name][first - start : first - start + count] for first, count in runs]
            payload = np.concatenate(chosen).astype(little_endian(info.dtype), copy=False).tobytes() if chosen else b""
            self._publisher.send(topic, message, payload)


def little_endian(dtype: str) -> np.dtype[Any]:
    """A value type as it goes over the wire."""
    return np.dtype(dtype).newbyteorder("<")
