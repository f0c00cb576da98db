"""A calibration from some frames of a scan, as a worker does it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_core.calibrate import Calibration, calibrate
from livestrain_core.descan import fit_centre_plane
from livestrain_core.detect import detect
from livestrain_core.ellipse import Ellipse, ellipse_of_rings, ratio_and_angle
from livestrain_core.errors import EllipseUnknown, NoDescan, NoProbe, NoVacuumProbe
from livestrain_core.probe import Probe
from livestrain_core.rings import Ring, points_on_rings, radial_maxima
from livestrain_daemon.learned import contrast_fields
from livestrain_daemon.messages import CalibrateTask
from livestrain_daemon.plan import CorrectionsPlan
from livestrain_daemon.scanfolder import FrameLayout, FrameReader, FrameState, open_frames
from livestrain_daemon.template import pattern_fields, probe_of
from livestrain_daemon.unusable import pixels_outside, unusable_runs
from livestrain_daemon.worker.corrections import load_corrections

Fields = dict[str, Any]
LEAST_SPAN = 0.5
"""A descan plane takes positions over this part of the scan's rows, and of its columns."""


def calibration_result(task: CalibrateTask, payload: bytes) -> Fields:
    """
    What was found.

    Returns
    -------
    dict
        ``calibration``: the plan's calibration, field by field; without it, ``reason`` says why there is none.
        ``refused``: why the ring or the vacuum probe of a request tells nothing.
    """
    layout = open_frames(Path(task.folder))
    probe, ring_image = _images(task, payload, layout.frame_shape)
    needs_frames = task.keep is None or (task.ring is not None and ring_image is None)
    positions, frames = _stored_frames(layout, task.positions if needs_frames else ())
    if needs_frames and not positions:
        return {"reason": f"none of the {len(task.positions)} positions asked for is stored"}
    corrections = CorrectionsPlan.model_validate(task.corrections or {})
    frames = load_corrections(Path(task.folder), corrections, layout.frame_shape).for_calibration(frames)
    usable = pixels_outside(task.unusable, layout.frame_shape) if task.unusable else None
    # an image that a request brings tells more than the configuration
    known = None if task.probe is None or probe is not None else Probe(*task.probe)
    if task.keep is not None:
        fields = dict(task.keep)
    else:
        try:
            found = calibrate(frames, usable, probe, template=task.template, probe=known)
        except NoVacuumProbe as error:
            # who asks can give another image; a scan must have some plan
            return {"refused" if task.source == "command" else "reason": str(error)}
        except NoProbe as error:
            return {"reason": str(error)}
        fields = {**_as_fields(found, positions, layout), "source": task.source}
        fields |= {"vacuum_probe": probe is not None, "probe_given": known is not None}
        if fields["descan"]:
            fields["descan"]["source"] = task.source
    if task.ring is not None:
        try:
            found_ellipse = (
                _ellipse_in_frames(frames, usable, fields, Ring(*task.ring))
                if ring_image is None
                else _ellipse(ring_image, usable, fields["centre"], Ring(*task.ring), "an image")
            )
            fields["ellipse"] = {**found_ellipse, "source": task.source}
        except EllipseUnknown as error:
            return {"calibration": fields, "refused": str(error)}
    return {"calibration": fields}


