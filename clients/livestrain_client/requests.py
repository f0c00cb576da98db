"""Requests to the daemon, one method each."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from livestrain_client.answers import Frame, Pattern, VectorMap
from livestrain_client.connection import CONTROL_ENDPOINT, Answer, ControlSocket, new_id
from livestrain_client.errors import RequestRefused, UnexpectedReply
from livestrain_client.state import pixels_of
from livestrain_wire.messages import (
    ApplyCalibrationRequest,
    ArmRequest,
    Axes,
    BraggVectorMapReply,
    BraggVectorMapRequest,
    CalibrateReply,
    CalibrateRequest,
    Done,
    FrameReply,
    FrameRequest,
    GivenValues,
    PatternReply,
    PatternRequest,
    PlanReply,
    PlanRequest,
    ReanalyseRequest,
    ReferenceReply,
    ReferenceRequest,
    Refused,
    RemoveRequest,
    Reply,
    Request,
    RetainRequest,
    ScansReply,
    ScansRequest,
    StatusReply,
    StatusRequest,
    StopRequest,
)

R = TypeVar("R", bound=Reply)

GIVEN_NOTHING = GivenValues()
SLOW_SECONDS = 60.0
"""Time that requests which compute something may take [s]."""
SLOW_REPEAT = 10.0
"""Time after which such a request is sent again [s]."""


@dataclass(frozen=True)
class Known:
    """What is known of a scan beside what its frames show."""

    values: GivenValues = GIVEN_NOTHING
    keep: bool = False
    """Leave centre, disk, lattice and descan as they are in the plan."""
    ring_image: ArrayLike | None = None
    """(rows, columns) pattern with the ring that ``values`` names; else the mean of the frames [counts]."""


class Control:
    """
    Asks the daemon; every method waits for its reply.

    Parameters
    ----------
    endpoint
        Where the daemon takes requests.
    deadline
        How long to wait for a reply at most [s].
    repeat
        How long to wait before a request is sent again [s].
    """

    def __init__(self, endpoint: str = CONTROL_ENDPOINT, deadline: float = 5.0, repeat: float = 1.0) -> None:
        self.endpoint = endpoint
        self.deadline = deadline
        self.repeat = repeat
        self._socket = ControlSocket(endpoint)

    def request(self, request: Request, payload: bytes | None = None, slow: bool = False) -> Answer:
        """
        Send any request and wait for its reply.

        Parameters
        ----------
        request
            Safe to send twice, as all of them are.
        payload
            The part after the header, if the request has one.
        slow
            The daemon has to compute something first: once it is known to live, wait longer.

        Raises
        ------
        RequestRefused
            If the daemon cannot meet it.
        Unavailable
            If no reply came in time.
        """
        if slow:
            self.status()
            answer = self._socket.ask(request, payload, max(self.deadline, SLOW_SECONDS), SLOW_REPEAT)
        else:
            answer = self._socket.ask(request, payload, self.deadline, self.repeat)
        if isinstance(answer.reply, Refused):
            raise RequestRefused(answer.reply.reason, answer.reply.text)
        return answer

    def status(self, scan_id: str | None = None) -> StatusReply:
        """What is going on; of the current or last scan if none is named."""
        return self._one(StatusReply, StatusRequest(id=new_id(), scan_id=scan_id))

    def frame(self, row: int, column: int, scan_id: str | None = None) -> Frame:
        """The diffraction pattern of one scan position, and what was found in it."""
        answer = self.request(FrameRequest(id=new_id(), scan_id=scan_id, row=row, column=column))
        found = _expect(FrameReply, answer.reply)
        return Frame(pixels_of(answer.payload, found.dtype, found.shape), found)

    def pattern(self, kind: Literal["sum", "largest"] = "sum", scan_id: str | None = None) -> Pattern:
        """The summed or largest pattern of the scan so far."""
        answer = self.request(PatternRequest(id=new_id(), scan_id=scan_id, kind=kind), slow=True)
        about = _expect(PatternReply, answer.reply)
        return Pattern(pixels_of(answer.payload, about.dtype, about.shape), about)

    def bragg_vector_map(self, sampling: int = 1, centred: bool = True, scan_id: str | None = None) -> VectorMap:
        """
        The Bragg vector map of the positions analysed so far.

        Parameters
        ----------
        sampling
            Pixels of the map per detector pixel, along each axis.
        centred
            Subtract the centre of each position, so that the descan is out.
        scan_id
            The current or last scan if not given.
        """
        request = BraggVectorMapRequest(id=new_id(), scan_id=scan_id, sampling=sampling, centred=centred)
        answer = self.request(request, slow=True)
        about = _expect(BraggVectorMapReply, answer.reply).about
        return VectorMap(pixels_of(answer.payload, about.dtype, about.shape), about)

    def calibrate(
        self,
        apply: bool = False,
        vacuum_probe: ArrayLike | None = None,
        positions: Sequence[int] | None = None,
        scan_id: str | None = None,
        *,
        known: Known | None = None,
    ) -> CalibrateReply:
        """
        Propose a calibration: centre, disk, lattice and descan as the frames show them.

        Parameters
        ----------
        apply
            Make a new plan of it at once; else `apply_calibration` can.
        vacuum_probe : (rows, columns), optional
            Image of the probe without a specimen, of the frame's shape [counts].
        positions
            Flat scan positions to look at; the usual ones if not given.
        scan_id
            The current or last scan if not given.
        known
            What is known beside what the frames show.
        """
        known = known or Known()
        request = CalibrateRequest(
            id=new_id(),
            scan_id=scan_id,
            apply=apply,
            positions=None if positions is None else tuple(positions),
            keep=known.keep,
            given=known.values,
            vacuum_probe=vacuum_probe is not None,
            ring_image=known.ring_image is not None,
        )
        images = [np.asarray(image).astype("<f4") for image in (vacuum_probe, known.ring_image) if image is not None]
        payload = b"".join(image.tobytes() for image in images) if images else None
        return _expect(CalibrateReply, self.request(request, payload, slow=True).reply)

    def apply_calibration(self, proposal: str, scan_id: str | None = None) -> CalibrateReply:
        """Make a new plan of a calibration that was proposed; doing it twice is doing it once."""
        request = ApplyCalibrationRequest(id=new_id(), scan_id=scan_id, proposal=proposal)
        return _expect(CalibrateReply, self.request(request, slow=True).reply)

    def reference(
        self,
        region: tuple[int, int, int, int] | None = None,
        values: tuple[float, float, float, float] | None = None,
        median: bool = False,
        revert_to: int | None = None,
        scan_id: str | None = None,
        axes: Axes | None = None,
    ) -> ReferenceReply:
        """
        Choose what strain is measured against; give one of the first four, or ``axes``, or both.

        Parameters
        ----------
        region
            First row, first column, row after the last, column after the last: the median there.
        values
            g1 row, g1 column, g2 row, g2 column [px].
        median
            The median over all good positions.
        revert_to
            A reference revision to go back to; ``status().reference.undo_to`` undoes the latest request.
        scan_id
            The current or last scan if not given.
        axes
            Of the strain components: the detector's, the scan's, or along g1 of the reference; as they are if not
            given.
        """
        request = ReferenceRequest(
            id=new_id(),
            scan_id=scan_id,
            region=region,
            values=values,
            median=median or None,
            revert_to=revert_to,
            axes=axes,
        )
        return _expect(ReferenceReply, self.request(request, slow=True).reply)

    def set_plan(self, changes: dict[str, Any], based_on: int, scan_id: str | None = None) -> PlanReply:
        """Change fields of the plan of revision ``based_on``."""
        return self._one(PlanReply, PlanRequest(id=new_id(), scan_id=scan_id, changes=changes, based_on=based_on))

    def reanalyse(self, based_on: int, scan_id: str | None = None) -> PlanReply:
        """Analyse everything stored again under an unchanged plan."""
        return self._one(PlanReply, ReanalyseRequest(id=new_id(), scan_id=scan_id, based_on=based_on))

    def arm(self, armed: bool = True) -> None:
        """Accept scans, or ignore them until further notice."""
        self._one(Done, ArmRequest(id=new_id(), armed=armed))

    def stop(self, what: Literal["scan", "daemon"] = "scan") -> None:
        """End the scan in progress, or the daemon."""
        self._one(Done, StopRequest(id=new_id(), what=what))

    def scans(self, count: int = 64, before_ns: int | None = None, before_id: str | None = None) -> ScansReply:
        """
        The scans of the spool, the newest first.

        Parameters
        ----------
        count
            So many at most, up to 256.
        before_ns
            Only those that began before this; all if not given [UTC ns].
        before_id
            And those that began just then and come after this one: the last of a page, for the next.
        """
        return self._one(ScansReply, ScansRequest(id=new_id(), count=count, before_ns=before_ns, before_id=before_id))

    def retain(self, scan_id: str, retained: bool = True) -> None:
        """Keep a scan whatever the limits of the spool are, or no longer."""
        self._one(Done, RetainRequest(id=new_id(), scan_id=scan_id, retained=retained))

    def remove(self, scan_id: str) -> None:
        """Delete the folder of a scan that is over and not retained."""
        self._one(Done, RemoveRequest(id=new_id(), scan_id=scan_id))

    def close(self) -> None:
        """Let go of the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _one(self, kind: type[R], request: Request) -> R:
        return _expect(kind, self.request(request).reply)


def _expect(kind: type[R], reply: Reply) -> R:
    if not isinstance(reply, kind):
        raise UnexpectedReply(f"expected {kind.__name__}, found {type(reply).__name__}")
    return reply
