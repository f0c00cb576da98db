class DaemonError(Exception):
    """Something that a person must hear of, in one line."""


class ConfigError(DaemonError):
    """The configuration cannot be used; names the key and the file."""


class Unavailable(DaemonError):
    """Something that the daemon needs is not to be had: a port, a lock."""


class StorageError(DaemonError):
    """The spool or a scan folder cannot be used: not writable, not local, no space."""


class NotAScan(StorageError):
    """A folder that is not a (whole) scan folder."""


class PlanError(DaemonError):
    """A plan, or a change of one, that makes no sense."""
