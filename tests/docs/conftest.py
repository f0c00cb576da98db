import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.pages import snippets
from helpers.rig import Rig, running


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package of the page add-an-analysis, as pip would install it, on the path of every process."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "brightest.py").write_text(snippets("how-to/add-an-analysis.md", "python")[0][1])
    declared = snippets("how-to/add-an-analysis.md", "toml")[0][1].split('"livestrain.analyses"]\n')[1]
    about = folder / "brightest-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: brightest\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[livestrain.analyses]\n" + declared.replace('"', ""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield folder


@pytest.fixture(scope="session")
def rig(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One daemon for all pages."""
    assert package.exists()
    with running(tmp_path_factory.mktemp("rig")) as shared:
        yield shared
