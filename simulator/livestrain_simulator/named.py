"""What the daemon has made of a scan: its name, another where it has one of that name already, or why it refused it."""

import time
import uuid
from dataclasses import dataclass

import zmq

from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import decode, encode
from livestrain_wire.errors import WireError
from livestrain_wire.messages import REPLIES, StatusReply, StatusRequest

POLL_MS = 100
MOST_BYTES = 64 << 20
"""A larger reply is no status [bytes]."""
LONGEST_NUMBERED = 50
"""A name that gets a number may be cut, never to less than this."""

NOT_ARMED = "it is not armed (livestrain arm), and ignores scans"


@dataclass(frozen=True)
class Fate:
    """What has become of a scan that was sent; nothing is known where nobody says."""

    name: str | None = None
    """What the daemon calls it."""
    refusal: str | None = None
    """Why the daemon has refused it."""


def fate_of(control: str, sent_as: str, began_ns: int, seconds: float = 2.0) -> Fate:
    """
    What the daemon has made of a scan.

    Parameters
    ----------
    control
        Where the daemon takes requests.
    sent_as
        The name that it was sent with.
    began_ns
        UTC before it was sent: an earlier scan is not meant [ns].
    seconds
        How long to ask [s].

    Returns
    -------
    Fate
        The name as soon as the daemon has begun the scan. A refusal only when it has not in all that time: it may be
        that of an earlier scan of the same name.
    """
    end = time.monotonic() + seconds
    refused = f"{sent_as}: "
    fate = Fate()
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = MOMENT_MS
        socket.setsockopt(zmq.MAXMSGSIZE, MOST_BYTES)
        try:
            socket.connect(control)
        except zmq.ZMQError:
            return fate
        while time.monotonic() < end:
            status = _status(socket)
            if status is None:
                continue
            if not status.armed:
                # a refusal seen while it was armed is why
                fate = fate if fate.refusal else Fate(refusal=NOT_ARMED)
            elif status.last_refusal.startswith(refused):
                fate = Fate(refusal=status.last_refusal.removeprefix(refused))
            if status.scan is None or status.scan.started_ns < began_ns:
                continue
            name = status.scan.start.scan_id
            if name == sent_as or _numbered(name, sent_as):
                return Fate(name)
    return fate


def _numbered(name: str, sent_as: str) -> bool:
    stem, _, number = name.rpartition("-")
    return number.isdecimal() and (stem == sent_as or (len(stem) >= LONGEST_NUMBERED and sent_as.startswith(stem)))


def _status(socket: "zmq.Socket[bytes]") -> StatusReply | None:
    """One answer, or None; asking again sooner than so would not bring news."""
    began = time.monotonic()
    reply: object = None
    request = StatusRequest(id=uuid.uuid4().hex)
    socket.send(encode(request))
    if socket.poll(POLL_MS):
        try:
            reply = decode(socket.recv_multipart()[0], REPLIES)
        except WireError:
            reply = None
    time.sleep(max(0.0, POLL_MS / 1000 - (time.monotonic() - began)))
    return reply if isinstance(reply, StatusReply) else None