def _images(
    task: CalibrateTask, payload: bytes, shape: tuple[int, int]
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    images = list(np.frombuffer(payload, dtype="<f4").reshape(-1, *shape))
    probe = images.pop(0) if task.vacuum_probe else None
    return probe, images.pop(0) if task.ring_image else None


def _as_fields(found: Calibration, positions: list[int], layout: FrameLayout) -> Fields:
    """A calibration as the plan holds it."""
    lattice = found.lattice
    fields: Fields = {
        "positions": positions,
        "centre": list(lattice.centre if lattice else found.centre),
        "radius_px": found.probe.radius_px,
        "edge_px": found.probe.edge_px,
        "pattern": pattern_fields(found.probe.pattern),
        "reason": found.reason,
        "broken": unusable_runs(_without(found.broken, layout.frame_shape)),
        "descan": _descan(found, positions, layout.scan_shape),
    }
    if lattice:
        fields |= {
            "g1": list(lattice.g1),
            "g2": list(lattice.g2),
            "hk": found.hk.tolist(),
            "search_px": found.search_px,
            "residual_px": found.residual_px,
            "contrast": contrast_fields(found.contrast),
        }
    return fields


def _descan(found: Calibration, positions: list[int], scan_shape: tuple[int, int]) -> Fields | None:
    """The plane of the centres; None where the positions do not tell one."""
    where = np.stack(np.divmod(np.array(positions, np.int64), scan_shape[1]), axis=1)
    if len(found.centres) != len(where):
        return None
    good = where[np.isfinite(found.centres).all(axis=1)]
    # a plane through a corner of the scan says little about the rest
    if len(good) == 0 or (np.ptp(good, axis=0) < LEAST_SPAN * (np.array(scan_shape) - 1)).any():
        return None
    try:
        plane = fit_centre_plane(where, found.centres)
    except NoDescan:
        return None
    of = "lattices" if found.lattice else "direct beams"
    return {
        "origin": list(plane.origin),
        "per_row": list(plane.per_row),
        "per_column": list(plane.per_column),
        "residual_px": plane.residual_px,
        "how": f"centres of {plane.used} of {len(positions)} {of}",
    }


def _ellipse_in_frames(frames: NDArray[Any], usable: NDArray[np.bool_] | None, fields: Fields, ring: Ring) -> Fields:
    """From the disks on the ring, where there is one in a frame and more; else from the mean of the frames, a halo."""
    found = detect(frames, usable, probe_of(fields))
    disks = found.position[np.isfinite(found.position).all(axis=2)].astype(np.float64)
    points, _ = points_on_rings(disks, _point(fields["centre"]), (ring,))
    if len(points) >= len(frames):
        return _fields_of(ellipse_of_rings(points), ring, f"{len(points)} disks of {len(frames)} frames")
    return _ellipse(frames.mean(axis=0), usable, fields["centre"], ring, f"the mean of {len(frames)} frames")


def _ellipse(image: NDArray[Any], usable: NDArray[np.bool_] | None, centre: Any, ring: Ring, where: str) -> Fields:
    points = radial_maxima(image, usable, _point(centre), ring)
    return _fields_of(ellipse_of_rings(points), ring, where)


def _fields_of(found: Ellipse, ring: Ring, where: str) -> Fields:
    ratio, angle = ratio_and_angle(found.matrix)
    return {
        "ratio": ratio,
        "angle_deg": float(np.degrees(angle)),
        "residual_px": found.residual_px,
        "how": f"ring from {ring.inner_px:g} to {ring.outer_px:g} px in {where}",
    }


def _point(centre: Any) -> tuple[float, float]:
    return float(centre[0]), float(centre[1])


def _without(pixels: NDArray[np.int64], frame_shape: tuple[int, int]) -> NDArray[np.bool_]:
    kept = np.ones(frame_shape, dtype=np.bool_)
    kept[pixels[:, 0], pixels[:, 1]] = False
    return kept


def _stored_frames(layout: FrameLayout, wanted: tuple[int, ...]) -> tuple[list[int], NDArray[Any]]:
    """Those of the positions that are stored, and their frames; what goes from a ring meanwhile is left out."""
    with FrameReader(layout) as reader:
        stored = reader.ledger() == FrameState.STORED
        positions = np.array([position for position in wanted if position < layout.positions], dtype=np.int64)
        positions = positions[stored[positions]]
        frames = np.empty((len(positions), *layout.frame_shape), layout.dtype)
        for place, position in enumerate(positions.tolist()):
            reader.read(position, 1, frames[place : place + 1])
        still = reader.ledger()[positions] == FrameState.STORED
    return positions[still].tolist(), frames[still]
