"""Options that verbs share."""

from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from livestrain_wire.messages import ScanId
from livestrain_wire.written import connectable


def scan_id(text: str) -> str:
    """An id that a scan may have, from the command line."""
    try:
        return TypeAdapter[str](ScanId).validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter(f"{text!r} cannot be the id of a scan") from error


MapsEndpoint = Annotated[
    str,
    typer.Option(
        "--maps-endpoint",
        envvar="LIVESTRAIN_PUBLISH__MAPS_ENDPOINT",
        callback=connectable,
        help="Where the daemon publishes its maps.",
    ),
]
ControlEndpoint = Annotated[
    str,
    typer.Option(
        "--control",
        envvar="LIVESTRAIN_PUBLISH__CONTROL_ENDPOINT",
        callback=connectable,
        help="Where the daemon takes requests.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Deadline = Annotated[float, typer.Option("--deadline", min=0.1, help="Wait so long for the daemon's answer [s].")]
