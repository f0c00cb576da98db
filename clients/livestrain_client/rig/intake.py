"""An intake without a daemon around it, and a detector that sends it packed frames: two processes to measure."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import psutil
import zmq

from livestrain_client.errors import Unavailable
from livestrain_client.rig.load import cpu_seconds
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import decode
from livestrain_wire.errors import WireError
from livestrain_wire.messages import Count, Message, Run, by_type

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""As the daemon starts its processes."""
START_SECONDS = 120.0
SILENCE_SECONDS = 60.0
STOP_SECONDS = 10.0

T = TypeVar("T", bound=Message)


class Ready(Message):
    """Frames are taken."""

    type: Literal["intake_ready"] = "intake_ready"


class Opened(Message):
    """A scan has begun."""

    type: Literal["scan_opened"] = "scan_opened"


class Stored(Message):
    """Frames are in the scan folder."""

    type: Literal["stored"] = "stored"
    runs: tuple[Run, ...]


class Closed(Message):
    """A scan is over."""

    type: Literal["scan_closed"] = "scan_closed"
    stored: Count
    faults: dict[str, Count]


HEARD = by_type(Ready, Opened, Stored, Closed)
"""What is listened to of all that an intake tells."""


@dataclass(frozen=True)
class Taken:
    """How an intake took a scan."""

    frames: int
    """Stored from the first hint to the last; from the beginning of the scan, where one hint tells of all."""
    seconds: float
    """That this took [s]."""
    processor_seconds: float
    """Of the intake for the whole scan [s]."""
    faults: dict[str, int]


class IntakeProcess:
    """
    An intake in a ``with`` block.

    Parameters
    ----------
    folder
        For its spool and what it says.
    intake
        Its section of the configuration.
    spool
        Likewise, but for the folder.
    """

    def __init__(self, folder: Path, intake: dict[str, Any], spool: dict[str, Any]) -> None:
        self._folder = folder
        (folder / "spool").mkdir(parents=True)
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
        self._socket.set(zmq.LINGER, MOMENT_MS)
        endpoint = f"ipc://{folder}/main"
        self._socket.bind(endpoint)
        self._settings = {
            "intake": intake,
            "spool": {**spool, "folder": str(folder / "spool")},
            "main_endpoint": endpoint,
            "parent_pid": os.getpid(),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self._folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "livestrain_daemon.intake", json.dumps(self._settings)]
            self._process = subprocess.Popen(command, stderr=log, env={**os.environ, **ONE_THREAD})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        self._socket.close()

    def wait_until_ready(self) -> None:
        """
        Return when frames are taken.

        Raises
        ------
        Unavailable
            If that does not happen.
        """
        deadline = time.monotonic() + START_SECONDS
        while not isinstance(self._next(deadline), Ready):
            pass

    def scan(self, frames: int) -> Taken:
        """
        Follow a scan to its end.

        Parameters
        ----------
        frames
            That were sent.

        Raises
        ------
        Unavailable
            If nothing comes for a minute.
        """
        process = psutil.Process(self._process.pid) if self._process else psutil.Process()
        worked = cpu_seconds(process)
        times: list[float] = []
        counts: list[int] = []
        begun = 0.0
        while not isinstance(message := self._next(time.monotonic() + SILENCE_SECONDS), Closed):
            if isinstance(message, Opened):
                begun = time.monotonic()
            elif isinstance(message, Stored):
                times.append(time.monotonic())
                counts.append(sum(count for _, count in message.runs))
        if not times or message.stored < frames:
            raise Unavailable(f"expected {frames} frames, found {message.stored} stored; faults: {message.faults}")
        if len(times) == 1:
            times, counts = [begun, *times], [0, *counts]
        return Taken(sum(counts[1:]), times[-1] - times[0], cpu_seconds(process) - worked, message.faults)

    def _next(self, deadline: float) -> Message | None:
        """The next message, None for one of no interest."""
        while not self._socket.poll(100):
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                said = (self._folder / "log").read_text(errors="replace").splitlines()[-3:]
                raise Unavailable("\n".join([f"the intake {'has ended' if ended else 'says nothing'}", *said]))
        try:
            return decode(self._socket.recv_multipart()[1], HEARD)
        except WireError:
            return None


@dataclass(frozen=True)
class PackedStream:
    """What a sender sends; `livestrain_simulator.packed` knows it by the same names."""

    form: str
    port: int
    encoding: str
    side: int
    frames: int
    columns: int
    dose: float
    frames_per_message: int


class PackedSender:
    """
    A process that sends the same frames again and again, in a ``with`` block.

    Parameters
    ----------
    stream
        What it sends.
    """

    def __init__(self, stream: PackedStream) -> None:
        self._stream = stream
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "livestrain_simulator.packed", json.dumps(asdict(self._stream))]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, **ONE_THREAD})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()

    def port(self) -> int:
        """Where it is bound, once its frames are packed."""
        return int(self.answer()["port"])

    def tell(self, line: str) -> None:
        """``send`` a scan, or ``unpack`` the frames to take the time."""
        if self._process and self._process.stdin:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """
        What it says to the line before.

        Raises
        ------
        Unavailable
            If it has ended.
        """
        line = self._process.stdout.readline() if self._process and self._process.stdout else ""
        if not line:
            raise Unavailable("the sender of packed frames has ended")
        said: dict[str, Any] = json.loads(line)
        return said
