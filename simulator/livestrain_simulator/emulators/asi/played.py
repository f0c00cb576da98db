"""A detector of Amsterdam Scientific Instruments that takes the scans that it is given."""

from livestrain_simulator.delivery import Acquisition, Delivery, EmulatedDetector
from livestrain_simulator.emulators.asi.emulator import AsiEmulator, AsiSettings
from livestrain_simulator.emulators.asi.forms import Form, Frame
from livestrain_simulator.emulators.asi.rest import ServalServer
from livestrain_simulator.emulators.faults import Plans
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.emulators.streaming import FrameStream, SourceFailed
from livestrain_simulator.errors import CannotListen, NotReplayable

SERVAL_PORT = 8080
LINGER_SECONDS = 5.0
"""There are receivers that never hang up [s]."""
DATA_PORTS: dict[Form, int] = {"pgm": 8088, "jsonimage": 8088, "tpx3": 8283}
FORMS: dict[str, Form] = {"asi": "pgm", "asi-jsonimage": "jsonimage", "asi-tpx3": "tpx3"}
DTYPES = ("uint8", "uint16", "uint32")
_NO_START = {"late_header": "nothing is sent before its first image"}
_NO_NAME = {"second_series": "its frames do not say which measurement they are of"}
_NO_NUMBER = {"reorder": "its frames have no numbers"}
CANNOT: dict[Form, dict[str, str]] = {
    "pgm": {**_NO_START, **_NO_NAME, **_NO_NUMBER},
    "jsonimage": {**_NO_START, "second_series": "it measures one thing at a time"},
    "tpx3": {**_NO_NAME, **_NO_NUMBER},
}
"""Faults that this detector cannot make, and why."""


class PlayedAsi:
    """
    An emulator and, for images, its Serval, as a `Played`.

    Raises
    ------
    CannotListen
        If an address is taken or makes no sense.
    NotReplayable
        If it has no pixels of that type, or nobody can command it.
    """

    def __init__(self, acquisition: Acquisition, delivery: Delivery, source: FrameStream, plans: Plans) -> None:
        start = acquisition.start
        self._detector = delivery.detector or EmulatedDetector("asi")
        self._form = FORMS[self._detector.name]
        if start.dtype not in DTYPES:
            raise NotReplayable(f"{self._detector.name} sends {', '.join(DTYPES)}, found {start.dtype}")
        if self._form == "tpx3" and self._detector.arm == "wait":
            raise NotReplayable("--arm wait: asi-tpx3 takes no commands, so that nobody else can begin its scans")

        def frames(number: int) -> Frame | None:
            try:
                return source(number)
            except SourceFailed:
                if source.failure is None or number == 0:
                    raise
                # who gives the frames knows why there are no more
                return None

        settings = _settings(acquisition, delivery, self._detector, self._form)
        try:
            self._emulator = AsiEmulator(frames, settings, plans)
        except OSError as error:
            raise CannotListen(f"{settings.host}: cannot listen at port {settings.data_port}: {error}") from error
        self._emulator.n_triggers = acquisition.frames
        self._serval: ServalServer | None = None
        if self._form != "tpx3":
            port = SERVAL_PORT if self._detector.control_port is None else self._detector.control_port
            try:
                self._serval = ServalServer(self._emulator, settings.host, port)
            except OSError as error:
                self._emulator.close()
                raise CannotListen(f"{settings.host}: cannot listen at port {port}: {error}") from error
            self._serval.__enter__()

    @property
    def place(self) -> str:
        """Where it listens."""
        host = self._detector.host
        commanded = f", commanded at http://{host}:{self._serval.port}" if self._serval else ""
        return f"{self._detector.name} at tcp://{host}:{self._emulator.data_port}{commanded}"

    @property
    def table(self) -> str:
        """What a daemon's configuration must say."""
        form = "tpx3" if self._form == "tpx3" else "frames"
        rest = f"\nrest_port = {self._serval.port}" if self._serval else ""
        port = self._emulator.data_port
        return f'[intake.asi]\nhost = "{self._detector.address}"\nform = "{form}"\ndata_port = {port}{rest}\n'

    @property
    def records(self) -> list[ScanRecord]:
        """Its scans."""
        return self._emulator.record

    @property
    def clipped(self) -> int:
        """Pixels that held more than it can count."""
        return self._emulator.clipped

    def is_heard(self) -> bool:
        """Somebody takes frames; who waits for a command need not know."""
        return self._detector.arm == "wait" or self._emulator.listeners > 0

    def is_idle(self) -> bool:
        """No measurement is in progress."""
        return not self._emulator.recording

    def waiting_since(self) -> float | None:
        """Since when nobody has taken what is being sent [s]."""
        return self._emulator.audience.waiting_since

    def begin(self) -> None:
        """Start a measurement."""
        self._emulator.start()

    def close(self, linger_seconds: float) -> None:
        """End everything; Serval answers until the images are taken."""
        if self._serval:
            self._emulator.audience.finish(min(linger_seconds, LINGER_SECONDS))
            self._serval.__exit__(None, None, None)
        else:
            self._emulator.close()


def _settings(acquisition: Acquisition, delivery: Delivery, detector: EmulatedDetector, form: Form) -> AsiSettings:
    rows, columns = acquisition.start.scan_shape
    return AsiSettings(
        form,
        # it knows of no flyback: what is in a row is in the scan
        (rows, columns + acquisition.start.flyback_frames),
        frames_per_second=delivery.sending.frames_per_second,
        burst=delivery.sending.burst,
        stall_seconds=delivery.stall_seconds,
        host=detector.host,
        keeps_places=False,
        data_port=DATA_PORTS[form] if detector.stream_port is None else detector.stream_port,
    )
