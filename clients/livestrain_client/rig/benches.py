"""Benchmarks of other packages, found through an entry-point group as verbs are."""

from importlib.metadata import EntryPoint, entry_points

import typer

from livestrain_client.cli.exits import UNAVAILABLE
from livestrain_client.cli.verbs import extra_of, needs_extra

GROUP = "livestrain.benches"


def add_installed(app: typer.Typer) -> None:
    """
    Add the commands of all installed benchmarks.

    Parameters
    ----------
    app
        Receives them. One that cannot be loaded says so when it is called.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        # As with imports, the first on the path wins.
        found.setdefault(point.name, point)
    for point in found.values():
        try:
            benchmark = point.load()
        except ModuleNotFoundError as error:
            _add_missing(app, point, error)
        else:
            app.registered_commands.extend(benchmark.registered_commands)


def _add_missing(app: typer.Typer, point: EntryPoint, error: ModuleNotFoundError) -> None:
    extra = extra_of(point)
    wanted = needs_extra(extra) if extra else "cannot be loaded:"
    hint = f"livestrain bench {point.name} {wanted} ({error})"

    def missing() -> None:
        typer.echo(hint, err=True)
        raise typer.Exit(UNAVAILABLE)

    app.command(point.name, help=f"({hint})")(missing)
