"""Figures 1 to 6 of the paper, each drawn from the results table: `table -> Figure`.

The same function draws this build's figure and the published one. Seeds are told apart by
the line: the first is solid, the second dashed, and so on.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..protocol import REPRESENTATIVES
from .sets import by_group, by_seed, dimensions, seeds
from .style import BLUE, COLORS, FAINT, INK, LABELS, RED, WIDTH, styled

__all__ = ["figure1", "figure2", "figure3", "figure4", "figure5", "figure6", "PANELS"]

#: The four panels of Figures 1, 3 and 6.
PANELS = ("train", *REPRESENTATIVES.values())

LATENT = "latent dimension $d$"
MATRICES = {"I": r"$J_{\mathcal{I}}$", "L": r"$J_{\mathcal{L}}$"}


@styled
def figure1(table: pd.DataFrame) -> Figure:
    """‖λ_I − λ_L‖²/d against d: median, quartiles and mean over points, one panel a data set."""
    fig, axes = plt.subplots(2, 2, figsize=(WIDTH, 5.2), sharex=True, sharey=True)
    for ax, name in zip(axes.flat, PANELS):
        for line, part in by_seed(table, name):
            ax.plot(part.d, part.distance_median, line, color=COLORS[name], marker="o")
            ax.plot(part.d, part.distance_mean, line, color=COLORS[name], marker="x", ms=4.5, lw=1)
            ax.fill_between(part.d, part.distance_q1, part.distance_q3, color=COLORS[name], alpha=0.15, lw=0)
        ax.set(title=LABELS[name], yscale="log")
        dimensions(ax, table)
    fig.supxlabel(LATENT)
    fig.supylabel(r"$\|\lambda_{\mathcal{I}}-\lambda_{\mathcal{L}}\|^2/d$")
    keys = [("median, quartiles", "o", 1.7), ("mean", "x", 1)]
    handles = [Line2D([], [], color=INK, marker=m, lw=w, label=label) for label, m, w in keys]
    fig.legend(handles=handles + seeds(table), loc="outside upper center", ncols=4)
    return fig


@styled
def figure2(table: pd.DataFrame) -> Figure:
    """Arithmetic and geometric means of |λ| against d for J_I and J_L, all data sets."""
    means = {"mean": "arithmetic", "geometric": "geometric"}
    rows = {
        f"{j}_{statistic}": f"{word}, {title}"
        for statistic, word in means.items()
        for j, title in MATRICES.items()
    }
    fig = by_group(table, rows, log=rows)
    fig.supylabel(r"mean of $|\lambda|$")
    return fig


@styled
def figure3(table: pd.DataFrame) -> Figure:
    """Box plots of log|λ| per d, J_I blue and J_L red, four data sets, the first seed."""
    return _boxes(table, "log", r"$\log\,|\lambda|$")


@styled
def figure4(table: pd.DataFrame) -> Figure:
    """Standard deviation of log|λ| against d for J_I and J_L, all data sets."""
    fig = by_group(table, {f"{j}_sd_log": title for j, title in MATRICES.items()})
    fig.supylabel(r"standard deviation of $\log|\lambda|$")
    return fig


@styled
def figure5(table: pd.DataFrame) -> Figure:
    """Share of points with a negative product of the nonzero eigenvalues against d, all data sets."""
    fig = by_group(table, {f"{j}_reversed": title for j, title in MATRICES.items()})
    fig.supylabel("share of points reversed")
    for ax in fig.axes:
        ax.axhline(0.5, color=FAINT, lw=1, ls=(0, (1, 2)))
        ax.set_ylim(-0.02, 1.02)
    return fig


@styled
def figure6(table: pd.DataFrame) -> Figure:
    """Box plots of |Arg λ| per d, J_I blue and J_L red, four data sets, the first seed."""
    fig = _boxes(table, "arg", r"$|\mathrm{Arg}\,\lambda|$")
    for ax in fig.axes:
        ax.set_yticks([0, np.pi / 2, np.pi], ["0", r"$\pi/2$", r"$\pi$"])
    return fig


def _boxes(table: pd.DataFrame, prefix: str, label: str) -> Figure:
    first = table[table.seed == table.seed.min()]
    fig, axes = plt.subplots(2, 2, figsize=(WIDTH, 5.4), sharex=True, sharey=True)
    for ax, name in zip(axes.flat, PANELS):
        part = first[first.set == name].sort_values("d")
        for j, color, shift in (("I", BLUE, -0.21), ("L", RED, 0.21)):
            keys = {"whislo": "low", "q1": "q1", "med": "median", "q3": "q3", "whishi": "high"}
            stats = [{k: row[f"{j}_{prefix}_{v}"] for k, v in keys.items()} for _, row in part.iterrows()]
            line = {"color": color, "lw": 0.9}
            ax.bxp(
                stats, positions=part.d + shift, widths=0.32,
                showfliers=False, patch_artist=True, manage_ticks=False,
                boxprops={"facecolor": color + "40", "edgecolor": color, "lw": 0.9},
                medianprops={"color": color, "lw": 1.6}, whiskerprops=line, capprops=line,
            )  # fmt: skip
        ax.set_title(LABELS[name])
        dimensions(ax, table)
    fig.supxlabel(LATENT)
    fig.supylabel(label)
    colors = zip(MATRICES.values(), (BLUE, RED))
    handles = [Patch(facecolor=c + "40", edgecolor=c, label=title) for title, c in colors]
    fig.legend(handles=handles, loc="outside upper center", ncols=2)
    return fig
