"""Results taken over into a new revision whose plan measures the same in every frame."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from livestrain_daemon.scanfolder import ResultsFile, ResultState, open_results, runs_of


def carry_over(folder: Path, older: int, newer: int, stages: Iterable[str]) -> None:
    """
    Copies what is analysed; everything else stays pending in the newer revision.

    Parameters
    ----------
    folder
        The scan folder.
    older
        The revision that has results.
    newer
        The revision that gets them; nobody else works on it yet.
    stages
        Whose results are copied.
    """
    with (
        ResultsFile(open_results(folder, older), read_only=True) as old,
        ResultsFile(open_results(folder, newer)) as new,
    ):
        for stage in stages:
            names = new.layout.stages[stage]
            # a state is written after its values: what is analysed now is whole
            analysed = old.ledger(stage) == ResultState.ANALYSED
            for first, count in runs_of(analysed):
                for name in names:
                    if new.layout.outputs[name].per_block:
                        for block in range(first, first + count):
                            new.write_block(name, block, old.read_block(name, block))
                    else:
                        new.write(name, first, old.read(name, first, count))
            new.write_ledger(stage, 0, np.where(analysed, ResultState.ANALYSED, ResultState.PENDING).astype(np.uint8))
