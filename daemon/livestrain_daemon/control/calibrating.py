"""Calibrations on request: proposed first, applied by their name."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.control.socket import Answer, Refuse
from livestrain_daemon.plan import CalibrationPlan
from livestrain_daemon.scan.calibration import Wish, most_frames
from livestrain_daemon.scan.scans import ScanInHand
from livestrain_daemon.scan.surroundings import Surroundings
from livestrain_daemon.scanfolder import FrameState
from livestrain_wire.messages import ApplyCalibrationRequest, CalibrateReply, CalibrateRequest


class Calibrations:
    """
    Proposes calibrations and applies them.

    Parameters
    ----------
    surroundings
        Configuration and given images.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._epoch = surroundings.publisher.epoch

    def propose(
        self, hand: ScanInHand, request: CalibrateRequest, payload: bytes, answer: Answer, refuse: Refuse
    ) -> None:
        """Has a calibration made, and tells or applies it."""
        most = most_frames(hand.scan.opened.start)
        # a frame counts once
        positions = tuple(dict.fromkeys(request.positions or ())) or self._usual_positions(hand, most)
        images = self._images(hand, request, payload, refuse)
        if images is None:
            return
        if not positions:
            refuse("not_stored", "no frame is stored yet")
            return
        rows, columns = hand.scan.opened.start.scan_shape
        if max(positions) >= rows * columns:
            refuse("bad_request", f"expected positions below {rows * columns}, found {max(positions)}")
            return
        if len(positions) > most:
            refuse("bad_request", f"expected at most {most} positions of such frames, found {len(positions)}")
            return
        probe, ring = images
        # a proposal changes the plan that it was asked for under, whatever holds when it is answered
        based_on = hand.scan.revision.plan.revision if hand.scan.revision else 0
        wish = Wish(positions, "command", probe, request.keep, request.given, ring)

        def found(calibration: CalibrationPlan) -> None:
            name = hand.planner.proposals.add(calibration, based_on)
            if request.apply:
                self._apply(hand, request.id, name, answer, refuse)
            else:
                answer(self._reply(hand, request.id, name, calibration, None))

        hand.planner.calibrator.calibrate(wish, found, lambda text: refuse("no_calibration", text))

    def apply(self, hand: ScanInHand, request: ApplyCalibrationRequest, answer: Answer, refuse: Refuse) -> None:
        """Makes a plan revision of a proposal; of one that has been applied, tells the revision again."""
        self._apply(hand, request.id, request.proposal, answer, refuse)

    def _apply(self, hand: ScanInHand, request_id: str, name: str, answer: Answer, refuse: Refuse) -> None:
        proposals = hand.planner.proposals
        proposed = proposals.get(name)
        if proposed is None:
            refuse("outdated", f"there is no proposal {name}; calibrate again")
            return
        calibration, based_on = proposed
        tell: Callable[[int], None] = lambda revision: answer(  # noqa: E731
            self._reply(hand, request_id, name, calibration, revision)
        )
        made = proposals.made(name)
        current = hand.scan.revision.plan.revision if hand.scan.revision else 0
        if made is not None:
            tell(made)
        elif calibration.g1 is None and _has_lattice(hand):
            refuse("no_calibration", f"nothing to apply: {calibration.reason}")
        elif based_on != current:
            refuse("outdated", f"plan revision {based_on} was to be changed, and {current} holds now; calibrate again")
        else:

            def opened() -> None:
                revision = hand.scan.revision.plan.revision if hand.scan.revision else 0
                proposals.note_applied(name, revision)
                tell(revision)

            changes = {"calibration": calibration.model_dump(mode="json")}
            hand.planner.change(
                changes,
                opened,
                lambda text: refuse("bad_request", text),
                lambda text: refuse("outdated" if hand.scan.revision else "no_calibration", text),
            )

    def _reply(
        self, hand: ScanInHand, request_id: str, name: str, calibration: CalibrationPlan, revision: int | None
    ) -> CalibrateReply:
        return CalibrateReply(
            id=request_id,
            epoch=self._epoch,
            scan_id=hand.scan.id,
            calibration=calibration.model_dump(mode="json"),
            proposal=name,
            revision=revision,
        )

    def _images(
        self, hand: ScanInHand, request: CalibrateRequest, payload: bytes, refuse: Refuse
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None] | None:
        """The vacuum probe and the image of a ring; None where the payload is something else."""
        rows, columns = hand.scan.opened.start.frame_shape
        with_probe = request.vacuum_probe or (bool(payload) and not request.ring_image)
        expected = (with_probe + request.ring_image) * rows * columns * 4
        if len(payload) != expected:
            refuse("bad_request", f"expected images of {rows} x {columns} float32, found {len(payload)} bytes")
            return None
        images = list(np.frombuffer(payload, "<f4").reshape(-1, rows, columns))
        given = self._around.given.vacuum_probe
        usual = given if given is not None and given.shape == (rows, columns) else None
        probe = images.pop(0) if with_probe else usual
        return probe, images.pop(0) if request.ring_image else None

    def _usual_positions(self, hand: ScanInHand, most: int) -> tuple[int, ...]:
        stored: NDArray[np.intp] = np.flatnonzero(hand.scan.seen.states == FrameState.STORED)
        most = min(most, self._around.config.analysis.calibration_positions)
        if len(stored) > most:
            stored = stored[np.arange(most) * len(stored) // most]
        return tuple(stored.tolist())


def _has_lattice(hand: ScanInHand) -> bool:
    revision = hand.scan.revision
    return revision is not None and revision.plan.calibration.g1 is not None
