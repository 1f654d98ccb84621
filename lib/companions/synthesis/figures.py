"""The figures of the synthesis: results table of the variants -> Figure."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...figures.style import BLUE, COLORS, FAINT, GREEN, INK, LABELS, RED, WIDTH, styled
from .measure import SIGNS, instability, named

__all__ = ["share_figure", "sign_figure", "sign_table", "trade_figure", "trade_table"]


def _rows(ax: Axes, table: pd.DataFrame, column: str, networks: list[str]) -> None:
    """One row a network, one dot a data set."""
    for i, network in enumerate(networks):
        part = table[table.network == network].set_index("set")[column]
        for name, color in COLORS.items():
            if name in part.index and name != "test":
                look = {"marker": "o", "ms": 4.5, "zorder": 2}
                if name == "train":
                    look = {"marker": "D", "ms": 6, "zorder": 3}
                ax.plot(part[name], i, ls="", color=color, alpha=0.9, **look)
    ax.set(yticks=range(len(networks)), ylim=(len(networks) - 0.5, -0.5))
    ax.grid(axis="x", visible=False)


def _legend(fig: Figure, sets: list[str]) -> None:
    handles = [
        Line2D([], [], ls="", marker="D" if n == "train" else "o", color=COLORS[n], label=LABELS[n])
        for n in COLORS
        if n in sets and n != "test"
    ]
    fig.legend(handles=handles, loc="outside upper center", ncols=6, handletextpad=0.2)


@styled
def share_figure(shares: pd.DataFrame) -> Figure:
    """Shares of non-real and of negative real eigenvalues, one row a network, one dot a data set."""
    networks = [n for n in dict.fromkeys(shares.network) if not n.startswith("bending")]
    fig, axes = plt.subplots(1, 2, figsize=(WIDTH, 0.34 * len(networks) + 1.3), sharey=True)
    for ax, column, title in zip(axes, ("I_nonreal", "I_negative_real"), ("non-real", "negative real")):
        _rows(ax, shares, column, networks)
        ax.set(title=f"share of {title} eigenvalues", xlim=(-0.02, max(0.5, 1.05 * shares[column].max())))
    axes[0].set_yticklabels(networks)
    _legend(fig, list(shares.set.unique()))
    return fig


@styled
def sign_figure(table: pd.DataFrame) -> Figure:
    """Four signs of instability, a panel each: a row a network, a dot a data set, means over d and seeds."""
    mean = sign_table(table)["means"]
    networks = list(dict.fromkeys(mean.network))
    fig, axes = plt.subplots(1, len(SIGNS), figsize=(WIDTH, 0.34 * len(networks) + 1.4), sharey=True)
    for ax, (column, title) in zip(axes, SIGNS.items()):
        _rows(ax, mean, column, networks)
        ax.set_title(title)
        if column == "distance_median":
            ax.set_xscale("log")
            ax.set_xlim(left=max(1e-6, ax.get_xlim()[0]))
    axes[0].set_yticklabels(networks)
    _legend(fig, list(mean.set.unique()))
    return fig


def sign_table(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The numbers behind `sign_figure`: means over d and seeds by network and data set."""
    mean = named(table).groupby(["network", "set"], sort=False)[list(SIGNS)].mean().reset_index()
    return {"means": mean[mean.network != "untrained"]}


@styled
def trade_figure(table: pd.DataFrame) -> Figure:
    """What each variant pays: share of noise cells above the training cell,
    against the held-out error over the plain networks'."""
    summary = instability(table)
    fig, ax = plt.subplots(figsize=(WIDTH, 4))
    look = {
        "plain": (INK, "D"),
        "twin": (INK, "x"),
        "denoising": (RED, "o"),
        "contractive": (BLUE, "s"),
        "bending": (GREEN, "^"),
    }
    words = summary.network.str.split()
    for kind, (color, marker) in look.items():
        part = summary[words.str[0] == kind]
        joined = ":" if kind not in ("plain", "twin") else ""
        ax.plot(part.cost, part.worse, marker=marker, ms=7, color=color, lw=1, ls=joined, label=kind)
        if joined:
            for row, strength in zip(part.itertuples(), words[part.index].str[1]):
                place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
                ax.annotate(strength, (row.cost, row.worse), color=color, **place)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=len(look))
    ax.axvline(1, color=FAINT, lw=0.8, ls=":")
    ax.set(
        xlabel="held-out error / plain network's",
        ylabel="share of noise cells above\nthe training cell",
        ylim=(0, 1.06),
    )
    ax.margins(x=0.08)
    return fig


def trade_table(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The numbers behind `trade_figure`."""
    return {"summary": instability(table)}
