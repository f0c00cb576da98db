"""A Merlin that takes the scans that it is given."""

import numpy as np

from livestrain_simulator.delivery import Acquisition, Delivery, EmulatedDetector
from livestrain_simulator.emulators.faults import Plans
from livestrain_simulator.emulators.merlin.emulator import MerlinEmulator
from livestrain_simulator.emulators.merlin.pixels import PixelKind
from livestrain_simulator.emulators.merlin.sources import Frame
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.emulators.streaming import FrameStream
from livestrain_simulator.errors import CannotListen, NotReplayable

CONTROL_PORT, DATA_PORT = 6341, 6342
KINDS = {"uint8": PixelKind("U16", 12), "uint16": PixelKind("U16", 12), "uint32": PixelKind("U32", 24)}
"""How frames of a type are sent: with 12 bit a Merlin counts to 4095, with 24 bit to 16777215."""
CANNOT = {"second_series": "its frames do not say which acquisition they are of"}
"""Faults that this detector cannot make, and why."""


class PlayedMerlin:
    """
    An emulator, as a `Played`.

    Raises
    ------
    CannotListen
        If an address is taken or makes no sense.
    NotReplayable
        If it has no pixels of that type.
    """

    def __init__(self, acquisition: Acquisition, delivery: Delivery, source: FrameStream, plans: Plans) -> None:
        start, sending = acquisition.start, delivery.sending
        if start.dtype not in KINDS:
            raise NotReplayable(f"a Merlin sends {', '.join(KINDS)}, found {start.dtype}")
        self._detector = delivery.detector or EmulatedDetector("merlin")
        self._clipped = 0
        kind = KINDS[start.dtype]
        self._most = (1 << kind.depth) - 1
        ports = (self._detector.control_port, self._detector.stream_port)
        control, data = (
            usual if port is None else port for port, usual in zip(ports, (CONTROL_PORT, DATA_PORT), strict=True)
        )

        def frames(number: int) -> Frame:
            return self._counted(source(number))

        try:
            self._emulator = MerlinEmulator(
                frames,
                kind,
                plans=plans,
                frames_per_second=sending.frames_per_second,
                burst=sending.burst,
                stall_seconds=delivery.stall_seconds,
                host=self._detector.host,
                control_port=control,
                data_port=data,
            )
        except OSError as error:
            host, _, port = str(error.filename).rpartition(":")
            raise CannotListen(f"{host}: cannot listen at port {port}: {error.strerror}") from error
        rows, columns = start.scan_shape
        for name, value in {"NUMFRAMESTOACQUIRE": acquisition.frames, "STEMSCANX": columns, "STEMSCANY": rows}.items():
            self._emulator.ask(f"SET,{name},{value}")

    @property
    def place(self) -> str:
        """Where it listens."""
        host = self._detector.host
        return f"merlin at tcp://{host}:{self._emulator.data_port}, commanded at port {self._emulator.control_port}"

    @property
    def table(self) -> str:
        """What a daemon's configuration must say."""
        return f'[intake.merlin]\nhost = "{self._detector.address}"\ndata_port = {self._emulator.data_port}\n'

    @property
    def records(self) -> list[ScanRecord]:
        """Its acquisitions."""
        return self._emulator.record

    @property
    def clipped(self) -> int:
        """Pixels that held more than the counters can."""
        return self._clipped

    def is_heard(self) -> bool:
        """Somebody takes frames; who waits for a command need not know."""
        return self._detector.arm == "wait" or self._emulator.listeners > 0

    def is_idle(self) -> bool:
        """No acquisition is in progress."""
        return self._emulator.is_idle

    def waiting_since(self) -> float | None:
        """Since when nobody has taken what is being sent [s]."""
        return self._emulator.audience.waiting_since

    def begin(self) -> None:
        """Start an acquisition."""
        self._emulator.ask("CMD,STARTACQUISITION")

    def close(self, linger_seconds: float) -> None:
        """End everything."""
        del linger_seconds
        self._emulator.close()

    def _counted(self, frame: Frame) -> Frame:
        if np.iinfo(frame.dtype).max <= self._most:
            return frame
        self._clipped += int(np.count_nonzero(frame > self._most))
        return np.minimum(frame, self._most)
