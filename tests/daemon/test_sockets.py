import re
import socket
from pathlib import Path

import pytest
import zmq

from livestrain_daemon.config import PublishConfig
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.sockets import Sockets

ANY = "tcp://127.0.0.1:*"


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
