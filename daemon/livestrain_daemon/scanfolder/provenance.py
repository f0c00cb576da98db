import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGES = ("livestrain", "numpy", "numba", "h5py")


def boot_id() -> str:
    """Names this boot of the machine; another one after each restart, and so after each loss of power."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def provenance() -> dict[str, Any]:
    """What made this: versions, host, kernel, boot, and the time [UTC]."""
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "host": platform.node(),
        "kernel": platform.release(),
        "boot_id": boot_id(),
        "pid": os.getpid(),
        "start_utc": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }


@cache
def _version(name: str) -> str:
    # read from files, and the same as long as the process lives
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
