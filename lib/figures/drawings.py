"""Figures and commutative diagrams of section I and of the appendices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from torch import Tensor

from ..model import WIDTHS
from .style import BLUE, RED, styled

__all__ = [
    "hourglass",
    "diagram",
    "spectra",
    "counterexamples",
    "rays",
    "bounds",
    "circle",
    "ellipse",
    "contraction",
    "charts",
    "serpentine",
]

INK, GREEN = "#808792", "#009E73"


@styled
def hourglass(d: int) -> Figure:
    """The widths of the layers, as bars of height √width, from x through the waist z to y."""
    sizes = [*WIDTHS, d, *reversed(WIDTHS)]
    fig, ax = plt.subplots(figsize=(7.2, 2.5))
    place = np.arange(len(sizes)) * 1.0
    half = np.sqrt(sizes) / 2
    waist = len(WIDTHS)
    for part, color in ((slice(0, waist + 1), BLUE), (slice(waist, None), RED)):
        x, h = place[part], half[part]
        ax.add_patch(Polygon(np.r_[np.c_[x, h], np.c_[x, -h][::-1]], facecolor=color, alpha=0.15, lw=0))
    for i, (x, h, size) in enumerate(zip(place, half, sizes)):
        ax.plot(
            [x, x],
            [-h, h],
            color=GREEN if i == waist else BLUE if i < waist else RED,
            lw=3,
            solid_capstyle="butt",
        )
        ax.text(x, -15.6, "$d$" if i == waist else str(size), ha="center", va="top")
    for x, text in ((0, "$x$"), (waist, "$z$"), (len(sizes) - 1, "$y$")):
        ax.text(x, half[int(x)] + 0.8, text, ha="center", va="bottom", size=12)
    for x, text, color in ((waist / 2, r"encoder $f_{enc}$", BLUE), (1.5 * waist, r"decoder $f_{dec}$", RED)):
        ax.text(x, 15.5, text, ha="center", va="bottom", color=color, size=10)
    ax.set(xlim=(-0.4, len(sizes) - 0.6), ylim=(-18, 19))
    ax.axis("off")
    return fig


@styled
def diagram(
    nodes: Mapping[str, tuple[float, float, str]],
    arrows: Sequence[tuple],
    size: tuple[float, float] = (5.0, 2.4),
) -> Figure:
    """A commutative diagram.

    Parameters
    ----------
    nodes : name → (horizontal, vertical, label), in units of about one inch
    arrows : (from, to, label) or (from, to, label, style), style words among ``dashed``,
        ``hook`` (an inclusion), ``below`` (the label's side) and ``bend`` (an arc).
    """
    fig, ax = plt.subplots(figsize=size)
    renderer = fig.canvas.get_renderer()
    half = {}  # half the extent of each label, in points
    for name, (x, y, label) in nodes.items():
        box = ax.text(x, y, label, ha="center", va="center", size=13).get_window_extent(renderer)
        half[name] = np.array([box.width, box.height]) / 2 * 72 / fig.dpi
    for start, end, label, *style in arrows:
        words = " ".join(style).split()
        a, b = (np.array(nodes[n][:2], dtype=float) for n in (start, end))
        along = (b - a) / np.linalg.norm(b - a)
        gap = {n: np.min(half[n] / np.maximum(np.abs(along), 1e-9)) + 6 for n in (start, end)}
        ax.add_patch(FancyArrowPatch(
            a, b, arrowstyle="-|>", mutation_scale=11, shrinkA=gap[start], shrinkB=gap[end], lw=1.1, color=INK,
            linestyle=(0, (4, 3)) if "dashed" in words else "-", connectionstyle="arc3,rad=-0.35" if "bend" in words else None,
        ))  # fmt: skip
        left = np.array([-along[1], along[0]])
        if left[1] < 0 or (left[1] == 0 and left[0] > 0):
            left = -left  # "above" means above, and to the left of a vertical arrow
        text = ax.text(0, 0, label, ha="center", va="center", size=10.5)
        box = text.get_window_extent(renderer)
        lift = (
            0.07
            + np.abs(left) @ [box.width, box.height] / 2 / fig.dpi
            + (0.19 * np.linalg.norm(b - a) if "bend" in words else 0)
        )
        text.set_position((a + b) / 2 + left * (-lift if "below" in words else lift))
        if "hook" in words:
            turn = np.linspace(np.pi / 2, 3 * np.pi / 2, 20)[:, None]
            hook = (
                a
                + along * gap[start] / 72
                + 0.055 * left
                + 0.055 * (np.cos(turn) * along + np.sin(turn) * left)
            )
            ax.plot(*hook.T, color=INK, lw=1.1)
    points = np.array([n[:2] for n in nodes.values()], dtype=float)
    middle = (points.min(0) + points.max(0)) / 2
    # one unit is one inch, so that the gaps between arrows and labels, given in points, fit
    ax.set(xlim=middle[0] + np.array([-0.5, 0.5]) * size[0], ylim=middle[1] + np.array([-0.5, 0.5]) * size[1])
    ax.set_position((0, 0, 1, 1))
    fig.set_layout_engine("none")
    ax.axis("off")
    return fig


@styled
def spectra(full: Tensor, small: Tensor) -> Figure:
    """Eigenvalues of J_I (784×784) and of K_I (d×d) at one point: in the complex plane, and their moduli by rank."""
    fig, (plane, moduli) = plt.subplots(1, 2, figsize=(7.2, 2.9), width_ratios=(1, 1.25))
    plane.plot(
        full.real, full.imag, "o", mfc="none", color=BLUE, ms=9, label=r"$J_\mathcal{I}$, $784\times784$"
    )
    plane.plot(small.real, small.imag, "x", color=RED, ms=6, label=r"$K_\mathcal{I}=EG$, $d\times d$")
    plane.set(xlabel=r"$\mathrm{Re}\,\lambda$", ylabel=r"$\mathrm{Im}\,\lambda$")
    plane.margins(0.15)
    moduli.plot(
        np.arange(1, len(full) + 1), full.abs().clamp_min(1e-25), "o", mfc="none", color=BLUE, ms=5, mew=0.6
    )
    moduli.plot(np.arange(1, len(small) + 1), small.abs(), "x", color=RED, ms=6)
    moduli.set(xscale="log", yscale="log", xlabel="place in the order", ylabel=r"$|\lambda|$")
    fig.legend(*plane.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return fig


@styled
def counterexamples(nilpotent: pd.DataFrame, crossing: pd.DataFrame) -> Figure:
    """Both sides of the inequality ‖λ(A) − λ(B)‖² ≤ ‖A − B‖_F² for two families of pairs, by their parameter."""
    fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.7))
    titles = (r"$A$, $B$ not normal", r"$A$, $B$ symmetric, order by modulus")
    for ax, table, title, name in zip(axes, (nilpotent, crossing), titles, (r"\varepsilon", r"\delta")):
        ax.plot(
            table.parameter, table.eigenvalues, "o-", color=RED, label=r"left: $\|\lambda(A)-\lambda(B)\|^2$"
        )
        ax.plot(table.parameter, table.matrices, "s-", color=BLUE, label=r"right: $\|A-B\|_F^2$")
        ax.set(xscale="log", yscale="log", xlabel=f"${name}$", title=title)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


@styled
def rays(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """‖J_L(z+tv) − J_L(z)‖_F² against t, one panel a network, a grey line where the first unit switches."""
    fig, axes = plt.subplots(1, len(tables), figsize=(7.2, 2.9), sharey=True, squeeze=False)
    for ax, (title, table) in zip(axes.flat, tables.items()):
        t = table.t.to_numpy()
        ax.plot(
            t, table.matrices, "o", ms=2.5, color=BLUE, label=r"$\|J_\mathcal{L}(z')-J_\mathcal{L}(z)\|_F^2$"
        )
        ax.plot(t, table.eigenvalues, ".", ms=3, color=RED, label=r"$\|\lambda(z)-\lambda(z')\|^2$")
        anchor = table.matrices[0]
        low, high = table.matrices.min() / 30, table[["matrices", "eigenvalues"]].max().max() * 30
        ax.plot(t, anchor * (t / t[0]) ** 2, color=GREEN, lw=1, label="$\\propto t^2$")
        ax.plot(t, anchor * (t / t[0]) ** 4, color="#E69F00", lw=1, ls="--", label="$\\propto t^4$")
        kink = table.t[table.switched > 0]
        if len(kink):
            ax.axvline(kink.iloc[0], color=INK, lw=0.9, ls=":")
        ax.set(xscale="log", yscale="log", ylim=(max(low, 1e-32), high), xlabel=r"$t=\|z'-z\|$", title=title)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


@styled
def bounds(pairs: pd.DataFrame) -> Figure:
    """Squared gaps of eigenvalues (by modulus, and matched) and of singular values against ‖J_L(z') − J_L(z)‖_F²; above the line the inequality fails."""
    fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.8), sharex=True, sharey=True)
    titles = {
        "eigenvalues": "eigenvalues, by modulus",
        "matched": "eigenvalues, best matching",
        "singular": "singular values",
    }
    ends = np.array([pairs.matrices.min(), pairs.matrices.max()])
    for ax, (column, title), color in zip(axes, titles.items(), (RED, "#CC79A7", BLUE)):
        ax.plot(pairs.matrices, pairs[column], ".", color=color, ms=2.2, alpha=0.5, rasterized=True)
        ax.plot(ends, ends, color=INK, lw=1)
        ax.set(xscale="log", yscale="log", title=title)
    floor = pairs[list(titles)].quantile(0.001).min()
    axes[0].set_ylim(bottom=max(floor / 3, 1e-12), top=ends[1] * 30)
    fig.supxlabel(r"$\|J_\mathcal{L}(z')-J_\mathcal{L}(z)\|_F^2$", size=9, color=INK)
    axes[0].set_ylabel("squared gap")
    return fig


