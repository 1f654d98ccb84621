"""Figures of the claims: their estimates, their counts, and what belongs to the architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ..studies.claims import outcomes
from ..studies.evidence import NOISE, Estimate
from .style import BLUE, COLORS, FAINT, INK, LABELS, ORANGE, RED, styled
from .tables import variant

__all__ = ["estimates", "counts", "verdicts", "architecture"]

#: Inches: width of a figure, and of one in a claim's box; room there for names, and for one line of text.
WIDE, BOX, LEFT, LINE = 6.4, 5.6, 0.68, 0.2
#: Points: type that can still be read on a telephone.
SIZE = 11
#: verdict → colour, marker, whether the marker is filled, hatching: told apart without colour.
LOOKS = {
    "holds": (BLUE, "o", True, ""),
    "open": (ORANGE, "D", False, "...."),
    "refuted": (RED, "X", True, "xxxx"),
}


@styled
def estimates(found: Sequence[Estimate]) -> Figure:
    """The estimates of a claim: a statement is a row of panels, one for each range of d with a line for each
    data set, or one panel with a line for each range where there is a single estimate; the side wanted is
    shaded.

    Bars are 95% intervals, small grey dots the single seeds. Estimates that are shown only, and those
    without a value, are left to the table.
    """
    judged = [(e, o) for e, o in zip(found, outcomes(found)) if e.judged and np.isfinite(e.value)]
    grid: dict[str, dict[str, list[tuple[Estimate, str]]]] = {}
    for e, outcome in judged:
        grid.setdefault(e.part.says, {}).setdefault(e.part.range, []).append((e, outcome))
    rows = [(says, _panels(row)) for says, row in grid.items()]
    # placed by hand, in inches from the top: thirty panels take a layout engine seconds
    lines = [max(len(part) for _, _, part in panels) for _, panels in rows]
    heads = [1 + any(title for title, _, _ in panels) for _, panels in rows]
    tall = sum(LINE * (n + head + 2.2) for n, head in zip(lines, heads)) or 0.5
    fig = plt.figure(figsize=(BOX, tall), layout="none")
    top = tall
    for (says, panels), n, head in zip(rows, lines, heads):
        fig.text(0, top / tall, says.replace(" %", "%"), size=SIZE, va="top")
        high = LINE * (n + 0.4)
        top -= LINE * (head + 0.2) + high
        wide = (BOX - LEFT - 0.05) / max(len(panels), 1)
        axs: list[Axes] = []
        for i, (title, names, part) in enumerate(panels):
            place = ((LEFT + i * wide) / BOX, top / tall, (wide - 0.12) / BOX, high / tall)
            axs.append(fig.add_axes(place, sharex=axs[0] if axs else None))
            _panel(axs[-1], part, names if i == 0 else [""] * len(names))
            axs[-1].set_title(title, loc="left", size=SIZE, pad=3, color=INK)
        _side(axs, panels[0][2][0][0], ticks=3 if len(panels) > 1 else 5)
        top -= LINE * 1.6
    return fig


def _panels(
    row: Mapping[str, list[tuple[Estimate, str]]],
) -> list[tuple[str, list[str], list[tuple[Estimate, str]]]]:
    """(title, names of the lines, what they show) of each panel of a statement."""
    if all(len(part) == 1 for part in row.values()):
        return [("", [range_.replace("d = ", "$d$ ") for range_ in row], [part[0] for part in row.values()])]
    names = lambda part: [e.label.removeprefix(e.part.says).strip(", ").replace(" %", "%") for e, _ in part]
    return [(range_.replace("d = ", "$d$ = "), names(part), part) for range_, part in row.items()]


def _panel(ax: Axes, part: Sequence[tuple[Estimate, str]], names: Sequence[str]) -> None:
    for i, (e, outcome) in enumerate(part):
        color, marker, filled, _ = LOOKS[outcome]
        ax.plot(list(e.seeds.values()), [-i] * len(e.seeds), ".", color=FAINT, ms=5, alpha=0.8)
        if np.isfinite(e.low):
            ax.plot([e.low, e.high], [-i, -i], color=color, lw=2, solid_capstyle="butt")
            ax.plot(e.value, -i, marker, color=color, mfc=color if filled else "none", ms=5)
    ax.set_yticks(-np.arange(len(part)), names, fontsize=SIZE)
    ax.set(ylim=(0.3 - len(part), 0.7), xscale="log" if part[0][0].part.scale == "log" else "linear")
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=SIZE)
    ax.grid(axis="y", visible=False)


def _side(axs: Sequence[Axes], e: Estimate, ticks: int) -> None:
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
        axs[0].xaxis.set_major_locator(LogLocator(subs=(1,) if high / low > 40 else (1, 3), numticks=ticks))
    else:
        axs[0].xaxis.set_major_locator(MaxNLocator(ticks, prune="both"))
    for ax in axs:
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.6g}".replace("-", "−")))
        ax.xaxis.set_minor_formatter(NullFormatter())


@styled
def counts(table: pd.DataFrame, judged: bool = True) -> Figure:
    """How many parts of each claim came out how: a bar a claim, told apart by colour, hatching and numbers.

    Parameters
    ----------
    table : `lib.studies.claims.summary`
    judged : by verdict; else by the side on which the values of each part lie
    """
    looks = {"toward": (FAINT, ""), "away": (FAINT, "////")}
    if judged:
        looks = {verdict: (color, hatch) for verdict, (color, _, _, hatch) in LOOKS.items()}
    fig, ax = plt.subplots(figsize=(WIDE, 0.6 + 0.24 * len(table)))
    y, left = -np.arange(len(table)), np.zeros(len(table))
    for (column, (color, hatch)), depth in zip(looks.items(), ("60", "10", "30")):
        width = table[column].to_numpy()
        ax.barh(y, width, 0.72, left, color=color + depth, edgecolor=color, hatch=hatch, lw=0.8, label=column)
        for row, start, count in zip(y, left, width):
            if count:
                ax.text(start + count / 2, row, count, ha="center", va="center")
        left = left + width
    ax.set_yticks(y, table.number)
    ax.set(ylim=(0.4 - len(table), 0.6), xlabel="parts of the claim", ylabel="claim")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower right")
    return fig


@styled
def verdicts(found: pd.DataFrame) -> Figure:
    """Claims × variants: the share of a claim's estimates on the side wanted, as number and colour."""
    names = list(dict.fromkeys(zip(found.choice, found.value)))
    share = found.set_index(["claim", "choice", "value"]).share
    claims = sorted(found.claim.unique())
    fig, ax = plt.subplots(figsize=(WIDE, 2.6 + 0.22 * len(claims)))
    grid = np.array([[share[claim, *name] for name in names] for claim in claims])
    ax.pcolormesh(
        np.arange(len(names) + 1) - 0.5, np.arange(len(claims) + 1) - 0.5, np.ma.masked_invalid(grid),
        cmap="cividis", vmin=0, vmax=1, edgecolors=FAINT, lw=0.3,
    )  # fmt: skip
    for (i, j), value in np.ndenumerate(grid):
        text = (
            "–" if np.isnan(value) else f"{value:.2f}".removeprefix("0") if 0 < value < 1 else f"{value:.0f}"
        )
        color = FAINT if np.isnan(value) else "white" if value < 0.55 else "black"
        ax.text(j, i, text, ha="center", va="center", color=color)
    ax.set_yticks(range(len(claims)), claims)
    ax.set_xticks(range(len(names)), [variant(*name) for name in names], rotation=90)
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.grid(False)
    ax.xaxis.tick_top()
    ax.set_ylabel("claim")
    return fig


@styled
def architecture(table: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """The share of d in the variance with its 95% interval: a panel a statistic, a line a data set.

    Parameters
    ----------
    table : `lib.studies.claims.architecture`
    titles : statistic → what it is called
    """
    rows = -(-len(titles) // 2)
    fig, axes = plt.subplots(rows, 2, figsize=(WIDE, 3.0 * rows), sharex=True, sharey=True, squeeze=False)
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
        ax.set_title(title)
        ax.set(xlim=(-0.03, 1.03), ylim=(0.3 - len(sets), 0.7))
        ax.set_yticks(-np.arange(len(sets)), [LABELS[name] for name in sets])
        ax.grid(axis="y", visible=False)
    for ax in axes.flat[len(titles) :]:
        ax.set_visible(False)
    fig.supxlabel("share of $d$ in the variance over $d$ and seeds")
    handles = [
        Line2D([], [], color=FAINT, marker=marker, mfc=FAINT if filled else "none", ls="", label=verdict)
        for verdict, (_, marker, filled, _) in LOOKS.items()
    ]
    fig.legend(handles=handles, loc="outside upper right", ncols=3)
    return fig
