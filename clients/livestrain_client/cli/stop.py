from enum import StrEnum
from typing import Annotated

import typer

from livestrain_client.cli.options import ControlEndpoint, Deadline
from livestrain_client.cli.output import messages
from livestrain_client.connection import CONTROL_ENDPOINT
from livestrain_client.requests import Control

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)


class What(StrEnum):
    """What can be stopped."""

    SCAN = "scan"
    DAEMON = "daemon"


@app.command()
def stop(
    what: Annotated[
        What, typer.Argument(help="The scan in progress, or the daemon after its stored frames.")
    ] = What.SCAN,
    control: ControlEndpoint = CONTROL_ENDPOINT,
    deadline: Deadline = 5.0,
) -> None:
    """End the scan in progress, or the daemon."""
    with Control(control, deadline) as asking:
        asking.stop("scan" if what is What.SCAN else "daemon")
    more = "; a scan in progress goes on when the daemon is started again" if what == "daemon" else ""
    messages().print(f"the {what} is ending{more}", highlight=False, soft_wrap=True)