@styled
def circle(radius: Tensor, eigenvalue: Tensor, width: float = 0.12) -> Figure:
    """Nearest-point projection onto the unit circle: equal steps across the rays and their images, and the computed eigenvalue by radius."""
    fig, (plane, curve) = plt.subplots(1, 2, figsize=(7.2, 3.0), width_ratios=(1, 1.3))
    u = np.linspace(0, 2 * np.pi, 200)
    plane.plot(np.cos(u), np.sin(u), color=INK, lw=1)
    for r, angle, color in ((0.35, 2.3, RED), (1.7, 0.8, BLUE)):
        centre = r * np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-np.sin(angle), np.cos(angle)])
        ends = np.array([centre - width * across, centre + width * across])
        image = ends / np.linalg.norm(ends, axis=1, keepdims=True)
        arc = np.linspace(*np.unwrap(np.arctan2(image[:, 1], image[:, 0])), 30)
        plane.plot(*ends.T, color=color, lw=3)
        plane.plot(np.cos(arc), np.sin(arc), color=color, lw=4, alpha=0.6)
        for e, i in zip(ends, image):
            plane.plot(*np.array([e, i]).T, color=color, lw=0.7, ls=":")
    plane.set(aspect="equal", xlim=(-1.5, 1.6), ylim=(-1.2, 1.5))
    plane.axis("off")
    curve.axhline(1, color=INK, lw=0.8, ls=":")
    line = np.geomspace(float(radius.min()), float(radius.max()), 200)
    curve.plot(line, 1 / line, color=INK, lw=1, label="$1/r$")
    inside = radius < 1
    for part, color, text in ((inside, RED, "computed, inside"), (~inside, BLUE, "computed, outside")):
        curve.plot(radius[part], eigenvalue[part], "o", color=color, label=text)
    curve.set(xscale="log", yscale="log", xlabel="distance $r$ from the centre", ylabel="nonzero eigenvalue")
    for axis in (curve.xaxis, curve.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_locator(FixedLocator([0.2, 0.5, 1, 2, 5]))
        axis.set_major_formatter("{x:g}")
    curve.legend()
    return fig


@styled
def ellipse(x: Tensor, y: Tensor, factor: Tensor, axes: tuple[float, float]) -> Figure:
    """1/(1 − κt) over the plane, for the ellipse with half-axes a > b, with its medial axis and its evolute.

    Parameters
    ----------
    x, y : Tensor, shape (m,) and (k,), the grid
    factor : Tensor, shape (k, m)
    """
    a, b = axes
    fig, ax = plt.subplots(figsize=(6.2, 3.7))
    mesh = ax.pcolormesh(
        x, y, factor, norm=LogNorm(0.1, 10), cmap="RdBu_r", shading="nearest", rasterized=True
    )
    u = np.linspace(0, 2 * np.pi, 400)
    c = a**2 - b**2
    ax.plot(a * np.cos(u), b * np.sin(u), color="#333333", lw=1.6)
    ax.plot(c / a * np.cos(u) ** 3, -c / b * np.sin(u) ** 3, color="#333333", lw=0.9, ls="--")
    ax.plot([-c / a, c / a], [0, 0], color="#333333", lw=1.6, ls=":")
    fig.colorbar(mesh, label=r"$1/(1-\kappa t)$", shrink=0.85, ticks=[0.1, 0.3, 1, 3, 10], format="%g")
    ax.set(aspect="equal", xlim=(float(x[0]), float(x[-1])), ylim=(float(y[0]), float(y[-1])))
    ax.grid(False)
    return fig


@styled
def contraction(table: pd.DataFrame) -> Figure:
    """The round trip iterated: reconstruction error, encoder units that differ, and Figure 1's distance, point by point."""
    columns = {
        "error": r"$\|y-x\|$",
        "hamming": "units that differ",
        "distance": r"$\|\lambda_\mathcal{I}-\lambda_\mathcal{L}\|^2/d$",
    }
    fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.6))
    for ax, (column, title) in zip(axes, columns.items()):
        for _, part in table.groupby("point"):
            ax.plot(part.step, part[column], color=BLUE, lw=0.7, alpha=0.35)
        ax.plot(table[table.hamming == 0].step, table[table.hamming == 0][column], ".", color=RED, ms=4)
        ax.set(title=title, xlabel="round trips before")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_yscale("log")
    positive = table.distance[table.distance > 0]
    axes[2].set_yscale("symlog", linthresh=positive.min() if len(positive) else 1)
    axes[1].set_yscale("symlog", linthresh=1)
    return fig


