"""What a subscriber asks of the daemon, until it is answered."""

import time
from dataclasses import dataclass
from typing import TypeGuard

from livestrain_client.connection import Answer, ControlSocket, new_id
from livestrain_client.mirror import Mirror
from livestrain_client.state import Chunk, MapState
from livestrain_client.updates import Update
from livestrain_wire.messages import (
    BraggVectorMapReply,
    BraggVectorMapRequest,
    Refused,
    Reply,
    Request,
    SnapshotReply,
    SnapshotRequest,
    StatusReply,
    StatusRequest,
)

CREDIT = 4
"""Chunks of snapshots that may be on their way at a time."""
REPEAT_SECONDS = 2.0
"""A request without a reply is sent again after so long [s]."""
REFUSED_SECONDS = 0.2
"""After a refusal, so long nothing is asked for [s]."""


@dataclass
class _Asked:
    """A request that waits for its reply."""

    request: Request
    resend_at: float
    scans_seen: int = 0
    state: MapState | None = None
    chunk: Chunk = (0, 0)


def no_such_scan(reply: Reply) -> TypeGuard[Refused]:
    """Whether the daemon says that it does not have the scan that it was asked about."""
    return isinstance(reply, Refused) and reply.reason == "no_scan"


class Asking:
    """
    The requests for whatever a mirror wants, repeated until there is a reply.

    Parameters
    ----------
    mirror
        Says what is wanted, and takes what comes.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._asked: dict[str, _Asked] = {}
        self._quiet_until = 0.0

    def ask(self, socket: ControlSocket) -> None:
        """Send what is wanted now, and again what has had no reply."""
        now = time.monotonic()
        for asked in self._asked.values():
            if now >= asked.resend_at:
                self._send(socket, asked, now)
        if now < self._quiet_until:
            return
        if self._mirror.wants_status and not self._waits_for(StatusRequest):
            request = StatusRequest(id=new_id(), scan_id=self._mirror.asks_about)
            self._send(socket, _Asked(request, now, scans_seen=self._mirror.asked_status()), now)
        scan = self._mirror.followed.scan
        if self._mirror.in_touch and scan is not None:
            self._ask_for_chunks(socket, scan.start.scan_id, now)
            self._ask_for_vector_map(socket, scan.start.scan_id, now)

    def take(self, answer: Answer) -> list[Update]:
        """
        Take a reply; one that nobody waits for is ignored.

        Raises
        ------
        WireError
            If it does not fit what was asked for.
        """
        asked = self._asked.pop(answer.reply.id, None)
        if asked is None:
            return []
        if isinstance(asked.request, StatusRequest):
            return self._take_status(answer.reply, asked.scans_seen)
        if isinstance(asked.request, BraggVectorMapRequest):
            # a refusal says that there is none any more; the next one that is published tells of itself
            found = answer.reply if isinstance(answer.reply, BraggVectorMapReply) else None
            return self._mirror.take_vector_map_reply(found, answer.payload) if found else []
        if asked.state is None:
            return []
        if isinstance(answer.reply, SnapshotReply):
            news = self._mirror.take_chunk(asked.state, asked.chunk, answer.reply, answer.payload)
            if news is not None:
                return news
        else:
            asked.state.chunk_refused(asked.chunk)
            self._mirror.wants_status = True
        self.pause()
        return []

    def _take_status(self, reply: Reply, scans_seen: int) -> list[Update]:
        if isinstance(reply, StatusReply):
            return self._mirror.take_status(reply, scans_seen)
        if no_such_scan(reply):
            return self._mirror.take_no_such_scan(reply, scans_seen)
        self._mirror.wants_status = True
        self.pause()
        return []

    def pause(self) -> None:
        """Ask for nothing new for a while."""
        self._quiet_until = time.monotonic() + REFUSED_SECONDS

    def forget(self) -> None:
        """Wait for no reply any more: the daemon that was asked is gone."""
        self._asked.clear()

    def _waits_for(self, kind: type[Request]) -> bool:
        return any(isinstance(asked.request, kind) for asked in self._asked.values())

    def _ask_for_vector_map(self, socket: ControlSocket, scan_id: str, now: float) -> None:
        vector_map = self._mirror.followed.vector_map
        if vector_map.wanted and not self._waits_for(BraggVectorMapRequest):
            vector_map.wanted = False
            self._send(socket, _Asked(BraggVectorMapRequest(id=new_id(), scan_id=scan_id), now), now)

    def _ask_for_chunks(self, socket: ControlSocket, scan_id: str, now: float) -> None:
        outstanding = sum(asked.state is not None for asked in self._asked.values())
        for name, state in self._mirror.followed.maps.items():
            while outstanding < CREDIT and (chunk := state.next_chunk()) is not None:
                request = SnapshotRequest(
                    id=new_id(), scan_id=scan_id, name=name, revision=state.revision, first=chunk[0], count=chunk[1]
                )
                self._send(socket, _Asked(request, now, state=state, chunk=chunk), now)
                outstanding += 1

    def _send(self, socket: ControlSocket, asked: _Asked, now: float) -> None:
        # Without a connection a request is tried again soon: it is not on its way.
        asked.resend_at = now + (REPEAT_SECONDS if socket.send(asked.request) else 0.1)
        self._asked[asked.request.id] = asked
