"""The page docs/reference/cli.md, from the verbs as they are installed."""

from enum import Enum
from typing import Any, Literal, get_args, get_origin

import typer

from docs.source import code, table
from livestrain_client.cli.verbs import GROUP, HELP, installed_verbs

INTRODUCTION = f"""\
# Command line

Generated from the verbs; do not edit (see CONTRIBUTING.md).

`livestrain VERB [OPTIONS]`. The verbs come from the packages that are installed, through the entry-point group
`{GROUP}`. A verb whose libraries are not installed says which extra it needs. Results go to stdout, everything
else to stderr. With `--json`, `watch` and `doctor` print JSON lines, the others one JSON value.

## Exit codes

| code | meaning |
|---|---|
| 0 | done; for `serve`: ended by SIGTERM, Ctrl-C or `stop daemon`, after everything stored was analysed |
| 2 | the command line, or what it asks for, makes no sense |
| 3 | no data: no scan, no such map or frame, nothing to calibrate on; no value, or no condition met, in time |
| 4 | a condition of `watch --when` is met |
| 69 | no daemon answers, a port or lock is taken, or an extra is not installed |
| 74 | a file or disk cannot be read or written, or there is no space |
| 78 | the configuration cannot be used; the line names the key and the file |
| 130 | Ctrl-C (`serve`: before it says `serving`), or no yes to a question; a scan in sending has ended as aborted |
"""


def cli_page() -> str:
    """The page, as Markdown."""
    lines = [INTRODUCTION]
    for name, point in installed_verbs().items():
        if name in HELP:
            lines += [f"## {name}", "", HELP[name], "", *_command(f"livestrain {name}", _built(point.load())), ""]
    return "\n".join(lines)


def _built(app: typer.Typer) -> Any:
    return typer.main.get_command(app)


def _command(words: str, command: Any) -> list[str]:
    """Help text, arguments and options; those of commands within, one after the other."""
    within = getattr(command, "commands", None)
    if within:
        lines: list[str] = []
        for name, inner in within.items():
            lines += [f"### {words.rsplit(maxsplit=1)[-1]} {name}", "", *_command(f"{words} {name}", inner), ""]
        return lines[:-1]
    shown = [parameter for parameter in command.params if parameter.name != "help"]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    usage = " ".join(
        [words, "[OPTIONS]", *(p.name.upper() if p.required else f"[{p.name.upper()}]" for p in arguments)]
    )
    text = " ".join((command.help or "").split())
    return [f"`{usage}`", "", text, "", *table(("option", "default", "meaning"), [_row(p) for p in shown])]


def _row(parameter: Any) -> tuple[str, str, str]:
    is_argument = parameter.param_type_name == "argument"
    names = [parameter.name.upper()] if is_argument else [*parameter.opts, *parameter.secondary_opts]
    text = parameter.help or ""
    default = parameter.default
    if isinstance(default, Enum):
        text += f" One of {', '.join(code(str(one.value)) for one in type(default))}."
        default = default.value
    elif get_origin(annotation := parameter.type_descriptor.annotation) is Literal:
        text += f" One of {', '.join(code(str(one)) for one in get_args(annotation))}."
    if parameter.envvar:
        text += f" Else `{parameter.envvar}`."
    shown = "" if default in (None, "") or default is False else str(default)
    return ", ".join(code(name) for name in names), code(shown) or ("required" if parameter.required else ""), text
