"""What a demonstration can be asked for, checked before anything starts: the simulator's bounds, option by option."""

import time
from itertools import count
from pathlib import Path

import typer

from livestrain_wire.written import LOWEST_RATE, rate_of, sides_of

MOST_ELECTRONS = 1e9


def check_sides(text: str, option: str, most: int) -> str:
    """Refuse what is not ``ROWSxCOLUMNS`` or one side, or more than so many in all."""
    try:
        sides_of(text, most)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    return text


def check_rate(text: str) -> str:
    """Refuse what is neither frames per second nor ``max``."""
    try:
        rate_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--rate") from error
    return text


def check_fixed_rate(text: str) -> str:
    """Refuse what is not frames per second."""
    if text == "max":
        expected = f"expected frames per second of at least {LOWEST_RATE:g}"
        raise typer.BadParameter(f"{expected}, found max", param_hint="--rate")
    return check_rate(text)


def new_folder(parent: Path) -> Path:
    """A folder named after the time, which no other demonstration has."""
    name = time.strftime("%Y%m%d-%H%M%S")
    for number in count(1):
        folder = parent.absolute() / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(parent)
