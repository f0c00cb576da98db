"""Bytes to messages and back. The only module that knows MessagePack."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgpack
from pydantic import ValidationError

from livestrain_wire.errors import NewerProtocol, UnknownMessage, WireError
from livestrain_wire.messages import PROTOCOL_VERSION, Message

M = TypeVar("M", bound=Message)

MAX_HEADER_BYTES = 1 << 22
"""No header is larger: payloads travel in parts of their own [bytes]."""


def encode(message: Message) -> bytes:
    """A message as MessagePack, fields that are None left out."""
    packed: bytes = msgpack.packb(message.model_dump(exclude_none=True), use_bin_type=True)
    return packed


def decode(packed: bytes | memoryview, known: Mapping[str, type[M]]) -> M:
    """
    The message in these bytes.

    Parameters
    ----------
    packed
        One MessagePack map.
    known
        The message types that may come here, by their ``type``.

    Raises
    ------
    UnknownMessage
        If the type is none of those known.
    NewerProtocol
        If the sender speaks a newer major version.
    WireError
        If the bytes are anything else than such a message.
    """
    fields = _unpack(packed)
    version = fields.get("v")
    if not isinstance(version, int) or isinstance(version, bool):
        raise WireError(f"expected a protocol version in field v, found {version!r:.40}")
    if version > PROTOCOL_VERSION:
        raise NewerProtocol(f"expected protocol version {PROTOCOL_VERSION} or older, found {version}")
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in known:
        raise UnknownMessage(f"expected one of {', '.join(sorted(known))}, found type {kind!r:.40}")
    try:
        return known[kind].model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        raise WireError(f"{kind}.{where}: {first['msg']}, found {first['input']!r:.60}") from error


def _unpack(packed: bytes | memoryview) -> dict[str, Any]:
    if len(packed) > MAX_HEADER_BYTES:
        raise WireError(f"expected a header of at most {MAX_HEADER_BYTES} bytes, found {len(packed)}")
    try:
        fields = msgpack.unpackb(packed, raw=False, strict_map_key=True)
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise WireError(f"expected MessagePack, found {len(packed)} other bytes ({error!s:.60})") from error
    if not isinstance(fields, dict):
        raise WireError(f"expected a map, found {type(fields).__name__}")
    return fields
