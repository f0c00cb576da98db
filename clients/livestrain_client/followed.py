"""The scan that is followed: its plan, its maps and how far it is. No sockets, no clock."""

from collections import Counter
from collections.abc import Collection, Iterator

from livestrain_client.state import MapState
from livestrain_client.updates import MapChanged, PlanReplaced, ProgressChanged, ScanFinished, Update
from livestrain_client.vector_map import VectorMapState
from livestrain_wire.errors import WireError
from livestrain_wire.messages import MapValues, PlanChanged, Progress, Published, ScanEnded, ScanStarted
from livestrain_wire.topics import vector_map_topic


class Followed:
    """
    What is known of one scan; what belongs to other scans is ignored.

    Parameters
    ----------
    scan
        How it began; None: there is no scan yet.
    epoch
        The start of the daemon that the maps' sequences belong to.
    chosen
        Names of the maps to keep; all if not given.
    faults
        Counts maps that cannot be.
    """

    def __init__(
        self,
        scan: ScanStarted | None,
        epoch: str,
        chosen: Collection[str] | None,
        faults: Counter[str],
    ) -> None:
        self.scan = scan
        self.epoch = epoch
        """Of the maps; the daemon's present one may begin before the scan is resumed."""
        self.plan: PlanChanged | None = None
        self.progress: Progress | None = None
        self.ended: ScanEnded | None = None
        self.maps: dict[str, MapState] = {}
        """Under the current plan revision, by name."""
        self.vector_map = VectorMapState()
        self.earlier: dict[int, dict[str, MapState]] = {}
        """Maps of the plan revisions before, which get no more values."""
        self._chosen = chosen
        self._faults = faults
        self._closing: dict[str, int] | None = None

    def has(self, scan_id: str) -> bool:
        """Whether it is this scan."""
        return self.scan is not None and self.scan.start.scan_id == scan_id

    @property
    def final(self) -> bool:
        """True once the scan is over and every value of it is here."""
        if self._closing is None or self.scan is None or not self._is_over():
            return False
        prefix = self._prefix
        return all(
            state.in_step and state.sequence >= self._closing.get(prefix + name, 0) for name, state in self.maps.items()
        )

    def go_on(self, scan: ScanStarted, epoch: str) -> None:
        """The scan goes on, perhaps under another start of the daemon: sequences count anew, results may be lost."""
        self.scan = scan
        if self.epoch == epoch:
            return
        self.epoch = epoch
        self.progress = self.ended = self._closing = None
        self.vector_map.renew()
        for state in self.maps.values():
            state.renew()

    def take_values(self, message: MapValues, payload: bytes) -> list[Update]:
        """
        Take a published part of a map of this scan.

        Raises
        ------
        WireError
            If it does not fit the map.
        """
        state = self.maps.get(message.name)
        runs = () if state is None else state.patch(message, payload)
        return [MapChanged(message.name, runs, state)] if state is not None and runs else []

    def take_plan(self, plan: PlanChanged) -> list[Update]:
        """Take a plan; maps of a newer one begin empty."""
        if self.scan is None or not self.has(plan.scan_id):
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

    def take_progress(self, progress: Progress) -> list[Update]:
        """Take counts and rates."""
        if not self.has(progress.scan_id) or _is_older(progress, self.progress):
            return []
        self.progress = progress
        return [ProgressChanged(progress)]

    def take_end(self, ended: ScanEnded) -> list[Update]:
        """Take how the scan ended."""
        if not self.has(ended.scan_id) or _is_older(ended, self.ended):
            return []
        self.ended = ended
        return [ScanFinished(ended)]

    def heard_of_maps(self, topics: dict[str, int]) -> None:
        """So far have the topics of maps come; a lost last patch is noticed by it."""
        prefix = self._prefix
        for topic, sequence in topics.items():
            state = self.maps.get(topic.removeprefix(prefix)) if topic.startswith(prefix) else None
            if state is not None:
                state.heard(sequence)

    def heard_of_vector_map(self, topics: dict[str, int]) -> None:
        """A later one than is here has been published."""
        if self.scan is not None:
            self.vector_map.heard(topics.get("/".join(vector_map_topic(self.scan.start.scan_id)), 0))

    def close(self, topics: dict[str, int]) -> None:
        """These are the last sequences, if the scan is over."""
        if self._is_over():
            self._closing = topics

    @property
    def _prefix(self) -> str:
        return f"{'' if self.scan is None else self.scan.start.scan_id}/map/"

    def _new_maps(self, plan: PlanChanged, scan: ScanStarted) -> Iterator[tuple[str, MapState]]:
        for info in plan.maps:
            if self._chosen is not None and info.name not in self._chosen:
                continue
            try:
                yield info.name, MapState(info, scan.start.scan_shape, plan.revision)
            except WireError:
                self._faults["impossible_map"] += 1

    def _is_over(self) -> bool:
        if self.ended is None:
            return False
        if self.progress is None or self.plan is None:
            return True
        if self.progress.revision != self.plan.revision:
            return False
        return self.progress.final or all(stage.pending == 0 for stage in self.progress.stages.values())


def _is_older(message: Published, held: Published | None) -> bool:
    """Whether a message of the same topic is not newer than the one held."""
    return held is not None and held.epoch == message.epoch and message.sequence <= held.sequence
