"""Exit codes of every verb, after sysexits.h where it has a word for it."""

from livestrain_client.errors import BadCondition, BadRegion, RequestRefused, Unavailable, UnexpectedReply
from livestrain_wire.errors import WireError

OK = 0
USAGE = 2
NO_DATA = 3
CONDITION_MET = 4
UNAVAILABLE = 69
IO = 74
CONFIG = 78

_REFUSALS = {
    "bad_request": USAGE,
    "no_scan": NO_DATA,
    "no_such_map": NO_DATA,
    "not_stored": NO_DATA,
    "no_calibration": NO_DATA,
}


def code_of(error: Exception) -> int | None:
    """
    The exit code that an error stands for; None for one that nobody expects.

    Errors of other packages say it themselves, with an attribute ``exit_code``.
    """
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return code
    match error:
        case RequestRefused():
            return _REFUSALS.get(error.reason, UNAVAILABLE)
        case BadCondition() | BadRegion():
            return USAGE
        case Unavailable() | UnexpectedReply() | WireError():
            return UNAVAILABLE
        case OSError():
            return IO
    return None
