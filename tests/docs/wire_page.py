"""The page docs/reference/wire-protocol.md, from the declarations of the messages."""

from docs.source import Described, aliases_of, classes_of, code, inherited_fields, prose, table
from livestrain_wire import codec, messages
from livestrain_wire.messages import base, frames, given, maps, replies, requests

MODULES = (base, frames, maps, given, requests, replies)

INTRODUCTION = f"""\
# Wire protocol, version {messages.PROTOCOL_VERSION}

Generated from `livestrain_wire.messages`; do not edit (see CONTRIBUTING.md).

## Layout of a message

Every message is a ZeroMQ message of several parts. The header is one MessagePack map with text keys, of at most
{codec.MAX_HEADER_BYTES} bytes. Numbers in payloads are little-endian.

| where | sockets | default endpoint | parts |
|---|---|---|---|
| frames in | sender PUSH, daemon PULL | `tcp://127.0.0.1:5550` | header, payload where the message has one |
| maps out | daemon PUB, subscriber SUB | `tcp://127.0.0.1:5551` | topic, header, payload where the message has one |
| control | client DEALER or REQ, daemon ROUTER | `tcp://127.0.0.1:5552` | header, payload where the message has one |

- Every header has `v` and `type`. A message with a newer `v` is refused.
- Unknown fields are ignored. Unknown types, wrong fields and bytes that are no message are counted and otherwise
  ignored; on the control socket they are answered by `refused`, with an empty `id`.
- Fields whose value is null may be left out; livestrain leaves them out.
- A topic is `scan-id/kind/name` in UTF-8, so that a prefix subscribes to a scan. `_` stands for the scan id where a
  message belongs to no scan. The heartbeat is on `_/heartbeat/daemon`: who subscribes to one scan subscribes to
  `_/`, too.
- `runs` are pairs (first flat position, count). The flat position of (row, column) is `row * columns + column`. The
  payload holds the values of all runs one after the other, each value of the shape that the plan's `maps` tell.
- A value of a position never changes under one plan revision and one reference revision. So a patch may be applied
  twice, and patches and snapshot chunks may be applied in any order within one (revision, reference revision).
- A client may send the same bytes of a request again when no reply comes; it is done once. Ids should be unlikely to
  meet, such as UUIDs.
  [Subscribe with pyzmq alone](../how-to/subscribe-with-pyzmq.md) is a whole client.

There is no encryption and no authentication. Who can reach the ports can send frames and requests.
"""


def wire_page() -> str:
    """The page, as Markdown."""
    known = {described.name: described for module in MODULES for described in classes_of(module)}
    lines = [INTRODUCTION, "## Types", ""]
    lines += table(("name", "stands for"), [(code(name), code(text)) for name, text in aliases_of(base).items()])
    for module in MODULES:
        lines += ["", f"## {prose(module.__doc__ or '').rstrip('.')}"]
        for described in classes_of(module):
            lines += ["", *_message(described, known)]
    return "\n".join(lines) + "\n"


def _message(described: Described, known: dict[str, Described]) -> list[str]:
    kind = next((f.default.strip("'") for f in described.fields if f.name == "type" and f.default), "")
    title = f"### {described.name}" + (f": `{kind}`" if kind else "")
    lines = [title, "", prose(described.text), ""]
    inherited = inherited_fields(described, known)
    if inherited:
        lines += [f"Carries also {', '.join(code(field.name) for field in inherited)}.", ""]
    rows = [
        (code(field.name), code(field.type), code(field.default) or "required", field.text)
        for field in described.fields
        if field.name != "type" or not kind
    ]
    return [*lines, *table(("field", "type", "default", "meaning"), rows)] if rows else lines[:-1]
