"""What the verbs say of scans that were sent, and the exit codes of those that were not."""

import json as json_lines
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from livestrain_simulator.delivery import Report
    from livestrain_simulator.named import Fate

USAGE, NO_DATA, UNAVAILABLE, IO_ERROR, INTERRUPTED = 2, 3, 69, 74, 130


def say(report: "Report", json: bool, fate: "Fate") -> None:
    """What was sent, and what became of it; a scan that was refused is a failure."""
    _say_sent(report, json, fate)
    if fate.refusal is not None:
        line = " ".join(f"livestrain: the daemon refused scan {report.sent.scan_id}: {fate.refusal}".split())
        typer.echo(line, err=True)
        raise typer.Exit(UNAVAILABLE)


def _say_sent(report: "Report", json: bool, fate: "Fate") -> None:
    name = fate.name
    facts = report.facts() | {"daemon_scan_id": name, "refusal": fate.refusal}
    if json:
        typer.echo(json_lines.dumps(facts))
        return
    faults = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in facts["faults"].items() if count)
    typer.echo(
        f"sent {facts['frames']} frames in {facts['seconds']:.2f} s ({facts['frames_per_second']:,.0f} frames/s) "
        f"as scan {facts['scan_id']}"
        + (f", which the daemon calls {name}: it has one of that name" if name not in {None, facts["scan_id"]} else "")
        + (", aborted as asked" if facts["aborted"] else "")
        + (f"; on purpose {faults}" if faults else "")
        + (f"; {facts['clipped']} pixels held more than their type can" if facts["clipped"] else "")
    )


@contextmanager
def exit_codes(interrupted: str) -> Iterator[None]:
    """Turn what can go wrong into one line and an exit code; an interruption into this line."""
    from pydantic import ValidationError  # noqa: PLC0415 - listing the verbs stays quick
    from zmq import ZMQError  # noqa: PLC0415

    from livestrain_recordings.errors import ExtraMissing, NoFrames  # noqa: PLC0415
    from livestrain_simulator.errors import CannotListen, NobodyListens  # noqa: PLC0415

    # a scan whose sender is told to go must not leave its receiver waiting
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt as error:
        _fail(INTERRUPTED, error, interrupted)
    except NoFrames as error:
        _fail(NO_DATA, error)
    except (ExtraMissing, NobodyListens, CannotListen, ZMQError) as error:
        _fail(UNAVAILABLE, error)
    except MemoryError as error:
        _fail(UNAVAILABLE, error, f"there is not enough memory for such a scan: {error}")
    except OSError as error:
        _fail(IO_ERROR, error)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "scan"
        _fail(USAGE, error, f"{where}: {first['msg']}, found {first['input']!r:.60}")
    except ValueError as error:
        _fail(USAGE, error)
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(code: int, error: BaseException, text: str = "") -> None:
    line = " ".join((text or str(error)).split())
    typer.echo(f"livestrain: {line}", err=True)
    raise typer.Exit(code) from error
