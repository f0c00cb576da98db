"""Values of maps: what is stored, and what is derived from that."""

from threading import Thread
from typing import Any

from numpy.typing import NDArray

from livestrain_daemon.scan.derived import DERIVED_NAMES
from livestrain_daemon.scanfolder import ResultsFile
from livestrain_wire.messages import ReferenceInfo


def read_maps(
    names: list[str], results: ResultsFile, reference: ReferenceInfo | None, first: int, count: int
) -> dict[str, NDArray[Any]]:
    """
    Values of maps at consecutive positions, each (count, *shape); derived ones are computed.

    Raises
    ------
    KeyError
        If there is no such map.
    """
    values: dict[str, NDArray[Any]] = {}
    if DERIVED_NAMES.intersection(names):
        if reference is None or "g1" not in results.layout.outputs:
            raise KeyError("strain")
        from livestrain_daemon.scan.deriving import derived_maps  # noqa: PLC0415 - numba takes its time to import

        values.update(derived_maps(names, results, reference, first, count))
    for name in names:
        if name not in DERIVED_NAMES:
            values[name] = results.read(name, first, count)
    return values


def prepare_derived() -> Thread:
    """
    Starts a thread that imports and compiles what derived maps take.

    The first of them wait for it if it is not done; whoever needs none goes on at once.
    """
    thread = Thread(target=_prepare_derived, name="derived maps")
    thread.start()
    return thread


def _prepare_derived() -> None:
    from livestrain_daemon.scan import deriving  # noqa: PLC0415 - numba takes its time to import

    deriving.warm()
