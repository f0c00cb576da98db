"""The worker's loop: takes a task, does it, acknowledges it only when its results are in the file."""

import os
import sys
import time
import traceback

import structlog
import zmq
from pydantic import BaseModel

from livestrain_daemon.config import LogConfig
from livestrain_daemon.logs import configure_logs
from livestrain_daemon.messages import TO_WORKER, StopWorker, Task, TaskDone, TaskFailed, WorkerReady
from livestrain_daemon.processes import become_child, keep_what_is_loaded
from livestrain_daemon.worker.tasks import Outcome, Tasks
from livestrain_daemon.worker.warm import warm
from livestrain_wire.codec import decode, encode
from livestrain_wire.messages import Message

log = structlog.get_logger()

MAX_MESSAGE_BYTES = 1 << 30
"""A vacuum probe or a summed pattern is the largest thing that comes or goes [bytes]."""

IDLE_MS = 250
"""A worker that has had nothing to do for so long lets go of scans that were removed [ms]."""


class WorkerSettings(BaseModel):
    """What a worker needs to know."""

    parent_pid: int
    identity: str
    main_endpoint: str
    log: LogConfig


def main(settings: WorkerSettings) -> None:
    """Works until told to stop, or until the parent dies."""
    become_child(settings.parent_pid)
    configure_logs(settings.log)
    warm()
    keep_what_is_loaded()
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.IDENTITY, settings.identity.encode())
    socket.setsockopt(zmq.LINGER, 2000)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    socket.connect(settings.main_endpoint)
    socket.send(encode(WorkerReady(pid=os.getpid())))
    tasks = Tasks()
    while True:
        while not socket.poll(IDLE_MS):
            tasks.let_go()
        packed, *payload = socket.recv_multipart()
        message: Message = decode(packed, TO_WORKER)
        if isinstance(message, StopWorker):
            break
        if isinstance(message, Task):
            socket.send_multipart(_answer(tasks, message, payload[0] if payload else b""))
    tasks.close()
    socket.close()
    context.term()
    sys.exit(0)


def _answer(tasks: Tasks, task: Task, payload: bytes) -> list[bytes]:
    started = time.perf_counter()
    try:
        outcome: Outcome = tasks.run(task, payload)
    except Exception as error:  # whatever an analysis raises concerns its range only, and is reported with it
        log.warning("a task failed", task=type(task).__name__, trace=traceback.format_exc(limit=-4))
        text = f"{type(error).__name__}: {error!s:.300}"
        return [encode(TaskFailed(number=task.number, text=text))]
    done = TaskDone(
        number=task.number,
        seconds=time.perf_counter() - started,
        spans=outcome.spans,
        recycled=outcome.recycled,
        result=outcome.result,
    )
    return [encode(done), *([outcome.payload] if outcome.payload else [])]
