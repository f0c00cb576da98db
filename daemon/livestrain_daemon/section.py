"""What the tables of the configuration are made of."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _with_port(endpoint: str) -> str:
    port = endpoint.rpartition(":")[2]
    # ZeroMQ takes port 99999 for 34463
    if endpoint.startswith("tcp://") and port != "*" and not (port.isdecimal() and int(port) < 1 << 16):
        raise ValueError("expected a port from 0 to 65535, or *")
    return endpoint


def _one_word(host: str) -> str:
    if not host or any(letter.isspace() or letter == "/" for letter in host):
        raise ValueError("expected the name or address of a host")
    return host


Endpoint = Annotated[str, Field(pattern=r"^(tcp|ipc)://.+"), AfterValidator(_with_port)]
Host = Annotated[str, AfterValidator(_one_word)]
Seconds = Annotated[float, Field(gt=0, le=86400)]


class Section(BaseModel):
    """A table of the configuration file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
