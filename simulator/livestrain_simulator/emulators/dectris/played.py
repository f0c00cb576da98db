"""A DECTRIS detector that takes the scans that it is given."""

import time
from typing import Any, Literal

from zmq import ZMQError

from livestrain_simulator.delivery import Acquisition, Delivery, EmulatedDetector
from livestrain_simulator.emulators.dectris.emulator import DectrisEmulator, EmulatorSettings
from livestrain_simulator.emulators.dectris.rest import RestServer
from livestrain_simulator.emulators.dectris.series import Images, Setting
from livestrain_simulator.emulators.faults import Plans
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.emulators.streaming import FrameStream
from livestrain_simulator.errors import CannotListen, NotReplayable

REST_PORT = 8080
"""The usual one, 80, is for root only."""
STREAM_PORTS = {"dectris-v1": 9999, "dectris-v2": 31001}
MOST_SERIES = 1_000_000
"""Numbers that the first series can have."""
DTYPES = ("uint8", "uint16", "uint32")
CANNOT: dict[str, str] = {}
"""Faults that this detector cannot make, and why."""
_COMPRESSIONS = {"raw": "none", "lz4": "lz4", "bslz4": "bslz4"}


class PlayedDectris:
    """
    An emulator and its REST interface, as a `Played`.

    Raises
    ------
    CannotListen
        If an address is taken or makes no sense.
    NotReplayable
        If it has no pixels of that type.
    """

    def __init__(self, acquisition: Acquisition, delivery: Delivery, source: FrameStream, plans: Plans) -> None:
        if acquisition.start.dtype not in DTYPES:
            raise NotReplayable(f"a DECTRIS detector sends {', '.join(DTYPES)}, found {acquisition.start.dtype}")
        self._detector = delivery.detector or EmulatedDetector("dectris-v2")
        self._start = acquisition.start
        self._form: Literal["legacy", "cbor"] = "legacy" if self._detector.name == "dectris-v1" else "cbor"

        def images(number: int) -> Images:
            return {"threshold_1": source(number)}

        settings = _settings(acquisition, delivery, self._detector, self._form)
        try:
            self._emulator = DectrisEmulator(images, settings, plans)
        except ZMQError as error:
            port = _stream_port(self._detector)
            raise CannotListen(f"{settings.host}: cannot listen at port {port}: {error}") from error
        try:
            self._server = RestServer(self._emulator)
        except OSError as error:
            self._emulator.close()
            raise CannotListen(f"{settings.host}: cannot listen at port {settings.rest_port}: {error}") from error
        self._server.__enter__()

    @property
    def place(self) -> str:
        """Where it listens."""
        host, port = self._detector.host, self._emulator.outlet.port(self._form)
        other = self._emulator.outlet.port("cbor" if self._form == "legacy" else "legacy")
        commanded = f"commanded at http://{host}:{self._server.port}, its other stream at port {other}"
        return f"{self._detector.name} at tcp://{host}:{port}, {commanded}"

    @property
    def table(self) -> str:
        """What a daemon's configuration must say."""
        stream = "v1" if self._form == "legacy" else "v2"
        return (
            f'[intake.dectris]\nhost = "{self._detector.address}"\nstream = "{stream}"\n'
            f"stream_port = {self._emulator.outlet.port(self._form)}\nrest_port = {self._server.port}\n"
        )

    @property
    def records(self) -> list[ScanRecord]:
        """Its series."""
        return self._emulator.record

    @property
    def clipped(self) -> int:
        """Its pixels hold all that the frames do."""
        return 0

    def is_heard(self) -> bool:
        """Somebody takes images; who waits for a command need not know."""
        return self._detector.arm == "wait" or self._emulator.outlet.heard(self._form)

    def is_idle(self) -> bool:
        """No series is in progress."""
        return self._emulator.state == "idle"

    def waiting_since(self) -> float | None:
        """Since when nobody has taken what is being sent [s]."""
        return self._emulator.outlet.waiting_since

    def begin(self) -> None:
        """Arm it."""
        self._emulator.arm()

    def close(self, linger_seconds: float) -> None:
        """End everything."""
        self._server.close(linger_seconds)


def _stream_port(detector: EmulatedDetector) -> int:
    return STREAM_PORTS[detector.name] if detector.stream_port is None else detector.stream_port


def _settings(acquisition: Acquisition, delivery: Delivery, detector: EmulatedDetector, form: str) -> EmulatorSettings:
    start, sending = acquisition.start, delivery.sending
    config: dict[str, Setting] = {"nimages": acquisition.frames, "compression": _COMPRESSIONS[sending.encoding]}
    if start.energy_kev is not None:
        config |= {"incident_energy": 1e3 * start.energy_kev, "photon_energy": 1e3 * start.energy_kev}
    ports: dict[str, Any] = {f"{form}_port": _stream_port(detector)}
    return EmulatorSettings(
        host=detector.host,
        rest_port=REST_PORT if detector.control_port is None else detector.control_port,
        images_per_second=sending.frames_per_second,
        burst=sending.burst,
        stall_seconds=delivery.stall_seconds,
        # who has heard another run of it must not take its series for those
        series_before=int(time.time()) % MOST_SERIES,
        config=config,
        stream={"format": form},
        **ports,
    )
