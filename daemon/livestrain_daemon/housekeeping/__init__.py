"""The spool within its limits, beside the main loop."""

from livestrain_daemon.housekeeping.keeper import Housekeeper
from livestrain_daemon.housekeeping.named import named_scans

__all__ = ["Housekeeper", "named_scans"]