@styled
def charts() -> Figure:
    """A circle needs two charts: two overlapping arcs, each mapped to an interval of the line."""
    fig, (plane, lines) = plt.subplots(1, 2, figsize=(7.2, 2.5), width_ratios=(1, 1.6))
    for i, (low, high, color) in enumerate(((-0.25, 1.25, BLUE), (0.75, 2.25, RED))):
        u = np.linspace(low, high, 200) * np.pi
        r = 1 + 0.12 * i
        plane.plot(r * np.cos(u), r * np.sin(u), color=color, lw=3, alpha=0.8)
        middle = (low + high) / 2 * np.pi
        plane.text(
            1.45 * np.cos(middle),
            1.45 * np.sin(middle),
            f"$U_{i + 1}$",
            color=color,
            ha="center",
            va="center",
        )
        lines.plot([low, high], [i, i], color=color, lw=3, alpha=0.8, solid_capstyle="butt")
        for end in (low, high):
            lines.plot(end, i, "o", mfc="none", color=color, ms=6)
        lines.text(
            (low + high) / 2,
            i + 0.16,
            rf"$\phi_{i + 1}(U_{i + 1})\subset\mathbb{{R}}$",
            color=color,
            ha="center",
            va="bottom",
        )
    plane.set(aspect="equal", xlim=(-1.7, 1.7), ylim=(-1.7, 1.7))
    plane.axis("off")
    lines.set(
        ylim=(-0.5, 1.6),
        yticks=[],
        xlabel="angle",
        xticks=np.arange(0, 2.1, 0.5),
        xticklabels=["0", r"$\pi/2$", r"$\pi$", r"$3\pi/2$", r"$2\pi$"],
    )
    lines.spines.left.set_visible(False)
    return fig


@styled
def serpentine(passes: Sequence[int], points: np.ndarray) -> Figure:
    """Points of the unit square and the curve that runs through its horizontal strips, one panel a number of strips."""
    fig, axes = plt.subplots(1, len(passes), figsize=(7.2, 2.4))
    for ax, k in zip(axes, passes):
        ax.plot(*points.T, ".", color=INK, ms=2, alpha=0.6)
        _strips(ax, k)
        ax.set(aspect="equal", xticks=[], yticks=[], title="a projection" if k == 1 else f"{k} strips")
        ax.grid(False)
        ax.spines[:].set_visible(False)
    return fig


def _strips(ax: Axes, k: int) -> None:
    heights = (np.arange(k) + 0.5) / k
    ends = np.array([(0, 1) if i % 2 == 0 else (1, 0) for i in range(k)])
    ax.plot(ends.ravel(), np.repeat(heights, 2), color=RED, lw=1.8)
