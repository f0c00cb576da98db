from collections.abc import Iterator

import pytest
import zmq

from daemon.control.clients import EPOCH, Counter, reply_of
from helpers.hostile import hostile_headers
from helpers.waiting import wait_until
from livestrain_daemon.control.socket import REMEMBERED, REQUESTS_PER_TURN, Answer
from livestrain_wire.codec import encode
from livestrain_wire.messages import (
    ArmRequest,
    BraggVectorMapRequest,
    Done,
    FrameRequest,
    PatternRequest,
    PlanRequest,
    Refused,
    Request,
    SnapshotRequest,
    StatusRequest,
    StopRequest,
)


class Doer:
    """Answers at once, with the number of requests so far and the payload."""

    def __init__(self) -> None:
        self.handled: list[Request] = []
        self.later: list[tuple[Request, Answer]] = []
        self.wait = False

    def handle(self, request: Request, payload: bytes, answer: Answer) -> None:
        self.handled.append(request)
        if isinstance(request, PlanRequest) and request.changes.get("explode"):
            raise ZeroDivisionError("nobody has thought of this")
        if self.wait:
            self.later.append((request, answer))
        else:
            answer(Done(id=request.id, epoch=str(len(self.handled))), payload)


@pytest.fixture
def doer() -> Doer:
    return Doer()


@pytest.fixture
def counter(doer: Doer) -> Iterator[Counter]:
    with Counter(doer.handle) as one:
        yield one


def test_a_request_is_answered_with_its_id_and_payload(counter: Counter) -> None:
    reply, payload = counter.ask(counter.client(), ArmRequest(id="42"), b"probe")
    assert reply == Done(id="42", epoch="1")
    assert payload == [b"probe"]


def test_a_plain_request_socket_with_its_empty_delimiter_is_answered(counter: Counter) -> None:
    client = counter.client(zmq.REQ)
    for number in range(3):
        reply, _ = counter.ask(client, StatusRequest(id=str(number)))
        assert reply.id == str(number)


def test_a_plain_request_socket_is_told_what_is_wrong(counter: Counter) -> None:
    client = counter.client(zmq.REQ)
    client.send(b"junk")
    reply, _ = reply_of(counter.wait(client))
    assert isinstance(reply, Refused)
    assert (reply.id, reply.reason, reply.epoch) == ("", "bad_request", EPOCH)


def test_a_repeated_change_is_made_once_and_answered_the_same(counter: Counter, doer: Doer) -> None:
    client = counter.client()
    request = StopRequest(id="7", what="scan")
    replies = [counter.ask(client, request, b"x") for _ in range(3)]
    assert replies == [replies[0]] * 3
    assert doer.handled == [request]


def test_a_repeated_change_from_a_client_that_has_reconnected_is_answered(counter: Counter, doer: Doer) -> None:
    first, _ = counter.ask(counter.client(), ArmRequest(id="7"))
    second, _ = counter.ask(counter.client(), ArmRequest(id="7"))
    assert first == second
    assert len(doer.handled) == 1


def test_a_look_is_answered_anew_each_time(counter: Counter, doer: Doer) -> None:
    client = counter.client()
    replies = [counter.ask(client, FrameRequest(id="7", row=0, column=0))[0] for _ in range(3)]
    assert [reply.epoch for reply in replies] == ["1", "2", "3"]
    assert len(doer.handled) == 3


def test_a_client_gets_one_bragg_vector_map_of_a_scan_at_a_time(counter: Counter, doer: Doer) -> None:
    doer.wait = True
    client, other = counter.client(), counter.client()
    client.send(encode(BraggVectorMapRequest(id="1")))
    counter.turn_until(lambda: doer.later, "the request")
    refused, _ = counter.ask(client, BraggVectorMapRequest(id="2", sampling=2))
    assert isinstance(refused, Refused)
    assert (refused.id, refused.reason, "in work" in refused.text) == ("2", "bad_request", True)
    other.send(encode(BraggVectorMapRequest(id="3")))
    client.send(encode(BraggVectorMapRequest(id="4", scan_id="b")))
    counter.turn_until(lambda: len(doer.later) == 3, "those of another client and scan")
    for request, answer in doer.later:
        answer(Done(id=request.id, epoch="late"))
    assert {reply_of(counter.wait(client))[0].id for _ in range(2)} == {"1", "4"}
    doer.wait = False
    assert isinstance(counter.ask(client, BraggVectorMapRequest(id="2", sampling=2))[0], Done)


def test_a_request_for_a_map_that_is_repeated_in_work_is_answered_once_and_then_anew(
    counter: Counter, doer: Doer
) -> None:
    doer.wait = True
    client = counter.client()
    for _ in range(2):
        client.send(encode(BraggVectorMapRequest(id="1")))
    counter.turn_until(lambda: counter.control.requests == 2, "both")
    ((request, answer),) = doer.later
    answer(Done(id=request.id, epoch="late"))
    assert reply_of(counter.wait(client))[0].epoch == "late"
    assert not client.poll(0)
    doer.wait = False
    assert counter.ask(client, BraggVectorMapRequest(id="1"))[0].epoch == "2"


