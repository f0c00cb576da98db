"""What strain is measured against in an export: what held during the scan, or something else on request."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.errors import NoReference
from livestrain_core.reference import median_reference
from livestrain_daemon.errors import NotAScan
from livestrain_daemon.export.errors import BadChoice, NothingToExport
from livestrain_daemon.export.exported import Choice
from livestrain_daemon.plan import Plan
from livestrain_daemon.scan.axes import resolved
from livestrain_daemon.scan.references import Region, spans_area
from livestrain_daemon.scanfolder import ResultsFile
from livestrain_wire.messages import ReferenceInfo

_REGION = re.compile(r"(?:region)?\s*(\d{1,9}):(\d{1,9})\s*,\s*(\d{1,9}):(\d{1,9})", re.ASCII)


def chosen_reference(
    choice: Choice, results: ResultsFile, analysed: NDArray[np.bool_], plan: Plan, journal: list[dict[str, Any]]
) -> ReferenceInfo | None:
    """
    The reference for an export, with its axes.

    Parameters
    ----------
    choice
        Its reference is "recorded" (what held last for this revision, else the median), "median", "plan", or a region
        "r0:r1,c0:c1".
    analysed : (positions,)
        Where there are results.

    Returns
    -------
    ReferenceInfo or None
        None where the revision has no lattice vectors, or none that are finite, and nothing was asked for.

    Raises
    ------
    BadChoice
        If the words for the reference mean nothing.
    NothingToExport
        If there is no such reference, or the axes are not known.
    """
    held = _recorded(journal, plan.revision)
    found = _vectors(choice.reference, results, analysed, plan, held)
    if found is None:
        if choice.axes not in {None, "detector"}:
            raise NothingToExport(f"{results.layout.path}: has no lattice, so there is no strain along any axes")
        return None
    axes = choice.axes or (held.axes if held else plan.axes)
    if axes == "scan" and plan.calibration.scan_axes is None:
        raise NothingToExport("the calibration does not say how the scan lies to the detector")
    return resolved(found.model_copy(update={"axes": axes}), plan.calibration)


def _vectors(
    wanted: str, results: ResultsFile, analysed: NDArray[np.bool_], plan: Plan, held: ReferenceInfo | None
) -> ReferenceInfo | None:
    region = _REGION.fullmatch(wanted.strip())
    if wanted not in {"recorded", "median", "plan"} and region is None:
        raise BadChoice(f"expected a reference recorded, median, plan or r0:r1,c0:c1, found {wanted!r:.60}")
    if "g1" not in results.layout.outputs:
        if wanted == "recorded":
            return None
        raise NothingToExport(f"{results.layout.path}: has no lattice, so there is nothing to measure strain against")
    if wanted == "plan":
        return _of_plan(plan)
    if region is not None:
        first_row, row_after, first_column, column_after = (int(side) for side in region.groups())
        return _median(results, analysed, (first_row, first_column, row_after, column_after))
    recorded = held if wanted == "recorded" else None
    return recorded or _median(results, analysed, None, must_be=wanted == "median")


def _of_plan(plan: Plan) -> ReferenceInfo:
    calibration = plan.calibration
    if calibration.g1 is None or calibration.g2 is None:
        raise NothingToExport("the plan has no lattice")
    return ReferenceInfo(revision=0, kind="plan", vectors=(*calibration.g1, *calibration.g2))


def _recorded(journal: list[dict[str, Any]], revision: int) -> ReferenceInfo | None:
    """The last reference before the next plan; one that spans no area was never in use."""
    held: ReferenceInfo | None = None
    reached = False
    try:
        for entry in journal:
            if entry["kind"] == "plan":
                now = int(entry["plan"]["revision"])
                if reached and now != revision:
                    break
                reached = now == revision
            elif entry["kind"] == "reference":
                held = ReferenceInfo.model_validate(entry["reference"])
    except (KeyError, TypeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise NotAScan(f"the journal has an entry that cannot be understood: {text:.200}") from error
    return held if reached and held is not None and spans_area(held.vectors) else None


def _median(
    results: ResultsFile, analysed: NDArray[np.bool_], region: Region | None, must_be: bool = True
) -> ReferenceInfo | None:
    rows, columns = results.layout.scan_shape
    wanted = analysed.reshape(rows, columns).copy()
    if region is not None:
        first_row, first_column, row_after, column_after = region
        if not (first_row < row_after <= rows and first_column < column_after <= columns):
            raise NothingToExport(f"expected a region within {rows} x {columns} positions, found {_text(region)}")
        inside = np.zeros_like(wanted)
        inside[first_row:row_after, first_column:column_after] = True
        wanted &= inside
    g = np.stack([results.read(name, 0, rows * columns) for name in ("g1", "g2")], axis=1)[wanted.ravel()]
    try:
        vectors = median_reference(g).ravel().tolist()
    except NoReference as error:
        if not must_be:
            return None
        where = "the scan" if region is None else _text(region)
        raise NothingToExport(f"no position of {where} has a lattice yet") from error
    good = int(np.isfinite(g).all(axis=(1, 2)).sum())
    kind = "median" if region is None else "region"
    return ReferenceInfo(revision=0, kind=kind, vectors=vectors, region=region, positions=good)


def _text(region: Region) -> str:
    first_row, first_column, row_after, column_after = region
    return f"{first_row}:{row_after},{first_column}:{column_after}"
