"""Figures and commutative diagrams of section I and of the appendices."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from torch import Tensor

from .style import BLUE, GREEN, INK, ORANGE, PURPLE, RED, WIDTH, styled

__all__ = ["spectra", "counterexamples", "rays", "bounds", "circle", "ellipse", "contraction"]


@styled
def spectra(full: Tensor, small: Tensor) -> Figure:
    """Eigenvalues of J_I (784×784) and of K_I (d×d) at one point: in the plane, and their moduli by rank."""
    fig, (plane, moduli) = plt.subplots(1, 2, figsize=(WIDTH, 2.9), width_ratios=(1, 1.25))
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
    """Both sides of the inequality ‖λ(A) − λ(B)‖² ≤ ‖A − B‖_F² for two families of pairs, by parameter."""
    fig, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.7))
    titles = (r"$A$, $B$ not normal", r"$A$, $B$ symmetric, order by modulus")
    for ax, table, title, name in zip(axes, (nilpotent, crossing), titles, (r"\varepsilon", r"\delta")):
        ax.plot(
            table.parameter, table.eigenvalues, "o-", color=RED, label=r"left: $\|\lambda(A)-\lambda(B)\|^2$"
        )
        ax.plot(table.parameter, table.matrices, "s-", color=BLUE, label=r"right: $\|A-B\|_F^2$")
        ax.set(xscale="log", yscale="log", xlabel=f"${name}$", title=title)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return fig


@styled
def rays(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """‖J_L(z+tv) − J_L(z)‖_F² against t, one panel a network, a grey line where the first unit switches."""
    fig, axes = plt.subplots(1, len(tables), figsize=(WIDTH, 2.9), sharey=True, squeeze=False)
    for ax, (title, table) in zip(axes.flat, tables.items()):
        t = table.t.to_numpy()
        ax.plot(
            t, table.matrices, "o", ms=2.5, color=BLUE, label=r"$\|J_\mathcal{L}(z')-J_\mathcal{L}(z)\|_F^2$"
        )
        ax.plot(t, table.eigenvalues, ".", ms=3, color=RED, label=r"$\|\lambda(z)-\lambda(z')\|^2$")
        anchor = table.matrices[0]
        low, high = table.matrices.min() / 30, table[["matrices", "eigenvalues"]].max().max() * 30
        ax.plot(t, anchor * (t / t[0]) ** 2, color=GREEN, lw=1, label="$\\propto t^2$")
        ax.plot(t, anchor * (t / t[0]) ** 4, color=ORANGE, lw=1, ls="--", label="$\\propto t^4$")
        kink = table.t[table.switched > 0]
        if len(kink):
            ax.axvline(kink.iloc[0], color=INK, lw=0.9, ls=":")
        ax.set(xscale="log", yscale="log", ylim=(max(low, 1e-32), high), xlabel=r"$t=\|z'-z\|$", title=title)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return fig


@styled
def bounds(pairs: pd.DataFrame) -> Figure:
    """Squared gaps of eigenvalues (by modulus, and matched)
    and of singular values against ‖J_L(z') − J_L(z)‖_F²; above the line the inequality fails."""
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.8), sharex=True, sharey=True)
    titles = {
        "eigenvalues": "eigenvalues, by modulus",
        "matched": "eigenvalues, best matching",
        "singular": "singular values",
    }
    ends = np.array([pairs.matrices.min(), pairs.matrices.max()])
    for ax, (column, title), color in zip(axes, titles.items(), (RED, PURPLE, BLUE)):
        ax.plot(pairs.matrices, pairs[column], ".", color=color, ms=2.2, alpha=0.5, rasterized=True)
        ax.plot(ends, ends, color=INK, lw=1)
        ax.set(xscale="log", yscale="log", title=title)
    floor = pairs[list(titles)].quantile(0.001).min()
    axes[0].set_ylim(bottom=max(floor / 3, 1e-12), top=ends[1] * 30)
    fig.supxlabel(r"$\|J_\mathcal{L}(z')-J_\mathcal{L}(z)\|_F^2$")
    axes[0].set_ylabel("squared gap")
    return fig


@styled
def circle(radius: Tensor, eigenvalue: Tensor, width: float = 0.12) -> Figure:
    """Nearest-point projection onto the unit circle: equal steps across the rays and their images,
    and the computed eigenvalue by radius."""
    fig, (plane, curve) = plt.subplots(1, 2, figsize=(WIDTH, 3.0), width_ratios=(1, 1.3))
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
    ax.plot(a * np.cos(u), b * np.sin(u), color=INK, lw=1.6)
    ax.plot(c / a * np.cos(u) ** 3, -c / b * np.sin(u) ** 3, color=INK, lw=0.9, ls="--")
    ax.plot([-c / a, c / a], [0, 0], color=INK, lw=1.6, ls=":")
    fig.colorbar(mesh, label=r"$1/(1-\kappa t)$", shrink=0.85, ticks=[0.1, 0.3, 1, 3, 10], format="%g")
    ax.set(aspect="equal", xlim=(float(x[0]), float(x[-1])), ylim=(float(y[0]), float(y[-1])))
    ax.grid(False)
    return fig


@styled
def contraction(table: pd.DataFrame) -> Figure:
    """The round trip iterated: reconstruction error, encoder units that differ,
    and Figure 1's distance, point by point."""
    columns = {
        "error": r"$\|y-x\|$",
        "hamming": "units that differ",
        "distance": r"$\|\lambda_\mathcal{I}-\lambda_\mathcal{L}\|^2/d$",
    }
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.6))
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
