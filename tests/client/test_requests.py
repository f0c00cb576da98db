"""Requests over a real router: replies, refusals, repeats and silence."""

import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from helpers.wire_daemon import WireDaemon
from livestrain_client.connection import new_id
from livestrain_client.errors import RequestRefused, Unavailable, UnexpectedReply
from livestrain_client.live import Live
from livestrain_client.requests import Control
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import encode
from livestrain_wire.errors import NewerProtocol
from livestrain_wire.messages import Done, StatusRequest


@pytest.fixture
def daemon() -> Iterator[WireDaemon]:
    with WireDaemon() as daemon:
        yield daemon


@pytest.fixture
def control(daemon: WireDaemon) -> Iterator[Control]:
    daemon.begin({"e_xx": np.zeros((4, 4), np.float32)})
    with Control(daemon.control_endpoint) as control:
        yield control


def free_endpoint() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def test_status_tells_the_scan(control: Control) -> None:
    status = control.status()
    assert status.scan is not None
    assert status.scan.start.scan_id == "scan-1"


def test_a_frame_and_a_pattern_come_as_arrays(control: Control) -> None:
    frame = control.frame(2, 3)
    assert frame.pixels.shape == (8, 8)
    assert frame.pixels[0, 0] == 2
    assert frame.found.column == 3
    assert control.pattern("largest").pixels.sum() == 64


def test_a_bragg_vector_map_comes_as_an_array(control: Control) -> None:
    found = control.bragg_vector_map(sampling=2)
    assert found.pixels.shape == (16, 16)
    assert found.pixels.sum() == found.about.intensity == 256.0


def test_a_calibration_sends_the_vacuum_probe_along(daemon: WireDaemon, control: Control) -> None:
    probe = np.eye(8)
    assert control.calibrate(vacuum_probe=probe).revision is None
    assert np.frombuffer(daemon.payloads[-1], "<f4").reshape(8, 8).tolist() == probe.tolist()
    assert control.calibrate(apply=True, positions=[1, 2]).revision == 2


def test_references_plans_and_switches_are_replied_to(daemon: WireDaemon, control: Control) -> None:
    reply = control.reference(region=(0, 0, 2, 2))
    assert (reply.previous, reply.reference.revision) == (1, 2)
    assert control.set_plan({"detectors": []}, based_on=1).revision == 1
    assert control.reanalyse(based_on=1).revision == 1
    control.arm(False)
    assert not daemon.armed
    control.stop("scan")


def test_a_refusal_carries_the_reason() -> None:
    with WireDaemon() as daemon, Control(daemon.control_endpoint) as control:
        with pytest.raises(RequestRefused, match="no scan yet") as refusal:
            control.frame(0, 0)
        assert refusal.value.reason == "no_scan"


def test_nobody_there_is_said_in_time_naming_the_endpoint() -> None:
    endpoint = free_endpoint()
    begin = time.monotonic()
    with Control(endpoint, deadline=0.3) as control, pytest.raises(Unavailable, match=endpoint):
        control.calibrate()
    with pytest.raises(Unavailable, match=endpoint), Live(free_endpoint(), endpoint, deadline=0.3):
        pass
    assert time.monotonic() - begin < 3


def test_an_endpoint_that_is_no_address_is_said() -> None:
    with pytest.raises(Unavailable, match="nonsense"):
        Control("nonsense")


def test_a_request_without_a_reply_is_sent_again_with_its_id(daemon: WireDaemon) -> None:
    daemon.deaf = True
    with Control(daemon.control_endpoint, deadline=0.5, repeat=0.1) as control, pytest.raises(Unavailable):
        control.status()
    ids = [request.id for request in daemon.requests]
    assert len(ids) > 2
    assert len(set(ids)) == 1


def test_a_daemon_that_starts_late_is_waited_for() -> None:
    with WireDaemon() as daemon:
        daemon.stop()
        with Control(daemon.control_endpoint, deadline=10) as control:
            daemon.start()
            assert control.status().epoch == daemon.epoch


@pytest.fixture
def router() -> Iterator["zmq.Socket[bytes]"]:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.setsockopt(zmq.LINGER, MOMENT_MS)
        router.bind("tcp://127.0.0.1:*")
        yield router


def answer(router: "zmq.Socket[bytes]", *answers: bytes) -> None:
    """Answer a request that waits at the router already."""
    assert router.poll(5000)
    sender = router.recv_multipart()[0]
    for part in answers:
        router.send_multipart([sender, part])


def test_garbage_and_replies_to_others_are_passed_over(router: "zmq.Socket[bytes]") -> None:
    request = StatusRequest(id=new_id())
    with Control(router.getsockopt_string(zmq.LAST_ENDPOINT), deadline=5) as control:
        assert control._socket.socket.poll(5000, zmq.POLLOUT)
        control._socket.send(request)
        other, ours = Done(id="other", epoch="a"), Done(id=request.id, epoch="a")
        answer(router, b"\xc1", encode(other), encode(ours))
        assert control.request(request).reply == ours


def test_a_reply_of_another_kind_is_refused(router: "zmq.Socket[bytes]", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livestrain_client.requests.new_id", lambda: "fixed")
    with Control(router.getsockopt_string(zmq.LAST_ENDPOINT), deadline=5) as control:
        assert control._socket.socket.poll(5000, zmq.POLLOUT)
        control._socket.send(StatusRequest(id="fixed"))
        answer(router, encode(Done(id="fixed", epoch="a")))
        with pytest.raises(UnexpectedReply, match="StatusReply"):
            control.status()


def test_a_newer_protocol_is_refused_by_name(router: "zmq.Socket[bytes]") -> None:
    request = StatusRequest(id="1")
    with Control(router.getsockopt_string(zmq.LAST_ENDPOINT), deadline=5) as control:
        assert control._socket.socket.poll(5000, zmq.POLLOUT)
        control._socket.send(request)
        answer(router, encode(Done(id="1", epoch="a", v=2)))
        with pytest.raises(NewerProtocol, match="version 1"):
            control.request(request)
