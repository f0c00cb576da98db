"""The control socket: requests in, replies out; a repeated request gets the same reply."""

import traceback
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

import structlog
import zmq

from livestrain_wire.codec import decode, encode
from livestrain_wire.errors import WireError
from livestrain_wire.messages import (
    REQUESTS,
    BraggVectorMapRequest,
    FrameRequest,
    PatternRequest,
    RefusalReason,
    Refused,
    Reply,
    Request,
    SnapshotRequest,
    StatusRequest,
)

log = structlog.get_logger()

REMEMBERED = 256
"""Requests whose replies are kept, for clients that ask again."""
REQUESTS_PER_TURN = 20
"""So many requests are taken before the loop looks after other things."""

LOOKS = (StatusRequest, SnapshotRequest, FrameRequest, PatternRequest, BraggVectorMapRequest)
"""Change nothing: a repeated one is simply answered again."""
ONE_AT_A_TIME = (BraggVectorMapRequest,)
"""Of these looks a client gets one at a time for each scan: they are much work, and their replies are large."""

Answer = Callable[..., None]
"""``answer(reply, payload=b"")``, to be called once, now or later."""
Refuse = Callable[[RefusalReason, str], None]
Handle = Callable[[Request, bytes, Answer], None]


class Control:
    """
    Takes requests off the socket and sends the replies.

    Parameters
    ----------
    socket
        ROUTER, bound.
    epoch
        Of this life of the daemon.
    handle
        Does what a request asks.
    """

    def __init__(self, socket: "zmq.Socket[bytes]", epoch: str, handle: Handle) -> None:
        self._socket = socket
        self._epoch = epoch
        self._handle = handle
        self._route: OrderedDict[bytes, list[bytes]] = OrderedDict()
        self._replies: dict[bytes, list[bytes]] = {}
        self._in_work: dict[tuple[bytes, str, str], bytes] = {}
        """What each client waits for, of those that it gets one at a time: client, kind and scan; the request."""
        self.requests = 0
        self.garbage = 0
        """Messages that were no requests."""

    def turn(self) -> None:
        """Handles what has come."""
        for _ in range(REQUESTS_PER_TURN):
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(parts)

    def refuse(self, request_id: str, reason: RefusalReason, text: str) -> Refused:
        """The reply to a request that cannot be met."""
        return Refused(id=request_id, epoch=self._epoch, reason=reason, text=text)

    def _take(self, parts: list[bytes]) -> None:
        route = parts[:2] if len(parts) > 1 and parts[1] == b"" else parts[:1]
        body = parts[len(route) :]
        try:
            request = decode(body[0] if body else b"", REQUESTS)
        except WireError as error:
            self.garbage += 1
            log.debug("a message on the control socket was refused", reason=str(error))
            self._send(route, [encode(self.refuse("", "bad_request", str(error)))])
            return
        if not isinstance(request, Request):
            return
        self.requests += 1
        payload = body[1] if len(body) > 1 else b""
        if isinstance(request, ONE_AT_A_TIME):
            self._look_once(request, route, body)
            return
        if isinstance(request, LOOKS):
            self._do(request, payload, self._answer_once(route))
            return
        # two clients may choose the same id: only the same bytes are the same request
        key = blake2b(b"".join(body)).digest()
        asked_before = key in self._route
        self._remember(key, route)
        if not asked_before:
            self._do(request, payload, self._answer_and_remember(key))
        elif key in self._replies:
            self._send(route, self._replies[key])

    def _look_once(self, request: Request, route: list[bytes], body: list[bytes]) -> None:
        scan_id = getattr(request, "scan_id", None)
        key = (route[0], request.type, scan_id or "")
        if key in self._in_work:
            # the same request again: its reply is on the way
            if self._in_work[key] != body[0]:
                text = f"a {request.type} of this scan is in work for this client: wait for it"
                self._send(route, [encode(self.refuse(request.id, "bad_request", text))])
            return
        self._in_work[key] = body[0]
        send = self._answer_once(route)

        def answer(reply: Reply, payload: bytes = b"") -> None:
            self._in_work.pop(key, None)
            send(reply, payload)

        self._do(request, b"", answer)

    def _do(self, request: Request, payload: bytes, answer: Answer) -> None:
        try:
            self._handle(request, payload, answer)
        except Exception as error:  # a scan must not end because somebody asks what nobody has thought of
            log.error("a request failed", request=request.type, trace=traceback.format_exc(limit=-4))
            answer(self.refuse(request.id, "internal", f"{type(error).__name__}: {error!s:.300}"))

    def _answer_once(self, route: list[bytes]) -> Answer:
        def answer(reply: Reply, payload: bytes = b"") -> None:
            self._send(route, [encode(reply), *([payload] if payload else [])])

        return answer

    def _answer_and_remember(self, key: bytes) -> Answer:
        def answer(reply: Reply, payload: bytes = b"") -> None:
            parts = [encode(reply), *([payload] if payload else [])]
            route = self._route.get(key)
            if route is not None:
                self._replies[key] = parts
                self._send(route, parts)

        return answer

    def _remember(self, key: bytes, route: list[bytes]) -> None:
        self._route[key] = route
        self._route.move_to_end(key)
        while len(self._route) > REMEMBERED:
            oldest, _ = self._route.popitem(last=False)
            self._replies.pop(oldest, None)

    def _send(self, route: list[bytes], parts: list[bytes]) -> None:
        try:
            self._socket.send_multipart([*route, *parts], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            log.debug("a reply found nobody", reason=str(error))
