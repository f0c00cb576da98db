"""Is this machine fit for the work? Looks at everything that tends to go wrong, and says it in numbers."""

import os
import platform
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import psutil

from livestrain_daemon.config import Config
from livestrain_daemon.errors import DaemonError
from livestrain_daemon.scanfolder.files import free_bytes
from livestrain_daemon.scanfolder.spool import file_system_type, not_local

MIB = 1 << 20
PROBE_BYTES = 256 * MIB
"""Written to the spool to measure its disk [bytes]."""
ENOUGH_MEMORY = 2 << 30
OPEN_FILES = 1024
PACKAGES = ("livestrain", "numpy", "numba", "h5py", "pyzmq", "msgpack", "prometheus-client")

Verdict = Literal["good", "warning", "bad"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    verdict: Verdict
    text: str
    exit_code: int = 0
    """For a bad finding."""


def examine(config: Config, write: bool = True) -> Iterator[Finding]:
    """
    Looks at machine, packages, spool and ports, one after the other.

    Parameters
    ----------
    config
        What the daemon would use.
    write
        Measure the disk by writing to it.
    """
    yield _packages()
    yield _processors(config)
    yield _memory(config)
    yield _open_files()
    yield from _spool(config, write)
    for key, endpoint in (
        ("intake.endpoint", config.intake.endpoint),
        ("publish.maps_endpoint", config.publish.maps_endpoint),
        ("publish.control_endpoint", config.publish.control_endpoint),
        ("publish.http_port", f"tcp://{config.publish.http_host}:{config.publish.http_port}"),
    ):
        yield _port(key, endpoint)


def compile_kernels(dtypes: tuple[str, ...]) -> float:
    """Compiles every kernel for these frame types, so that the daemon starts at once; returns the seconds it took."""
    from livestrain_daemon.scan import deriving  # noqa: PLC0415 - numba takes its time to import
    from livestrain_daemon.worker import warm  # noqa: PLC0415 - numba takes its time to import

    began = time.monotonic()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for done in [pool.submit(warm.warm_calibration, dtypes), pool.submit(warm.warm_detection)]:
            done.result()
    # the rest, and what one of two that write to one cache may have lost
    warm.warm(dtypes)
    deriving.warm()
    return time.monotonic() - began


def _packages() -> Finding:
    def of(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "missing"

    found = {name: of(name) for name in PACKAGES}
    text = f"Python {platform.python_version()}, " + ", ".join(f"{name} {number}" for name, number in found.items())
    return Finding("packages", "bad" if "missing" in found.values() else "good", text, 69)


def _processors(config: Config) -> Finding:
    usable = len(os.sched_getaffinity(0))
    text = f"{usable} processors; the daemon will run {config.workers.count} workers, an intake and a main process"
    return Finding("processors", "warning" if config.workers.count + 1 > usable else "good", text)


def _memory(config: Config) -> Finding:
    available = psutil.virtual_memory().available
    needed = ENOUGH_MEMORY + (0 if config.spool.record else config.spool.ring_mib * MIB)
    text = f"{available // MIB} MiB available, {needed // MIB} MiB wanted"
    return Finding("memory", "good" if available >= needed else "warning", text)


def _open_files() -> Finding:
    limit = psutil.Process().rlimit(psutil.RLIMIT_NOFILE)[0]
    return Finding("open files", "good" if limit >= OPEN_FILES else "warning", f"at most {limit}")


def _spool(config: Config, write: bool) -> Iterator[Finding]:
    folder = config.spool.folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        yield Finding("spool", "bad", f"{folder}: cannot be made: {error.strerror}", 74)
        return
    remote = not_local(file_system_type(folder))
    if remote:
        yield Finding("spool", "bad", f"{folder} is on {remote}: live scans need a local disk", 74)
        return
    free = free_bytes(folder)
    needed = (config.spool.reserve_mib + (0 if config.spool.record else config.spool.ring_mib)) * MIB
    text = f"{folder}: {free // MIB} MiB free, {needed // MIB} MiB wanted beside the scans"
    yield Finding("spool", "good" if free > needed else "bad", text, 74)
    if write and free > needed + PROBE_BYTES:
        try:
            rate = _write_rate(folder)
        except OSError as error:
            yield Finding("disk", "bad", f"{folder}: cannot be written: {error.strerror}", 74)
            return
        frames = rate / (256 * 256 * 2)
        yield Finding("disk", "good", f"{rate / 1e6:.0f} MB/s sustained: {frames:.0f} frames/s of 256 x 256 uint16")


def _write_rate(folder: Path) -> float:
    """Bytes per second that reach the disk, synced."""
    path = folder / f".doctor-{os.getpid()}"
    block = os.urandom(4 * MIB)
    began = time.monotonic()
    try:
        with path.open("wb") as file:
            for _ in range(PROBE_BYTES // len(block)):
                file.write(block)
            file.flush()
            os.fdatasync(file.fileno())
        return PROBE_BYTES / (time.monotonic() - began)
    finally:
        path.unlink(missing_ok=True)


def _port(key: str, endpoint: str) -> Finding:
    scheme, _, address = endpoint.partition("://")
    if scheme != "tcp":
        return Finding(key, "good", endpoint)
    host, _, port = address.rpartition(":")
    attempt: Callable[[], None] = lambda: _bind(host.strip("[]*") or "0.0.0.0", 0 if port == "*" else int(port))  # noqa: E731, S104
    try:
        attempt()
    except (OSError, ValueError) as error:
        return Finding(key, "bad", f"cannot listen on {endpoint}: {error}", 69)
    return Finding(key, "good", f"{endpoint} is free")


def _bind(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def configuration(load: Callable[[], Config]) -> tuple[Config | None, Finding]:
    """The configuration and what is to be said of it."""
    try:
        config = load()
    except DaemonError as error:
        return None, Finding("configuration", "bad", str(error), 78)
    return config, Finding("configuration", "good", "every key is known")
