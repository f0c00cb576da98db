"""Quantum Detectors Merlin: frames from its data connection and from its .mib files."""
