"""
All that a subscriber knows of a daemon: messages in, updates out. No sockets, no clock.

Messages may be lost, late and repeated. Whatever is found to be missing is wanted again: maps chunk by chunk
(`MapState.next_chunk`), the rest with a status request (`Mirror.wants_status`).
"""

from collections import Counter, deque
from collections.abc import Collection

from livestrain_client.followed import Followed
from livestrain_client.state import Chunk, MapState
from livestrain_client.updates import EventSeen, MapChanged, Reconnected, ScanBegan, ScanForgotten, Update
from livestrain_wire.messages import (
    BraggVectorMap,
    BraggVectorMapReply,
    Event,
    Heartbeat,
    MapValues,
    PlanChanged,
    Progress,
    Published,
    ReferenceInfo,
    Refused,
    ScanEnded,
    ScanStarted,
    SnapshotReply,
    StatusReply,
)
from livestrain_wire.topics import Topic

REMEMBERED_EVENTS = 100
REMEMBERED_EPOCHS = 16


class Mirror:
    """
    What the daemon says, and what has to be asked of it.

    Parameters
    ----------
    maps
        Names of the maps to keep; all if not given.
    follow
        Go on with the next scan when one starts; else stay with the first.
    scan
        The id of the one to follow, now or when it begins; any if not given.
    """

    def __init__(self, maps: Collection[str] | None = None, follow: bool = True, scan: str | None = None) -> None:
        self.epoch = ""
        self.reference: ReferenceInfo | None = None
        """As of the last status reply."""
        self.events: deque[Event] = deque(maxlen=REMEMBERED_EVENTS)
        self.faults: Counter[str] = Counter()
        """What went wrong on this end, by kind."""
        self.followed = Followed(None, "", maps, self.faults)
        """The scan, perhaps none yet."""
        self.wants_status = True
        self.forgotten = False
        """The daemon has the scan no longer in memory: there is nothing to ask it for."""
        self._confirmed = False
        self._chosen = maps
        self._follow = follow and scan is None
        self._left = ""
        self._only = scan
        self._past: deque[str] = deque(maxlen=REMEMBERED_EPOCHS)
        self._seen: dict[str, int] = {}
        self._scans_seen = 0

    @property
    def in_touch(self) -> bool:
        """
        False from a restart of the daemon until it says that the scan goes on.

        What is here stays as it is then, and there is nobody to ask for chunks.
        """
        known = self.followed.scan is not None and not self.forgotten
        return self._confirmed and known and self.followed.epoch == self.epoch

    def leave(self) -> None:
        """Go on from the present scan to the next one, even where the first is stayed with."""
        scan = self.followed.scan
        self._left = "" if scan is None else scan.start.scan_id

    @property
    def asks_about(self) -> str | None:
        """The scan that a status is wanted of; None: the newest."""
        if self._only is not None or self._may_leave or self.followed.scan is None:
            return self._only
        return self.followed.scan.start.scan_id

    def take(self, topic: Topic, message: Published) -> list[Update]:
        """Take a published message other than values of a map."""
        if self._is_past(message.epoch):
            return []
        updates = self._notice_epoch(message.epoch)
        if isinstance(message, ScanStarted):
            self._scans_seen += 1
            updates += self._begin_scan(message)
        elif isinstance(message, Event):
            self.events.append(message)
            updates.append(EventSeen(message))
        elif self._confirmed:
            updates += self._take_of_scan(topic, message)
        return updates

    def _take_of_scan(self, topic: Topic, message: Published) -> list[Update]:
        self._see("/".join(topic), message.sequence)
        match message:
            case Heartbeat():
                self._take_heartbeat(message)
            case PlanChanged():
                return self.followed.take_plan(message)
            case Progress():
                return self.followed.take_progress(message)
            case ScanEnded():
                return self._take_end(message)
        return []

    def take_values(self, message: MapValues, payload: bytes) -> list[Update]:
        """
        Take a published part of a map.

        Raises
        ------
        WireError
            If it does not fit the map.
        """
        if self._is_past(message.epoch):
            return []
        updates = self._notice_epoch(message.epoch)
        if not self.in_touch or not self.followed.has(message.scan_id):
            return updates
        plan = self.followed.plan
        if plan is None or message.revision > plan.revision:
            # The announcement of this revision was lost.
            self.wants_status = True
        return [*updates, *self.followed.take_values(message, payload)]

    def take_vector_map(self, message: BraggVectorMap, payload: bytes) -> list[Update]:
        """
        Take a Bragg vector map.

        Raises
        ------
        WireError
            If the payload does not fit.
        """
        if self._is_past(message.epoch):
            return []
        updates = self._notice_epoch(message.epoch)
        if not self.followed.has(message.scan_id):
            return updates
        return [*updates, *self.followed.vector_map.published(message, payload)]

    def take_vector_map_reply(self, reply: BraggVectorMapReply, payload: bytes) -> list[Update]:
        """
        Take a Bragg vector map that was asked for.

        Raises
        ------
        WireError
            If the payload does not fit.
        """
        if not self.in_touch or not self.followed.has(reply.scan_id) or reply.epoch != self.epoch:
            return []
        return [*self.followed.vector_map.replied(reply, payload)]

    def take_chunk(self, state: MapState, asked: Chunk, reply: SnapshotReply, payload: bytes) -> list[Update] | None:
        """
        Take a part of a snapshot, which was asked for with ``asked``; None where it has to be asked for again later.

        Raises
        ------
        WireError
            If it does not fit the map.
        """
        if self._is_past(reply.epoch):
            state.chunk_refused(asked)
            return None
        updates = self._notice_epoch(reply.epoch)
        if not self.in_touch:
            # A restart: the maps are asked for again after the status.
            return updates
        runs = state.chunk(asked, reply, payload)
        if runs is None:
            return None
        return [MapChanged(reply.name, runs, state)] if runs else []

    def asked_status(self) -> int:
        """Note that the status is being asked for; give the result to `take_status`."""
        self.wants_status = False
        return self._scans_seen

    def take_status(self, reply: StatusReply, asked: int) -> list[Update]:
        """Take the status, unless a scan began since it was asked for: then ask again."""
        updates = self._answered(reply.epoch, asked)
        if self.wants_status:
            return updates
        self.reference = reply.reference
        if reply.scan is None:
            return [*updates, *self._forget()]
        updates += self._begin_scan(reply.scan)
        for topic, sequence in reply.topics.items():
            self._see(topic, sequence)
        if reply.plan is not None:
            updates += self.followed.take_plan(reply.plan)
        if reply.progress is not None:
            updates += self.followed.take_progress(reply.progress)
        if reply.ended is not None:
            updates += self._take_end(reply.ended)
        self._take_sequences(reply.topics)
        return updates

    def take_no_such_scan(self, reply: Refused, asked: int) -> list[Update]:
        """The daemon does not have the scan that its status was wanted of."""
        updates = self._answered(reply.epoch, asked)
        return updates if self.wants_status else [*updates, *self._forget()]

    def _answered(self, epoch: str, asked: int) -> list[Update]:
        """A status request is answered; it is wanted again where the answer does not hold any more."""
        if self._is_past(epoch):
            self.wants_status = True
            return []
        updates = self._notice_epoch(epoch)
        self.wants_status = asked != self._scans_seen
        self._confirmed = self._confirmed or not self.wants_status
        return updates

    def _is_past(self, epoch: str) -> bool:
        return epoch in self._past

    def _notice_epoch(self, epoch: str) -> list[Update]:
        if epoch == self.epoch:
            return []
        first = not self.epoch
        if not first:
            self._past.append(self.epoch)
        self.epoch = epoch
        self._seen.clear()
        self.wants_status = True
        self._confirmed = False
        return [] if first else [Reconnected(epoch, restarted=True)]

    def _see(self, topic: str, sequence: int) -> None:
        if self.followed.has(topic.partition("/")[0]):
            self._seen[topic] = max(sequence, self._seen.get(topic, 0))

    def _take_heartbeat(self, heartbeat: Heartbeat) -> None:
        scan = self.followed.scan
        scan_id = "" if scan is None else scan.start.scan_id
        if heartbeat.scan_id and heartbeat.scan_id != scan_id and self._may_begin(heartbeat.scan_id):
            self.wants_status = True
        status_topics = tuple(f"{scan_id}/{kind}/" for kind in ("scan", "plan", "progress"))
        for topic, sequence in heartbeat.topics.items():
            if topic.startswith(status_topics) and sequence > self._seen.get(topic, 0):
                self._see(topic, sequence)
                self.wants_status = True
        if self.in_touch:
            self.followed.heard_of_maps(heartbeat.topics)
        self._take_sequences(heartbeat.topics)

    def _take_sequences(self, topics: dict[str, int]) -> None:
        if self.in_touch:
            self.followed.heard_of_vector_map(topics)
        self.followed.close(topics)

    def _may_begin(self, scan_id: str) -> bool:
        return scan_id == self._only or (self._only is None and (self._may_leave or self.followed.scan is None))

    @property
    def _may_leave(self) -> bool:
        return self._follow or self.followed.has(self._left)

    def _begin_scan(self, scan: ScanStarted) -> list[Update]:
        if self.followed.has(scan.start.scan_id):
            self.followed.go_on(scan, self.epoch)
            self.forgotten = False
            return []
        if not self._may_begin(scan.start.scan_id):
            return []
        self._seen.clear()
        self.forgotten = False
        self.followed = Followed(scan, self.epoch, self._chosen, self.faults)
        return [ScanBegan(scan)]

    def _forget(self) -> list[Update]:
        """The daemon does not know the scan; just after a restart it may still take it up."""
        scan = self.followed.scan
        if scan is None or self.forgotten or self.followed.epoch != self.epoch:
            return []
        self.forgotten = True
        return [ScanForgotten(scan.start.scan_id)]

    def _take_end(self, ended: ScanEnded) -> list[Update]:
        updates = self.followed.take_end(ended)
        if updates:
            # The reply tells at once which sequences are the last ones; the next heartbeat would tell it later.
            self.wants_status = True
        return updates
