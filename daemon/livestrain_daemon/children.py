"""The processes that a daemon starts, with the settings that each of them gets."""

import subprocess

from livestrain_daemon.config import Config
from livestrain_daemon.intake.recorded_file import RecordedFile
from livestrain_daemon.processes import spawn
from livestrain_daemon.scanfolder import Spool
from livestrain_daemon.sockets import Sockets


def start_worker(config: Config, sockets: Sockets, spool: Spool, identity: str) -> subprocess.Popen[bytes]:
    """A worker, which keeps the lock of the spool as long as it lives."""
    settings = {
        "identity": identity,
        "main_endpoint": sockets.workers_endpoint,
        "log": config.log.model_dump(mode="json"),
    }
    return spawn("livestrain_daemon.worker", settings, keep_open=[spool.lock_fd])


def start_intake(
    config: Config, sockets: Sockets, spool: Spool, recorded: RecordedFile | None, armed: bool
) -> subprocess.Popen[bytes]:
    """The intake, which keeps it, too; it takes the one scan from a file if there is one."""
    settings = {
        "main_endpoint": sockets.intake_endpoint,
        "intake": config.intake.model_dump(mode="json"),
        "recorded": None if recorded is None else recorded.model_dump(mode="json"),
        "spool": {**config.spool.model_dump(mode="json"), "folder": str(spool.folder)},
        "armed": armed,
        "log": config.log.model_dump(mode="json"),
    }
    return spawn("livestrain_daemon.intake", settings, keep_open=[spool.lock_fd])
