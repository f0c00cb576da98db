"""
The daemon's side of the wire over real sockets, from arrays: for tests of clients.

It keeps the contract's rules: sequences per topic, a heartbeat, snapshots of acknowledged positions in chunks, a new
epoch after each start. It can also break the network: withhold what it publishes, refuse, and restart.
"""

import queue
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

import numpy as np
import zmq
from numpy.typing import NDArray

from helpers.waiting import wait_until
from helpers.wire_messages import Reason, ended_of, plan_of, progress_of, values_of
from helpers.wire_replies import reply_to
from helpers.wire_scan import WireScan
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import decode, encode
from livestrain_wire.errors import WireError
from livestrain_wire.messages import (
    REQUESTS,
    Event,
    Heartbeat,
    MapInfo,
    MapPatch,
    MapWhole,
    PlanChanged,
    Progress,
    Published,
    ReferenceInfo,
    RefusalReason,
    Request,
    Run,
    ScanEnded,
    ScanEntry,
    ScanStart,
    ScanStarted,
)


class WireDaemon:
    """
    A daemon without detector, disk and analysis.

    Parameters
    ----------
    heartbeat_seconds
        Time between heartbeats [s].
    largest_chunk
        Snapshot replies cover at most so many positions.
    """

    def __init__(self, heartbeat_seconds: float = 0.05, largest_chunk: int = 1 << 20) -> None:
        self.withheld: Callable[[Published], bool] = lambda _message: False
        """Published messages that are counted and never sent."""
        self.refusals: list[RefusalReason] = []
        """The next requests for a snapshot are refused for these reasons."""
        self.requests: list[Request] = []
        """Every request that came."""
        self.payloads: list[bytes] = []
        self.deaf = False
        """True: requests come and are not answered."""
        self.silent = False
        """True: no heartbeats."""
        self.last_refusal = ""
        self.armed = True
        self.reference: ReferenceInfo | None = None
        """Told with the status."""
        self.scan: WireScan | None = None
        self.history: list[ScanEntry] = []
        """The scans of its spool, the newest first."""
        self._heartbeat_seconds = heartbeat_seconds
        self.largest_chunk = largest_chunk
        self._calls: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = queue.SimpleQueue()
        self.maps_endpoint = self.control_endpoint = "tcp://127.0.0.1:*"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._context.term()

    def start(self) -> None:
        """Bind and serve, in a thread, under a new epoch."""
        self.epoch = uuid.uuid4().hex[:12]
        self.sequences: dict[str, int] = {}
        self._publisher = self._bind(zmq.PUB, self.maps_endpoint)
        self._router = self._bind(zmq.ROUTER, self.control_endpoint)
        self.maps_endpoint = self._publisher.getsockopt_string(zmq.LAST_ENDPOINT)
        self.control_endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self._stopping = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        """Vanish, as after a crash; what is known of the scan stays, as on the disk."""
        self._stopping = True
        self._thread.join()
        self._publisher.close(0)
        self._router.close(0)

    def restart(self, forget: bool = False) -> None:
        """Vanish and come back on the same ports; the scan goes on unless it is forgotten."""
        self.stop()
        if forget:
            self.scan = None
        self.start()
        if self.scan is not None:
            self._call(self._announce)

    def begin(
        self, maps: Mapping[str, NDArray[Any]], scan_id: str = "scan-1", derived: tuple[str, ...] = ("e_xx",)
    ) -> WireScan:
        """Start a scan whose maps will have these values, shifted by the plan and reference revisions."""
        shape = next(iter(maps.values())).shape[:2]
        start = ScanStart(scan_id=scan_id, scan_shape=(shape[0], shape[1]), frame_shape=(8, 8), dtype="uint16")
        infos = tuple(
            MapInfo(name=name, shape=values.shape[2:], dtype=str(values.dtype), derived=name in derived)
            for name, values in maps.items()
        )
        started = ScanStarted(
            epoch=self.epoch, sequence=0, start=start, folder=f"/spool/{scan_id}", started_ns=1, recording=True
        )
        self.scan = scan = WireScan(start, dict(maps), infos, started, known=np.zeros(shape[0] * shape[1], np.bool_))
        self._call(self._announce)
        return scan

    def resume(self, scan: WireScan) -> None:
        """Go on with a scan that was forgotten."""
        self.scan = scan
        self._call(self._announce)

    def acknowledge(self, *runs: Run) -> None:
        """These positions are analysed: a patch of every map, then the progress."""
        self._call(lambda: self._patch(runs))

    def acknowledge_each(self, *runs: Run) -> None:
        """As `acknowledge`, with patches of their own for every run."""

        def patch_each() -> None:
            for run in runs:
                self._patch((run,))

        self._call(patch_each)

    def refer_anew(self, parts: int = 3) -> None:
        """Another reference: every derived map is published again, in parts."""
        self._call(lambda: self.republish(parts))

    def replan(self) -> None:
        """A new plan revision, nothing acknowledged under it yet."""
        self._call(self._replan)

    def tell(self, text: str, name: str = "note") -> None:
        """Publish an event."""
        scan_id = self._scan.start.scan_id
        self._call(
            lambda: self._publish_only(
                "event", name, Event(epoch="", sequence=0, scan_id=scan_id, name=name, text=text, utc_ns=1)
            )
        )

    def end(self, reason: Reason = "complete") -> None:
        """The scan is final."""
        self._call(lambda: self._end(reason))

    def publish_raw(self, *parts: bytes) -> None:
        """Publish anything."""
        self._call(lambda: self._send(parts))

    @property
    def _scan(self) -> WireScan:
        assert self.scan is not None, "begin a scan first"
        return self.scan

    def _bind(self, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, MOMENT_MS)
        socket.setsockopt(zmq.SNDHWM, 0)

        def bound() -> bool:
            try:
                socket.bind(endpoint)
            except zmq.ZMQError:
                # The port of the start before is not free yet.
                return False
            return True

        wait_until(bound, 10, f"a free port at {endpoint}")
        return socket

    def _call(self, action: Callable[[], None]) -> None:
        """Run in the serving thread, which alone touches the sockets."""
        done: Future[None] = Future()
        self._calls.put((action, done))
        done.result(timeout=20)

    def _serve(self) -> None:
        next_beat = 0.0
        while not self._stopping:
            while not self._calls.empty():
                action, done = self._calls.get()
                try:
                    action()
                    done.set_result(None)
                except Exception as error:
                    done.set_exception(error)
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + self._heartbeat_seconds
                self._beat()
            while self._router.poll(2):
                self._answer(self._router.recv_multipart())

    def _publish(self, kind: str, name: str, message: Published, payload: bytes | None = None) -> Published:
        scan_id = "_" if isinstance(message, Heartbeat) else self._scan.start.scan_id
        topic = f"{scan_id}/{kind}/{name}"
        sequence = self.sequences[topic] = self.sequences.get(topic, 0) + 1
        sent = message.model_copy(update={"epoch": self.epoch, "sequence": sequence})
        if not self.withheld(sent):
            self._publisher.send_multipart([topic.encode(), encode(sent), *([] if payload is None else [payload])])
        return sent

    def _publish_only(self, kind: str, name: str, message: Published) -> None:
        self._publish(kind, name, message)

    def _send(self, parts: tuple[bytes, ...]) -> None:
        self._publisher.send_multipart(parts)

    def _beat(self) -> None:
        if self.silent:
            return
        scan_id = "" if self.scan is None else self.scan.start.scan_id
        self._publish(
            "heartbeat",
            "daemon",
            Heartbeat(epoch="", sequence=0, scan_id=scan_id, topics=dict(self.sequences), utc_ns=1),
        )

    def _announce(self) -> None:
        scan = self._scan
        sent = self._publish("scan", "start", scan.started)
        assert isinstance(sent, ScanStarted)
        scan.started = sent
        self._tell_plan()
        self._tell_progress()
        if scan.ended is not None:
            self._end(scan.ended.reason)

    def _tell_plan(self) -> None:
        scan = self._scan
        sent = self._publish("plan", "current", plan_of(scan))
        assert isinstance(sent, PlanChanged)
        scan.plan = sent

    def _tell_progress(self) -> None:
        scan = self._scan
        sent = self._publish("progress", "counts", progress_of(scan))
        assert isinstance(sent, Progress)
        scan.progress = sent

    def _patch(self, runs: tuple[Run, ...]) -> None:
        scan = self._scan
        for first, count in runs:
            scan.known[first : first + count] = True
        for info in scan.infos:
            self._publish("map", info.name, values_of(MapPatch, scan, info, runs), scan.payload(info, runs))
        self._tell_progress()

    def republish(self, parts: int) -> None:
        """As `refer_anew`, from the serving thread."""
        scan = self._scan
        scan.reference_revision += 1
        step = -(-scan.known.size // parts)
        for info in scan.infos:
            if not info.derived:
                continue
            for first in range(0, scan.known.size, step):
                runs = scan.known_runs(first, step)
                self._publish(
                    "map", info.name, values_of(MapWhole, scan, info, runs, first=first == 0), scan.payload(info, runs)
                )

    def _replan(self) -> None:
        scan = self._scan
        scan.revision += 1
        scan.known[:] = False
        scan.ended = None
        self._tell_plan()
        self._tell_progress()

    def _end(self, reason: Reason) -> None:
        scan = self._scan
        scan.ended = ended = ended_of(scan, reason)
        self._tell_progress()
        sent = self._publish("scan", "end", ended)
        assert isinstance(sent, ScanEnded)
        scan.ended = sent

    def _answer(self, parts: list[bytes]) -> None:
        try:
            request = decode(parts[1], REQUESTS)
        except WireError:
            return
        assert isinstance(request, Request)
        self.requests.append(request)
        self.payloads.append(parts[2] if len(parts) > 2 else b"")
        if self.deaf:
            return
        reply, payload = reply_to(self, request)
        self._router.send_multipart([parts[0], encode(reply), *([] if payload is None else [payload])])
