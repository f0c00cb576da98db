"""What is known of the detector and the specimen, put into a calibration; a few formulae, no frames."""

from typing import Literal

import numpy as np
from pydantic import ValidationError

from livestrain_core.ellipse import ellipse_of_lattice, ratio_and_angle
from livestrain_core.errors import EllipseUnknown
from livestrain_core.scale import mrad_per_pixel, per_nm_per_pixel
from livestrain_daemon.errors import PlanError
from livestrain_daemon.geometry import DescanPlan, EllipsePlan, PixelSizePlan, ScanAxesPlan, Source
from livestrain_daemon.plan import CalibrationPlan
from livestrain_daemon.scan.axes import distortion
from livestrain_wire.messages import GivenValues, ScanStart

GIVEN = "as given"
LEAST_RATIO = 1e-6
"""Of the lengths of two lattice vectors; beyond, nothing can be computed of them."""


def inherited(found: CalibrationPlan, before: CalibrationPlan) -> CalibrationPlan:
    """What frames do not tell stays as it was; so does a descan that somebody has set."""
    update = {
        name: getattr(before, name) for name in ("ellipse", "scan_axes", "pixel_size") if not getattr(found, name)
    }
    descan = before.descan
    if descan is not None and (found.descan is None or descan.how == GIVEN):
        update["descan"] = descan
    return found.model_copy(update=update)


def with_known(calibration: CalibrationPlan, given: GivenValues, source: Source) -> CalibrationPlan:
    """
    A calibration with the values that somebody knows.

    Parameters
    ----------
    calibration
        As found.
    given
        What is known beside.
    source
        Who knows it.

    Raises
    ------
    EllipseUnknown
        The lattice that is found cannot be the one that is known.
    PlanError
        With what is found, what is known gives no pixel size that a plan may have.
    """
    update: dict[str, object] = {}
    if given.rotation_deg is not None or given.flip is not None:
        update["scan_axes"] = _scan_axes(calibration.scan_axes, given, source)
    if given.ellipse is not None:
        ratio, angle = given.ellipse
        update["ellipse"] = EllipsePlan(source=source, how=GIVEN, ratio=ratio, angle_deg=angle)
    elif given.lattice_shape is not None:
        update["ellipse"] = _ellipse(calibration, given.lattice_shape, source)
    if given.descan is not None:
        a, b, c, d, e, f = given.descan
        update["descan"] = DescanPlan(source=source, how=GIVEN, origin=(a, b), per_row=(c, d), per_column=(e, f))
    calibration = calibration.model_copy(update=update)
    size = _pixel_size(calibration, given, source) or calibration.pixel_size
    return calibration.model_copy(update={"pixel_size": size})


def with_sent(calibration: CalibrationPlan, start: ScanStart) -> CalibrationPlan:
    """
    A calibration with what the sender says where nothing better is known.

    Raises
    ------
    PlanError
        With the radius that is found, it gives no pixel size that a plan may have.
    """
    if calibration.pixel_size is not None:
        return calibration
    return calibration.model_copy(update={"pixel_size": _sent_pixel_size(calibration, start)})


def without_pixel_size(given: GivenValues) -> GivenValues:
    """What is known, but nothing of a pixel's size."""
    return given.model_copy(update={"pixel_size": None, "semiangle_mrad": None, "spacing_nm": None})


def _scan_axes(before: ScanAxesPlan | None, given: GivenValues, source: Source) -> ScanAxesPlan:
    before = before or ScanAxesPlan()
    rotation = before.rotation_deg if given.rotation_deg is None else given.rotation_deg
    return ScanAxesPlan(source=source, how=GIVEN, rotation_deg=rotation, flip=given.flip or before.flip)


def _ellipse(calibration: CalibrationPlan, shape: tuple[float, float], source: Source) -> EllipsePlan:
    if calibration.g1 is None or calibration.g2 is None:
        raise EllipseUnknown(f"there is no lattice to compare with the known one: {calibration.reason}")
    if shape[0] < LEAST_RATIO:
        raise EllipseUnknown(f"|g1| / |g2| = {shape[0]:g} is no lattice")
    found = ellipse_of_lattice(np.array([calibration.g1, calibration.g2]), shape[0], float(np.radians(shape[1])))
    ratio, angle = ratio_and_angle(found.matrix)
    how = f"the lattice that was found counts as unstrained, with |g1| / |g2| = {shape[0]:g} at {shape[1]:g} degrees"
    return EllipsePlan(source=source, how=how, ratio=max(ratio, 1.0), angle_deg=float(np.degrees(angle)))


def _pixel_size(calibration: CalibrationPlan, given: GivenValues, source: Source) -> PixelSizePlan | None:
    if given.pixel_size is not None:
        return PixelSizePlan(source=source, how=GIVEN, size=given.pixel_size, unit=given.pixel_size_unit)
    if given.semiangle_mrad is not None:
        return _from_semiangle(given.semiangle_mrad, calibration.radius_px, source)
    vector = calibration.g1 if given.spacing_of == "g1" else calibration.g2
    if given.spacing_nm is None or vector is None:
        return None
    true = np.array(vector)
    if calibration.ellipse is not None:
        true = np.linalg.solve(distortion(calibration.ellipse), true)
    length = float(np.hypot(*true))
    how = f"d = {given.spacing_nm:g} nm for {given.spacing_of} of {length:.4g} px"
    size = per_nm_per_pixel(given.spacing_nm, length) if given.spacing_nm * length > 0 else np.inf
    return _sized(source, how, size, "1/nm")


def _sent_pixel_size(calibration: CalibrationPlan, start: ScanStart) -> PixelSizePlan | None:
    if start.pixel_size_mrad is not None:
        return _sized("automatic", "as the sender says", start.pixel_size_mrad, "mrad")
    if start.semiangle_mrad is not None:
        return _from_semiangle(start.semiangle_mrad, calibration.radius_px, "automatic")
    return None


def _from_semiangle(semiangle_mrad: float, radius_px: float, source: Source) -> PixelSizePlan:
    how = f"semi-angle of {semiangle_mrad:g} mrad, the radius of {radius_px:.4g} px"
    return _sized(source, how, mrad_per_pixel(semiangle_mrad, radius_px), "mrad")


def _sized(source: Source, how: str, size: float, unit: Literal["mrad", "1/nm"]) -> PixelSizePlan:
    try:
        return PixelSizePlan(source=source, how=how, size=size, unit=unit)
    except ValidationError as error:
        text = f"expected a pixel of more than 0 and at most 1e+06 {unit}, found {size:g} ({how})"
        raise PlanError(text) from error
