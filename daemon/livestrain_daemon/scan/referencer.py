"""Keeps a scan's reference up to date, and changes it when a user wants."""

from collections.abc import Callable

from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.messages import MedianTask, TaskDone
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scan.references import Region, Vectors, spans_area, why_unfit
from livestrain_daemon.scan.surroundings import Surroundings
from livestrain_wire.messages import Axes, ReferenceInfo, ReferenceRequest

TASK_LIMIT_SECONDS = 60.0

Adopted = Callable[[ReferenceInfo], None]
Found = Callable[[ReferenceInfo], None]
"""Takes a reference that is not adopted yet."""
Refuse = Callable[[str], None]


class Referencer:
    """
    The reference of one scan.

    Parameters
    ----------
    scan
        Whose.
    surroundings
        The workers, which compute the medians.
    """

    def __init__(self, scan: LiveScan, surroundings: Surroundings) -> None:
        self._scan = scan
        self._jobs = surroundings.jobs
        self._running = 0
        self._measured_last: tuple[int, int] | None = None

    @property
    def settled(self) -> bool:
        """True when the reference is that of everything analysed, or one that a user has fixed."""
        if self._running:
            return False
        if self._scan.revision is None or not self._scan.revision.has_lattice:
            return True
        references = self._scan.references
        return not references.follows_data or self._measured_last == self._state()

    def step(self) -> None:
        """Starts a median at each of the fixed counts, and after the last position."""
        revision = self._scan.revision
        if revision is None or not revision.has_lattice or self._running:
            return
        analysed = revision.positions_done.counts().analysed
        last = self._scan.analysed_all and not self.settled
        if self._scan.references.median_due(analysed) or last:
            self._follow_data(self._scan.references.region)

    def request(self, request: ReferenceRequest, adopted: Adopted, refuse: Refuse) -> None:
        """Does what a user wants; exactly one of the callbacks is called, now or later."""
        rows, columns = self._scan.opened.start.scan_shape
        if self._scan.revision is None or not self._scan.revision.has_lattice:
            refuse("the scan has no lattice")
        elif request.region is not None and (request.region[2] > rows or request.region[3] > columns):
            first_row, first_column, row_after, column_after = request.region
            found = f"rows {first_row}:{row_after}, columns {first_column}:{column_after}"
            refuse(f"expected a region within {rows} x {columns} positions, found {found}")
        elif request.axes == "scan" and self._scan.revision.plan.calibration.scan_axes is None:
            refuse("how the scan lies to the detector is not known; tell it with livestrain calibrate --rotation")
        elif request.values is not None:
            self._give(request.values, request.axes or self._axes, adopted, refuse)
        elif request.revert_to is not None:
            earlier = self._scan.references.get(request.revert_to)
            if earlier is None:
                refuse(f"there is no reference revision {request.revert_to}")
            else:
                self._adopt_given(earlier, adopted, refuse)
        elif request.axes is not None and request.region is None and not request.median:
            self._turn(request.axes, adopted, refuse)
        else:

            def chosen(info: ReferenceInfo) -> None:
                adopted(self._scan.adopt_reference(info, by_command=True))

            self._median(request.region, chosen, refuse, axes=request.axes)

    @property
    def _axes(self) -> Axes:
        return self._scan.references.axes("detector")

    def _turn(self, axes: Axes, adopted: Adopted, refuse: Refuse) -> None:
        """The same reference along other axes."""
        current = self._scan.references.current
        if current is None:
            refuse("there is no reference yet")
        else:
            adopted(self._scan.adopt_reference(current.model_copy(update={"axes": axes}), by_command=True))

    def _give(self, vectors: Vectors, axes: Axes, adopted: Adopted, refuse: Refuse) -> None:
        """Vectors that a user knows, if strain of the plan's lattice against them would say something."""
        revision = self._scan.revision
        calibration = None if revision is None else revision.plan.calibration
        unfit = ""
        if calibration is not None and calibration.g1 and calibration.g2 and spans_area(vectors):
            unfit = why_unfit(vectors, (*calibration.g1, *calibration.g2))
        if unfit:
            refuse(unfit)
        else:
            self._adopt_given(ReferenceInfo(revision=0, kind="values", vectors=vectors, axes=axes), adopted, refuse)

    def _adopt_given(self, info: ReferenceInfo, adopted: Adopted, refuse: Refuse) -> None:
        if not spans_area(info.vectors):
            refuse(f"expected two finite vectors that span an area, found {info.vectors}")
            return
        adopted(self._scan.adopt_reference(info, by_command=True))
        self._measured_last = self._state()

    def _follow_data(self, region: Region | None) -> None:
        state = self._state()
        before = self._scan.references.current

        def still_wanted() -> bool:
            return _same_but_for_axes(self._scan.references.current, before)

        def found(info: ReferenceInfo) -> None:
            self._scan.adopt_reference(info)
            self._measured_last = state

        def refuse(reason: str) -> None:
            self._measured_last = state

        self._median(region, found, refuse, still_wanted)

    def _median(
        self,
        region: Region | None,
        found: Found,
        refuse: Refuse,
        still_wanted: Callable[[], bool] = lambda: True,
        axes: Axes | None = None,
    ) -> None:
        revision = self._scan.revision
        if revision is None:
            refuse("the scan has no plan yet")
            return
        number = revision.plan.revision
        self._running += 1

        def task(serial: int) -> MedianTask:
            return MedianTask(number=serial, folder=str(self._scan.folder), revision=number, region=region)

        def done(answer: TaskDone, payload: bytes) -> None:
            self._running -= 1
            if still_wanted():
                self._take_median(answer, number, (region, axes), found, refuse)
            else:
                refuse("somebody has chosen another reference meanwhile")

        def lost(reason: str, suspect: bool) -> None:
            self._running -= 1
            refuse(reason)

        self._jobs.submit(Job(task=task, done=done, lost=lost, limit_seconds=TASK_LIMIT_SECONDS))

    def _take_median(
        self,
        answer: TaskDone,
        revision: int,
        wanted: tuple[Region | None, Axes | None],
        found: Found,
        refuse: Refuse,
    ) -> None:
        region, axes = wanted
        if self._scan.forgotten:
            refuse("the scan is no longer in memory")
        elif self._scan.revision is None or self._scan.revision.plan.revision != revision:
            refuse("the plan has changed meanwhile")
        elif not answer.result.get("positions"):
            where = "the scan" if region is None else f"rows {region[0]}:{region[2]}, columns {region[1]}:{region[3]}"
            refuse(f"no good position in {where} yet")
        elif not spans_area(answer.result["vectors"]):
            refuse(f"the median vectors {answer.result['vectors']} span no area")
        else:
            info = ReferenceInfo(
                revision=0,
                kind="median" if region is None else "region",
                vectors=answer.result["vectors"],
                region=region,
                positions=answer.result["positions"],
                axes=axes or self._axes,
            )
            found(info)

    def _state(self) -> tuple[int, int]:
        revision = self._scan.revision
        if revision is None:
            return (0, 0)
        return (revision.plan.revision, revision.positions_done.counts().analysed)


def _same_but_for_axes(one: ReferenceInfo | None, other: ReferenceInfo | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.kind, one.vectors, one.region) == (other.kind, other.vectors, other.region)
