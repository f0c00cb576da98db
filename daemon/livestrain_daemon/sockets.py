"""The daemon's sockets, bound where the configuration says or refused in one line."""

import shutil
import tempfile
from pathlib import Path

import zmq

from livestrain_daemon.config import PublishConfig
from livestrain_daemon.errors import Unavailable

MAX_REQUEST_BYTES = 1 << 28
"""A vacuum probe is the largest thing that a client may send [bytes]."""
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
            self.maps = self._bound(zmq.PUB, config.maps_endpoint, "publish.maps_endpoint")
            self.control = self._bound(zmq.ROUTER, config.control_endpoint, "publish.control_endpoint")
            self.intake_endpoint = f"ipc://{self._folder}/intake"
            self.workers_endpoint = f"ipc://{self._folder}/workers"
            self.intake = self._bound(zmq.ROUTER, self.intake_endpoint, "intake")
            self.workers = self._bound(zmq.ROUTER, self.workers_endpoint, "workers")
        except Unavailable:
            self.close()
            raise

    def close(self) -> None:
        """Sends what is on its way, for a moment, and gives everything back."""
        self._context.destroy(linger=1000)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _bound(self, kind: int, endpoint: str, key: str) -> Socket:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 1000)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES if kind == zmq.ROUTER else 1 << 16)
        if kind == zmq.PUB:
            socket.setsockopt(zmq.SNDHWM, SUBSCRIBER_BACKLOG)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise Unavailable(f"{key}: cannot listen on {endpoint}: {error.strerror}") from error
        return socket
