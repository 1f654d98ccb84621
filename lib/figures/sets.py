"""Lines of the data sets against the latent dimension, and the legends that name them:
what the figures of results share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..protocol import GROUPS
from .style import COLORS, INK, LABELS, LINES, WIDTH, log_axis, shades
from .tables import ordered

__all__ = ["by_group", "legend", "by_seed", "seeds", "dimensions", "tones", "chosen", "NETWORKS"]


#: Networks a page offers at most, spread over the latent dimensions there are.
NETWORKS = 8
#: The set whose colour stands for its group.
SHOWN = {"dark": "bernoulli_0.13", "middle": "normal", "bright": "beta_5_0.8"}


def by_group(
    table: pd.DataFrame, rows: Mapping[str, str], log: Collection[str] = (), known: str = "train"
) -> Figure:
    """Columns of the table against d: a row of panels a column, a panel for dark, middle and bright sets,
    the `known` data in each.

    Thin lines are single networks, a line a data set and seed;
    heavy lines their medians at each d, with quartiles.

    Parameters
    ----------
    rows : column of the table → what its axis is called
    log : columns on a logarithmic axis
    """
    size = (WIDTH, 1.2 + 1.75 * len(rows))
    fig, axes = plt.subplots(len(rows), len(GROUPS), figsize=size, sharex=True, sharey="row", squeeze=False)
    for axs, (column, label) in zip(axes, rows.items()):
        for ax, (group, names) in zip(axs, GROUPS.items()):
            for name in names:
                for _, part in by_seed(table, name):
                    ax.plot(part.d, part[column], color=COLORS[name], lw=0.8, alpha=0.5)
            _middle(ax, table[table.set.isin(names)], column, COLORS[SHOWN[group]], lw=2)
            _middle(ax, table[table.set == known], column, COLORS["train"], lw=2.8)
            if ax in axes[0]:
                ax.set_title(f"{group} noise")
            dimensions(ax, table)
        axs[0].set_ylabel(label)
        if column in log:
            log_axis(axs[0].yaxis, table[column].to_numpy())
    fig.supxlabel("latent dimension $d$")
    handles = [
        Line2D([], [], color=COLORS["train"], lw=2.8, label=LABELS.get(known, known.replace("_", " ")))
    ]
    handles += [Line2D([], [], color=COLORS[n], lw=1.5, label=LABELS[n]) for n in ordered(table)]
    fig.legend(handles=handles, loc="outside upper center", ncols=6, columnspacing=0.8, handlelength=1.2)
    return fig


def _middle(ax: Axes, table: pd.DataFrame, column: str, color: str, lw: float) -> None:
    """Median and quartiles at each d."""
    low, middle, high = (table.groupby("d")[column].quantile(q) for q in (0.25, 0.5, 0.75))
    ax.fill_between(low.index, low, high, color=color, alpha=0.15, lw=0)
    ax.plot(middle.index, middle, color=color, lw=lw, label="median", zorder=3)


def by_seed(table: pd.DataFrame, name: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """(line style, rows sorted by d) of each seed on one data set."""
    part = table[table.set == name].sort_values("d")
    return zip(cycle(LINES), (rows for _, rows in part.groupby("seed")))


def dimensions(ax: Axes, table: pd.DataFrame) -> None:
    """Ticks at latent dimensions there are, about five of them."""
    dims = sorted(table.d.unique())
    ax.set_xticks(dims if len(dims) < 6 else [d for d in dims if d % 4 == 0])


def tones(fig: Figure, table: pd.DataFrame, columns: int = 6) -> dict[int, str]:
    """A tone for each d, and the legend above the figure that says so."""
    dims = sorted(table.d.unique())
    found = dict(zip(dims, shades(len(dims))))
    handles = [Line2D([], [], color=tone, label=f"$d={d}$") for d, tone in found.items()]
    fig.legend(handles=handles, loc="outside upper center", ncols=columns)
    return found


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
    """Which line is which seed, if there are several and each has a line of its own."""
    there = sorted(table.seed.unique())
    return [
        Line2D([], [], color=INK, ls=line, lw=1.2, label=f"seed {s}") for line, s in zip(LINES, there)
    ] * (1 < len(there) <= len(LINES))


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
