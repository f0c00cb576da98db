"""Following a scan with Live, and comparing what has come with what the daemon has."""

import numpy as np
from numpy.typing import NDArray

from helpers.waiting import wait_until
from helpers.wire_daemon import WireDaemon
from helpers.wire_scan import WireScan
from livestrain_client.live import Live
from livestrain_client.updates import Update

SHAPE = (12, 10)
POSITIONS = 120


def maps() -> dict[str, NDArray[np.generic]]:
    e_xx = np.random.default_rng(1).normal(0, 0.01, SHAPE).astype(np.float32)
    e_xx[2, 3] = np.nan
    vectors = np.random.default_rng(2).normal(0, 1, (*SHAPE, 2, 2))
    return {"e_xx": e_xx, "total": np.arange(POSITIONS, dtype=np.uint64).reshape(SHAPE), "vectors": vectors}


def joined(daemon: WireDaemon, follow: bool = True) -> Live:
    return Live(daemon.maps_endpoint, daemon.control_endpoint, follow=follow)


def follow_until(live: Live, kind: type[Update], seconds: float = 10) -> list[Update]:
    """Every update until one of this kind."""
    seen: list[Update] = []

    def came() -> bool:
        seen.extend(live.poll(0.01))
        return any(isinstance(update, kind) for update in seen)

    wait_until(came, seconds, kind.__name__)
    return seen


def same_bits(live: Live, scan: WireScan) -> bool:
    """Whether all maps equal the daemon's acknowledged values to the last bit."""
    for info in scan.infos:
        state = live.maps.get(info.name)
        if state is None or state.known.ravel().tolist() != scan.known.tolist():
            return False
        known = scan.known.reshape(SHAPE)
        if state.values[known].tobytes() != scan.truth(info.name)[known].tobytes():
            return False
        if not np.isnan(state.values[~known]).all() and info.dtype != "uint64":
            return False
    return True


def assert_ends_the_same(live: Live, scan: WireScan) -> None:
    wait_until(lambda: live.poll(0.01) is not None and same_bits(live, scan), 10, "the same bits")
