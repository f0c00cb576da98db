"""The main process: supervises, dispatches, publishes and answers, in one loop of short steps."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from types import FrameType

import structlog
import zmq

from livestrain_daemon.children import start_intake, start_worker
from livestrain_daemon.config import Config
from livestrain_daemon.control.requests import Requests
from livestrain_daemon.control.socket import Control
from livestrain_daemon.dispatch.pool import WorkerPool
from livestrain_daemon.dispatch.queue import JobQueue, Source
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.given import read_given
from livestrain_daemon.health import HealthServer
from livestrain_daemon.housekeeping import Housekeeper, named_scans
from livestrain_daemon.intake.detectors.connection import refuse_unknown_host
from livestrain_daemon.intake.detectors.positions import read_positions
from livestrain_daemon.intake.recorded_file import RecordedFile
from livestrain_daemon.intake_link import IntakeLink
from livestrain_daemon.messages import CloseScan, IntakeReady, ResumeScan, RoomWanted, SetArmed, StopIntake
from livestrain_daemon.metrics import Metrics
from livestrain_daemon.publish.publisher import Publisher
from livestrain_daemon.readings import Readings
from livestrain_daemon.resumption import Resumption
from livestrain_daemon.retention import Limits
from livestrain_daemon.scan.scans import Scans
from livestrain_daemon.scan.surroundings import Surroundings
from livestrain_daemon.scan.values import prepare_derived
from livestrain_daemon.scanfolder import Spool
from livestrain_daemon.sockets import Sockets

log = structlog.get_logger()

MESSAGES_PER_TURN = 100
"""Acknowledgements taken before the loop looks after other things."""
METRICS_SECONDS = 0.5
STUCK_SECONDS = 5.0
"""A main loop that has not turned for so long is not healthy [s]."""


class Daemon:
    """
    Everything of one daemon, from its lock to its last message.

    Parameters
    ----------
    config
        Its configuration.
    recorded
        A file to take the one scan of this daemon from; else whatever comes, and what was begun before.

    Raises
    ------
    DaemonError
        If something that it needs is not to be had; nothing has been started then.
    """

    def __init__(self, config: Config, recorded: RecordedFile | None = None) -> None:
        self._config = config
        self._recorded = recorded
        self._armed = True
        self._stops = 0
        self._draining = False
        self._suspended = False
        self._last_turn = time.monotonic()
        self._longest_step = 0.0
        self._spool_trouble = ""
        self._next_metrics = 0.0
        self._next_patch = 0.0
        given = read_given(config.analysis)
        read_positions(config.intake.scan)
        if recorded is None:
            refuse_unknown_host(config.intake.host)
        self._spool = Spool.open(config.spool.folder)
        self._sockets = Sockets(config.publish)
        self._publisher = Publisher(self._sockets.maps)
        queue = JobQueue(self._sources)
        surroundings = Surroundings(config, given, self._publisher, queue)
        self._queue = queue
        self._scans = Scans(surroundings)
        self._metrics = Metrics()
        self._health = self._serve_health()
        self._pool = WorkerPool(self._sockets.workers, config.workers, self._start_worker)
        self._intake = IntakeLink(self._sockets.intake, self._start_intake)
        self._housekeeper = Housekeeper(
            self._spool,
            # who analyses a file does not mean other scans to go
            config.spool.limits if recorded is None else Limits(),
            self._scans,
            self._publisher,
            self._intake.send,
            named_scans(config, self._spool.folder),
        )
        self._resumption = Resumption(self._scans, self._housekeeper, self._intake.send)
        requests = Requests(self._scans, self._pool, surroundings, self._arm, self._stop_from_client, self._housekeeper)
        self._control = Control(self._sockets.control, self._publisher.epoch, requests.handle)
        self._readings = Readings(
            self._scans, self._pool, self._intake, self._publisher, self._control, self._housekeeper
        )

    @property
    def http_port(self) -> int:
        """Where metrics and health are served."""
        return self._health.port

    @property
    def worker_seconds(self) -> float:
        """That workers have been busy, all together [s]."""
        return self._pool.busy_seconds

    @property
    def workers_warm(self) -> bool:
        """True when the workers can begin."""
        return self._pool.warm

    def run(self, done: Callable[[Scans], bool] = lambda scans: False) -> None:
        """
        Turns the loop until told to stop, then drains and closes everything.

        Parameters
        ----------
        done
            Looks at the scans after every turn; once it returns true the daemon drains and ends.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        prepare_derived()
        poller = zmq.Poller()
        for socket in (self._sockets.intake, self._sockets.workers, self._sockets.control):
            poller.register(socket, zmq.POLLIN)
        log.info("serving", spool=str(self._spool.folder), http_port=self.http_port, epoch=self._publisher.epoch)
        try:
            while not self._finished:
                poller.poll(max(1, round(1000 * self._config.publish.patch_seconds / 2)))
                began = time.monotonic()
                self.turn()
                self._last_turn = time.monotonic()
                self._longest_step = max(self._longest_step, self._last_turn - began)
                if done(self._scans):
                    self._stops = max(self._stops, 1)
        finally:
            self._close()

    def turn(self) -> None:
        """One turn: take what has come, hand out what can be done, tell what is new."""
        for message in self._intake.messages():
            if isinstance(message, IntakeReady):
                self._welcome_intake()
            elif isinstance(message, RoomWanted):
                self._housekeeper.make_room(message)
            self._scans.take(message)
        self._take_acknowledgements()
        self._control.turn()
        self._intake.maintain()
        self._pool.maintain()
        self._scans.step()
        self._housekeeper.turn()
        if not self._draining:
            self._resumption.step()
        self._pool.hand_out(self._queue.next_job)
        self._publish()
        if self._stops and not self._draining:
            self._begin_to_drain()
        if self._draining and self._intake.ended and not self._suspended and not self._waits_for_last_ranges:
            self._suspended = True
            if self._recorded is None:
                self._scans.suspend()
            else:
                self._scans.finish()

    def _sources(self) -> Iterable[Source]:
        # a file can be analysed again: who stops does not wait for the rest of it
        return () if self._draining and self._recorded is not None else self._scans.sources()

    @property
    def _waits_for_last_ranges(self) -> bool:
        """The scan of a file ends with what workers have in hand."""
        return self._recorded is not None and self._pool.outstanding > 0

    def _publish(self) -> None:
        now = time.monotonic()
        if now >= self._next_patch:
            self._next_patch = now + self._config.publish.patch_seconds
            self._scans.flush()
            if self._config.spool.when_full == "wait":
                for message in self._scans.released():
                    self._intake.send(message)
            newest = self._scans.newest
            self._publisher.beat(newest.scan.id if newest else "")
        if now >= self._next_metrics:
            self._next_metrics = now + METRICS_SECONDS
            self._metrics.reading = self._readings.read(self._free_bytes(), self._longest_step)
            self._longest_step *= 0.5

    def _take_acknowledgements(self) -> None:
        for _ in range(MESSAGES_PER_TURN):
            try:
                parts = self._sockets.workers.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._pool.take(parts)

    def _welcome_intake(self) -> None:
        """Tells the intake what it could not be told before its socket was bound."""
        self._intake.send(SetArmed(armed=self._armed))
        self._scans.intake_is_new()
        if self._recorded is None:
            self._resume()
        elif self._intake.restarts:
            raise Unavailable(
                f"{self._recorded.path} was not read to its end: the intake ended; its own message says why"
            )
        if self._draining:
            self._intake.send(StopIntake())

    def _resume(self) -> None:
        newest = self._scans.newest
        if newest is not None and not newest.scan.stopped_coming:
            self._intake.send(ResumeScan(folder=str(newest.scan.folder)))
        elif newest is None:
            unfinished = self._spool.unfinished()
            if unfinished is not None:
                log.info("an unfinished scan was found", folder=str(unfinished))
                self._intake.send(ResumeScan(folder=str(unfinished)))

    # --- stopping ---

    @property
    def _finished(self) -> bool:
        if self._stops > 1:
            return True
        return self._suspended and self._pool.outstanding == 0 and self._scans.all_drained

    def _begin_to_drain(self) -> None:
        self._draining = True
        log.info("draining: what is stored will be analysed; once more to stop at once")
        self._intake.expect_exit()
        if self._recorded is not None:
            # no later daemon will go on with a file
            self._intake.send(CloseScan())
        self._intake.send(StopIntake())

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stops += 1

    def _stop_from_client(self, what: str) -> None:
        if what == "daemon":
            self._stops = max(self._stops, 1)
        else:
            self._intake.send(CloseScan())

    def _arm(self, armed: bool) -> None:
        self._armed = armed
        self._intake.send(SetArmed(armed=armed))

    def _close(self) -> None:
        self._intake.expect_exit()
        self._intake.send(StopIntake())
        self._pool.stop()
        self._pool.kill()
        self._intake.kill()
        self._housekeeper.close()
        self._scans.close()
        self._health.close()
        self._sockets.close()
        self._spool.close()
        log.info("stopped")

    # --- children and checks ---

    def _free_bytes(self) -> int:
        try:
            free = self._spool.free_bytes()
        except OSError as error:
            if not self._spool_trouble:
                self._spool_trouble = f"the spool cannot be looked at: {error}"
                log.error(self._spool_trouble)
                self._publisher.event("", "spool_gone", self._spool_trouble, "error")
            return 0
        self._spool_trouble = ""
        return free

    def _start_worker(self, identity: str) -> subprocess.Popen[bytes]:
        return start_worker(self._config, self._sockets, self._spool, identity)

    def _start_intake(self) -> subprocess.Popen[bytes]:
        return start_intake(self._config, self._sockets, self._spool, self._recorded, self._armed)

    def _serve_health(self) -> HealthServer:
        publish = self._config.publish
        try:
            return HealthServer(publish.http_host, publish.http_port, self._metrics, self._not_alive, self._not_ready)
        except Unavailable:
            self._sockets.close()
            self._spool.close()
            raise

    def _not_alive(self) -> str:
        silent = time.monotonic() - self._last_turn
        return f"the main loop has not turned for {silent:.1f} s" if silent > STUCK_SECONDS else ""

    def _not_ready(self) -> str:
        if self._spool_trouble:
            return self._spool_trouble
        if not self._intake.ready:
            return "the intake's socket is not bound"
        return "" if self._pool.warm else "the workers are not warm"
