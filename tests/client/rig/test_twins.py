"""What the benchmarks know of processes that they may not import: it is what those say and take."""

from dataclasses import fields

import pytest

from livestrain_client.rig.intake import HEARD, IntakeProcess, PackedStream
from livestrain_daemon.intake.process import IntakeSettings
from livestrain_daemon.messages import FROM_INTAKE, IntakeReady, ScanClosed, ScanOpened, Stored
from livestrain_simulator.packed.frames import Stream
from livestrain_wire.codec import decode, encode
from livestrain_wire.messages import Message, ScanStart

SAID = [
    IntakeReady(pid=7, endpoint="tcp://127.0.0.1:5550"),
    ScanOpened(
        scan_id="a",
        folder="/spool/a",
        start=ScanStart(scan_id="a", scan_shape=(2, 3), frame_shape=(4, 4), dtype="uint16"),
        started_ns=1,
        recording=True,
    ),
    Stored(scan_id="a", runs=((0, 3), (1 << 40, 9))),
    ScanClosed(scan_id="a", reason="silence", stored=12, missing=1 << 62, faults={"duplicate": 3}),
]


def test_all_messages_that_are_listened_to_are_tried_here() -> None:
    assert HEARD.keys() == {message.type for message in SAID}


@pytest.mark.parametrize("said", SAID, ids=lambda said: said.type)
def test_what_the_intake_says_is_heard_as_it_was_said(said: Message) -> None:
    heard = decode(encode(said), HEARD)
    assert heard.model_dump().items() <= said.model_dump().items()


@pytest.mark.parametrize("name", HEARD)
def test_each_field_has_the_type_that_the_intake_gives_it(name: str) -> None:
    theirs = FROM_INTAKE[name].model_fields
    for field, mine in HEARD[name].model_fields.items():
        assert (mine.annotation, mine.metadata) == (theirs[field].annotation, theirs[field].metadata), field


def test_a_stream_is_described_as_its_sender_reads_it() -> None:
    assert [field.name for field in fields(PackedStream)] == [field.name for field in fields(Stream)]
    known = {field.name: field.type for field in fields(PackedStream)}
    # which forms and encodings there are only the sender knows
    for field in fields(Stream):
        assert known[field.name] == (field.type if field.name not in {"form", "encoding"} else str)


def test_the_settings_are_those_of_an_intake(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("rig")
    with IntakeProcess(folder, {"endpoint": "tcp://127.0.0.1:*"}, {"ring_mib": 16}) as intake:
        settings = IntakeSettings.model_validate(intake._settings)
    assert settings.spool.folder == folder / "spool"
