"""Figures of the detection study: scores against sets, latent dimensions, false alarms and cost."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..protocol import NOISE_SETS
from ..studies.detection_scores import FURTHER, SCORES
from .style import BLUE, FAINT, GREEN, INK, RED, WIDTH, log_axis, styled

__all__ = ["heat", "dimensions", "curves", "pareto", "primary", "SAID"]

#: Scores and sets that are called otherwise on a page than in the tables.
SAID = {"hamming": "Hamming", "fashion": "Fashion-MNIST"} | {
    f"hamming {i}": f"Hamming, layer {i}" for i in (1, 2, 3)
}

#: The rivals in greys, the two primary scores in colours, others beside them.
INKS = {
    "error": (FAINT, "-"),
    "relative error": (FAINT, "--"),
    "re-encoding shift": (FAINT, ":"),
    "hamming": (BLUE, "-"),
    "K_L defect": (RED, "-"),
    "K_I defect": (RED, "--"),
    "combination": (GREEN, "-"),
}


def _labels(names: Sequence[str]) -> list[str]:
    """Names of scores, of sets and of statements about both as a figure writes them."""
    said = (", ".join(SAID.get(part, part) for part in name.split(", ")) for name in names)
    return [name.replace("K_L", "$K_L$").replace("K_I", "$K_I$") for name in said]


@styled
def heat(table: pd.DataFrame) -> Figure:
    """Mean AUROC over networks, a row a score, a column a set, the noise sets as one; chance is white."""
    scores = [s for s in (*SCORES, *FURTHER) if s in set(table.score)]
    merged = table.assign(set=table.set.where(~table.set.isin(NOISE_SETS), "noise"))
    sets = [s for s in dict.fromkeys(merged.set) if s != "noise"] + ["noise"] * ("noise" in set(merged.set))
    wide = merged.pivot_table(index="score", columns="set", values="auroc").loc[scores, sets]
    fig, ax = plt.subplots(figsize=(WIDTH, 0.28 * len(scores) + 1.8))
    shown = ax.imshow(wide, cmap="PuOr", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(wide.to_numpy()):
        if np.isfinite(value):
            text = f"{value:.2f}".removeprefix("0").replace("1.00", "1")
            ax.text(j, i, text, ha="center", va="center", color="w" if abs(value - 0.5) > 0.35 else "k")
    ax.set_xticks(range(len(sets)), _labels(sets), rotation=60, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(scores)), _labels(scores))
    ax.tick_params(length=0)
    ax.grid(False)
    fig.colorbar(shown, ax=ax, label="AUROC", fraction=0.03, pad=0.02)
    return fig


@styled
def dimensions(table: pd.DataFrame, sets: Sequence[str]) -> Figure:
    """AUROC against d, a panel a set, a line a score; each seed is a dot, the line their mean."""
    sets = [s for s in sets if s in set(table.set)]
    columns = min(3, len(sets))
    rows = -(-len(sets) // columns)
    fig, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 2.0 * rows + 0.6), sharey=True, sharex=True, squeeze=False
    )
    for ax, name in zip(axes.flat, sets):
        here = table[table.set == name]
        ax.axhline(0.5, lw=0.7, color=FAINT)
        for score, (color, style) in INKS.items():
            part = here[here.score == score]
            mean = part.groupby("d").auroc.mean()
            ax.plot(mean.index, mean, style, color=color, lw=1.3, label=_labels([score])[0])
            ax.plot(part.d, part.auroc, ".", color=color, ms=3)
        ax.set(title=_labels([name])[0], ylim=(0, 1.02))
    for ax in axes.flat[len(sets) :]:
        ax.set_axis_off()
    for ax in axes.flat[max(len(sets) - columns, 0) : len(sets)]:  # nothing stands below these
        ax.tick_params(labelbottom=True)
    fig.supxlabel("latent dimension $d$")
    fig.supylabel("AUROC")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return fig


@styled
def curves(table: pd.DataFrame) -> Figure:
    """ROC curves, a panel a set: the share of the set found against the share of false alarms."""
    sets = list(dict.fromkeys(table.set))
    fig, axes = plt.subplots(1, len(sets), figsize=(WIDTH, 2.9), sharey=True, squeeze=False)
    for ax, name in zip(axes[0], sets):
        ax.plot([0, 1], [0, 1], lw=0.7, color=FAINT)
        for score, part in table[table.set == name].groupby("score", sort=False):
            color, style = INKS[score]
            ax.plot(part.alarms, part.hits, style, color=color, lw=1.3, label=_labels([score])[0])
        ax.set(title=_labels([name])[0], xlabel="false alarms", aspect="equal")
    axes[0, 0].set_ylabel("found")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return fig


@styled
def pareto(table: pd.DataFrame) -> Figure:
    """Mean AUROC over the near sets against cost in round trips; those that none beats at less cost joined.

    `table` has the columns ``score``, ``near sets`` and ``cost``.
    """
    fig, ax = plt.subplots(figsize=(WIDTH, 4.2))
    ax.axhline(0.5, lw=0.7, color=FAINT)
    ordered = table.sort_values(["cost", "near sets"], ascending=[True, False])
    best = ordered[ordered["near sets"] > ordered["near sets"].cummax().shift(fill_value=-1)]
    ax.step(best.cost, best["near sets"], where="post", color=FAINT, lw=1)
    for row in table.rename(columns={"near sets": "near"}).itertuples():
        color = INKS.get(row.score, (INK, ""))[0]
        ax.plot(row.cost, row.near, "o", color=color, ms=4)
        if row.score in (*INKS, *best.score):
            ax.annotate(_labels([row.score])[0], (row.cost, row.near), (5, 3), textcoords="offset points")
    log_axis(ax.xaxis, table.cost.to_numpy())
    ax.set(xlabel="cost of a point, in round trips", ylabel="mean AUROC over the near sets")
    return fig


@styled
def primary(table: pd.DataFrame) -> Figure:
    """Differences in AUROC from each rival on the primary sets, a dot a seed; an interval where eight judge.

    `table` has the columns ``statement``, ``rival``, ``difference``, ``low`` and ``high``.
    """
    statements = list(dict.fromkeys(table.statement))
    fig, ax = plt.subplots(figsize=(WIDTH, 0.45 * len(statements) + 1.1))
    ax.axvline(0, lw=0.8, color=FAINT)
    for k, rival in enumerate(dict.fromkeys(table.rival)):
        part = table[table.rival == rival]
        at = np.array([statements.index(s) for s in part.statement]) + 0.22 * (k - 1)
        color = (BLUE, RED, GREEN)[k % 3]
        ax.hlines(at, part.low, part.high, color=color, lw=1)
        ax.plot(part.difference, at, "o", color=color, ms=3.5, label=f"against {rival}")
    ax.set_yticks(range(len(statements)), _labels(statements))
    ax.set(xlabel="difference in AUROC", ylim=(len(statements) - 0.4, -0.6))
    fig.legend(loc="outside upper center", ncols=3)
    return fig
