import typer

from livestrain_client.cli.options import ControlEndpoint, Deadline
from livestrain_client.cli.output import messages
from livestrain_client.connection import CONTROL_ENDPOINT
from livestrain_client.requests import Control

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)
disarm_app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)


@app.command()
def arm(control: ControlEndpoint = CONTROL_ENDPOINT, deadline: Deadline = 5.0) -> None:
    """
    Accept scans again.

    A detector that the configuration lets the daemon arm (intake.dectris.arm, intake.merlin.arm) begins a series.
    """
    with Control(control, deadline) as asking:
        asking.arm(True)
    messages().print("scans are accepted", highlight=False, soft_wrap=True)


@disarm_app.command()
def disarm(control: ControlEndpoint = CONTROL_ENDPOINT, deadline: Deadline = 5.0) -> None:
    """Ignore scans until further notice, and begin no series of a detector; a scan in progress goes on to its end."""
    with Control(control, deadline) as asking:
        asking.arm(False)
    messages().print("scans are ignored; livestrain arm accepts them again", highlight=False, soft_wrap=True)
