"""Detectors of Amsterdam Scientific Instruments that are not there: images from Serval, chunks from a CheeTah TPX3."""

from livestrain_simulator.emulators.asi.emulator import AsiEmulator, AsiSettings
from livestrain_simulator.emulators.asi.forms import POSSIBLE, Form
from livestrain_simulator.emulators.asi.rest import ServalServer

__all__ = ["POSSIBLE", "AsiEmulator", "AsiSettings", "Form", "ServalServer"]
