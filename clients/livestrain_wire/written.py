"""How shapes, rates and endpoints are written on command lines: the same in every package."""

import re

MOST_SIDE = 1 << 16
MOST_PIXELS = 1 << 26
"""Of a frame: 8192 x 8192."""
MOST_POSITIONS = 1 << 24
"""Of a scan that is simulated: 4096 x 4096."""
LOWEST_RATE = 1e-3
"""Frames per second: a frame in a quarter of an hour."""

_SIDES = re.compile(r"(\d{1,9})(?:x(\d{1,9}))?", re.ASCII | re.IGNORECASE)
_EVERYWHERE = ("//*:", "//0.0.0.0:")


def sides_of(text: str, most: int | None = None) -> tuple[int, int]:
    """
    Rows and columns from ``ROWSxCOLUMNS`` or one side.

    Parameters
    ----------
    most
        Rows times columns; None: as the sides allow.

    Raises
    ------
    ValueError
        With what was expected and found.
    """
    match = _SIDES.fullmatch(text)
    rows, columns = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= rows <= MOST_SIDE or not 1 <= columns <= MOST_SIDE:
        raise ValueError(f"expected ROWSxCOLUMNS of 1 to {MOST_SIDE} each, found {text:.60}")
    if most is not None and rows * columns > most:
        raise ValueError(f"expected at most {most} in all, found {rows * columns}")
    return rows, columns


def rate_of(text: str) -> float | None:
    """
    Frames per second, or None for ``max``: as fast as accepted.

    Raises
    ------
    ValueError
        With what was expected and found.
    """
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not LOWEST_RATE <= rate < float("inf"):
        raise ValueError(f"expected frames per second of at least {LOWEST_RATE:g}, or max, found {text:.60}")
    return rate


def connectable(endpoint: str) -> str:
    """A daemon's setting may say "every interface"; who connects on its host uses loopback."""
    for everywhere in _EVERYWHERE:
        endpoint = endpoint.replace(everywhere, "//127.0.0.1:")
    return endpoint
