"""The detector that the configuration names, or the file in its place."""

from livestrain_daemon.intake.detectors.asi.source import AsiDetector, AsiSettings
from livestrain_daemon.intake.detectors.dectris.source import Dectris, DectrisSettings
from livestrain_daemon.intake.detectors.division import division_of
from livestrain_daemon.intake.detectors.events import Detector
from livestrain_daemon.intake.detectors.merlin.source import Address, MerlinDetector
from livestrain_daemon.intake.detectors.positions import read_positions
from livestrain_daemon.intake.detectors.recorded import RecordedDetector
from livestrain_daemon.intake.recorded_file import RecordedFile
from livestrain_daemon.intake_config import AsiConfig, IntakeConfig, ScanGeometry

MIB = 1 << 20


def chosen(config: IntakeConfig, recorded: RecordedFile | None = None) -> tuple[str, Detector] | None:
    """
    A detector with its name.

    Parameters
    ----------
    config
        Of the intake.
    recorded
        A file to take frames from instead of what the configuration names.

    Returns
    -------
    (name, detector) or None
        None where frames come by the native protocol; a file has no name, its scan is named by itself.
    """
    if recorded is not None:
        return "", RecordedDetector(recorded, config.scan)
    if config.dectris is not None:
        table = config.dectris
        settings = DectrisSettings(
            table.host,
            table.stream,
            table.stream_port,
            table.rest_port,
            table.api_version,
            table.channel,
            largest_bytes=config.max_message_mib * MIB,
        )
        return "dectris", Dectris(settings)
    if config.merlin is not None:
        return "merlin", MerlinDetector(Address(config.merlin.host, config.merlin.data_port))
    if config.asi is not None:
        return "asi", _asi(config.asi, config)
    return None


def _asi(table: AsiConfig, config: IntakeConfig) -> Detector:
    scan = config.scan
    # of what has no end that can be seen, a series is as long as its scan
    frames = None if scan.shape is None or scan.repeat else division_of(scan, scan.shape, _listed(scan)).expected
    settings = AsiSettings(
        table.host,
        table.form,
        table.data_port,
        table.listen,
        table.rest_port,
        frames,
        largest_bytes=config.max_message_mib * MIB,
    )
    return AsiDetector(settings)


def _listed(scan: ScanGeometry) -> int | None:
    positions = read_positions(scan)
    return None if positions is None else len(positions)
