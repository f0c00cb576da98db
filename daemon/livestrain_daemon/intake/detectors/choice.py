"""The detector that the configuration names, or the file in its place."""

from livestrain_daemon.intake.detectors.dectris.source import Dectris, DectrisSettings
from livestrain_daemon.intake.detectors.events import Detector
from livestrain_daemon.intake.detectors.merlin.source import Address, MerlinDetector
from livestrain_daemon.intake.detectors.recorded import RecordedDetector
from livestrain_daemon.intake.recorded_file import RecordedFile
from livestrain_daemon.intake_config import IntakeConfig

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
    return None
