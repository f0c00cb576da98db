"""What a demonstration can be asked for, checked before anything starts: the simulator's bounds, option by option."""

import re
import time
from itertools import count
from pathlib import Path

import typer

MOST_SIDE = 1 << 16
MOST_PIXELS = 1 << 26
MOST_POSITIONS = 1 << 24
MOST_ELECTRONS = 1e9
LOWEST_RATE = 1e-3
"""Frames per second."""
SIDES = re.compile(r"(\d{1,9})(?:x(\d{1,9}))?", re.ASCII | re.IGNORECASE)


def check_sides(text: str, option: str, most: int) -> str:
    """Refuse what is not ``ROWSxCOLUMNS`` or one side, or more than so many in all."""
    match = SIDES.fullmatch(text)
    sides = [int(side) for side in match.groups(match[1])] if match else [0]
    if not all(1 <= side <= MOST_SIDE for side in sides):
        expected = f"expected ROWSxCOLUMNS of 1 to {MOST_SIDE} each"
        raise typer.BadParameter(f"{expected}, found {text:.60}", param_hint=option)
    if sides[0] * sides[1] > most:
        raise typer.BadParameter(f"expected at most {most} in all, found {sides[0] * sides[1]}", param_hint=option)
    return text


def check_rate(text: str) -> str:
    """Refuse what is neither frames per second nor ``max``."""
    try:
        rate = float("1" if text == "max" else text)
    except ValueError:
        rate = -1.0
    if not LOWEST_RATE <= rate < float("inf"):
        expected = f"expected frames per second of at least {LOWEST_RATE:g}, or max"
        raise typer.BadParameter(f"{expected}, found {text:.60}", param_hint="--rate")
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
