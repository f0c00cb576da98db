import re
from pathlib import Path

import livestrain_daemon.intake
from docs.pages import read, rows, section

PATTERNS = (
    r'faults\.add\(\s*"(\w+)"',
    r'PayloadError\(\s*"(\w+)"',
    r'strays\.remember\([^,]+, "(\w+)"\)',
    r'FaultSeen\([^)]*kind="(\w+)"',
    r'_fates\.get\([^,]+, "(\w+)"\)',
    r'[tT]rouble\(\s*"(\w+)"',
)


def test_every_kind_of_fault_is_explained() -> None:
    folder = Path(livestrain_daemon.intake.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    kinds = {kind for pattern in PATTERNS for kind in re.findall(pattern, source)}
    explained = {row[0] for row in rows(section(read("how-to/troubleshoot.md"), "Faults by kind"))}
    assert explained == kinds
