from livestrain_daemon.errors import DaemonError, StorageError


class ExportError(StorageError):
    """An export that cannot be written: it exists already, or the disk refuses."""


class NothingToExport(DaemonError):
    """The scan does not hold what was asked for; names what it does hold."""


class MissingLibrary(DaemonError):
    """A format that needs a library which is not installed; names the extra."""

    def __init__(self, what: str, error: ImportError) -> None:
        how = "pip install 'livestrain[export]', or in a clone pip install -e '.[export]'"
        super().__init__(f"{what} needs the extra 'export': {how} ({error})")


class BadChoice(DaemonError):
    """Something was asked for in words that mean nothing."""
