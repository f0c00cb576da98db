"""
All that a subscriber knows of a daemon: messages in, updates out. No sockets, no clock.

Messages may be lost, late and repeated. Whatever is found to be missing is wanted again: maps chunk by chunk
(`MapState.next_chunk`), the rest with a status request (`Mirror.wants_status`).
"""

from collections import Counter, deque
from collections.abc import Collection, Iterator

from livestrain_client.state import Chunk, MapState
from livestrain_client.updates import (
    EventSeen,
    MapChanged,
    PlanReplaced,
    ProgressChanged,
    Reconnected,
    ScanBegan,
    ScanFinished,
    Update,
)
from livestrain_client.vector_map import VectorMapState
from livestrain_wire.errors import WireError
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
    ScanEnded,
    ScanStarted,
    SnapshotReply,
    StatusReply,
)
from livestrain_wire.topics import Topic, vector_map_topic

REMEMBERED_EVENTS = 100
REMEMBERED_EPOCHS = 16


class Mirror:
    """
    The scan that is followed, its plan, maps and progress.

    Parameters
    ----------
    maps
        Names of the maps to keep; all if not given.
    follow
        Go on with the next scan when one starts; else stay with the first.
    """

    def __init__(self, maps: Collection[str] | None = None, follow: bool = True) -> None:
        self.epoch = ""
        self.scan: ScanStarted | None = None
        self.plan: PlanChanged | None = None
        self.progress: Progress | None = None
        self.ended: ScanEnded | None = None
        self.reference: ReferenceInfo | None = None
        """As of the last status reply."""
        self.maps: dict[str, MapState] = {}
        """Under the current plan revision, by name."""
        self.vector_map = VectorMapState()
        """Of this scan."""
        self.earlier: dict[int, dict[str, MapState]] = {}
        """Maps of the plan revisions before, which get no more values."""
        self.events: deque[Event] = deque(maxlen=REMEMBERED_EVENTS)
        self.faults: Counter[str] = Counter()
        """What went wrong on this end, by kind."""
        self.wants_status = True
        self._confirmed = False
        # The start of the daemon that the maps' sequences belong to; it may begin before the scan is resumed.
        self._maps_epoch = ""
        self._chosen = maps
        self._follow = follow
        self._past: deque[str] = deque(maxlen=REMEMBERED_EPOCHS)
        self._seen: dict[str, int] = {}
        self._scans_seen = 0
        self._closing: dict[str, int] | None = None

    @property
    def in_touch(self) -> bool:
        """
        False from a restart of the daemon until it says that the scan goes on.

        What is here stays as it is then, and there is nobody to ask for chunks.
        """
        return self._confirmed and self.scan is not None and self._maps_epoch == self.epoch

    @property
    def final(self) -> bool:
        """True once the scan is over and every value of it is here."""
        if self._closing is None or self.scan is None or not self._is_over():
            return False
        prefix = f"{self.scan.start.scan_id}/map/"
        return all(
            state.in_step and state.sequence >= self._closing.get(prefix + name, 0) for name, state in self.maps.items()
        )

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
                return self._take_plan(message)
            case Progress():
                return self._take_progress(message)
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
        if not self.in_touch or self.scan is None or message.scan_id != self.scan.start.scan_id:
            return updates
        if self.plan is None or message.revision > self.plan.revision:
            # The announcement of this revision was lost.
            self.wants_status = True
        state = self.maps.get(message.name)
        runs = () if state is None else state.patch(message, payload)
        if state is not None and runs:
            updates.append(MapChanged(message.name, runs, state))
        return updates

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
        if self.scan is None or message.scan_id != self.scan.start.scan_id:
            return updates
        return [*updates, *self.vector_map.published(message, payload)]

    def take_vector_map_reply(self, reply: BraggVectorMapReply, payload: bytes) -> list[Update]:
        """
        Take a Bragg vector map that was asked for.

        Raises
        ------
        WireError
            If the payload does not fit.
        """
        if not self.in_touch or self.scan is None or reply.scan_id != self.scan.start.scan_id:
            return []
        if reply.epoch != self.epoch:
            return []
        return [*self.vector_map.replied(reply, payload)]

    def _heard_of_vector_map(self, topics: dict[str, int]) -> None:
        """A later one than is here has been published."""
        if self.scan is not None and self.in_touch:
            self.vector_map.heard(topics.get("/".join(vector_map_topic(self.scan.start.scan_id)), 0))

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
        if self._is_past(reply.epoch):
            self.wants_status = True
            return []
        updates = self._notice_epoch(reply.epoch)
        self.wants_status = asked != self._scans_seen
        if self.wants_status:
            return updates
        self._confirmed = True
        for topic, sequence in reply.topics.items():
            self._see(topic, sequence)
        self.reference = reply.reference
        if reply.scan is None:
            return updates
        updates += self._begin_scan(reply.scan)
        if reply.plan is not None:
            updates += self._take_plan(reply.plan)
        if reply.progress is not None:
            updates += self._take_progress(reply.progress)
        if reply.ended is not None:
            updates += self._take_end(reply.ended)
        self._heard_of_vector_map(reply.topics)
        self._close(reply.topics)
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
        self._seen[topic] = max(sequence, self._seen.get(topic, 0))

    def _take_heartbeat(self, heartbeat: Heartbeat) -> None:
        scan_id = "" if self.scan is None else self.scan.start.scan_id
        if heartbeat.scan_id and heartbeat.scan_id != scan_id and self._may_begin():
            self.wants_status = True
        prefix = f"{scan_id}/map/"
        status_topics = tuple(f"{scan_id}/{kind}/" for kind in ("scan", "plan", "progress"))
        for topic, sequence in heartbeat.topics.items():
            if topic.startswith(prefix):
                state = self.maps.get(topic.removeprefix(prefix))
                if state is not None and self.in_touch:
                    state.heard(sequence)
            elif topic.startswith(status_topics) and sequence > self._seen.get(topic, 0):
                self._see(topic, sequence)
                self.wants_status = True
        self._heard_of_vector_map(heartbeat.topics)
        self._close(heartbeat.topics)

    def _may_begin(self) -> bool:
        return self._follow or self.scan is None

    def _begin_scan(self, scan: ScanStarted) -> list[Update]:
        if self.scan is not None and self.scan.start.scan_id == scan.start.scan_id:
            self.scan = scan
            self._renew_after_restart()
            return []
        if not self._may_begin():
            return []
        self.scan = scan
        self.plan = self.progress = self.ended = self._closing = None
        self.maps, self.earlier, self.vector_map = {}, {}, VectorMapState()
        self._maps_epoch = self.epoch
        return [ScanBegan(scan)]

    def _renew_after_restart(self) -> None:
        """The scan goes on under another start of the daemon: sequences count anew, and results may be lost."""
        if self._maps_epoch == self.epoch:
            return
        self._maps_epoch = self.epoch
        self.progress = self.ended = self._closing = None
        self.vector_map.renew()
        for state in self.maps.values():
            state.renew()

    def _take_plan(self, plan: PlanChanged) -> list[Update]:
        if self.scan is None or plan.scan_id != self.scan.start.scan_id:
            return []
        held = self.plan
        # Revisions of an epoch before need not mean the same.
        comparable = held is not None and held.epoch == plan.epoch
        if held is not None and comparable and plan.revision <= held.revision:
            return []
        self.plan, self._closing = plan, None
        if held is not None and held.revision == plan.revision and held.maps == plan.maps:
            return []
        if held is not None and comparable:
            self.earlier[held.revision] = self.maps
        self.maps = dict(self._new_maps(plan, self.scan))
        return [PlanReplaced(plan)]

    def _new_maps(self, plan: PlanChanged, scan: ScanStarted) -> Iterator[tuple[str, MapState]]:
        for info in plan.maps:
            if self._chosen is not None and info.name not in self._chosen:
                continue
            try:
                yield info.name, MapState(info, scan.start.scan_shape, plan.revision)
            except WireError:
                self.faults["impossible_map"] += 1

    def _take_progress(self, progress: Progress) -> list[Update]:
        if self.scan is None or progress.scan_id != self.scan.start.scan_id:
            return []
        if _is_older(progress, self.progress):
            return []
        self.progress = progress
        return [ProgressChanged(progress)]

    def _take_end(self, ended: ScanEnded) -> list[Update]:
        if self.scan is None or ended.scan_id != self.scan.start.scan_id:
            return []
        if _is_older(ended, self.ended):
            return []
        self.ended = ended
        # The reply tells at once which sequences are the last ones; the next heartbeat would tell it later.
        self.wants_status = True
        return [ScanFinished(ended)]

    def _is_over(self) -> bool:
        if self.ended is None:
            return False
        if self.progress is None or self.plan is None:
            return True
        if self.progress.revision != self.plan.revision:
            return False
        return self.progress.final or all(stage.pending == 0 for stage in self.progress.stages.values())

    def _close(self, topics: dict[str, int]) -> None:
        """These are the last sequences, if the scan is over."""
        if self._is_over():
            self._closing = topics


def _is_older(message: Published, held: Published | None) -> bool:
    """Whether a message of the same topic is not newer than the one held."""
    return held is not None and held.epoch == message.epoch and message.sequence <= held.sequence
