"""Writes the reference pages that are generated: ``PYTHONPATH=tests python -m docs.write``."""

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.cli_page import cli_page
from docs.config_page import config_page, plan_page
from docs.wire_page import wire_page

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"

PAGES: Mapping[str, Callable[[], str]] = {
    "wire-protocol.md": wire_page,
    "config.md": config_page,
    "plan.md": plan_page,
    "cli.md": cli_page,
}
"""What makes each page."""


def main() -> None:
    """Write all pages."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
