"""How many frames a detector is told to take, where the configuration says how many a scan has and no more."""

from collections.abc import Mapping

from livestrain_daemon.intake.detectors.plain import Plain


def merlin_counts(frames: int, soft_trigger: bool, given: Mapping[str, Plain]) -> dict[str, Plain]:
    """
    What of the numbers of frames nobody has given.

    Parameters
    ----------
    frames
        Of an acquisition; 0 without end.
    soft_trigger
        One trigger begins them all.
    given
        Settings; what they say stays.
    """
    wanted: dict[str, Plain] = {"NUMFRAMESTOACQUIRE": frames}
    if soft_trigger and frames:
        wanted["NUMFRAMESPERTRIGGER"] = frames
    return {name: value for name, value in wanted.items() if name not in given}
