"""A real intake process and the socket that plays main, for tests."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import zmq
from numpy.typing import NDArray

from helpers.waiting import wait_until
from livestrain_daemon.intake.placement import joined
from livestrain_daemon.messages import FROM_INTAKE, IntakeReady, ScanClosed, ScanOpened, StopIntake, Stored
from livestrain_daemon.scanfolder.layout import open_frames
from livestrain_daemon.scanfolder.reader import FrameReader
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import decode, encode
from livestrain_wire.messages import Message

M = TypeVar("M", bound=Message)


class IntakeProcess:
    """
    Starts an intake and takes its messages.

    Parameters
    ----------
    folder
        For the spool, the sockets and the log.
    sections
        Settings that differ from the defaults, by section.
    """

    def __init__(self, folder: Path, **sections: Any) -> None:
        self.spool = folder / "spool"
        self.spool.mkdir(exist_ok=True)
        self.messages: list[Message] = []
        self._taken = 0
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
        self._socket.set(zmq.LINGER, MOMENT_MS)
        endpoint = f"ipc://{folder}/main-{len(list(folder.glob('log*')))}"
        self._socket.bind(endpoint)
        self._peer = b""
        settings = {
            "intake": {"endpoint": "tcp://127.0.0.1:*", "queue_mib": 32, "max_message_mib": 16},
            "spool": {"folder": str(self.spool), "reserve_mib": 0, "sync_seconds": 0.05},
            "main_endpoint": endpoint,
            "parent_pid": os.getpid(),
        }
        for name, section in sections.items():
            settings[name] = {**settings[name], **section} if isinstance(section, dict) else section  # type: ignore[dict-item]
        self.log = folder / f"log-{len(list(folder.glob('log*')))}"
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "livestrain_daemon.intake", json.dumps(settings)]
            self.process = subprocess.Popen(command, stderr=log)
        self.endpoint = self.next(IntakeReady).endpoint

    def poll(self) -> None:
        """Take all messages that are there."""
        while self._socket.poll(0):
            self._peer, packed = self._socket.recv_multipart()
            self.messages.append(decode(packed, FROM_INTAKE))

    def command(self, message: Message) -> None:
        """Send a command."""
        self._socket.send_multipart([self._peer, encode(message)])

    def of(self, kind: type[M]) -> list[M]:
        """All messages of a kind that have come."""
        self.poll()
        return [message for message in self.messages if isinstance(message, kind)]

    def next(self, kind: type[M]) -> M:
        """The next message of a kind, after the one that this returned last."""

        def found() -> M | None:
            assert self.process.poll() is None or self.of(kind), self.log.read_text()
            self.poll()
            for number, message in enumerate(self.messages[self._taken :], self._taken + 1):
                if isinstance(message, kind):
                    self._taken = number
                    return message
            return None

        message = wait_until(found, what=kind.__name__)
        assert message is not None
        return message

    def opened(self) -> ScanOpened:
        """The next scan."""
        return self.next(ScanOpened)

    def closed(self) -> ScanClosed:
        """The end of the scan."""
        return self.next(ScanClosed)

    def positions_told(self, scan_id: str) -> tuple[tuple[int, int], ...]:
        """Runs of positions that main has been told are stored."""
        return joined(run for message in self.of(Stored) if message.scan_id == scan_id for run in message.runs)

    def on_disk(self, scan_id: str) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Ledger (positions,) and frames (positions, rows, columns) of a recorded scan, as they are in its file."""
        layout = open_frames(self.spool / scan_id)
        with FrameReader(layout) as reader:
            return np.array(reader.ledger()), np.array(reader.read(0, layout.positions))

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.command(StopIntake())
        return self.process.wait(20)

    def close(self) -> None:
        """Make sure that it is gone."""
        self.process.kill()
        self.process.wait()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
