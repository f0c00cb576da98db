import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from livestrain_daemon.config import PublishConfig
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.sockets import MAX_REQUEST_BYTES, REQUEST_BACKLOG, Sockets
from livestrain_wire.closing import MOMENT_MS

ANY = "tcp://127.0.0.1:*"


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    bound = Sockets(PublishConfig(maps_endpoint=ANY, control_endpoint=ANY))
    yield bound
    bound.close()


@pytest.fixture
def client(sockets: Sockets) -> Iterator["zmq.Socket[bytes]"]:
    """Keeps next to nothing itself."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.set(zmq.SNDHWM, 1)
    dealer.connect(sockets.control.get_string(zmq.LAST_ENDPOINT))
    yield dealer
    context.destroy(linger=MOMENT_MS)


def test_two_images_of_the_largest_camera_get_through(sockets: Sockets, client: "zmq.Socket[bytes]") -> None:
    client.send_multipart([b"header", bytes(2 * 4096 * 4096 * 4)])
    assert sockets.control.poll(10_000)
    assert [len(part) for part in sockets.control.recv_multipart()[1:]] == [6, 1 << 27]


def test_more_than_the_largest_request_does_not_get_through(sockets: Sockets, client: "zmq.Socket[bytes]") -> None:
    client.send(bytes(MAX_REQUEST_BYTES + 1))
    assert not sockets.control.poll(500)


def test_requests_that_are_not_answered_wait_at_the_client(sockets: Sockets, client: "zmq.Socket[bytes]") -> None:
    large, sent = bytes(1 << 24), 0
    while client.poll(500, zmq.POLLOUT):
        client.send(large)
        sent += 1
        assert sent < 64, "all of it was taken"
    # what the daemon keeps, what the client keeps, and what is on the way between their buffers
    assert sent <= REQUEST_BACKLOG + 8
    for _ in range(sent):
        assert sockets.control.poll(10_000)
        sockets.control.recv_multipart()
    assert client.poll(5000, zmq.POLLOUT)


def test_all_sockets_are_bound_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sockets = Sockets(PublishConfig(maps_endpoint=ANY, control_endpoint=ANY))
    assert str(sockets.maps.get(zmq.LAST_ENDPOINT)).startswith("b'tcp://127.0.0.1:")
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    assert sockets.intake_endpoint == f"ipc://{folder}/intake"
    for one in (sockets.maps, sockets.control, sockets.intake, sockets.workers):
        assert one.getsockopt(zmq.MAXMSGSIZE) != -1
    sockets.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["maps_endpoint", "control_endpoint"])
def test_a_port_in_use_is_said_with_its_key_and_nothing_stays_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        endpoint = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        fields = {"maps_endpoint": ANY, "control_endpoint": ANY, key: endpoint}
        with pytest.raises(Unavailable, match=re.escape(f"publish.{key}: cannot listen on {endpoint}: ")):
            Sockets(PublishConfig.model_validate(fields))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("endpoint", ["tcp://nonsense:1", "tcp://203.0.113.7:1", "ipc:///no/such/folder/socket"])
def test_an_endpoint_that_cannot_be_had_is_said(endpoint: str) -> None:
    with pytest.raises(Unavailable, match=r"publish\.maps_endpoint: cannot listen"):
        Sockets(PublishConfig(maps_endpoint=endpoint, control_endpoint=ANY))
