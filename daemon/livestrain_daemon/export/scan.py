"""Reads a scan folder for export; only reads, so that a scan in progress is not disturbed."""

from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.reason import Reason
from livestrain_daemon.export.errors import NothingToExport
from livestrain_daemon.export.exported import AXES, CONVENTION, PY4DSTEM, BraggImage, Choice, Exported, PixelSizes
from livestrain_daemon.export.maps import Source, chosen_maps
from livestrain_daemon.export.reference import chosen_reference
from livestrain_daemon.plan import DIFFRACTION, Plan, parse_plan
from livestrain_daemon.scan.axes import to_scan
from livestrain_daemon.scanfolder import (
    FrameLayout,
    ResultsFile,
    ResultState,
    open_frames,
    open_results,
    read_journal,
    revisions,
)
from livestrain_daemon.scanfolder.hold import Held
from livestrain_daemon.vectors import Vectors, centre_map, read_vectors, vector_kind
from livestrain_wire.messages import ReferenceInfo


def read_scan(folder: Path, choice: Choice) -> Exported:
    """
    What a scan folder holds, as far as it is analysed; the scan is not removed while somebody has the outcome.

    Parameters
    ----------
    folder
        The scan folder; nothing in it is changed.
    choice
        Revision, maps, reference and axes.

    Raises
    ------
    NotAScan
        If it is no scan folder, or a file in it is damaged.
    StorageError
        If it is being removed.
    NothingToExport
        If it has not what was asked for.
    """
    frames = open_frames(folder)
    hold = Held(frames.folder)
    try:
        return _read(frames, choice, hold)
    except BaseException:
        hold.release()
        raise


def _read(frames: FrameLayout, choice: Choice, hold: Held) -> Exported:
    folder = frames.folder
    revision = _revision(folder, choice.revision)
    journal = read_journal(folder)
    with ResultsFile(open_results(folder, revision), read_only=True) as results:
        plan = parse_plan(results.layout.plan)
        analysed = results.ledger(DIFFRACTION) == ResultState.ANALYSED
        reference = chosen_reference(choice, results, analysed, plan, journal)
        source = Source(results, analysed, plan, reference)
        has_vectors = vector_kind(results.layout.outputs) is not None
        return Exported(
            scan_id=frames.start.scan_id,
            revision=revision,
            scan_shape=frames.scan_shape,
            frame_shape=frames.frame_shape,
            sizes=sizes_of(frames, plan),
            reference=reference,
            maps=chosen_maps(source, choice.maps),
            reasons=_reasons(results).reshape(frames.scan_shape),
            analysed=analysed.reshape(frames.scan_shape),
            centres=_centres(results, analysed),
            origin=plan.calibration.centre,
            read_vectors=partial(_vectors, folder, revision, analysed) if has_vectors else None,
            read_bragg=partial(_bragg_image, folder, revision) if has_vectors else None,
            hold=hold,
            precious=(frames.folder, frames.frames_path),
            about=_about(frames, plan, reference, analysed, journal),
        )


def _revision(folder: Path, wanted: int | None) -> int:
    there = revisions(folder)
    if not there:
        raise NothingToExport(f"{folder}: has no results yet")
    if wanted is None:
        return there[-1]
    if wanted not in there:
        raise NothingToExport(f"{folder}: expected a revision among {', '.join(map(str, there))}, found {wanted}")
    return wanted


def sizes_of(frames: FrameLayout, plan: Plan) -> PixelSizes:
    """What the calibration knows of sizes, else the sender."""
    start, calibration = frames.start, plan.calibration
    pixel, ellipse, axes = calibration.pixel_size, calibration.ellipse, calibration.scan_axes
    return PixelSizes(
        step_nm=start.step_nm,
        detector=pixel.size if pixel else start.pixel_size_mrad,
        detector_unit=pixel.unit if pixel else "mrad" if start.pixel_size_mrad else "",
        to_scan=to_scan(axes) if axes else None,
        ellipse=(ellipse.ratio, float(np.radians(ellipse.angle_deg))) if ellipse else None,
    )


def _vectors(folder: Path, revision: int, analysed: NDArray[np.bool_]) -> Vectors:
    with ResultsFile(open_results(folder, revision), read_only=True) as results:
        return read_vectors(results, analysed, 0, results.layout.positions)


def _centres(results: ResultsFile, analysed: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    name = centre_map(results.layout.outputs)
    if not name:
        return None
    found = results.read(name, 0, results.layout.positions).astype(np.float64)
    found[~analysed] = np.nan
    return found.reshape(*results.layout.scan_shape, 2)


def _bragg_image(folder: Path, revision: int) -> BraggImage:
    from livestrain_daemon.vector_map import vector_map  # noqa: PLC0415 - numba takes its time to import

    about, pixels = vector_map(folder, revision, sampling=1, centred=True)
    return BraggImage(pixels, about.model_dump(mode="json"))


def _reasons(results: ResultsFile) -> NDArray[np.str_]:
    """In a word, what became of each position."""
    states = results.ledger(DIFFRACTION)
    found = np.array([ResultState(int(state)).name.lower() for state in states], dtype="<U16")
    if "reason" in results.layout.outputs:
        words = {int(reason): reason.name.lower() for reason in Reason}
        codes = results.read("reason", 0, results.layout.positions)
        done = states == ResultState.ANALYSED
        found[done] = [words.get(int(code), f"reason {code}") for code in codes[done]]
    return found


def _about(
    frames: FrameLayout,
    plan: Plan,
    reference: ReferenceInfo | None,
    analysed: NDArray[np.bool_],
    journal: list[dict[str, Any]],
) -> dict[str, Any]:
    facts = frames.start.model_dump(mode="json", exclude_none=True, exclude={"v", "type"})
    found: dict[str, Any] = {
        "scan": facts,
        "positions_analysed": int(analysed.sum()),
        "positions": len(analysed),
        "scan_is_over": any(entry["kind"] == "scan_ended" for entry in journal),
        "not_measured": "NaN",
        "plan": plan.model_dump(mode="json"),
        "exported_by": f"livestrain {version('livestrain')}",
    }
    if reference is not None:
        axes = reference.axes
        strain = {"axes": axes, "axes_are": AXES[axes], "convention": CONVENTION, "py4DSTEM": PY4DSTEM}
        found["strain"] = {**strain, "reference": reference.model_dump(mode="json", exclude={"revision"})}
    return found
