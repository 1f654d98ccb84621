"""Lines of the data sets against the latent dimension, and the legends that name them: what the figures of results share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .style import COLORS, INK, LABELS, LINES
from .tables import ordered

__all__ = ["lines", "legend", "by_seed", "seeds", "dimensions", "chosen", "NETWORKS"]


#: Networks a page offers at most, spread over the latent dimensions there are.
NETWORKS = 8


def lines(ax: Axes, table: pd.DataFrame, column: str) -> None:
    """A column against d, a line a data set and seed; the training data heavy, with dots."""
    for name in ordered(table, "train"):
        strong = name == "train"
        look = {"lw": 2.8, "marker": "o", "ms": 4, "zorder": 3} if strong else {"lw": 1.3, "zorder": 2}
        for line, part in by_seed(table, name):
            ax.plot(part.d, part[column], line, color=COLORS[name], **look)
    dimensions(ax, table)


def by_seed(table: pd.DataFrame, name: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """(line style, rows sorted by d) of each seed on one data set."""
    part = table[table.set == name].sort_values("d")
    return zip(LINES, (rows for _, rows in part.groupby("seed")))


def dimensions(ax: Axes, table: pd.DataFrame) -> None:
    """Ticks at latent dimensions there are, about five of them."""
    dims = sorted(table.d.unique())
    ax.set_xticks(dims if len(dims) < 6 else [d for d in dims if d % 4 == 0])


def legend(fig: Figure, table: pd.DataFrame, marker: str | None = None, columns: int = 7) -> None:
    """The data sets by colour and the seeds by line, above the figure."""
    look = {"ls": "", "marker": marker} if marker else {}
    handles = [
        Line2D([], [], color=COLORS[n], lw=2.8 if n == "train" else 1.5, label=LABELS[n], **look)
        for n in ordered(table, "train")
    ]
    handles += [] if marker else seeds(table)
    fig.legend(
        handles=handles, loc="outside upper center", ncols=columns, columnspacing=0.8, handlelength=1.2
    )


def seeds(table: pd.DataFrame) -> list[Line2D]:
    """Which line is which seed, if there are several."""
    there = sorted(table.seed.unique())
    return [
        Line2D([], [], color=INK, ls=line, lw=1.2, label=f"seed {s}") for line, s in zip(LINES, there)
    ] * (len(there) > 1)


def chosen(dims: Sequence[int], count: int = NETWORKS) -> list[int]:
    """At most `count` of the latent dimensions, evenly spread, both ends among them.

    >>> chosen(range(2, 21))
    [2, 5, 7, 10, 12, 15, 17, 20]
    >>> chosen((2, 8))
    [2, 8]
    """
    if len(dims) <= count:
        return list(dims)
    return [dims[round(i)] for i in np.linspace(0, len(dims) - 1, count)]
