"""Quantum Detectors Merlin: frames from its data connection."""
