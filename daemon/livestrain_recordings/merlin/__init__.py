"""Quantum Detectors Merlin: headers and pixels of its frames, and its .mib files."""
