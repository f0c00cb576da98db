"""How many frames a detector is told to take, where the configuration says how many a scan has and no more."""

from collections.abc import Mapping

from livestrain_daemon.intake.detectors.plain import Plain

EACH_BY_A_TRIGGER = ("exte", "inte")
"""Trigger modes of a DECTRIS detector in which each image has a trigger."""


def dectris_frames(images: int, triggers: int, mode: object) -> int:
    """
    Of a series.

    Parameters
    ----------
    images, triggers
        As configured, nimages and ntrigger.
    mode
        The trigger mode.
    """
    return triggers if mode in EACH_BY_A_TRIGGER else images * triggers


def dectris_counts(frames: int, mode: Plain, given: Mapping[str, Plain]) -> dict[str, Plain]:
    """
    What of nimages and ntrigger nobody has given.

    Parameters
    ----------
    frames
        Of a series.
    mode
        The trigger mode that holds.
    given
        Configuration of the detector; what it says stays.
    """
    images, triggers = given.get("nimages"), given.get("ntrigger")
    if mode in EACH_BY_A_TRIGGER:
        return {} if triggers is not None else {"ntrigger": frames}
    if images is None and triggers is None:
        return {"ntrigger": 1, "nimages": frames}
    if images is not None and triggers is not None:
        return {}
    one = triggers if images is None else images
    # what does not come out even is told when the series begins
    if not isinstance(one, int) or one < 1 or frames % one:
        return {}
    return {"nimages" if images is None else "ntrigger": frames // one}
