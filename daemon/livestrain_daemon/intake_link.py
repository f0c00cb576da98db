"""Main's end of the line to the intake process, which it starts, and starts again if it ends."""

import subprocess
import time
from collections.abc import Callable, Iterator

import structlog
import zmq

from livestrain_daemon.errors import StorageError, Unavailable
from livestrain_daemon.messages import FROM_INTAKE, IntakeFailed, IntakeReady
from livestrain_daemon.processes import EXIT_IO, bytes_moved, how_it_ended
from livestrain_wire.codec import decode, encode
from livestrain_wire.errors import WireError
from livestrain_wire.messages import Message

log = structlog.get_logger()

MESSAGES_PER_TURN = 200
"""So many messages are taken before the loop looks after other things."""
START_SECONDS = 60.0
"""An intake that is not ready and has neither read nor written anything for so long is taken for hung [s]."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 5.0
"""Before it is started again; twice as long each time while it keeps ending early [s]."""
LAST_WORDS_MS = 500
"""So long is waited for the reason of an intake that could not start [ms]."""
EARLY_SECONDS = 10.0
"""An intake that ends so soon after its start has ended early [s]."""


class IntakeLink:
    """
    The intake process and the messages to and from it.

    Parameters
    ----------
    socket
        ROUTER that the intake connects to.
    start
        Starts the intake process.
    start_seconds
        How long it may do nothing before it is ready; to make a large ring takes longer, but is not nothing [s].
    """

    def __init__(
        self,
        socket: "zmq.Socket[bytes]",
        start: Callable[[], subprocess.Popen[bytes]],
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._socket = socket
        self._start = start
        self._identity = b""
        self._stopping = False
        self._start_seconds = start_seconds
        self._was_ready = False
        self._doomed = ""
        self._wait = FIRST_WAIT_SECONDS
        self._due: float | None = None
        self._started = time.monotonic()
        self._moved = (0, self._started)
        self._process = start()
        self.restarts = 0
        """Times that the intake ended unasked and was started again."""

    @property
    def ready(self) -> bool:
        """True while the frames socket is bound."""
        return bool(self._identity)

    def messages(self) -> Iterator[Message]:
        """
        What the intake has said since.

        Raises
        ------
        StorageError
            If it could not start because of the spool or the ring.
        Unavailable
            If it could not start for another reason, or the detector can never work.
        """
        for _ in range(MESSAGES_PER_TURN):
            try:
                identity, packed, *_ = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                message: Message = decode(packed, FROM_INTAKE)
            except WireError as error:  # a hint lost does no harm, the ledger is the truth
                log.error("could not read a message of the intake", error=str(error))
                continue
            if isinstance(message, IntakeFailed):
                self._hear_failure(message)
            elif isinstance(message, IntakeReady) and self._due is None:
                self._identity = identity
                self._was_ready = True
            yield message

    def send(self, message: Message) -> None:
        """A command to the intake."""
        if self._identity:
            self._socket.send_multipart([self._identity, encode(message)])

    def maintain(self) -> None:
        """
        Starts the intake again if it has ended, and ends it if it hangs at its start.

        Raises
        ------
        StorageError
            If the first one ended before it was ready, because of the spool or the ring.
        Unavailable
            If the first one ended before it was ready for another reason.
        """
        now = time.monotonic()
        if self._process.poll() is None:
            self._end_if_hung(now)
        elif self._stopping:
            return
        elif self._due is None:
            self._plan_restart(now)
        elif now >= self._due:
            self._start_again(now)

    def _hear_failure(self, failure: IntakeFailed) -> None:
        if self._stopping:
            return
        if self._was_ready and not self._identity:
            # that may be better at the next start
            log.error("the intake could not start", reason=failure.reason)
            return
        reason = failure.reason if self._was_ready else f"the intake could not start: {failure.reason}"
        raise (StorageError if failure.storage else Unavailable)(reason)

    def _plan_restart(self, now: float) -> None:
        how = self._doomed or how_it_ended(self._process.returncode)
        if not self._was_ready:
            # what it has said last may still be on its way
            self._socket.poll(LAST_WORDS_MS)
            for _ in self.messages():
                pass
            kind = StorageError if self._process.returncode == EXIT_IO else Unavailable
            raise kind(f"the intake could not start: it {how}")
        early = self.restarts > 0 and now - self._started < EARLY_SECONDS
        self._wait = min(2 * self._wait, LONGEST_WAIT_SECONDS) if early else FIRST_WAIT_SECONDS
        log.error("the intake ended and is started again", how=how, after_seconds=self._wait)
        self._identity = b""
        self._due = now + self._wait

    def _start_again(self, now: float) -> None:
        try:
            process = self._start()
        except OSError as error:
            self._wait = min(2 * self._wait, LONGEST_WAIT_SECONDS)
            self._due = now + self._wait
            log.error("the intake could not be started", reason=str(error), after_seconds=self._wait)
            return
        self._process, self._started, self._moved = process, now, (0, now)
        self._doomed, self._due = "", None
        self.restarts += 1

    def _end_if_hung(self, now: float) -> None:
        if self._identity or self._doomed:
            return
        moved = bytes_moved(self._process.pid)
        if moved != self._moved[0]:
            self._moved = (moved, now)
        elif now - self._moved[1] > self._start_seconds:
            self._doomed = f"was not ready and did nothing for {self._start_seconds:g} s"
            self._process.kill()

    def expect_exit(self) -> None:
        """From now on its end is no accident."""
        self._stopping = True

    @property
    def ended(self) -> bool:
        """True when the process is gone."""
        return self._process.poll() is not None

    def kill(self, seconds: float = 5.0) -> None:
        """Ends what has not exited by itself after a while, and reaps it; who is not ready yet has heard no command."""
        if not self._identity:
            self._process.kill()
        deadline = time.monotonic() + seconds
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
