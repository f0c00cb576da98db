"""Endpoints that cannot be had at the same time."""

from collections.abc import Mapping
from itertools import combinations

EVERYWHERE = {"*", "0.0.0.0", "[::]", "::"}  # noqa: S104 - nothing is bound here
LOOPBACK = {"localhost": "127.0.0.1"}


def same(endpoints: Mapping[str, str]) -> tuple[str, str] | None:
    """
    Two keys whose endpoints are the same, or lie in each other.

    Parameters
    ----------
    endpoints
        ZeroMQ endpoints by the key that sets them; a port of ``*`` or 0 is chosen when it is bound.
    """
    for (key, one), (other_key, other) in combinations(endpoints.items(), 2):
        if _overlap(one, other):
            return key, other_key
    return None


def _overlap(one: str, other: str) -> bool:
    if not (one.startswith("tcp://") and other.startswith("tcp://")):
        return one == other
    host, port = _parts(one)
    other_host, other_port = _parts(other)
    if port != other_port or port in {"*", "0"}:
        return False
    return host == other_host or bool(EVERYWHERE & {host, other_host})


def _parts(endpoint: str) -> tuple[str, str]:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return LOOPBACK.get(host, host), port.lstrip("0") or "0"
