"""What the processes of a daemon cost: memory and processor time, looked at from outside."""

import re
import time
from collections.abc import Callable

import psutil

ROLES = (("livestrain_daemon.intake", "intake"), ("livestrain_daemon.worker", "worker"))
PART = re.compile(r'^livestrain_worker_part_seconds_total\{part="([^"]+)"\} (\S+)$', re.MULTILINE)


class Load:
    """
    Memory and processor time of a daemon and its children.

    Parameters
    ----------
    main
        The daemon's main process.
    """

    def __init__(self, main: psutil.Process) -> None:
        self._main = main
        self._cpu: dict[int, tuple[str, float]] = {}
        self.rss_max = 0
        """Largest sum of resident memory seen [bytes]."""
        self.sample()
        self._cpu_before = self._by_role()

    def sample(self) -> None:
        """Looks at every process now; those that end keep the time that they were last seen with."""
        total = 0
        for process in [self._main, *self._main.children(recursive=True)]:
            try:
                total += process.memory_info().rss
                self._cpu[process.pid] = (self._role(process), cpu_seconds(process))
            except psutil.NoSuchProcess:
                continue
        self.rss_max = max(self.rss_max, total)

    def cpu(self) -> dict[str, float]:
        """Processor time since the beginning, by role [s]."""
        self.sample()
        return {role: value - self._cpu_before.get(role, 0.0) for role, value in self._by_role().items()}

    def kill_worker(self) -> None:
        """Ends the first worker without warning."""
        workers = [child for child in self._main.children() if self._role(child) == "worker"]
        min(workers, key=lambda worker: worker.create_time()).kill()

    def _by_role(self) -> dict[str, float]:
        totals: dict[str, float] = {}
        for role, seconds in self._cpu.values():
            totals[role] = totals.get(role, 0.0) + seconds
        return totals

    def _role(self, process: psutil.Process) -> str:
        if process.pid == self._main.pid:
            return "main"
        command = " ".join(process.cmdline())
        return next((role for module, role in ROLES if module in command), "other")


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process [s]."""
    times = process.cpu_times()
    return float(times.user + times.system)


def settled_parts(read_metrics: Callable[[], str]) -> dict[str, float]:
    """Time by part of the work, once two looks a second apart agree: the page is renewed a few times a second [s]."""
    before = part_seconds(read_metrics())
    while True:
        time.sleep(1.0)
        now = part_seconds(read_metrics())
        if now == before:
            return now
        before = now


def part_seconds(metrics: str) -> dict[str, float]:
    """Time that workers spent on each part of the work, from the metrics page [s]."""
    return {part: float(seconds) for part, seconds in PART.findall(metrics)}