def test_replies_to_looks_are_not_remembered(counter: Counter) -> None:
    client = counter.client()
    looks = [StatusRequest(id="1"), FrameRequest(id="2", row=0, column=0), BraggVectorMapRequest(id="3")]
    for request in [*looks, SnapshotRequest(id="4", scan_id="a", name="b"), PatternRequest(id="5")]:
        counter.ask(client, request)
    assert (counter.control._replies, counter.control._route) == ({}, {})
    counter.ask(client, ArmRequest(id="6"))
    assert len(counter.control._replies) == 1


def test_the_same_id_of_another_kind_is_another_request(counter: Counter, doer: Doer) -> None:
    client = counter.client()
    counter.ask(client, ArmRequest(id="7"))
    counter.ask(client, StopRequest(id="7"))
    assert len(doer.handled) == 2


def test_the_same_id_with_other_wishes_is_another_request(counter: Counter, doer: Doer) -> None:
    counter.ask(counter.client(), StopRequest(id="1", what="scan"))
    counter.ask(counter.client(), StopRequest(id="1", what="daemon"))
    counter.ask(counter.client(), StopRequest(id="1", what="daemon"), b"payload")
    assert len(doer.handled) == 3


def test_a_request_repeated_while_it_is_worked_on_is_answered_once_where_it_came_from_last(
    counter: Counter, doer: Doer
) -> None:
    doer.wait = True
    first, second = counter.client(), counter.client()
    first.send(encode(ArmRequest(id="7")))
    counter.turn_until(lambda: doer.later, "the request")
    second.send(encode(ArmRequest(id="7")))
    counter.turn_until(lambda: counter.control.requests == 2, "its repetition")
    ((request, answer),) = doer.later
    answer(Done(id=request.id, epoch="late"))
    assert reply_of(counter.wait(second))[0].epoch == "late"
    assert not first.poll(0)


def test_a_reply_to_a_client_that_has_gone_harms_nobody(counter: Counter, doer: Doer) -> None:
    doer.wait = True
    gone = counter.client()
    gone.send(encode(StatusRequest(id="1")))
    counter.turn_until(lambda: doer.later, "the request")
    gone.close(0)
    doer.later[0][1](Done(id="1", epoch=""))
    doer.wait = False
    assert counter.ask(counter.client(), StatusRequest(id="2"))[0].id == "2"


def test_only_so_many_replies_are_remembered(counter: Counter, doer: Doer) -> None:
    client = counter.client()
    for number in range(REMEMBERED + 1):
        counter.ask(client, ArmRequest(id=f"n{number}"))
    assert len(counter.control._replies) == len(counter.control._route) == REMEMBERED
    counter.ask(client, ArmRequest(id=f"n{REMEMBERED}"))
    assert len(doer.handled) == REMEMBERED + 1
    counter.ask(client, ArmRequest(id="n0"))
    assert len(doer.handled) == REMEMBERED + 2


def test_a_turn_takes_only_so_many_requests(counter: Counter, doer: Doer) -> None:
    client = counter.client()
    for number in range(3 * REQUESTS_PER_TURN):
        client.send(encode(StatusRequest(id=f"n{number}")))
    largest = 0

    def all_done() -> bool:
        nonlocal largest
        before = len(doer.handled)
        counter.control.turn()
        largest = max(largest, len(doer.handled) - before)
        return len(doer.handled) == 3 * REQUESTS_PER_TURN

    wait_until(all_done, what="all requests")
    assert largest <= REQUESTS_PER_TURN


def test_a_request_that_raises_is_refused_and_the_next_is_met(counter: Counter) -> None:
    client = counter.client()
    reply, _ = counter.ask(client, PlanRequest(id="1", based_on=1, changes={"explode": True}))
    assert isinstance(reply, Refused)
    assert (reply.id, reply.reason, reply.text) == (
        "1",
        "internal",
        "ZeroDivisionError: nobody has thought of this",
    )
    assert counter.ask(client, PlanRequest(id="2", based_on=1, changes={}))[0] == Done(id="2", epoch="2")


def test_every_hostile_message_is_refused_and_counted(counter: Counter, doer: Doer) -> None:
    corpus = [packed for name, packed in hostile_headers() if name != "a request"]
    client = counter.client()
    for packed in corpus:
        client.send_multipart([packed])
        client.send_multipart([packed, b"payload", b"and more"])
    # a REQ socket's delimiter, and nothing, or nothing but nothing behind it
    shapes = [[b""], [b"", b""], [b"", b"", b""], [b"", b"junk"], [b""] * 50, [b"junk", b""]]
    for parts in shapes:
        client.send_multipart(parts)
    count = 2 * len(corpus) + len(shapes)
    refused = 0
    while refused < count:
        parts = counter.wait(client)
        reply, _ = reply_of(parts[1:] if parts[0] == b"" else parts)
        assert isinstance(reply, Refused)
        assert (reply.id, reply.reason) == ("", "bad_request")
        assert "\n" not in reply.text
        refused += 1
    assert (counter.control.garbage, counter.control.requests, doer.handled) == (count, 0, [])
    assert counter.ask(client, StatusRequest(id="still there"))[0].id == "still there"
