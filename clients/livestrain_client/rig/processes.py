"""A daemon and a simulated detector as processes of their own, on free ports, for demonstration and benchmarks."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from livestrain_client.errors import Unavailable

READY_SECONDS = 600.0
"""A daemon may take so long to bind its sockets and to compile, which takes minutes on a busy machine [s]."""
STOP_SECONDS = 30.0
PORTS = range(20_000, 32_768)
"""To choose from: the system gives none of these to a connection, so they are still free when a process has started."""


@dataclass(frozen=True)
class Ports:
    """Free ports of this host."""

    frames: int
    maps: int
    control: int
    http: int

    @property
    def frames_endpoint(self) -> str:
        """Where the daemon takes frames."""
        return f"tcp://127.0.0.1:{self.frames}"

    @property
    def maps_endpoint(self) -> str:
        """Where the daemon publishes."""
        return f"tcp://127.0.0.1:{self.maps}"

    @property
    def control_endpoint(self) -> str:
        """Where the daemon takes requests."""
        return f"tcp://127.0.0.1:{self.control}"


def end_on_sigterm() -> None:
    """A polite end of this process is an interrupt: what it has started is ended, too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def free_ports() -> Ports:
    """Four ports that nobody uses at the moment."""
    numbers: list[int] = []
    with ExitStack() as held:
        while len(numbers) < 4:
            one, number = held.enter_context(socket.socket()), secrets.choice(PORTS)
            with suppress(OSError):
                one.bind(("127.0.0.1", number))
                numbers.append(number)
    return Ports(*numbers)


def livestrain(*arguments: str) -> list[str]:
    """The command line of a verb, in this interpreter."""
    return [sys.executable, "-c", "from livestrain_client.cli import main; main()", *arguments]


class DaemonProcess:
    """
    ``livestrain serve`` in a ``with`` block; stopped by SIGTERM at its end.

    Parameters
    ----------
    spool
        Where its scans go.
    ports
        Its ports.
    log
        Where its messages go.
    settings
        More of its configuration, as ``section__key``.
    """

    def __init__(self, spool: Path, ports: Ports, log: Path, settings: Mapping[str, str] | None = None) -> None:
        self.ports = ports
        self.log = log
        self._settings = {
            "spool__folder": str(spool),
            "intake__endpoint": ports.frames_endpoint,
            "publish__maps_endpoint": ports.maps_endpoint,
            "publish__control_endpoint": ports.control_endpoint,
            "publish__http_port": str(ports.http),
            **(settings or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        environment = {
            **os.environ,
            **{f"LIVESTRAIN_{key.upper()}": value for key, value in self._settings.items()},
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(livestrain("serve"), env=environment, stdout=log, stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """
        Returns when the sockets are bound and the workers warm.

        Raises
        ------
        Unavailable
            If that does not happen, or the daemon ends; shows the last lines of its log.
        """
        deadline = time.monotonic() + seconds
        while not self._answers("/readyz"):
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"the daemon did not become ready; the end of {self.log}:\n{self._last_lines()}")
            time.sleep(0.05)

    def metrics(self) -> str:
        """The metrics page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.http}/metrics", timeout=5) as page:
            text: str = page.read().decode()
        return text

    def stop(self, seconds: float = STOP_SECONDS) -> int | None:
        """Ends the daemon, by force if it takes too long; returns its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        return end(self.process, seconds)

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.http}{path}", timeout=1) as page:
                return bool(page.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])


def simulator(ports: Ports, log: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Starts ``livestrain simulate``, sending to the daemon on these ports; its one JSON line goes to the log."""
    with log.open("wb") as out:
        return subprocess.Popen(
            livestrain("simulate", "--endpoint", ports.frames_endpoint, "--json", *arguments),
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def end(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Waits for the end of a process, and forces it after a while; returns the exit code."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def complain_if_failed(process: subprocess.Popen[bytes], log: Path) -> None:
    """
    Does nothing while a process runs or has done its work.

    Raises
    ------
    Unavailable
        If it has ended with an error; shows the last line of its log.
    """
    if process.poll() not in {None, 0}:
        lines = log.read_text(errors="replace").splitlines() or ["(nothing)"]
        raise Unavailable(f"the simulated detector ended with code {process.returncode}: {lines[-1]}")
