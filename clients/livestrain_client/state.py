"""
One map as it is known here: patches and snapshot chunks in, an array out. No sockets.

The value of a position under one plan revision and one reference revision never changes, so that everything may be
applied twice, and in any order; the sequence numbers only tell whether something is missing.
"""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_wire.errors import WireError
from livestrain_wire.messages import MapInfo, MapValues, Run, SnapshotReply

CHUNK_BYTES = 1 << 20
"""A snapshot is fetched in chunks of at most so many bytes of values."""
CHUNK_POSITIONS = 1 << 20
"""And of at most so many positions, which is the protocol's limit."""
MAX_MAP_BYTES = 1 << 33
"""A larger map is refused: no client would survive it [bytes]."""

Chunk = tuple[int, int]
"""(first flat position, count)."""


class MapState:
    """
    A map under one plan revision.

    Parameters
    ----------
    info
        Name, shape per position and type of the values.
    scan_shape
        Scan positions (rows, columns).
    revision
        The plan revision.

    Raises
    ------
    WireError
        If no array can hold such a map.
    """

    def __init__(self, info: MapInfo, scan_shape: tuple[int, int], revision: int) -> None:
        self.info = info
        self.revision = revision
        self.dtype = _value_dtype(info)
        self.positions = scan_shape[0] * scan_shape[1]
        self._value_bytes = self.dtype.itemsize * int(np.prod(info.shape, dtype=np.int64))
        if not 0 < self._value_bytes * self.positions <= MAX_MAP_BYTES:
            raise WireError(f"map {info.name}: expected at most {MAX_MAP_BYTES} bytes of values of shape {info.shape}")
        self._flat: NDArray[Any] = np.empty((self.positions, *info.shape), self.dtype)
        self._known: NDArray[np.bool_] = np.empty(self.positions, np.bool_)
        self.values: NDArray[Any] = self._flat.reshape(*scan_shape, *info.shape)
        """(scan_rows, scan_columns, ...); NaN, or 0 for integers, where not known yet."""
        self.known: NDArray[np.bool_] = self._known.reshape(scan_shape)
        """(scan_rows, scan_columns), true where the daemon has acknowledged the value."""
        self.renew()

    def renew(self) -> None:
        """Forget everything, as after a restart of the daemon; a snapshot is wanted."""
        self.reference_revision = 0
        self.axes = ""
        """Axes of the components, for maps that have some."""
        self.sequence = 0
        """Everything up to this message of the map's topic is in."""
        self._ahead: set[int] = set()
        self._latest = 0
        self._void()
        self.resync()

    def resync(self) -> None:
        """Ask for everything again, and keep what is known meanwhile."""
        self._synced = False
        self._floor: int | None = None
        self._awaited: set[Chunk] = set()
        step = min(CHUNK_POSITIONS, max(1, CHUNK_BYTES // self._value_bytes))
        self._wanted = deque((first, min(step, self.positions - first)) for first in range(0, self.positions, step))

    @property
    def in_step(self) -> bool:
        """True where nothing that the daemon is known to have sent is missing."""
        return self._synced and not self._ahead and self._latest <= self.sequence

    def patch(self, message: MapValues, payload: bytes) -> tuple[Run, ...]:
        """
        Take a published part of the map.

        Parameters
        ----------
        message
            Its revision, runs and sequence.
        payload
            The values of all runs.

        Returns
        -------
        tuple of runs
            Positions whose values may be new.

        Raises
        ------
        WireError
            If runs and payload do not fit the map; it counts as lost then.
        """
        if message.sequence <= self.sequence:
            return ()
        changed = self._take(message, payload)
        self._saw(message.sequence)
        return changed

    def heard(self, sequence: int) -> None:
        """Take note of the latest sequence of the map's topic, as the heartbeat tells it."""
        self._latest = max(self._latest, sequence)
        self._resync_if_behind()

    def next_chunk(self) -> Chunk | None:
        """The next part of a snapshot to ask for, or None if none is needed."""
        if not self._wanted:
            return None
        chunk = self._wanted.popleft()
        self._awaited.add(chunk)
        return chunk

    def chunk_refused(self, chunk: Chunk) -> None:
        """A chunk did not come: it is wanted again."""
        if chunk in self._awaited:
            self._awaited.remove(chunk)
            self._wanted.append(chunk)

    def chunk(self, asked: Chunk, reply: SnapshotReply, payload: bytes) -> tuple[Run, ...] | None:
        """
        Take a part of a snapshot.

        Parameters
        ----------
        asked
            The chunk that was asked for; the reply may cover less of it.
        reply
            What the payload holds.
        payload
            The acknowledged values.

        Returns
        -------
        tuple of runs, or None
            Positions whose values may be new; None for a chunk of another revision, which is wanted again.

        Raises
        ------
        WireError
            If the reply does not fit the request or the map; the chunk is wanted again.
        """
        first, count = asked
        if reply.first != first or not 0 < reply.count <= count or reply.positions != self.positions:
            self.chunk_refused(asked)
            raise WireError(
                f"map {self.info.name}: expected a chunk from {first} on, found {reply.first}+{reply.count}"
            )
        if reply.revision != self.revision or reply.reference_revision < self.reference_revision:
            self.chunk_refused(asked)
            return None
        try:
            changed = self._take(reply, payload)
        except WireError:
            self.chunk_refused(asked)
            raise
        if asked in self._awaited:
            self._finish_chunk(asked, reply)
        return changed

    def _finish_chunk(self, asked: Chunk, reply: SnapshotReply) -> None:
        first, count = asked
        self._awaited.remove(asked)
        self._floor = reply.sequence if self._floor is None else min(self._floor, reply.sequence)
        if reply.count < count:
            self._wanted.appendleft((first + reply.count, count - reply.count))
        if self._wanted or self._awaited:
            return
        self._synced = True
        self.sequence = max(self.sequence, self._floor)
        self._ahead = {sequence for sequence in self._ahead if sequence > self.sequence}
        self._catch_up()
        self._resync_if_behind()

    def _take(self, message: MapValues | SnapshotReply, payload: bytes) -> tuple[Run, ...]:
        values = self._checked(message, payload)
        if message.revision != self.revision or message.reference_revision < self.reference_revision:
            return ()
        voided = message.reference_revision > self.reference_revision
        if voided:
            self.reference_revision = message.reference_revision
            # All values come again: those of chunks that were read before, too, as their sequence is older.
            self._void()
        self.axes = message.axes
        at = 0
        for first, count in message.runs:
            self._flat[first : first + count] = values[at : at + count]
            self._known[first : first + count] = True
            at += count
        return ((0, self.positions),) if voided else message.runs

    def _checked(self, message: MapValues | SnapshotReply, payload: bytes) -> NDArray[Any]:
        """The payload as values of this map, or `WireError`."""
        positions = 0
        for first, count in message.runs:
            if first + count > self.positions:
                raise WireError(f"map {self.info.name}: expected {self.positions} positions, found run {first}+{count}")
            positions += count
        if message.dtype != self.info.dtype and _number_type(message.dtype) != self.dtype:
            raise WireError(f"map {self.info.name}: expected {self.info.dtype}, found {message.dtype:.20}")
        if len(payload) != positions * self._value_bytes:
            raise WireError(
                f"map {self.info.name}: expected {positions * self._value_bytes} bytes, found {len(payload)}"
            )
        return np.frombuffer(payload, self.dtype).reshape(positions, *self.info.shape)

    def _saw(self, sequence: int) -> None:
        if sequence == self.sequence + 1 and not self._ahead:
            self.sequence = sequence
        elif sequence > self.sequence:
            self._ahead.add(sequence)
            self._catch_up()
        self._resync_if_behind()

    def _catch_up(self) -> None:
        while self.sequence + 1 in self._ahead:
            self.sequence += 1
            self._ahead.remove(self.sequence)

    def _resync_if_behind(self) -> None:
        if self._synced and not self.in_step:
            self.resync()

    def _void(self) -> None:
        self._flat.fill(np.nan if self.dtype.kind == "f" else 0)
        self._known.fill(False)


def pixels_of(payload: bytes, dtype: str, shape: tuple[int, int]) -> NDArray[Any]:
    """
    An image from its bytes, (rows, columns).

    Raises
    ------
    WireError
        If they are not so many pixels, or not of numbers.
    """
    number = _number_type(dtype)
    if number is None:
        raise WireError(f"expected pixels of a number type, found {dtype!r:.40}")
    try:
        return np.frombuffer(payload, number).reshape(shape)
    except ValueError as error:
        raise WireError(
            f"expected {shape[0]} x {shape[1]} pixels of {dtype:.20}, found {len(payload)} bytes"
        ) from error


def _value_dtype(info: MapInfo) -> np.dtype[Any]:
    dtype = _number_type(info.dtype)
    if dtype is None:
        raise WireError(f"map {info.name}: expected a number type, found {info.dtype!r:.40}")
    return dtype


def _number_type(name: str) -> np.dtype[Any] | None:
    try:
        dtype = np.dtype(name).newbyteorder("<")
    except (TypeError, ValueError, SyntaxError):
        return None
    return dtype if dtype.kind in "biuf" else None
