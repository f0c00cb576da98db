from pathlib import Path

import pytest

from docs.pages import read
from docs.write import PAGES, REFERENCE
from livestrain_wire.messages import FRAME_MESSAGES, MAP_MESSAGES, REPLIES, REQUESTS


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    expected = PAGES[name]()
    hint = "PYTHONPATH=tests .venv/bin/python -m docs.write"
    assert (REFERENCE / name).read_text(encoding="utf-8") == expected, f"docs/reference/{name} is out of date: {hint}"


def test_every_message_is_on_the_page_of_the_protocol() -> None:
    page = read("reference/wire-protocol.md")
    for kind, message in {**FRAME_MESSAGES, **MAP_MESSAGES, **REQUESTS, **REPLIES}.items():
        assert f"### {message.__name__}: `{kind}`" in page


def test_every_decision_has_its_parts() -> None:
    for page in sorted(Path(REFERENCE.parent / "decisions").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        parts = ("Status:", "Date:", "## Context", "## Decision", "## Alternatives", "## Consequences")
        assert text.startswith(f"# {page.name[:4]}. "), page.name
        assert all(f"\n{part}" in text for part in parts), page.name
