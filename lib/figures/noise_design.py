"""Figures of the noise design: where its distributions lie, what each factor does,
what is predicted, and straight paths."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..protocol import NOISE_SETS
from ..studies.noise_design import FACTORS, JUDGED, RESPONSES
from .sets import tones
from .style import BLUE, COLORS, FAINT, INK, LABELS, LINES, ORDERED, RED, WIDTH, styled

__all__ = ["design", "effects", "answer", "dependence", "placed", "paths"]

#: Seeds are told apart by the mark.
MARKS = "osD^vPX*<>"


def _panels(columns: int = 2, height: float = 2.2, **shared) -> tuple[Figure, dict[str, Axes]]:
    """A panel a response."""
    rows = -(-len(RESPONSES) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(WIDTH, height * rows + 0.7), squeeze=False, **shared)
    for ax, (_, _, title) in zip(axes.flat, RESPONSES.values()):
        ax.set_title(title)
    return fig, dict(zip(RESPONSES, axes.flat))


@styled
def design(factors: pd.DataFrame, sets: pd.DataFrame) -> Figure:
    """Mean and variance of the design's distributions,
    coloured by correlation length and by the share of black pixels; diamonds are the paper's `sets`."""
    fig, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.4), sharey=True)
    m = np.linspace(0, 1, 101)
    for ax, (color, label) in zip(axes, (("length", FACTORS["length"]), ("black", FACTORS["black"]))):
        ax.plot(m, m * (1 - m), color=FAINT, lw=0.8)
        shown = ax.scatter(factors["mean"], factors.variance, c=factors[color], cmap=ORDERED, s=11)
        for name, row in sets.iterrows():
            ax.plot(row["mean"], row.variance, "D", color=COLORS[name], mec=INK, mew=0.7, ms=6)
        fig.colorbar(shown, ax=ax, label=label, location="bottom", fraction=0.06)
        ax.set(xlabel=FACTORS["mean"])
    axes[0].set_ylabel(FACTORS["variance"])
    return fig


@styled
def effects(table: pd.DataFrame) -> Figure:
    """Standardised effects of the factors, a panel a response, a mark a network:
    the colour is d, the form the seed."""
    fig, axes = _panels(sharex=True, sharey=True)
    tone, seeds = tones(fig, table), sorted(table.seed.unique())
    for response, ax in axes.items():
        ax.axvline(0, color=FAINT, lw=0.8)
        part = table[table.response == response]
        for row in part.itertuples():
            place = list(FACTORS).index(row.factor) + 0.5 * (list(tone).index(row.d) + 0.5) / len(tone) - 0.25
            mark = MARKS[seeds.index(row.seed) % len(MARKS)]
            ax.plot(row.effect, place, mark, color=tone[row.d], ms=3.2, alpha=0.9)
        ax.set_yticks(range(len(FACTORS)), FACTORS.values())
        ax.set_ylim(len(FACTORS) - 0.5, -0.5)
    fig.supxlabel("standardised effect")
    return fig


@styled
def answer(table: pd.DataFrame, by_seed: pd.DataFrame) -> Figure:
    """Share of the mean less share of the variance: a dot a seed;
    the line is the 95% interval over distributions, the thick one that over judging seeds."""
    titles = {"all": "all six"} | {name: title for name, (_, _, title) in RESPONSES.items()}
    fig, ax = plt.subplots(figsize=(WIDTH, 3.2))
    ax.axvline(0, color=FAINT, lw=0.8)
    for i, row in enumerate(table.itertuples()):
        color = RED if row.response == "all" else BLUE
        ax.hlines(i, row.low, row.high, color=color, lw=1)
        if np.isfinite(row.t_low):
            ax.hlines(i, row.t_low, row.t_high, color=color, lw=3)
        ax.plot(by_seed[row.response], [i] * len(by_seed), "o", color=color, ms=4)
    ax.set_yticks(range(len(table)), [titles[name] for name in table.response])
    ax.set(
        ylim=(len(table) - 0.5, -0.5),
        xlabel="← variance     share of the mean less share of the variance     mean →",
    )
    return fig


@styled
def dependence(table: pd.DataFrame) -> Figure:
    """Partial dependence: a row a response, a column a factor, a line a network."""
    fig, axes = plt.subplots(len(RESPONSES), len(FACTORS), figsize=(WIDTH, 10), sharex="col", sharey="row")
    tone = tones(fig, table)
    for axs, (response, (_, _, title)) in zip(axes, RESPONSES.items()):
        for ax, factor in zip(axs, FACTORS):
            part = table[(table.response == response) & (table.factor == factor)]
            for (seed, d), line in part.groupby(["seed", "d"]):
                ax.plot(line.value, line.predicted, LINES[seed % len(LINES)], color=tone[d], lw=1.1)
        axs[0].set_ylabel(title.replace(" (", "\n("))
    for ax, label in zip(axes[-1], FACTORS.values()):
        ax.set_xlabel(label.replace(" ", "\n", 1) if len(label) > 12 else label)
    fig.align_ylabels()
    return fig


@styled
def placed(table: pd.DataFrame) -> Figure:
    """The paper's noise sets: what the design predicts against what is seen;
    hollow where the prediction is an extrapolation."""
    fig, axes = _panels(3, 2.1)
    for response, ax in axes.items():
        part = table[table.response == response]
        ends = [min(part.predicted.min(), part.seen.min()), max(part.predicted.max(), part.seen.max())]
        ax.plot(ends, ends, color=FAINT, lw=0.8)
        for row in part.itertuples():
            color = COLORS[row.set]
            ax.plot(
                row.predicted, row.seen, "o", color=color, mfc="none" if row.leverage > 1 else color, ms=3.5
            )
    fig.supxlabel("predicted")
    fig.supylabel("seen")
    names = [name for name in NOISE_SETS if name in set(table.set)]
    handles = [Line2D([], [], color=COLORS[n], marker="o", ls="", label=LABELS[n]) for n in names]
    fig.legend(handles=handles, loc="outside upper center", ncols=5)
    return fig


@styled
def paths(table: pd.DataFrame) -> Figure:
    """Responses along straight paths, a colour an end, a line a seed:
    means over the judged d (all, where there is none of them)."""
    kept = table[table.d.isin(JUDGED)] if table.d.isin(JUDGED).any() else table
    fig, axes = _panels(2, 2.1, sharex=True)
    for response, ax in axes.items():
        for (end, seed), line in kept.groupby(["end", "seed"], sort=False):
            mean = line.groupby("t")[response].mean()
            ax.plot(mean.index, mean, LINES[seed % len(LINES)], color=COLORS.get(end, INK), lw=1.3)
    ends = list(dict.fromkeys(kept.end))
    handles = [Line2D([], [], color=COLORS.get(e, INK), label=LABELS.get(e, e)) for e in ends]
    fig.legend(handles=handles, loc="outside upper center", ncols=5)
    fig.supxlabel("$t$, from held-out images (0) to the end of the path (1)")
    return fig
