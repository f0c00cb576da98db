"""What is known of the detector and the specimen, put into a calibration; a few formulae, no frames."""

import numpy as np

from livestrain_core.ellipse import ellipse_of_lattice, ratio_and_angle
from livestrain_core.errors import EllipseUnknown
from livestrain_core.scale import mrad_per_pixel, per_nm_per_pixel
from livestrain_daemon.geometry import DescanPlan, EllipsePlan, PixelSizePlan, ScanAxesPlan, Source
from livestrain_daemon.plan import CalibrationPlan
from livestrain_daemon.scan.axes import distortion
from livestrain_wire.messages import GivenValues, ScanStart

GIVEN = "as given"


def inherited(found: CalibrationPlan, before: CalibrationPlan) -> CalibrationPlan:
    """What frames do not tell stays as it was; so does a descan that somebody has set."""
    update = {
        name: getattr(before, name) for name in ("ellipse", "scan_axes", "pixel_size") if not getattr(found, name)
    }
    descan = before.descan
    if descan is not None and (found.descan is None or descan.how == GIVEN):
        update["descan"] = descan
    return found.model_copy(update=update)


def with_known(
    calibration: CalibrationPlan, given: GivenValues, source: Source, start: ScanStart | None = None
) -> CalibrationPlan:
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
    start
        What the sender says counts where nothing better is known.

    Raises
    ------
    EllipseUnknown
        The lattice that is found cannot be the one that is known.
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
    size = _pixel_size(calibration, given, source) or calibration.pixel_size or _sent_pixel_size(calibration, start)
    return calibration.model_copy(update={"pixel_size": size})


def _scan_axes(before: ScanAxesPlan | None, given: GivenValues, source: Source) -> ScanAxesPlan:
    before = before or ScanAxesPlan()
    rotation = before.rotation_deg if given.rotation_deg is None else given.rotation_deg
    return ScanAxesPlan(source=source, how=GIVEN, rotation_deg=rotation, flip=given.flip or before.flip)


def _ellipse(calibration: CalibrationPlan, shape: tuple[float, float], source: Source) -> EllipsePlan:
    if calibration.g1 is None or calibration.g2 is None:
        raise EllipseUnknown(f"there is no lattice to compare with the known one: {calibration.reason}")
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
    return PixelSizePlan(source=source, how=how, size=per_nm_per_pixel(given.spacing_nm, length), unit="1/nm")


def _sent_pixel_size(calibration: CalibrationPlan, start: ScanStart | None) -> PixelSizePlan | None:
    if start is None:
        return None
    if start.pixel_size_mrad is not None:
        return PixelSizePlan(how="as the sender says", size=start.pixel_size_mrad, unit="mrad")
    if start.semiangle_mrad is not None:
        return _from_semiangle(start.semiangle_mrad, calibration.radius_px, "automatic")
    return None


def _from_semiangle(semiangle_mrad: float, radius_px: float, source: Source) -> PixelSizePlan:
    how = f"semi-angle of {semiangle_mrad:g} mrad, the radius of {radius_px:.4g} px"
    return PixelSizePlan(source=source, how=how, size=mrad_per_pixel(semiangle_mrad, radius_px), unit="mrad")
