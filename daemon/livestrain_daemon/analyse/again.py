"""
What a worker does with a scan, done again by this process alone, for those who measure it.

``python -m livestrain_daemon.analyse.again FOLDER REVISION PART PARTS`` takes every one of so many tasks of a revision,
in the folder of a scan that is final. For each line that it reads, it does them once and answers with a line: how many
positions, and in how many seconds of processor time. The first answer, of no positions, says that it is ready.
"""

import sys
import time
from pathlib import Path

from livestrain_daemon.analyse.run import LARGEST_RANGE
from livestrain_daemon.scanfolder import BLOCK
from livestrain_daemon.worker.revision import OpenRevision
from livestrain_daemon.worker.warm import warm


def once(opened: OpenRevision, part: int, parts: int) -> int:
    """
    Every stage over some of the ranges that a daemon would give its workers.

    Parameters
    ----------
    opened
        Whose results are written again.
    part, parts
        Which of how many processes this is.

    Returns
    -------
    int
        Positions analysed.
    """
    layout, positions = opened.results.layout, opened.frames.layout.positions
    done = 0
    for first in range(part * LARGEST_RANGE, positions, parts * LARGEST_RANGE):
        count = min(LARGEST_RANGE, positions - first)
        for stage, (output, *_) in layout.stages.items():
            if layout.outputs[output].per_block:
                opened.analyse_blocks(stage, [(first // BLOCK, -(-count // BLOCK))])
            else:
                opened.analyse_positions(stage, [(first, count)])
        done += count
    return done


def main(folder: Path, revision: int, part: int, parts: int) -> None:
    """Does it as often as asked."""
    warm()
    opened = OpenRevision(folder, revision)
    opened.prepare()
    _say(0, 0.0)
    for _ in sys.stdin:
        began = time.process_time()
        positions = once(opened, part, parts)
        _say(positions, time.process_time() - began)
    opened.close()


def _say(positions: int, seconds: float) -> None:
    sys.stdout.write(f"{positions} {seconds:.6f}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
