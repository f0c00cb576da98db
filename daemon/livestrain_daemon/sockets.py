"""The daemon's sockets, bound where the configuration says or refused in one line."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import zmq

from livestrain_daemon.config import PublishConfig
from livestrain_daemon.errors import Unavailable

MAX_REQUEST_BYTES = (1 << 27) + (1 << 20)
"""A vacuum probe and a ring, each 4096 x 4096 float32, are the most that a client may send at once [bytes]."""
MAX_INTERNAL_BYTES = 1 << 28
"""A summed pattern is the largest thing that a child may send [bytes]."""
MAX_SUBSCRIPTION_BYTES = 1 << 16
REQUEST_BACKLOG = 16
"""Requests kept of each client; beyond, it has to wait until some are answered."""
REPLY_BACKLOG = 64
"""Replies kept for a slow client; beyond, it loses some and asks again."""
SUBSCRIBER_BACKLOG = 2000
"""Messages kept for a slow subscriber; beyond, it loses some and asks again."""

Context = zmq.Context["zmq.Socket[bytes]"]
Socket = zmq.Socket[bytes]


class Sockets:
    """
    All sockets of the main process.

    Parameters
    ----------
    config
        Where the public ones are bound.

    Raises
    ------
    Unavailable
        If an endpoint cannot be had; names the key.
    """

    def __init__(self, config: PublishConfig) -> None:
        self._context: Context = zmq.Context()
        self._folder = Path(tempfile.mkdtemp(prefix="livestrain-"))
        try:
            maps_limits = {zmq.MAXMSGSIZE: MAX_SUBSCRIPTION_BYTES, zmq.SNDHWM: SUBSCRIBER_BACKLOG}
            self.maps = self._bound(zmq.PUB, config.maps_endpoint, "publish.maps_endpoint", maps_limits)
            control_limits = {
                zmq.MAXMSGSIZE: MAX_REQUEST_BYTES,
                zmq.RCVHWM: REQUEST_BACKLOG,
                zmq.SNDHWM: REPLY_BACKLOG,
            }
            self.control = self._bound(zmq.ROUTER, config.control_endpoint, "publish.control_endpoint", control_limits)
            internal_limits = {zmq.MAXMSGSIZE: MAX_INTERNAL_BYTES}
            self.intake_endpoint = f"ipc://{self._folder}/intake"
            self.workers_endpoint = f"ipc://{self._folder}/workers"
            self.intake = self._bound(zmq.ROUTER, self.intake_endpoint, "intake", internal_limits)
            self.workers = self._bound(zmq.ROUTER, self.workers_endpoint, "workers", internal_limits)
        except Unavailable:
            self.close()
            raise

    def close(self) -> None:
        """Sends what is on its way, for a moment, and gives everything back."""
        self._context.destroy(linger=1000)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _bound(self, kind: int, endpoint: str, key: str, limits: Mapping[zmq.SocketOption, int]) -> Socket:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 1000)
        for option, limit in limits.items():
            socket.setsockopt(option, limit)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise Unavailable(f"{key}: cannot listen on {endpoint}: {error.strerror}") from error
        return socket
