"""What an emulated Merlin is set to and doing; shared by its control connections and its acquisitions."""

from dataclasses import replace
from threading import Condition

from livestrain_simulator.emulators.merlin.pixels import CODES, RAW, PixelKind
from livestrain_simulator.emulators.merlin.settings import (
    BUSY,
    OK,
    OUT_OF_RANGE,
    RAW_FORMAT,
    SETTINGS,
    UNKNOWN,
    written,
)

IDLE_STATUS = "0"
BUSY_STATUS = "1"


class State:
    """
    The state of the detector.

    Parameters
    ----------
    kind
        How frames are sent; COUNTERDEPTH and FILEFORMAT change it.
    frame_shape
        Pixels of a frame (rows, columns).
    """

    def __init__(self, kind: PixelKind, frame_shape: tuple[int, int]) -> None:
        self.kind = kind
        self.frame_shape = frame_shape
        self.settings: dict[str, float] = {name: setting.default for name, setting in SETTINGS.items()}
        self.settings["COUNTERDEPTH"] = kind.depth
        self.settings["FILEFORMAT"] = RAW_FORMAT if kind.code == RAW else 0
        self.acquiring = False
        self.stopping = False
        self.closed = False
        self.triggered = 0
        """Soft triggers that have not been used."""
        self.changed = Condition()

    def answer(self, request: str) -> str:
        """The reply to a request, with its return code."""
        verb, name, value = [*request.strip().split(",", 2), "", "", ""][:3]
        with self.changed:
            if verb == "GET":
                found = self._value(name)
                return f"GET,{name},{found or 0},{UNKNOWN if found is None else OK}"
            if verb == "SET":
                return f"SET,{name},{self._set(name, value)}"
            if verb == "CMD":
                return f"CMD,{name},{self._do(name)}"
        return f"{verb},{name},{UNKNOWN}"

    def _value(self, name: str) -> str | None:
        rows, columns = self.frame_shape
        known = {
            "DETECTORSTATUS": BUSY_STATUS if self.acquiring else IDLE_STATUS,
            "IMAGEX": str(columns),
            "IMAGEY": str(rows),
            "SOFTWAREVERSION": "1.0",
        }
        return known.get(name) or (written(self.settings[name]) if name in self.settings else None)

    def _set(self, name: str, value: str) -> int:
        setting = SETTINGS.get(name)
        if setting is None:
            return UNKNOWN
        try:
            number = float(value)
        except ValueError:
            return OUT_OF_RANGE
        if not setting.accepts(number):
            return OUT_OF_RANGE
        if self.acquiring:
            return BUSY
        before, self.settings[name] = self.settings[name], number
        if name in {"COUNTERDEPTH", "FILEFORMAT"} and number != before:
            depth, raw = int(self.settings["COUNTERDEPTH"]), self.settings["FILEFORMAT"] == RAW_FORMAT
            self.kind = replace(self.kind, depth=depth, code=RAW if raw else CODES[depth])
        return OK

    def _do(self, name: str) -> int:
        if name == "STARTACQUISITION":
            if self.acquiring:
                return BUSY
            self.acquiring, self.stopping, self.triggered = True, False, 0
        elif name in {"STOPACQUISITION", "ABORT"}:
            self.stopping = self.acquiring
        elif name == "SOFTTRIGGER":
            self.triggered += self.acquiring
        elif name not in {"CLEARERROR", "RESET"}:
            return UNKNOWN
        self.changed.notify_all()
        return OK
