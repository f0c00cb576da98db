"""Child processes: spawned, never forked; they die with their parent."""

import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
LEFT_TO_PARENT = (signal.SIGINT, signal.SIGTERM)
"""Signals that a child never hears: its parent tells it to end."""

EXIT_UNAVAILABLE, EXIT_IO, EXIT_CONFIG = 69, 74, 78
"""What a process says with its exit code, after sysexits.h."""

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""A child is one processor's worth of work: threads of a linear algebra library would only get in its way."""


def processor_seconds(pid: int) -> float:
    """
    Processor time that a process has used.

    Parameters
    ----------
    pid
        Its number.

    Returns
    -------
    float
        In whole ticks of the kernel; zero where there is no such process [s].
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except OSError:
        return 0.0
    # the name in brackets may hold anything; user and system time are fields 14 and 15
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def spawn(module: str, settings: Mapping[str, Any], keep_open: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """
    Starts ``python -m module settings`` as a child.

    Parameters
    ----------
    module
        Has a ``main`` that reads its settings from the first argument, as JSON.
    settings
        What the child needs to know.
    keep_open
        File descriptors that the child inherits, such as the spool's lock.
    """
    with_parent = {**settings, "parent_pid": os.getpid()}
    # a child inherits what is blocked: Ctrl-C, which every process of a terminal gets, waits until it can be ignored
    before = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_PARENT)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(with_parent)],
            stdin=subprocess.DEVNULL,
            pass_fds=tuple(keep_open),
            env={**ONE_THREAD, **os.environ},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def become_child(parent_pid: int) -> None:
    """
    Makes this process end with its parent, and leaves Ctrl-C to the parent.

    Parameters
    ----------
    parent_pid
        Whoever started this process; if it is gone already, this one exits.
    """
    for number in LEFT_TO_PARENT:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, LEFT_TO_PARENT)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        sys.exit(1)


def keep_what_is_loaded() -> None:
    """
    Lets the collector of garbage, switched off for the imports, begin with what comes from now on.

    Modules and kernels stay until the process ends: looking for garbage among them, and once more at the exit, takes a
    quarter of the processor time of a start and an end.
    """
    gc.freeze()
    gc.enable()


def how_it_ended(returncode: int) -> str:
    """The end of a process in words, from its return code."""
    if returncode >= 0:
        return f"exited with code {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"


def bytes_moved(pid: int) -> int:
    """What a process has read and written so far [bytes]; 0 where the system does not say."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split(": ") for line in lines)
    return int(counts["rchar"]) + int(counts["wchar"])
