"""Images in a terminal: every character cell shows two pixels, one above the other."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

from livestrain_client.colours import Rgb

UPPER_HALF = "▀"


def fitted(image: NDArray[Any], rows: int, columns: int) -> NDArray[np.float64]:
    """
    An image made smaller by averaging, or larger by repeating pixels, with its proportions kept.

    Parameters
    ----------
    image : (rows, columns)
        NaN where there is no value; averages leave it out.
    rows, columns
        The result is not larger than this [px].
    """
    values = np.asarray(image, float)
    height, width = values.shape
    enlarge = min(rows // height, columns // width)
    if enlarge >= 1:
        return values.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    shrink = max(height / rows, width / columns)
    return _averaged(values, max(1, int(height / shrink)), max(1, int(width / shrink)))


def _averaged(values: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    measured = np.isfinite(values)
    row_edges = np.linspace(0, values.shape[0], rows, endpoint=False).astype(np.intp)
    column_edges = np.linspace(0, values.shape[1], columns, endpoint=False).astype(np.intp)

    def summed(part: NDArray[Any]) -> NDArray[np.float64]:
        blocks: NDArray[np.float64] = np.add.reduceat(
            np.add.reduceat(part.astype(float), row_edges, axis=0), column_edges, axis=1
        )
        return blocks

    count = summed(measured)
    with np.errstate(invalid="ignore", divide="ignore"):
        return summed(np.where(measured, values, 0.0)) / count


@lru_cache(maxsize=1 << 14)
def _style(upper: tuple[int, int, int], lower: tuple[int, int, int] | None) -> Style:
    return Style(color=Color.from_rgb(*upper), bgcolor=None if lower is None else Color.from_rgb(*lower))


class HalfBlocks:
    """
    A picture for rich.

    Parameters
    ----------
    colours : (rows, columns, 3)
        Red, green and blue of every pixel; it takes half as many lines as rows.
    """

    def __init__(self, colours: Rgb) -> None:
        self.colours = colours

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = self.colours.shape[1]
        return Measurement(width, width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        lines = self.colours.tolist()
        for upper, lower in zip(lines[::2], [*lines[1::2], None], strict=False):
            pairs = [
                (tuple(pixel), None if lower is None else tuple(lower[column])) for column, pixel in enumerate(upper)
            ]
            begin = 0
            for column in range(1, len(pairs) + 1):
                if column == len(pairs) or pairs[column] != pairs[begin]:
                    yield Segment(UPPER_HALF * (column - begin), _style(*pairs[begin]))
                    begin = column
            yield Segment.line()
