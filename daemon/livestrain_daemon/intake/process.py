"""The intake process: threads that receive, store and sync, and a line to main."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

import structlog
import zmq
from pydantic import BaseModel, ConfigDict, ValidationError

from livestrain_daemon.config import LogConfig, SpoolConfig
from livestrain_daemon.errors import DaemonError, Unavailable
from livestrain_daemon.intake.detectors.arrivals import Scans, take
from livestrain_daemon.intake.detectors.choice import chosen
from livestrain_daemon.intake.detectors.permission import Permission
from livestrain_daemon.intake.detectors.standing import Standing
from livestrain_daemon.intake.folders import ScanFolders
from livestrain_daemon.intake.gate import OpenGate, RingGate
from livestrain_daemon.intake.interrupted import interrupted_scan
from livestrain_daemon.intake.link import Outbox, connected_socket, converse
from livestrain_daemon.intake.memory import keep_freed_memory
from livestrain_daemon.intake.noting import notes
from livestrain_daemon.intake.receiver import MIB, ArrivalQueue, bound_socket, receive
from livestrain_daemon.intake.recorded_file import RecordedFile
from livestrain_daemon.intake.room import Room
from livestrain_daemon.intake.session import Session
from livestrain_daemon.intake.syncing import Syncer
from livestrain_daemon.intake.writing import Reporter, store
from livestrain_daemon.intake_config import IntakeConfig
from livestrain_daemon.logs import configure_logs
from livestrain_daemon.messages import IntakeFailed, IntakeReady, Released, RoomMade, SetArmed, StopIntake
from livestrain_daemon.processes import EXIT_CONFIG, EXIT_IO, EXIT_UNAVAILABLE, become_child, keep_what_is_loaded
from livestrain_daemon.scanfolder.ring import Ring
from livestrain_daemon.scanfolder.spool import Spool
from livestrain_wire.messages import Message

RING_FILE = "frames.ring"

_log = structlog.get_logger(__name__)


class IntakeSettings(BaseModel):
    """What main gives the intake."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    intake: IntakeConfig = IntakeConfig()
    spool: SpoolConfig = SpoolConfig()
    main_endpoint: str
    """Where main listens (ROUTER)."""
    recorded: RecordedFile | None = None
    """A file to take frames from, instead of what ``intake`` says."""
    armed: bool = True
    """Accept scans from the beginning."""
    parent_pid: int
    """Main's process; if it is gone already, the intake ends at once."""
    log: LogConfig = LogConfig()


def main(settings: IntakeSettings) -> int:
    """
    Take frames in until main says stop.

    Returns
    -------
    int
        The exit code.
    """
    become_child(settings.parent_pid)
    keep_what_is_loaded()
    keep_freed_memory()
    configure_logs(settings.log)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    outbox = Outbox()
    link = connected_socket(context, settings.main_endpoint)
    try:
        permission = Permission(settings.armed)
        source = _source(context, settings, permission, outbox.put)
        _run(settings, source, link, outbox, permission)
    except (DaemonError, OSError) as error:
        storage = not isinstance(error, Unavailable)
        outbox.put(IntakeFailed(reason=str(error), storage=storage))
        outbox.send(link)
        return EXIT_IO if storage else EXIT_UNAVAILABLE
    finally:
        # each socket keeps its own linger; one left open would hold up the end for ever
        context.destroy()
    return 0


@dataclass(frozen=True)
class _Source:
    """Where frames come from."""

    endpoint: str
    receive: Callable[[ArrivalQueue, Event], None]


def _source(
    context: zmq.Context[zmq.Socket[bytes]],
    settings: IntakeSettings,
    permission: Permission,
    tell: Callable[[Message], None],
) -> _Source:
    config = settings.intake
    interrupted = interrupted_scan(Spool.joined(settings.spool.folder), config.scan, config.silence_seconds)
    found = chosen(config, settings.recorded, permission, interrupted)
    if found is None:
        socket = bound_socket(context, config)
        endpoint, largest = socket.get_string(zmq.LAST_ENDPOINT), config.max_message_mib * MIB
        return _Source(endpoint, lambda queue, stop: receive(socket, queue, stop, largest))
    name, detector = found
    scans = Scans(name, config.scan, interrupted)

    def receive_from_detector(queue: ArrivalQueue, stop: Event) -> None:
        try:
            take(detector, scans, queue, stop, Standing(name, detector.endpoint, tell))
        except Unavailable as error:
            tell(IntakeFailed(reason=f"the detector cannot be used: {error}" if name else str(error)))

    return _Source(detector.endpoint, receive_from_detector)


def _run(
    settings: IntakeSettings, source: _Source, link: zmq.Socket[bytes], outbox: Outbox, permission: Permission
) -> None:
    config, spool = settings.intake, settings.spool
    ring = None if spool.record else Ring(spool.folder / RING_FILE, spool.ring_mib * MIB)
    queue = ArrivalQueue(config.queue_mib * MIB)
    gate = RingGate() if spool.when_full == "wait" else OpenGate()
    largest = config.max_message_mib * MIB
    room = Room(outbox.put) if spool.limits.any else None
    folders = ScanFolders(spool, Spool.joined(spool.folder), ring, largest, gate, outbox.put, room)
    syncer = Syncer(lambda: session.scan, outbox.put, spool.sync_seconds)
    session = Session(folders, outbox.put, syncer.retire, config.silence_seconds, settings.armed)
    reporter = Reporter(session, queue, outbox.put)
    stop, stored, ended = Event(), Event(), Event()
    outbox.put(IntakeReady(pid=os.getpid(), endpoint=source.endpoint))
    receiving = _thread("receive", lambda: source.receive(queue, stop))
    syncing = _thread("sync", lambda: syncer.run(stored))

    def store_all() -> None:
        # where frames wait for room, those of one message shall not wait for that of the next
        store(session, queue, reporter, together=isinstance(gate, OpenGate))
        stop.set()
        queue.close()
        receiving.join()
        stored.set()
        syncing.join()
        ended.set()
        outbox.ring()

    storing = _thread("store", store_all)

    def command(message: Message) -> None:
        # these go past the queue: who waits at the gate is the one who empties the queue
        if isinstance(gate, RingGate):
            if isinstance(message, Released):
                gate.release(message)
                return
            if isinstance(message, StopIntake):
                gate.stop()
        if isinstance(message, SetArmed):
            permission.set(message.armed)
        if room is not None:
            if isinstance(message, RoomMade):
                room.made(message)
                return
            if isinstance(message, StopIntake):
                room.stop()
        queue.put_command(message)

    with _whole_or_not_at_all("main"):
        converse(link, outbox, command, ended)
    storing.join()


@contextmanager
def _whole_or_not_at_all(thread: str) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        # half an intake is worse than none: main starts a new one, which finds all that is stored
        _log.exception("the intake ended", thread=thread, found=notes(error))
        os._exit(1)


def _thread(name: str, work: Callable[[], None]) -> Thread:
    def guarded() -> None:
        with _whole_or_not_at_all(name):
            work()

    thread = Thread(target=guarded, name=name)
    thread.start()
    return thread


def from_command_line(arguments: list[str]) -> int:
    """Run with the settings in the one argument, a JSON object."""
    configure_logs(LogConfig())
    try:
        settings = IntakeSettings.model_validate(json.loads(arguments[0]))
    except (IndexError, ValueError, ValidationError) as error:
        _log.error("expected one JSON object with the intake's settings", reason=str(error))
        return EXIT_CONFIG
    return main(settings)
