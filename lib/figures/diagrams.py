"""Diagrams: an autoencoder's layers, commutative diagrams, charts of a circle and curves through a square."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon

from ..model import WIDTHS
from .style import BLUE, GREEN, INK, RED, WIDTH, styled

__all__ = ["hourglass", "diagram", "charts", "serpentine"]


@styled
def hourglass(d: int) -> Figure:
    """The widths of the layers, as bars of height √width, from x through the waist z to y."""
    sizes = [*WIDTHS, d, *reversed(WIDTHS)]
    fig, ax = plt.subplots(figsize=(WIDTH, 2.5))
    place = np.arange(len(sizes)) * 1.0
    half = np.sqrt(sizes) / 2
    waist = len(WIDTHS)
    for part, color in ((slice(0, waist + 1), BLUE), (slice(waist, None), RED)):
        x, h = place[part], half[part]
        ax.add_patch(Polygon(np.r_[np.c_[x, h], np.c_[x, -h][::-1]], facecolor=color, alpha=0.15, lw=0))
    for i, (x, h, size) in enumerate(zip(place, half, sizes)):
        color = GREEN if i == waist else BLUE if i < waist else RED
        ax.plot([x, x], [-h, h], color=color, lw=3, solid_capstyle="butt")
        ax.text(x, -15.6, "$d$" if i == waist else str(size), ha="center", va="top")
    for x, text in ((0, "$x$"), (waist, "$z$"), (len(sizes) - 1, "$y$")):
        ax.text(x, half[int(x)] + 0.8, text, ha="center", va="bottom", size=12)
    for x, text, color in ((waist / 2, r"encoder $f_{enc}$", BLUE), (1.5 * waist, r"decoder $f_{dec}$", RED)):
        ax.text(x, 15.5, text, ha="center", va="bottom", color=color)
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
            a, b, arrowstyle="-|>", mutation_scale=11, shrinkA=gap[start], shrinkB=gap[end],
            color=INK, lw=1.1, linestyle=(0, (4, 3)) if "dashed" in words else "-",
            connectionstyle="arc3,rad=-0.35" if "bend" in words else None,
        ))  # fmt: skip
        left = np.array([-along[1], along[0]])
        if left[1] < 0 or (left[1] == 0 and left[0] > 0):
            left = -left  # "above" means above, and to the left of a vertical arrow
        text = ax.text(0, 0, label, ha="center", va="center")
        box = text.get_window_extent(renderer)
        lift = 0.07 + np.abs(left) @ [box.width, box.height] / 2 / fig.dpi
        lift += 0.19 * np.linalg.norm(b - a) if "bend" in words else 0
        text.set_position((a + b) / 2 + left * (-lift if "below" in words else lift))
        if "hook" in words:
            turn = np.linspace(np.pi / 2, 3 * np.pi / 2, 20)[:, None]
            hook = a + along * gap[start] / 72
            hook = hook + 0.055 * (left + np.cos(turn) * along + np.sin(turn) * left)
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
def charts() -> Figure:
    """A circle needs two charts: two overlapping arcs, each mapped to an interval of the line."""
    fig, (plane, lines) = plt.subplots(1, 2, figsize=(WIDTH, 2.5), width_ratios=(1, 1.6))
    for i, (low, high, color) in enumerate(((-0.25, 1.25, BLUE), (0.75, 2.25, RED))):
        u = np.linspace(low, high, 200) * np.pi
        r = 1 + 0.12 * i
        plane.plot(r * np.cos(u), r * np.sin(u), color=color, lw=3, alpha=0.8)
        middle = (low + high) / 2 * np.pi
        where = 1.45 * np.cos(middle), 1.45 * np.sin(middle)
        plane.text(*where, f"$U_{i + 1}$", color=color, ha="center", va="center")
        lines.plot([low, high], [i, i], color=color, lw=3, alpha=0.8, solid_capstyle="butt")
        for end in (low, high):
            lines.plot(end, i, "o", mfc="none", color=color, ms=6)
        image = rf"$\phi_{i + 1}(U_{i + 1})\subset\mathbb{{R}}$"
        lines.text((low + high) / 2, i + 0.16, image, color=color, ha="center", va="bottom")
    plane.set(aspect="equal", xlim=(-1.7, 1.7), ylim=(-1.7, 1.7))
    plane.axis("off")
    lines.set(ylim=(-0.5, 1.6), yticks=[], xlabel="angle")
    lines.set_xticks(np.arange(0, 2.1, 0.5), ["0", r"$\pi/2$", r"$\pi$", r"$3\pi/2$", r"$2\pi$"])
    lines.spines.left.set_visible(False)
    return fig


@styled
def serpentine(passes: Sequence[int], points: np.ndarray) -> Figure:
    """Points of the unit square and the curve through its horizontal strips, a panel a number of strips."""
    fig, axes = plt.subplots(1, len(passes), figsize=(WIDTH, 2.4))
    for ax, k in zip(axes, passes):
        ax.plot(*points.T, ".", color=INK, ms=2, alpha=0.6)
        heights = (np.arange(k) + 0.5) / k
        ends = np.array([(0, 1) if i % 2 == 0 else (1, 0) for i in range(k)])
        ax.plot(ends.ravel(), np.repeat(heights, 2), color=RED, lw=1.8)
        ax.set(aspect="equal", xticks=[], yticks=[], title="a projection" if k == 1 else f"{k} strips")
        ax.grid(False)
        ax.spines[:].set_visible(False)
    return fig
