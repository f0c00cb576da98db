"""The detector that the configuration names, or the file in its place."""

from livestrain_daemon.intake.detectors.asi.source import AsiDetector, AsiSettings
from livestrain_daemon.intake.detectors.dectris import control as dectris_control
from livestrain_daemon.intake.detectors.dectris.source import Dectris, DectrisSettings
from livestrain_daemon.intake.detectors.division import division_of
from livestrain_daemon.intake.detectors.events import Detector
from livestrain_daemon.intake.detectors.merlin import arming as merlin_arming
from livestrain_daemon.intake.detectors.merlin.counts import merlin_counts
from livestrain_daemon.intake.detectors.merlin.source import Address, MerlinDetector
from livestrain_daemon.intake.detectors.permission import Permission
from livestrain_daemon.intake.detectors.positions import read_positions
from livestrain_daemon.intake.detectors.recorded import RecordedDetector
from livestrain_daemon.intake.interrupted import Interrupted
from livestrain_daemon.intake.recorded_file import RecordedFile
from livestrain_daemon.intake_config import AsiConfig, DectrisConfig, IntakeConfig, MerlinConfig, ScanGeometry

MIB = 1 << 20


def chosen(
    config: IntakeConfig,
    recorded: RecordedFile | None = None,
    permission: Permission | None = None,
    interrupted: Interrupted | None = None,
) -> tuple[str, Detector] | None:
    """
    A detector with its name.

    Parameters
    ----------
    config
        Of the intake.
    recorded
        A file to take frames from instead of what the configuration names.
    permission
        Whether the detector may be armed; None: always.
    interrupted
        The scan that an earlier intake has left unfinished.

    Returns
    -------
    (name, detector) or None
        None where frames come by the native protocol; a file has no name, its scan is named by itself.

    Raises
    ------
    ConfigError
        If a list of positions that the configuration names cannot be used.
    """
    if recorded is not None:
        return "", RecordedDetector(recorded, config.scan)
    if config.dectris is not None:
        return "dectris", _dectris(config.dectris, config, permission)
    if config.merlin is not None:
        return "merlin", _merlin(config.merlin, config.scan, permission, interrupted)
    if config.asi is not None:
        return "asi", _asi(config.asi, config, interrupted)
    return None


def _dectris(table: DectrisConfig, config: IntakeConfig, permission: Permission | None) -> Detector:
    arming = None
    if table.arm is not None:
        frames = None if config.scan.repeat else _frames(config.scan)
        arming = dectris_control.Arming(table.arm.detector, table.arm.stream, table.arm.repeat, frames)
    settings = DectrisSettings(
        host=table.host,
        stream=table.stream,
        stream_port=table.stream_port,
        rest_port=table.rest_port,
        api_version=table.api_version,
        channel=table.channel,
        arming=arming,
        largest_bytes=config.max_message_mib * MIB,
    )
    return Dectris(settings, permission)


def _merlin(
    table: MerlinConfig, scan: ScanGeometry, permission: Permission | None, interrupted: Interrupted | None
) -> Detector:
    arming = None
    if table.arm is not None:
        given = table.arm.settings
        # scan after scan has no end
        frames = 0 if scan.repeat else _frames(scan)
        counts = {} if frames is None else merlin_counts(frames, table.arm.soft_trigger, given)
        settings = tuple({**given, **counts}.items())
        arming = merlin_arming.Arming(table.arm.control_port, settings, table.arm.repeat, table.arm.soft_trigger)
    address = Address(table.host, table.data_port)
    return MerlinDetector(address, None, arming, permission, interrupted, table.control_port)


def _frames(scan: ScanGeometry) -> int | None:
    """Of a series that is one scan; None where the configuration does not say."""
    return None if scan.shape is None else division_of(scan, scan.shape, _listed(scan)).expected


def _asi(table: AsiConfig, config: IntakeConfig, interrupted: Interrupted | None) -> Detector:
    scan = config.scan
    # of what has no end that can be seen, a series is as long as its scan
    frames = None if scan.repeat else _frames(scan)
    settings = AsiSettings(
        table.host,
        table.form,
        table.data_port,
        table.listen,
        table.rest_port,
        frames,
        largest_bytes=config.max_message_mib * MIB,
    )
    return AsiDetector(settings, interrupted)


def _listed(scan: ScanGeometry) -> int | None:
    positions = read_positions(scan)
    return None if positions is None else len(positions)
