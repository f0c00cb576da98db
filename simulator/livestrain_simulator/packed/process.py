"""A process that sends a scan each time that it is told to, by a line on its input."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TextIO

from numpy.typing import NDArray

from livestrain_simulator.packed.connected import asi_sender, merlin_sender
from livestrain_simulator.packed.frames import Stream, rendered, unpacking_rate
from livestrain_simulator.packed.queued import dectris_sender, native_sender
from livestrain_simulator.packed.sender import Sender

USAGE = 64
SENDERS: dict[str, Callable[[Stream, NDArray[Any]], Sender]] = {
    "native": native_sender,
    "dectris-v1": dectris_sender,
    "dectris-v2": dectris_sender,
    "merlin": merlin_sender,
    "asi": asi_sender,
}


@dataclass(frozen=True, slots=True)
class Said:
    """A line of output: the port at the beginning, then the answer to each line of input."""

    did: Literal["bound", "sent", "unpacked"]
    port: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    bytes_per_second: float | None = None


def from_command_line(arguments: list[str]) -> int:
    """Serve the stream that the one argument describes, a JSON object, until the input ends."""
    try:
        stream = Stream(**json.loads(arguments[0]))
    except (IndexError, ValueError, TypeError) as error:
        sys.stderr.write(f"expected one JSON object that describes a stream: {error}\n")
        return USAGE
    serve(stream, sys.stdin, sys.stdout)
    return 0


def serve(stream: Stream, lines: TextIO, answers: TextIO) -> None:
    """
    Send a scan for each line ``send``, time the unpacking for each line ``unpack``.

    Parameters
    ----------
    stream
        What to send.
    lines
        Until they end.
    answers
        Gets a JSON object for each, and one at the beginning that says the port.
    """
    frames = rendered(stream)
    sender = SENDERS[stream.form](stream, frames)
    try:
        _say(answers, Said("bound", port=sender.port))
        for line in lines:
            if line.strip() == "unpack":
                _say(answers, Said("unpacked", bytes_per_second=unpacking_rate(frames, stream.encoding)))
                continue
            sender.prepare()
            begun, worked = time.perf_counter(), time.process_time()
            sender.send()
            _say(answers, Said("sent", 0, time.perf_counter() - begun, time.process_time() - worked))
    finally:
        sender.close()


def _say(answers: TextIO, said: Said) -> None:
    answers.write(json.dumps(asdict(said)) + "\n")
    answers.flush()
