"""
The client of livestrain: follow a scan while it is measured, and ask the daemon.

Light on purpose: numpy, pyzmq and pydantic, on any operating system.
"""

from livestrain_client.errors import RequestRefused, Unavailable
from livestrain_client.live import Live
from livestrain_client.requests import Control
from livestrain_client.state import MapState
from livestrain_client.updates import (
    EventSeen,
    MapChanged,
    PlanReplaced,
    ProgressChanged,
    Reconnected,
    ScanBegan,
    ScanFinished,
    Stale,
    Update,
    VectorMapChanged,
)

__all__ = [
    "Control",
    "EventSeen",
    "Live",
    "MapChanged",
    "MapState",
    "PlanReplaced",
    "ProgressChanged",
    "Reconnected",
    "RequestRefused",
    "ScanBegan",
    "ScanFinished",
    "Stale",
    "Unavailable",
    "Update",
    "VectorMapChanged",
]
