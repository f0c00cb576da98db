"""How a scan gets its plan: given, found by calibration, or changed by a user."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.errors import PlanError, StorageError
from livestrain_daemon.messages import OpenRevisionTask, TaskDone
from livestrain_daemon.plan import (
    CalibrationPlan,
    Plan,
    changed,
    only_derives_otherwise,
    stages_for,
)
from livestrain_daemon.scan.calibration import CalibrationSchedule, Proposals, Wish, nominal_calibration
from livestrain_daemon.scan.calibrator import Calibrator, Refuse
from livestrain_daemon.scan.corrections import GivenCorrections
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scan.pixels import pixel_limits
from livestrain_daemon.scan.surroundings import Surroundings
from livestrain_daemon.scanfolder.detector_images import DetectorImage

log = structlog.get_logger()

TASK_LIMIT_SECONDS = 120.0
"""Laying out a results file and compiling take at most so long [s]."""

P = TypeVar("P", bound=np.generic)


class Planner:
    """
    Makes the plan revisions of one scan, one at a time.

    Parameters
    ----------
    scan
        Whose.
    surroundings
        Configuration, given images and workers.
    """

    def __init__(self, scan: LiveScan, surroundings: Surroundings) -> None:
        self._scan = scan
        self._surroundings = surroundings
        self._schedule = CalibrationSchedule(scan.opened.start, surroundings.config.analysis.calibration_positions)
        self._busy = False
        self._opening = False
        self._attempts = 0
        self.proposals = Proposals()
        """Calibrations that may be applied."""
        self.hopeless = False
        """True when the scan will never get a plan."""
        self._why_not = ""
        self._probe = self._matching("vacuum_probe", surroundings.given.vacuum_probe)
        usable = self._matching("usable_pixels", surroundings.given.usable_pixels)
        self._unusable, saturation = pixel_limits(scan, usable, surroundings.config.analysis.saturation)
        self.given_corrections = GivenCorrections(scan, self._matching_images(), saturation)
        """What is done to frames while no plan says otherwise."""
        self.calibrator = Calibrator(scan, surroundings, self._unusable, self.given_corrections)
        """Makes the calibrations that may be proposed."""

    @property
    def settled(self) -> bool:
        """True when no plan will come by itself any more."""
        return not self._busy and self._scan.revision is not None and not self._wants_lattice

    def step(self) -> None:
        """Starts what is due."""
        if self._busy or self.hopeless or not self.given_corrections.stored:
            return
        if self._scan.revision is None and self._surroundings.given.plan is not None:
            self.open(self._surroundings.given.plan.model_copy(update={"revision": self._scan.next_revision()}))
        elif self._scan.revision is None or self._wants_lattice:
            positions = self._schedule.due(self._scan.seen.states, self._scan.stopped_coming)
            if positions is not None:
                self._attempt(positions)

    def _attempt(self, positions: tuple[int, ...]) -> None:
        """A calibration that nobody asked for; its outcome counts unless somebody has asked for a plan meanwhile."""
        self._busy = True
        self._attempts += 1
        number = self._attempts

        def found(calibration: CalibrationPlan) -> None:
            if number == self._attempts:
                self._use(calibration)

        def refuse(reason: str) -> None:
            if number == self._attempts:
                self._give_up(reason)

        self.calibrator.calibrate(Wish(positions, vacuum_probe=self._probe), found, refuse)

    @property
    def _wants_lattice(self) -> bool:
        revision = self._scan.revision
        if revision is None or self._schedule.exhausted:
            return False
        calibration = revision.plan.calibration
        return calibration.g1 is None and calibration.source == "automatic"

    def plan_for(self, calibration: CalibrationPlan) -> Plan:
        """A plan with this calibration, and everything else as it was or as configured."""
        number = self._scan.next_revision()
        if self._scan.revision is not None:
            return changed(self._scan.revision.plan, {"calibration": calibration.model_dump()}, number)
        return Plan(
            revision=number,
            calibration=calibration,
            detectors=self._surroundings.config.analysis.detectors,
            unusable=self._unusable,
            corrections=self.given_corrections.plan,
            stages=stages_for(calibration, self._surroundings.config.analysis.disks),
            disks=self._surroundings.config.analysis.disks,
            detect=self._surroundings.config.analysis.detect,
            axes=self._surroundings.config.analysis.axes,
            estimator=self._surroundings.config.analysis.estimator,
        )

    def change(
        self, changes: dict[str, Any], done: Callable[[], None], refuse: Refuse, too_early: Refuse | None = None
    ) -> None:
        """
        A new revision with some fields changed; exactly one of the callbacks is called, now or later.

        Parameters
        ----------
        changes
            New values by field; none: the same plan again.
        done
            Called when the new revision holds.
        refuse
            Called with the reason if the changes make no sense.
        too_early
            Called with the reason if they can be asked for again later; None: like ``refuse``.
        """
        too_early = too_early or refuse
        if self._scan.revision is None:
            if self.hopeless:
                refuse(f"no plan could be made for this scan: {self._why_not}")
            else:
                too_early("the scan is being calibrated; try again when it has a plan")
            return
        if self._opening:
            too_early("another plan is being laid out; try again when it is in force")
            return
        # whoever asks for a change need not wait for an attempt that nobody asked for
        self._attempts += 1
        self._busy = False
        try:
            plan = changed(self._scan.revision.plan, changes, self._scan.next_revision())
        except PlanError as error:
            refuse(str(error))
            return
        self.open(plan, done, refuse)

    def open(self, plan: Plan, done: Callable[[], None] | None = None, refuse: Refuse | None = None) -> None:
        """Has a worker lay out the results file, then puts the plan in force."""
        self._busy = self._opening = True

        older, stages = self._worth_carrying(plan)

        def task(number: int) -> OpenRevisionTask:
            return OpenRevisionTask(
                number=number,
                folder=str(self._scan.folder),
                plan=plan.model_dump(mode="json"),
                carry_from=older,
                carry_stages=stages,
            )

        def opened(answer: TaskDone, payload: bytes) -> None:
            self._busy = self._opening = False
            if self._scan.forgotten:
                lost("the scan is no longer in memory", False)
                return
            try:
                self._scan.begin_revision(plan)
            except StorageError as error:
                lost(str(error), False)
                return
            if done is not None:
                done()

        def lost(reason: str, suspect: bool) -> None:
            self._busy = self._opening = False
            if not self._scan.forgotten:
                self._scan.notebook.tell("plan_failed", f"plan revision {plan.revision}: {reason}", "error")
            if refuse is not None:
                refuse(reason)
            elif self._scan.revision is None and (self._surroundings.given.plan or self._schedule.exhausted):
                self.hopeless, self._why_not = True, reason

        self._surroundings.jobs.submit(Job(task=task, done=opened, lost=lost, limit_seconds=TASK_LIMIT_SECONDS))

    def _worth_carrying(self, plan: Plan) -> tuple[int | None, tuple[str, ...]]:
        """The revision whose results hold under this plan, too, and which of its stages."""
        revision = self._scan.revision
        if revision is None or not only_derives_otherwise(revision.plan, plan):
            return None, ()
        # frames that come late may still belong into a block that is done
        stages = revision.work.stages if self._scan.stopped_coming else revision.published_stages
        return revision.plan.revision, tuple(sorted(stages))

    def _use(self, calibration: CalibrationPlan) -> None:
        self._busy = False
        if calibration.g1 is None:
            if self._scan.revision is not None:
                log.debug("still no lattice", scan=self._scan.id, reason=calibration.reason)
                return
            self._scan.notebook.tell("no_lattice", f"no lattice found: {calibration.reason}", "warning")
        self.open(self.plan_for(calibration))

    def _give_up(self, reason: str) -> None:
        self._busy = False
        self._scan.notebook.tell("calibration_failed", f"calibration failed: {reason}", "error")
        if self._scan.revision is None and self._schedule.exhausted:
            nominal = nominal_calibration(self._scan.opened.start.frame_shape, (), reason)
            self.open(self.plan_for(self.calibrator.with_configured(nominal)))

    def _matching_images(self) -> dict[str, DetectorImage]:
        given = {"dark": self._surroundings.given.dark, "gain": self._surroundings.given.gain}
        return {
            key: image
            for key, image in given.items()
            if image is not None and self._matching(key, image.pixels) is not None
        }

    def _matching(self, key: str, image: NDArray[P] | None) -> NDArray[P] | None:
        """A given image, unless it is for another detector."""
        expected = self._scan.opened.start.frame_shape
        if image is None or image.shape == expected:
            return image
        text = f"analysis.{key} is not used: expected {expected[0]} x {expected[1]} pixels, found {image.shape}"
        self._scan.notebook.tell(f"{key}_not_used", text, "warning")
        return None
