"""A Quantum Detectors Merlin that is not there: its control and data connections."""

from livestrain_simulator.emulators.merlin.emulator import MerlinEmulator
from livestrain_simulator.emulators.merlin.pixels import PixelKind
from livestrain_simulator.emulators.merlin.sources import FrameSource, from_array, from_iterable

__all__ = [
    "FrameSource",
    "MerlinEmulator",
    "PixelKind",
    "from_array",
    "from_iterable",
]
