"""Figures of the claims: their estimates, their counts, and what belongs to the architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from ..studies.claims import outcomes
from ..studies.evidence import NOISE, Estimate
from .style import BLUE, COLORS, FAINT, INK, LABELS, ORANGE, RED, styled

__all__ = ["estimates", "counts", "verdicts", "architecture"]

#: Inches: width of a figure, room for the names of data sets.
WIDE, LEFT = 7.2, 0.55
#: verdict → colour, marker, whether the marker is filled, hatching: told apart without colour.
LOOKS = {
    "holds": (BLUE, "o", True, ""),
    "open": (ORANGE, "D", False, "...."),
    "refuted": (RED, "X", True, "xxxx"),
}


@styled
def estimates(found: Sequence[Estimate]) -> Figure:
    """The estimates of a claim: a row of panels a statement, a panel a range of d, a line a data set, the side wanted shaded.

    Bars are 95 % intervals, small grey dots the single seeds. Estimates that are shown only, and those
    without a value, are left to the table.
    """
    judged = [(e, o) for e, o in zip(found, outcomes(found)) if e.judged and np.isfinite(e.value)]
    grid: dict[str, dict[str, list[tuple[Estimate, str]]]] = {}
    for e, outcome in judged:
        grid.setdefault(e.part.says, {}).setdefault(e.part.range, []).append((e, outcome))
    # placed by hand, in inches from the top: thirty panels take a layout engine seconds
    lines = [max(map(len, row.values())) for row in grid.values()]
    tall = sum(0.15 * n + 0.74 for n in lines) or 0.5
    fig = plt.figure(figsize=(WIDE, tall), layout="none")
    top = tall
    for (says, row), n in zip(grid.items(), lines):
        high = 0.15 * (n + 0.4)
        top -= high + 0.42
        wide = (WIDE - LEFT - 0.05) / max(len(row), 2)
        axs: list[Axes] = []
        for i, (range_, part) in enumerate(row.items()):
            place = ((LEFT + i * wide) / WIDE, top / tall, (wide - 0.12) / WIDE, high / tall)
            axs.append(fig.add_axes(place, sharex=axs[0] if axs else None))
            _panel(axs[-1], part, labels=i == 0)
            axs[-1].set_title(range_, loc="left", size=7, pad=3, color=INK)
        fig.text(LEFT / WIDE, (top + high + 0.2) / tall, says, size=7.5)
        _side(axs, part[0][0])
        top -= 0.26
    return fig


def _panel(ax: Axes, part: Sequence[tuple[Estimate, str]], labels: bool) -> None:
    for i, (e, outcome) in enumerate(part):
        color, marker, filled, _ = LOOKS[outcome]
        ax.plot(list(e.seeds.values()), [-i] * len(e.seeds), ".", color=FAINT, ms=3.5, alpha=0.8)
        if np.isfinite(e.low):
            ax.plot([e.low, e.high], [-i, -i], color=color, lw=2, solid_capstyle="butt")
            ax.plot(e.value, -i, marker, color=color, mfc=color if filled else "none", ms=4.5)
    names = [e.label.removeprefix(e.part.says).strip(", ") for e, _ in part]
    ax.set_yticks(-np.arange(len(part)), names if labels else [""] * len(part), fontsize=7)
    ax.set(ylim=(0.7 - len(part), 0.7), xscale="log" if part[0][0].part.scale == "log" else "linear")
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=7)
    ax.grid(axis="y", visible=False)


def _side(axs: Sequence[Axes], e: Estimate) -> None:
    """Shade the side wanted in a row of panels that share their axis."""
    above, below = (0.5, None) if e.part.scale == "yes" else (e.part.above, e.part.below)
    edges = [b for b in (above, below) if b is not None]
    to, back = (np.log, np.exp) if e.part.scale == "log" else (np.asarray, np.asarray)
    low, high = to(axs[0].get_xlim())
    low, high = min(low, *to(edges)), max(high, *to(edges))
    pad = 0.05 * (high - low)
    low, high = back(low - pad), back(high + pad)
    far = e.part.scale == "log" and high / low > 8
    shaded = low if above is None else above, high if below is None else below
    for ax in axs:
        ax.axvspan(*shaded, color=BLUE, alpha=0.1, lw=0)
        for edge in edges:
            ax.axvline(edge, color=FAINT, lw=0.8)
    axs[0].set(xscale="log" if far else "linear", xlim=(low, high))
    if far:
        axs[0].xaxis.set_major_locator(LogLocator(subs=(1,) if high / low > 500 else (1, 3), numticks=5))
    else:
        axs[0].xaxis.set_major_locator(MaxNLocator(4, prune="both"))
    for ax in axs:
        ax.xaxis.set_major_formatter("{x:.3g}")
        ax.xaxis.set_minor_formatter(NullFormatter())


@styled
def counts(table: pd.DataFrame, judged: bool = True) -> Figure:
    """How many parts of each claim came out how: a bar a claim, told apart by hatching and numbers as well as by colour.

    Parameters
    ----------
    table : `lib.studies.claims.summary`
    judged : by verdict; else by the side on which the values of each part lie
    """
    looks = {v: (c, h) for v, (c, _, _, h) in LOOKS.items()} if judged else {"toward": (FAINT, ""), "away": (FAINT, "////")}  # fmt: skip
    fig, ax = plt.subplots(figsize=(WIDE, 0.6 + 0.24 * len(table)))
    y, left = -np.arange(len(table)), np.zeros(len(table))
    for (column, (color, hatch)), depth in zip(looks.items(), ("60", "10", "30")):
        width = table[column].to_numpy()
        ax.barh(y, width, 0.72, left, color=color + depth, edgecolor=color, hatch=hatch, lw=0.8, label=column)
        for row, start, count in zip(y, left, width):
            if count:
                ax.text(start + count / 2, row, count, ha="center", va="center", fontsize=8)  # fmt: skip
        left = left + width
    ax.set_yticks(y, table.number, fontsize=8.5)
    ax.set(ylim=(0.8 - len(table), 0.8), xlabel="parts of the claim", ylabel="claim")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower right")
    return fig


@styled
def verdicts(found: pd.DataFrame) -> Figure:
    """Claims × variants: the share of a claim's estimates whose value lies on the side wanted, written into a square whose depth of colour says the same."""
    names = list(dict.fromkeys(zip(found.choice, found.value)))
    share = found.set_index(["claim", "choice", "value"]).share
    claims = sorted(found.claim.unique())
    fig, ax = plt.subplots(figsize=(7.2, 0.9 + 0.24 * len(names)))
    grid = np.array([[share[claim, *name] for claim in claims] for name in names])
    edges = (np.arange(n + 1) - 0.5 for n in (len(claims), len(names)))
    shown = np.ma.masked_invalid(grid)
    ax.pcolormesh(*edges, shown, cmap="cividis", vmin=0, vmax=1, edgecolors=FAINT, lw=0.3)
    for (i, j), value in np.ndenumerate(grid):
        text = f"{value:.2f}".removeprefix("0") if 0 < value < 1 else f"{value:.0f}".replace("nan", "–")
        ink = FAINT if np.isnan(value) else "white" if value < 0.55 else "black"
        ax.text(j, i, text, ha="center", va="center", fontsize=6, color=ink)
    ax.set_xticks(range(len(claims)), claims, fontsize=7)
    ax.set_yticks(range(len(names)), [f"{choice}: {value}" for choice, value in names])
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.grid(False)
    ax.xaxis.tick_top()
    ax.set_title("claim", size=9)
    return fig


