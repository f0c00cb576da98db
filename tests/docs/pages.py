"""Pages of the documentation: their tables and snippets."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read(page: str) -> str:
    """The text of a page below docs/."""
    return (DOCS / page).read_text(encoding="utf-8")


def snippets(page: str, *languages: str) -> list[tuple[str, str]]:
    """(language, text) of the fenced blocks of a page, in order; of these languages only, if any are given."""
    return [(lang, text) for lang, text in _FENCE.findall(read(page)) if not languages or lang in languages]


def section(text: str, title: str) -> str:
    """What stands under a heading, up to the next of the same or a higher level."""
    start = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert start is not None, title
    rest = text[start.end() :]
    end = re.search(rf"^#{{1,{len(start[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows, code marks removed; header lines are left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
    rules = {number for number, line in enumerate(cells) if set("".join(line)) <= {"-"}}
    return [line for number, line in enumerate(cells) if not {number, number + 1} & rules]
