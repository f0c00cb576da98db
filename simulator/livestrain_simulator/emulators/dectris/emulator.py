"""A DECTRIS detector without a detector: commands in, both streams out."""

import uuid
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition, Event, Thread
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.emulators.dectris.configuration import (
    INTERNAL,
    MODE,
    NotAccepted,
    change,
    defaults,
    images_per_trigger,
)
from livestrain_simulator.emulators.dectris.outlet import Outlet
from livestrain_simulator.emulators.dectris.sending import Form, Message, Outgoing, Script
from livestrain_simulator.emulators.dectris.series import FrameSource, Series, Setting
from livestrain_simulator.emulators.faults import Plans, SecondCopy, no_plans
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.emulators.streaming import SourceFailed
from livestrain_simulator.pacing import Pacer

State: TypeAlias = Literal["idle", "ready", "acquire"]
LEAVE_SECONDS = 10.0
"""So long may a series take to stop [s]."""


@dataclass(frozen=True)
class EmulatorSettings:
    """How the emulator behaves where commands do not say."""

    host: str = "127.0.0.1"
    rest_port: int = 0
    """0 for any."""
    legacy_port: int = 0
    cbor_port: int = 0
    api_version: str = "1.8.0"
    channels: tuple[str, ...] = ("threshold_1",)
    split_header: bool = False
    """Send each part of a header of stream v1 as a message of its own."""
    period: int = 0
    """After so many images the source begins again, and what is packed is kept; 0 if it never does."""
    images_per_second: float | None = None
    """None: as fast as it goes."""
    burst: int = 1
    """So many images leave at once, and then a pause keeps the rate."""
    stall_seconds: float = 1.0
    """How long an image that stalls takes [s]."""
    arm_seconds: float = 0.0
    """How long it takes to be armed [s]."""
    when_full: Literal["wait", "drop"] = "wait"
    """What happens to messages that nobody takes."""
    second_copy: SecondCopy | None = None
    """Changes the pixels of the second copy of an image."""
    series_before: int = 0
    """Number of the series before its first."""
    config: Mapping[str, Setting] = field(default_factory=lambda: MappingProxyType({}))
    """Configuration of the detector in the beginning, by its REST keys."""
    stream: Mapping[str, Setting] = field(default_factory=lambda: MappingProxyType({}))
    """Configuration of its stream, likewise."""
    mask: NDArray[np.uint32] | None = None
    """(rows, columns), 0 where a pixel is good; None if all are."""


