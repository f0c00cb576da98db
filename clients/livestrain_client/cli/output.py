"""
Where output goes: results to stdout, everything else to stderr; JSON that any reader takes.

Names and paths come from outside: brackets in them are no markup.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.console import Console

from livestrain_client.cli import INTERRUPTED


def results() -> Console:
    """For what was asked for."""
    return Console(markup=False)


def messages() -> Console:
    """For what a person should know beside it."""
    return Console(stderr=True, markup=False)


def as_json(value: Any, indent: int | None = None) -> str:
    """A message, or anything made of plain values, as JSON; NaN and infinity become null."""
    return json.dumps(_plain(value), allow_nan=False, indent=indent)


def _plain(value: Any) -> Any:
    match value:
        # a message, told by its verb: importing what it is made of takes longer than most commands
        case object(model_dump=fields):
            return _plain(fields())
        case float():
            return value if math.isfinite(value) else None
        case str():
            return value
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case Sequence():
            return [_plain(inner) for inner in value]
    return value


def show_fields(fields: Mapping[str, object], console: Console | None = None) -> None:
    """Names and values, one pair a line."""
    console = results() if console is None else console
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        console.print(f"{name:<{width}}", end="  ", highlight=False, style="bold" if console.is_terminal else None)
        console.print(str(value), highlight=False, soft_wrap=True)


def agreed(question: str) -> bool:
    """
    What a person answers.

    Raises
    ------
    Exit
        With the code of an interrupted command, if the input ends without an answer, or at Ctrl-C.
    """
    try:
        return typer.confirm(question, err=True)
    except typer.Abort as error:
        messages().print("\nlivestrain: interrupted, there was no answer; --yes asks nothing", highlight=False)
        raise typer.Exit(INTERRUPTED) from error