@styled
def architecture(table: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """The share of d in the variance of each statistic with its 95 % interval: a panel a statistic, a line a data set; one half is drawn.

    Parameters
    ----------
    table : `lib.studies.claims.architecture`
    titles : statistic → what it is called
    """
    columns = 3
    fig, axes = plt.subplots(-(-len(titles) // columns), columns, figsize=(7.2, 1.9 * -(-len(titles) // columns)), sharex=True, sharey=True, squeeze=False)  # fmt: skip
    sets = ["train", *NOISE]
    for ax, (statistic, title) in zip(axes.flat, titles.items()):
        part = table[table.statistic == statistic].set_index("set")
        for i, name in enumerate(sets):
            row = part.loc[name]
            _, marker, filled, _ = LOOKS[row.verdict]
            color = COLORS[name]
            ax.plot([row.low, row.high], [-i, -i], color=color, lw=2, solid_capstyle="butt")
            ax.plot(row.share, -i, marker, color=color, mfc=color if filled else "none", ms=4.5)
        ax.axvline(0.5, color=FAINT, lw=0.8)
        ax.set_title(title, size=8)
        ax.set(xlim=(-0.03, 1.03), ylim=(0.7 - len(sets), 0.7))
        ax.set_yticks(-np.arange(len(sets)), [LABELS[name] for name in sets], fontsize=6.5)
        ax.grid(axis="y", visible=False)
    for ax in axes.flat[len(titles) :]:
        ax.set_visible(False)
    fig.supxlabel("share of $d$ in the variance over $d$ and seeds", size=9)
    handles = [Line2D([], [], color=FAINT, marker=m, mfc=FAINT if f else "none", ls="", label=v) for v, (_, m, f, _) in LOOKS.items()]  # fmt: skip
    fig.legend(handles=handles, loc="outside upper right", ncols=3)
    return fig
