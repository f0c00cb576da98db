"""The publishing socket: a sequence per topic, an epoch per start of the daemon."""

import time
import uuid
from typing import Any

import zmq

from livestrain_wire.codec import encode
from livestrain_wire.messages import Event, Heartbeat, Published
from livestrain_wire.topics import NO_SCAN, Topic

HEARTBEAT_SECONDS = 1.0


class Publisher:
    """
    Sends messages to whoever listens; never waits for a slow one.

    Parameters
    ----------
    socket
        PUB, bound.
    """

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        self._socket = socket
        self.epoch = uuid.uuid4().hex
        self.sequences: dict[str, int] = {}
        """The latest sequence of every topic."""
        self._next_heartbeat = 0.0
        self.messages_sent = 0
        self.bytes_sent = 0

    def next(self, topic: Topic) -> dict[str, Any]:
        """The fields that the next message of this topic must carry."""
        return {"epoch": self.epoch, "sequence": self.sequences.get("/".join(topic), 0) + 1}

    def sequence(self, topic: Topic) -> int:
        """That of the topic's latest message; 0 before the first."""
        return self.sequences.get("/".join(topic), 0)

    def send(self, topic: Topic, message: Published, payload: bytes | memoryview = b"") -> None:
        """Publishes a message made with `next`."""
        self.sequences["/".join(topic)] = message.sequence
        parts = [topic.encode(), encode(message), *([payload] if len(payload) else [])]
        self._socket.send_multipart(parts)
        self.messages_sent += 1
        self.bytes_sent += sum(len(part) for part in parts)

    def event(self, scan_id: str, name: str, text: str, level: str = "info") -> None:
        """Tells people something, in a line."""
        topic = Topic(scan_id or NO_SCAN, "event", name)
        fields = {"scan_id": scan_id, "name": name, "text": text, "level": level, "utc_ns": time.time_ns()}
        self.send(topic, Event.model_validate({**self.next(topic), **fields}))

    def beat(self, scan_id: str) -> None:
        """Sends the heartbeat if it is time."""
        now = time.monotonic()
        if now < self._next_heartbeat:
            return
        self._next_heartbeat = now + HEARTBEAT_SECONDS
        topic = Topic(NO_SCAN, "heartbeat", "daemon")
        fields = {"scan_id": scan_id, "topics": dict(self.sequences), "utc_ns": time.time_ns()}
        self.send(topic, Heartbeat.model_validate({**self.next(topic), **fields}))

    def forget(self, scan_id: str) -> None:
        """Drops the sequences of a scan that nobody will hear of again."""
        for name in [name for name in self.sequences if name.startswith(f"{scan_id}/")]:
            del self.sequences[name]
