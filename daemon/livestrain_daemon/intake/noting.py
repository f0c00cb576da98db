"""What an intake was about when it ended by an error that nobody expected."""

LONGEST_NOTE = 200


def note(error: Exception, what: str, value: object) -> None:
    """
    Add to an error what it came of, for the line that the intake ends with.

    Parameters
    ----------
    error
        That ends it.
    what, value
        For example "the message is", and the message.
    """
    error.add_note(f"{what} {value!r:.{LONGEST_NOTE}}")


def notes(error: BaseException) -> str:
    """What has been added to an error, in one line."""
    return "; ".join(getattr(error, "__notes__", ()))
