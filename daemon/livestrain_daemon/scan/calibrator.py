"""Has a scan's frames calibrated, and puts what is known beside into what is found."""

from collections.abc import Callable, Mapping
from typing import Any

from livestrain_core.errors import EllipseUnknown
from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.errors import PlanError
from livestrain_daemon.messages import CalibrateTask, TaskDone
from livestrain_daemon.plan import CalibrationPlan
from livestrain_daemon.scan.calibration import Wish, calibration_from
from livestrain_daemon.scan.corrections import GivenCorrections
from livestrain_daemon.scan.known import inherited, with_known, with_sent, without_pixel_size
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scan.surroundings import Surroundings
from livestrain_wire.messages import GivenValues, Run

TASK_LIMIT_SECONDS = 120.0
"""Calibrating takes at most so long [s]."""

Found = Callable[[CalibrationPlan], None]
Refuse = Callable[[str], None]


class Calibrator:
    """
    Calibrates one scan.

    Parameters
    ----------
    scan
        Whose.
    surroundings
        Configuration and workers.
    unusable
        Pixels that no analysis may use, as runs over the flat frame.
    corrections
        What is done to its frames while there is no plan.
    """

    def __init__(
        self, scan: LiveScan, surroundings: Surroundings, unusable: tuple[Run, ...], corrections: GivenCorrections
    ) -> None:
        self._scan = scan
        self._surroundings = surroundings
        self._unusable = unusable
        self._corrections = corrections

    def calibrate(self, wish: Wish, found: Found, refuse: Refuse) -> None:
        """
        Has a worker calibrate; exactly one of the callbacks is called later.

        Parameters
        ----------
        wish
            What is wanted.
        found
            Called with what was found, and all that is known beside.
        refuse
            Called with the reason when nothing could be tried, or what is known does not fit what is found.
        """
        revision = self._scan.revision
        if revision is None and not self._corrections.stored:
            refuse("dark and gain are being stored with the scan; try again")
            return
        before = revision.plan.calibration if revision is not None else None
        keep = before if wish.keep else None
        if wish.keep and keep is None:
            refuse("the scan has no plan yet that could be kept")
            return

        def done(answer: TaskDone, payload: bytes) -> None:
            if "refused" in answer.result:
                refuse(str(answer.result["refused"]))
                return
            try:
                calibration = self._completed(answer.result, wish, before)
            except (EllipseUnknown, PlanError) as error:
                refuse(str(error))
                return
            found(calibration)

        self._surroundings.jobs.submit(
            Job(
                task=lambda number: self._task(number, wish, keep),
                done=done,
                lost=lambda reason, suspect: refuse(reason),
                limit_seconds=TASK_LIMIT_SECONDS,
                payload=wish.payload(),
            )
        )

    def with_configured(self, calibration: CalibrationPlan) -> CalibrationPlan:
        """What was found, with what the configuration knows; what of that does not fit is told and left out."""
        given = self._surroundings.config.calibration.values()
        if calibration.g1 is None:
            given = given.model_copy(update={"lattice_shape": None})
        return self._with_fitting(calibration, given)

    def _with_fitting(self, calibration: CalibrationPlan, given: GivenValues) -> CalibrationPlan:
        try:
            return with_known(calibration, given, "given")
        except EllipseUnknown as error:
            self._scan.notebook.tell("ellipse_unknown", f"no elliptic distortion is corrected: {error}", "warning")
            fewer = given.model_copy(update={"lattice_shape": None})
        except PlanError as error:
            self._tell_no_pixel_size("the configuration", error)
            fewer = without_pixel_size(given)
        return self._with_fitting(calibration, fewer)

    def _task(self, number: int, wish: Wish, keep: CalibrationPlan | None) -> CalibrateTask:
        analysis = self._surroundings.config.analysis
        revision = self._scan.revision
        corrections = self._corrections.plan if revision is None else revision.plan.corrections
        return CalibrateTask(
            number=number,
            folder=str(self._scan.folder),
            positions=wish.positions,
            source=wish.source,
            vacuum_probe=wish.vacuum_probe is not None,
            template=analysis.template,
            probe=None if analysis.probe is None else (analysis.probe.radius_px, analysis.probe.edge_px),
            unusable=self._unusable,
            corrections=corrections.model_dump(),
            keep=None if keep is None else keep.model_dump(mode="json"),
            ring=wish.given.ring,
            ring_image=wish.ring_image is not None,
        )

    def _completed(self, result: Mapping[str, Any], wish: Wish, before: CalibrationPlan | None) -> CalibrationPlan:
        """What a worker found, with what is known beside."""
        calibration = calibration_from(result, self._scan.opened.start.frame_shape, wish.positions)
        if before is None or wish.source == "automatic":
            calibration = self.with_configured(calibration)
        else:
            calibration = inherited(calibration, before)
        calibration = with_known(calibration, wish.given, "command")
        # the nominal radius says nothing about a pixel
        return self._with_sent(calibration) if result.get("calibration") else calibration

    def _with_sent(self, calibration: CalibrationPlan) -> CalibrationPlan:
        try:
            return with_sent(calibration, self._scan.opened.start)
        except PlanError as error:
            self._tell_no_pixel_size("the sender", error)
            return calibration

    def _tell_no_pixel_size(self, who: str, error: PlanError) -> None:
        self._scan.notebook.tell("pixel_size_unknown", f"the pixel size of {who} is not used: {error}", "warning")
