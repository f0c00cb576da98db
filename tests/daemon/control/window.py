"""A desk with a control socket, for tests of requests."""

from typing import Any, TypeVar

import zmq

from daemon.control.clients import Counter, reply_of
from daemon.desk import EVERYTHING, Desk
from livestrain_daemon.config import WorkersConfig
from livestrain_daemon.control.requests import Requests
from livestrain_daemon.control.socket import Control
from livestrain_daemon.dispatch.pool import WorkerPool
from livestrain_daemon.housekeeping import Housekeeper
from livestrain_daemon.messages import RoomMade
from livestrain_daemon.processes import spawn
from livestrain_daemon.retention import Limits
from livestrain_daemon.scanfolder import Spool
from livestrain_wire.codec import encode
from livestrain_wire.messages import PlanRequest, Refused, Reply, Request

R = TypeVar("R", bound=Reply)


class Window:
    """A desk with a control socket."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.armed: list[bool] = []
        self.stopped: list[str] = []
        socket = desk.context.socket(zmq.ROUTER)
        pool = WorkerPool(socket, WorkersConfig(), lambda identity: spawn("never", {}))
        spool = Spool.joined(desk.folder)
        self.told_intake: list[RoomMade] = []
        self.housekeeper = Housekeeper(spool, Limits(), desk.scans, desk.publisher, self.told_intake.append)
        self.requests = Requests(
            desk.scans, pool, desk.around, self.armed.append, self.stopped.append, self.housekeeper
        )
        self.counter = Counter(self.requests.handle)
        self.control: Control = self.counter.control
        self.client = self.counter.client()
        self._number = 0

    def close(self) -> None:
        """Ends its threads and the socket."""
        self.housekeeper.close()
        self.counter.close()

    def ask(self, request: Request, *payload: bytes) -> tuple[Reply, bytes]:
        """The reply, and its payload."""
        self.client.send_multipart([encode(request), *payload])
        for _ in range(2000):
            self.control.turn()
            self.desk.work()
            self.housekeeper.turn()
            if self.client.poll(5):
                reply, rest = reply_of(self.client.recv_multipart())
                assert reply.id == request.id
                return reply, rest[0] if rest else b""
        raise AssertionError("no reply came")

    def get(self, kind: type[R], request: Request, *payload: bytes) -> R:
        """The reply, of this kind."""
        reply, _ = self.ask(request, *payload)
        assert isinstance(reply, kind), reply
        return reply

    def refused(self, request: Request, *payload: bytes) -> tuple[str, str]:
        """Why a request was refused."""
        reply = self.get(Refused, request, *payload)
        return reply.reason, reply.text

    def change(self, **changes: Any) -> Request:
        """A request to change the current plan."""
        self._number += 1
        newest = self.desk.scans.newest
        assert newest is not None
        assert newest.scan.revision is not None
        based_on = newest.scan.revision.plan.revision
        return PlanRequest(id=f"change-{self._number}", changes=changes, based_on=based_on)


def after_a_scan(window: Window) -> Window:
    window.desk.planned()
    window.desk.store(*EVERYTHING)
    window.desk.end()
    window.desk.finish()
    return window
