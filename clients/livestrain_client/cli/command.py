"""The command ``livestrain``: one line of arguments, one exit code."""

import difflib
from collections.abc import Sequence
from importlib.metadata import EntryPoint, version

from rich.table import Table

from livestrain_client.cli import exits
from livestrain_client.cli.output import messages, results
from livestrain_client.cli.verbs import installed_verbs, missing_hint, one_line


def run(arguments: Sequence[str]) -> int:
    """
    Run a verb.

    Parameters
    ----------
    arguments
        The verb and what follows it.

    Returns
    -------
    int
        The exit code.
    """
    verbs = installed_verbs()
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        _help(verbs)
        return exits.OK if arguments else exits.USAGE
    if arguments[0] in {"-V", "--version"}:
        results().print(f"livestrain {version('livestrain')}", highlight=False)
        return exits.OK
    point = verbs.get(arguments[0])
    if point is None:
        near = difflib.get_close_matches(arguments[0], verbs, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "; see livestrain --help"
        _say(f"livestrain has no verb '{arguments[0]}'{hint}")
        return exits.USAGE
    return _run_verb(point, arguments[1:])


def _run_verb(point: EntryPoint, arguments: Sequence[str]) -> int:
    try:
        app = point.load()
    except ModuleNotFoundError as error:
        _say(missing_hint(point, error))
        return exits.UNAVAILABLE
    try:
        app(args=list(arguments), prog_name=f"livestrain {point.name}")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else exits.OK if stop.code is None else 1
    except ModuleNotFoundError as error:
        _say(missing_hint(point, error))
        return exits.UNAVAILABLE
    except Exception as error:
        code = exits.code_of(error)
        if code is None:
            raise
        _say(f"livestrain {point.name}: {error}")
        return code
    return exits.OK


def _help(verbs: dict[str, EntryPoint]) -> None:
    console = results()
    console.print("Usage: livestrain VERB [OPTIONS]\n", highlight=False)
    console.print("Strain maps of a 4D-STEM scan while it is measured.\n", highlight=False)
    table = Table.grid(padding=(0, 2))
    for name, point in verbs.items():
        table.add_row(f"  {name}", one_line(point))
    console.print(table, highlight=False)
    console.print("\nlivestrain VERB --help tells more of a verb; --version the version.", highlight=False)


def _say(text: str) -> None:
    messages().print(text, style="red", highlight=False, soft_wrap=True)
