"""Which detector sends a scan."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from livestrain_simulator.delivery import Acquisition, Delivery, DetectorName, Report, Tell
from livestrain_simulator.emulators.asi import played as asi
from livestrain_simulator.emulators.dectris import played as dectris
from livestrain_simulator.emulators.faults import Plans, WrongFault
from livestrain_simulator.emulators.merlin import played as merlin
from livestrain_simulator.emulators.native import deliver_native
from livestrain_simulator.emulators.playing import Played, play
from livestrain_simulator.emulators.streaming import FrameStream
from livestrain_simulator.errors import NotReplayable

Opened = Callable[[Acquisition, Delivery, FrameStream, Plans], Played]


@dataclass(frozen=True)
class Kind:
    """A detector that can be emulated."""

    opened: Opened
    cannot: Mapping[str, str]
    """Faults that its protocol cannot express, and why."""


DETECTORS: dict[DetectorName, Kind] = {
    "dectris-v1": Kind(dectris.PlayedDectris, dectris.CANNOT),
    "dectris-v2": Kind(dectris.PlayedDectris, dectris.CANNOT),
    "merlin": Kind(merlin.PlayedMerlin, merlin.CANNOT),
    "asi": Kind(asi.PlayedAsi, asi.CANNOT["pgm"]),
    "asi-jsonimage": Kind(asi.PlayedAsi, asi.CANNOT["jsonimage"]),
    "asi-tpx3": Kind(asi.PlayedAsi, asi.CANNOT["tpx3"]),
}


def deliver(acquisition: Acquisition, delivery: Delivery, say: Callable[[str], None], tell: Tell) -> Report:
    """
    Send scans as a delivery asks for; the report of the last.

    Parameters
    ----------
    acquisition
        What is sent.
    delivery
        Where and how to send it.
    say
        Takes a line on where frames go, or where a detector listens.
    tell
        Takes the report of each scan.

    Raises
    ------
    NobodyListens
        If frames are not accepted within the waiting time.
    CannotListen
        If a detector cannot have the address it was given.
    NotReplayable
        If it cannot send such frames.
    WrongFault
        If it cannot make a fault that is asked for, or no scan has such a frame.
    """
    detector = delivery.detector
    if detector is None or detector.arm == "self":
        # who commands a detector may ask it for longer scans
        delivery.faults.check(acquisition.frames)
    if delivery.sending.burst > 1 and delivery.sending.frames_per_second is None:
        raise WrongFault("burst: expected a rate to keep between bursts, found none; give --rate")
    if detector is None:
        say(f"sending to {delivery.endpoint}")
        return deliver_native(acquisition, delivery, tell)
    if acquisition.positions is not None:
        raise NotReplayable(f"{detector.name} does not say where frames belong: an explicit order goes as native only")
    kind = DETECTORS[detector.name]
    for name in delivery.faults.asked():
        if name in kind.cannot:
            raise WrongFault(f"--{name.replace('_', '-')}: {detector.name} cannot do that: {kind.cannot[name]}")
    return play(kind.opened, acquisition, delivery, say, tell)
