"""Figures of the chapter on orientation: parity, counts, layers, Hamming distance, training,
and where negative eigenvalues live."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from ..protocol import GROUPS, REPRESENTATIVES
from ..studies.orientation_cell import EDGES
from .style import (
    BLUE,
    COLORS,
    FAINT,
    GREEN,
    INK,
    LABELS,
    ORANGE,
    RED,
    WIDTH,
    plain_ticks,
    shades,
    styled,
)

__all__ = ["parity", "counts", "independence", "layers", "hamming", "training", "where", "numbers"]

#: Sets that stand for all: what they are called, and their members.
KINDS = {"training data": ("train",)} | {f"{group} noise": sets for group, sets in GROUPS.items()}
#: The same in colours of one member each.
INKS = {
    "training data": COLORS["train"], "dark noise": COLORS["bernoulli_0.13"],
    "middle noise": COLORS["normal"], "bright noise": COLORS["bernoulli_0.87"],
}  # fmt: skip


def numbers(text: str) -> np.ndarray:
    """The numbers that a cell of the table holds as words."""
    return np.array(str(text).split(), float)


@styled
def parity(table: pd.DataFrame, null: pd.DataFrame) -> Figure:
    """What a negative eigenvalue does, two of them,
    and why the share of reversed points nears one half: a dot is a cell."""
    fig = plt.figure(figsize=(WIDTH, 5.0))
    top, below = fig.subfigures(2, 1, height_ratios=(1, 2.1))
    said = ("none negative:\nas it was", "one negative:\nreversed", "two negative:\nturned, not reversed")
    for ax, (a, b), words in zip(top.subplots(1, 3), ((1, 1), (-1, 1), (-1, -1)), said):
        _letter(ax, a, b)
        ax.set_title(words)
    ax = below.subplots()
    mean = np.linspace(0, 5, 200)
    ax.axhline(0.5, color=FAINT, ls=":", lw=1)
    ax.plot(
        mean, (1 - np.exp(-2 * mean)) / 2, color=FAINT, lw=1.3, label="independent signs, many eigenvalues"
    )
    for kind, sets in KINDS.items():
        part = table[table.set.isin(sets)]
        ax.plot(part.I_count, part.I_reversed, "o", color=INKS[kind], ms=4, label=kind)
    before = null[(null.set != "train") & (null.I_deficient < 0.01)]
    ax.plot(before.I_count, before.I_reversed, "x", color=INK, ms=4, label="noise, untrained")
    ax.set(xlabel="negative eigenvalues of a point, mean", ylabel="reversed", ylim=(-0.03, 1.0))
    ax.set_xlim(-0.1, max(3.0, 1.05 * float(before.I_count.max() if len(before) else 0)))
    below.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def _letter(ax: Axes, a: float, b: float) -> None:
    """An R under diag(a, b), with the two axes: a letter shows its orientation."""
    path = TextPath((0, 0), "R", size=10)
    box = path.get_extents()
    centred = Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2).scale(1.2 / box.height)
    ax.add_patch(
        PathPatch(path.transformed(centred + Affine2D().scale(a, b)), fc=BLUE if a * b > 0 else RED, lw=0)
    )
    for k, (dx, dy) in ((a, (1.0, 0.0)), (b, (0.0, 1.0))):
        ax.annotate("", (k * dx, k * dy), (0, 0), arrowprops={"arrowstyle": "->", "color": INK, "lw": 1.2})
    ax.set(xlim=(-1.2, 1.2), ylim=(-1.1, 1.1), aspect="equal")
    ax.axis("off")


@styled
def counts(table: pd.DataFrame, null: pd.DataFrame) -> Figure:
    """Points by the number of negative eigenvalues, at d = 14 or the nearest there is, odd numbers in red;
    crosses: independent signs with the same share."""
    sets = ("train", *(REPRESENTATIVES[g] for g in ("dark", "middle", "bright")))
    sets = [s for s in sets if s in set(table.set)]
    d = min(table.d.unique(), key=lambda d: abs(d - 14))
    rows = (
        (r"$K_{\mathcal{I}}$", table, "I"),
        (r"$K_{\mathcal{L}}$", table, "L"),
        (r"$K_{\mathcal{I}}$, untrained", null, "I"),
    )
    fig, axes = plt.subplots(3, len(sets), figsize=(WIDTH, 5.0), sharex=True, sharey=True, squeeze=False)
    for axs, (label, part, j) in zip(axes, rows):
        for ax, name in zip(axs, sets):
            here = part[(part.set == name) & (part.d == d)]
            if not len(here):
                ax.set_axis_off()
                continue
            seen, expected = (
                sum(map(numbers, here[f"{j}_{w}"])) / here.points.sum() for w in ("counts", "binomial")
            )
            m = np.arange(8)
            ax.bar(m, seen[:8], color=[RED if i % 2 else BLUE for i in m], width=0.8)
            ax.plot(m, expected[:8], "x", color=INK, ms=4)
            ax.text(
                0.97,
                0.9,
                f"{here[f'{j}_reversed'].mean():.0%} reversed",
                transform=ax.transAxes,
                ha="right",
                va="top",
            )
            plain_ticks(ax.xaxis, (0, 2, 4, 6))
        axs[0].set_ylabel(label)
    for ax, name in zip(axes[0], sets):
        ax.set_title(LABELS[name])
    fig.supxlabel("negative eigenvalues of a point")
    return fig


@styled
def independence(table: pd.DataFrame, null: pd.DataFrame) -> Figure:
    """The share of reversed points against what independent signs would give; a dot is a cell,
    on the diagonal they agree."""
    panels = (
        (r"$K_{\mathcal{I}}$", table, "I"),
        (r"$K_{\mathcal{L}}$", table, "L"),
        (r"$K_{\mathcal{I}}$, untrained", null[null.I_deficient < 0.01], "I"),
    )
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.9), sharex=True, sharey=True)
    top = 0.04 + max(0.6, *(part[f"{j}_reversed"].max() for _, part, j in panels if len(part)))
    for ax, (title, part, j) in zip(axes, panels):
        ax.plot([0, 1], [0, 1], color=FAINT, lw=0.9)
        ax.axhline(0.5, color=FAINT, ls=":", lw=0.9)
        for kind, sets in KINDS.items():
            here = part[part.set.isin(sets)]
            ax.plot(
                here[f"{j}_independent"], here[f"{j}_reversed"], "o", color=INKS[kind], ms=3.5, label=kind
            )
        ax.set(title=title, xlim=(-0.02, 0.62), ylim=(-0.02, top))
    fig.supxlabel("independent signs")
    axes[0].set_ylabel("reversed")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return fig


@styled
def layers(table: pd.DataFrame) -> Figure:
    """From K_I (circle) to K_L (cross): what each layer of the encoder adds to the share of reversed points,
    means over seeds and sets."""
    fig, axes = plt.subplots(1, len(KINDS), figsize=(WIDTH, 3.3), sharey=True)
    dims = sorted(table.d.unique())
    for ax, (kind, sets) in zip(axes, KINDS.items()):
        part = table[table.set.isin(sets)].groupby("d")[["v", "v123", "part_1", "part_2", "part_3"]].mean()
        part = part.reindex(dims)
        at, at_level = np.arange(len(dims)), part.v.to_numpy()
        for i, color in enumerate((BLUE, GREEN, ORANGE), 1):
            step = part[f"part_{i}"].to_numpy()
            ax.bar(at + (i - 2) * 0.25, step, 0.23, bottom=at_level, color=color, label=f"layer {i}")
            at_level = at_level + step
        ax.plot(at - 0.42, part.v, "o", color=INK, ms=3.5, ls="", label=r"$K_{\mathcal{I}}$")
        ax.plot(at + 0.42, part.v123, "x", color=INK, ms=4, ls="", label=r"$K_{\mathcal{L}}$")
        ax.set_xticks(at, [str(d) for d in dims])
        ax.set_title(kind)
        ax.use_sticky_edges = False
    low, high = axes[0].dataLim.intervaly[0], max(ax.dataLim.intervaly[1] for ax in axes)
    axes[0].set(ylabel="reversed", ylim=(min(0, low), 1.05 * high))
    fig.supxlabel("latent dimension $d$")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return fig


@styled
def hamming(table: pd.DataFrame, dims: tuple[int, ...] = (8, 14, 20)) -> Figure:
    """Reversed points under K_I (solid) and K_L (dashed) by the encoder units that switch between x and y."""
    dims = [d for d in dims if d in set(table.d)] or sorted(table.d.unique())
    fig, axes = plt.subplots(1, len(KINDS), figsize=(WIDTH, 3.2), sharey=True)
    names = [f"{a + 1}–{b}" if b > a + 1 else str(b) for a, b in zip((-1, *EDGES), EDGES)]
    names[-1] = f"{EDGES[-2] + 1}+"
    for ax, (kind, sets) in zip(axes, KINDS.items()):
        for d, tone in zip(dims, shades(len(dims))):
            part = table[table.set.isin(sets) & (table.d == d)]
            if not len(part):
                continue
            points = sum(map(numbers, part.hamming_points))
            enough = points >= 50
            for j, line in (("I", "-"), ("L", "--")):
                with np.errstate(invalid="ignore"):
                    share = sum(map(numbers, part[f"hamming_{j}"])) / points
                ax.plot(np.flatnonzero(enough), share[enough], line, color=tone, marker=".", ms=4)
        ax.set_xticks(range(0, len(names), 2), names[::2], rotation=45)
        ax.axhline(0.5, color=FAINT, ls=":", lw=0.9)
        ax.set_title(kind)
    axes[0].set_ylabel("reversed")
    fig.supxlabel("encoder units that differ between x and y")
    handles = [Line2D([], [], color=tone, label=f"$d={d}$") for d, tone in zip(dims, shades(len(dims)))]
    handles += [
        Line2D([], [], color=INK, ls=s, label=rf"$K_{{\mathcal{{{j}}}}}$")
        for j, s in (("I", "-"), ("L", "--"))
    ]
    fig.legend(handles=handles, loc="outside upper center", ncols=5)
    return fig


@styled
def training(table: pd.DataFrame) -> Figure:
    """Negative eigenvalues a point, and reversed points, by epochs of training; a line a latent dimension.

    `table` is that of `lib.studies.orientation.along`.
    """
    kinds = {"training data": ["train"], "noise, mean of ten sets": [s for g in GROUPS.values() for s in g]}
    fig, axes = plt.subplots(2, 2, figsize=(WIDTH, 4.4), sharex=True, sharey="row")
    dims = sorted(table.d.unique())
    for column, (kind, sets) in zip(axes.T, kinds.items()):
        part = (
            table[table.set.isin(sets)].groupby(["d", "epochs"])[["count", "reversed"]].mean().reset_index()
        )
        for ax, what in zip(column, ("count", "reversed")):
            for d, tone in zip(dims, shades(len(dims))):
                here = part[part.d == d].sort_values("epochs")
                ax.plot(here.epochs, here[what], color=tone, marker="o", ms=3, label=f"$d={d}$")
            ax.set_xscale("log")
            plain_ticks(ax.xaxis, sorted(table.epochs.unique()))
        column[0].set_title(kind)
        column[1].axhline(0.5, color=FAINT, ls=":", lw=0.9)
    axes[0, 0].set_ylabel("negative eigenvalues")
    axes[1, 0].set_ylabel("reversed")
    fig.supxlabel("epochs of training")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return fig


@styled
def where(table: pd.DataFrame) -> Figure:
    """Negative real eigenvalues (red) and positive ones (blue): rank by modulus,
    place among the singular directions, and the share that hangs on switched units."""
    titles = {
        "rank": "rank by modulus",
        "place": "place of the direction",
        "switched": "hang on switched units",
    }
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.0), sharex=True)
    noise = [s for g in GROUPS.values() for s in g]
    dims = sorted(table.d.unique())
    for ax, (name, title) in zip(axes, titles.items()):
        for sets, mark in ((noise, "-"), (["train"], ":")):
            for sign, color in (("negative", RED), ("positive", BLUE)):
                mean = table[table.set.isin(sets)].groupby("d")[f"{name}_{sign}"].mean()
                ax.plot(mean.index, mean, mark, color=color, marker="o", ms=3)
        if name in ("rank", "place"):
            ax.axhline(0.5, color=FAINT, lw=0.8)
        ax.set(title=title, ylim=(0, 1))
        ax.set_xticks([d for d in dims if d not in (5, 17)])
    fig.supxlabel("latent dimension $d$")
    handles = [
        Line2D([], [], color=c, label=f"{s} eigenvalues") for s, c in (("negative", RED), ("positive", BLUE))
    ]
    handles += [Line2D([], [], color=INK, ls=m, label=s) for s, m in (("noise", "-"), ("training data", ":"))]
    fig.legend(handles=handles, loc="outside upper center", ncols=4)
    return fig
