"""A peer of ZeroMQ that keeps to its handshake and to nothing else, and what it costs a process."""

import re
import socket
import struct
from contextlib import suppress
from pathlib import Path

from helpers.intake_process import IntakeProcess

PART_BYTES = 1 << 20


def shake_hands(peer: socket.socket) -> None:
    """As ZeroMQ does at the beginning of a connection, by a PUSH socket."""
    peer.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16 + 1 + 31))
    left = 64
    while left:
        left -= len(peer.recv(left))
    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 4) + b"PUSH"
    peer.sendall(b"\x04" + bytes([len(ready)]) + ready)


WHOLE = bytes([2]) + struct.pack(">Q", PART_BYTES) + bytes(PART_BYTES)
"""A message of 1 MiB."""
UNFINISHED = {"large": bytes([3]) + WHOLE[1:], "empty": b"\x01\x00" * (PART_BYTES // 64)}
"""Parts of a message that goes on, of 1 MiB in the memory of ZeroMQ: one, or very many without a byte."""


def endless(peer: socket.socket, parts: bytes) -> bool:
    """A thousand times these parts; true if the other side has had enough before."""
    with suppress(ConnectionError):
        for _ in range(1000):
            peer.sendall(parts)
        return False
    return True


def far_too_long(peer: socket.socket, size: int) -> None:
    """A message of so many bytes, as it says."""
    peer.sendall(b"\x02" + struct.pack(">Q", size))


def peak_mib(intake: IntakeProcess) -> float:
    """The most memory that the process has had so far [MiB]."""
    status = Path(f"/proc/{intake.process.pid}/status").read_text()
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kib) / 1024