class DectrisEmulator:
    """
    The detector behind the REST interface, which is in `rest`.

    Parameters
    ----------
    source
        Its images.
    settings
        How it behaves.
    plans
        What goes wrong in which series, counted from 0; the start and the end of a series have numbers, too.
    """

    def __init__(self, source: FrameSource, settings: EmulatorSettings, plans: Plans = no_plans) -> None:
        self.settings = settings
        first = next(iter(source(0).values()))
        self.detector: dict[str, Setting] = {**defaults(first), **settings.config}
        """Configuration by REST keys."""
        self.stream: dict[str, Setting] = {**MODE, **settings.stream}
        self.state: State = "idle"
        self.record: list[ScanRecord] = []
        """What has been sent of each series."""
        self.outlet = Outlet(settings.host, settings.legacy_port, settings.cbor_port, settings.when_full)
        self._source = source
        self._plans = plans
        self._stale: list[Message] = []
        self._shape: tuple[int, int] = first.shape
        self._dtype: str = first.dtype.name
        self._number = settings.series_before
        self._leave = Event()
        self._finish = Event()
        self._thread: Thread | None = None
        self._triggers = 0
        self._served = 0
        self._kept: dict[Hashable, Any] = {}
        self._changed = Condition()

    def set_value(self, values: dict[str, Setting], key: str, value: Setting) -> list[str]:
        """
        Change a configuration; the keys that changed.

        Raises
        ------
        NotAccepted
            If there is no such key, or the value is none of its values.
        """
        return change(values, key, value)

    def arm(self) -> int:
        """Begin a series; its number. With an external trigger the images follow at once."""
        if self.state != "idle":
            raise NotAccepted(f"expected the state idle, found {self.state}")
        self.close_series()
        self._leave, self._finish = Event(), Event()
        self._leave.wait(self.settings.arm_seconds)
        self._triggers = self._served = 0
        self.outlet.forget()
        self.state = "ready"
        series = self._next_series()
        self._thread = Thread(target=self._run, args=(series,), name="dectris-emulator", daemon=True)
        self._thread.start()
        return series.number

    def trigger(self) -> None:
        """Take the images of one trigger; returns after the last one, as the detector does."""
        if self.state == "idle" or self.detector["trigger_mode"] not in INTERNAL:
            raise NotAccepted(f"expected an armed detector that triggers itself, found the state {self.state}")
        with self._changed:
            self._triggers += 1
            wanted = self._triggers
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._served >= wanted or self.state == "idle")

    def disarm(self) -> None:
        """End the series in progress, and say so in the stream."""
        self._finish.set()
        self._wake()
        if self._thread:
            self._thread.join(LEAVE_SECONDS)

    def abort(self) -> None:
        """Stop at once; nothing more of the series comes, and no end."""
        self.close_series()

    def close_series(self) -> None:
        """Make the thread that sends leave."""
        self._leave.set()
        self._wake()
        if self._thread:
            self._thread.join(LEAVE_SECONDS)

    @property
    def done(self) -> list[tuple[int, int, str]]:
        """What went wrong on purpose: series, number of the image, action."""
        return [(record.scan + 1, *done) for record in self.record for done in record.done]

    @property
    def armed_count(self) -> int:
        """Series begun so far."""
        return self._number

    def close(self, linger_seconds: float = 0.0) -> None:
        """Stop everything, when what is on its way has been taken, or after some time [s]."""
        self.close_series()
        self.outlet.close(linger_seconds)

    def wait_until_idle(self, seconds: float) -> bool:
        """True once the series in progress has ended; false if it has not within some time [s]."""
        with self._changed:
            return self._changed.wait_for(lambda: self.state == "idle", seconds)

    @property
    def mask(self) -> NDArray[np.uint32]:
        """(rows, columns), 0 where a pixel is good."""
        mask = self.settings.mask
        return np.zeros(self._shape, np.uint32) if mask is None else mask

    @property
    def form(self) -> Form:
        """The stream that is switched on."""
        return "legacy" if self.stream["format"] == "legacy" else "cbor"

    def _next_series(self) -> Series:
        self._number += 1
        values: dict[str, Any] = {
            "frames": int(self.detector["ntrigger"]) * images_per_trigger(self.detector),
            "compression": self.detector["compression"],
            "detail": self.stream["header_detail"],
        }
        return Series(
            self._number,
            uuid.uuid4().hex,
            frame_shape=self._shape,
            dtype=self._dtype,
            channels=self.settings.channels,
            mask=self.mask,
            config=dict(self.detector),
            **values,
        )

    def _run(self, series: Series) -> None:
        """The thread of a series, and of those that follow without a command."""
        again: Series | None = series
        # who gives the frames knows why there are no more
        with suppress(SourceFailed):
            while again and not self._leave.is_set():
                again = self._next_series() if self._send(again) else None
        with self._changed:
            self.state = "idle"
            self._changed.notify_all()

    def _send(self, series: Series) -> bool:
        """Send a series; true if the next one is to follow at once."""
        settings = self.settings
        order = series.number - 1 - settings.series_before
        plan = self._plans(order, series.frames)
        record = ScanRecord(order, series.frames)
        self.record.append(record)
        script = Script(
            series,
            self._source,
            self.form,
            plan,
            settings.split_header,
            settings.period,
            self._kept,
            settings.second_copy,
        )
        pacer = Pacer(settings.images_per_second, sleep=self._pause, burst=settings.burst)
        for out in script.outgoing(self._finish.is_set):
            if 0 <= out.number < series.frames:
                if not self._wait_for_trigger(out.number):
                    continue
                pacer.wait_for(out.number)
            record.do(out.number, out.actions)
            if "abort" in out.actions:
                return False
            if "rearm" in out.actions:
                self._stale = script.stale(out.number)
                return True
            if "stall" in out.actions:
                self._pause(settings.stall_seconds)
            self._hand_over(script.form, out, record)
            if self._leave.is_set():
                return False
            self._count(out.number + 1)
        record.ended = True
        return False

    def _hand_over(self, form: Form, out: Outgoing, record: ScanRecord) -> None:
        messages, astray = list(out.messages), out.behind
        if out.starts:
            # what an aborted series left behind comes now
            astray += len(self._stale)
            messages, self._stale = messages + self._stale, []
        if self.stream["mode"] != "enabled":
            return
        taken = [self.outlet.send(form, message, self._leave) for message in messages]
        if all(taken):
            record.started |= out.starts
            record.astray += astray
            for number, times in out.whole:
                record.left(number, times)

    def _wait_for_trigger(self, number: int) -> bool:
        """True when the image may be taken; false if the series ends before."""
        self.state = "acquire"
        if self.detector["trigger_mode"] not in INTERNAL:
            return True
        per_trigger = images_per_trigger(self.detector)
        with self._changed:
            self._changed.wait_for(
                lambda: self._triggers * per_trigger > number or self._leave.is_set() or self._finish.is_set()
            )
        return self._triggers * per_trigger > number and not self._leave.is_set()

    def _pause(self, seconds: float) -> None:
        """Wait, unless the series is stopped or ended [s]."""
        with self._changed:
            self._changed.wait_for(lambda: self._leave.is_set() or self._finish.is_set(), seconds)

    def _count(self, images: int) -> None:
        with self._changed:
            self._served = images // images_per_trigger(self.detector)
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
