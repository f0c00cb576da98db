"""
The client of livestrain: follow a scan while it is measured, and ask the daemon.

Light on purpose: numpy, pyzmq and pydantic, on any operating system.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
        ScanForgotten,
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
    "ScanForgotten",
    "Stale",
    "Unavailable",
    "Update",
    "VectorMapChanged",
]

_HOMES = {
    "Control": "livestrain_client.requests",
    "EventSeen": "livestrain_client.updates",
    "Live": "livestrain_client.live",
    "MapChanged": "livestrain_client.updates",
    "MapState": "livestrain_client.state",
    "PlanReplaced": "livestrain_client.updates",
    "ProgressChanged": "livestrain_client.updates",
    "Reconnected": "livestrain_client.updates",
    "RequestRefused": "livestrain_client.errors",
    "ScanBegan": "livestrain_client.updates",
    "ScanFinished": "livestrain_client.updates",
    "ScanForgotten": "livestrain_client.updates",
    "Stale": "livestrain_client.updates",
    "Unavailable": "livestrain_client.errors",
    "Update": "livestrain_client.updates",
    "VectorMapChanged": "livestrain_client.updates",
}


def __getattr__(name: str) -> Any:
    # imported when it is asked for: the command, whose package this is, starts without waiting for all of it
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
