"""The figures of the score chapter: results -> Figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from ...figures.style import BLUE, GREEN, INK, ORDERED, RED, WIDTH, shades, styled
from .optimum import Mixture

__all__ = [
    "optimum_figure",
    "error_figure",
    "mixture_figure",
    "stream_figure",
    "ray_figure",
    "sample_figure",
    "energy_figure",
]

COLOR = {"exact": INK, "contractive": BLUE, "denoising": RED}


@styled
def optimum_figure(curves: pd.DataFrame) -> Figure:
    """(r − x)/σ² and (r′ − 1)/σ² of both optima, against the score and its slope, for each σ in `curves`."""
    sigmas = sorted(curves.sigma.unique())
    fig, axes = plt.subplots(2, 2, figsize=(WIDTH, 5.2), sharex=True, sharey="row")
    for col, kind in enumerate(("contractive", "denoising")):
        for row, (truth, column) in enumerate((("score", kind), ("second", f"{kind}_slope"))):
            ax = axes[row, col]
            for sigma, color in zip(sigmas, shades(len(sigmas))):
                part = curves[(curves.sigma == sigma) & (curves.x.abs() < 1.6)]
                ax.plot(part.x, part[column], color=color, label=rf"$\sigma={sigma:g}$")
            ax.plot(part.x, part[truth], color=INK, lw=1.2, ls=(0, (4, 2)), label=r"limit $\sigma\to 0$")
            low, high = part[truth].min(), part[truth].max()
            top = low + 0.35 * (high - low) * part.density
            ax.fill_between(part.x, low, top, color=INK, alpha=0.15, lw=0)
            ax.set_title(kind if row == 0 else "")
    axes[0, 0].set_ylabel(r"$(r(x)-x)/\sigma^2$")
    axes[1, 0].set_ylabel(r"$(r'(x)-1)/\sigma^2$")
    fig.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside upper center", ncols=len(sigmas) + 1)
    for ax in axes[1]:
        ax.set_xlabel("$x$")
    return fig


@styled
def error_figure(errors: pd.DataFrame) -> Figure:
    """Relative errors of the one-dimensional optima against σ, on logarithmic axes."""
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.5))
    titles = ("$(r-x)/\\sigma^2$\nagainst $\\nabla\\log p$", "$(r'-1)/\\sigma^2$\nagainst $\\nabla^2\\log p$")
    for ax, order, title in zip(axes, (1, 2), titles):
        for kind, width in (("contractive", 3.2), ("denoising", 1.2)):
            part = errors[(errors.optimum == kind) & (errors.order == order) & (errors.target == "score")]
            style = {"color": COLOR[kind], "marker": "o" if kind == "denoising" else "s", "label": kind}
            ax.loglog(part.sigma, part.error, lw=width, **style)
        guide = np.array([part.sigma.min(), 0.1])
        line = 0.4 * part.error.min() * (guide / guide[0]) ** 2
        ax.loglog(guide, line, color=INK, lw=1, ls=":", label="slope 2")
        ax.set_title(title)
        ax.set_xlabel(r"$\sigma$")
    exact = errors[errors.target == "smoothed"]
    axes[2].loglog(exact.sigma, exact.error, color=RED, marker="^", lw=1)
    axes[2].set_title("denoising against\n$\\nabla\\log(p*N_\\sigma)$")
    axes[2].set(xlabel=r"$\sigma$", ylim=(1e-16, 3e-9))
    axes[0].set_ylabel(r"relative error in $L^2(p)$")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return fig


@styled
def mixture_figure(table: pd.DataFrame) -> Figure:
    """Errors of denoisers against σ: to the smoothed score by training length, and to the data's score."""
    dims = sorted(table.n.unique())
    fig, axes = plt.subplots(2, len(dims), figsize=(WIDTH, 6), sharex=True, sharey="row", squeeze=False)
    steps = sorted(table.step.unique())
    for n, axs in zip(dims, axes.T):
        part = table[table.n == n]
        for step, color in zip(steps, shades(len(steps))):
            rows = part[part.step == step].groupby("sigma").smoothed.agg(["mean", "min", "max"])
            axs[0].plot(rows.index, rows["mean"], color=color, marker="o", label=f"{step:,}")
            axs[0].fill_between(rows.index, rows["min"], rows["max"], color=color, alpha=0.2, lw=0)
        last = part[part.step == steps[-1]].groupby("sigma")[["clean", "floor", "smoothed"]].mean()
        axs[1].plot(last.index, last.clean, color=RED, marker="o", label="trained, at the data")
        axs[1].plot(last.index, last.floor, color=INK, ls="--", marker="s", label="smoothing alone")
        axs[0].set(xscale="log", yscale="log", title=f"{n} dimensions")
        axs[1].set(xscale="log", yscale="log", xlabel=r"$\sigma$")
        axs[1].set_xticks(sorted(part.sigma.unique()), [f"{s:g}" for s in sorted(part.sigma.unique())])
        axs[1].minorticks_off()
    axes[0, 0].set_ylabel(r"error to $\nabla\log(p*N_\sigma)$")
    axes[1, 0].set_ylabel(r"error to $\nabla\log p$")
    fig.legend(
        *axes[0, -1].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=len(steps),
        title="training steps",
    )
    fig.legend(*axes[1, -1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


@styled
def stream_figure(
    fields: Mapping[str, Callable[[Tensor], Tensor]],
    zeros: pd.DataFrame,
    law: Mixture,
    sigma: float,
    windows: tuple[tuple[float, float, float], ...],
) -> Figure:
    """Streamlines of each field at several zooms; each window is (centre x, centre y, half width).

    The band is where p ∗ N_σ is more than a tenth of its largest value on the spiral;
    marks are the field's zeros.
    """
    fig, axes = plt.subplots(len(windows), len(fields), figsize=(WIDTH, 2.45 * len(windows)), squeeze=False)
    top = law.log_density(law.means, sigma).max()
    for axs, (cx, cy, half) in zip(axes, windows):
        axis = np.linspace(-half, half, 60)
        grid = np.stack(np.meshgrid(cx + axis, cy + axis), -1)
        points = torch.from_numpy(grid.reshape(-1, 2))
        density = (law.log_density(points, sigma) - top).exp().view(60, 60).numpy()
        for ax, (name, field) in zip(axs, fields.items()):
            v = field(points).view(60, 60, 2).numpy() * sigma**2
            ax.contourf(cx + axis, cy + axis, density, levels=[0.1, 2.0], colors=[GREEN], alpha=0.25)
            speed = {"color": np.log10(np.hypot(*v.T).T + 1e-9), "cmap": ORDERED}
            look = {"density": 1.0, "linewidth": 0.7, "arrowsize": 0.6, "norm": plt.Normalize(-3.5, 0.2)}
            stream = ax.streamplot(cx + axis, cy + axis, *np.moveaxis(v, 2, 0), **speed, **look)
            _join(stream.lines)
            _marks(ax, zeros[zeros.field == name], (cx, cy, half))
            ax.set(xlim=(cx - half, cx + half), ylim=(cy - half, cy + half))
            ax.set(aspect="equal", xticks=[], yticks=[])
            ax.grid(False)
        axs[0].set_ylabel(f"width {2 * half:g}")
    for ax, name in zip(axes[0], fields):
        ax.set_title({"exact": r"$\sigma^2\nabla\log(p*N_\sigma)$"}.get(name, name + r", $r(x)-x$"))
    handles = [Line2D([], [], ls="", marker=m, color=c, label=k) for k, (m, c) in MARKS.items()]
    fig.legend(handles=handles, loc="outside upper center", ncols=3)
    return fig


def _join(lines: LineCollection, shades: int = 32) -> None:
    """One line for all segments that follow one another in one of `shades` tones:
    streamplot draws each step of its integration."""
    segments, tones = np.asarray(lines.get_segments()), np.asarray(lines.get_array())
    tones = (np.clip(lines.norm(tones), 0, 1) * (shades - 1)).round() / (shades - 1)
    breaks = (segments[1:, 0] != segments[:-1, 1]).any(-1) | (tones[1:] != tones[:-1])
    first = np.flatnonzero(np.r_[True, breaks])
    parts = np.split(segments, first[1:])
    lines.set_segments([np.vstack([part[0, :1], part[:, 1]]) for part in parts])
    lines.set_array(lines.norm.inverse(tones[first]))


MARKS = {"maximum": ("o", BLUE), "saddle": ("x", INK), "minimum": ("v", RED)}


def _marks(ax: Axes, zeros: pd.DataFrame, window: tuple[float, float, float]) -> None:
    cx, cy, half = window
    inside = zeros[(zeros.x.sub(cx).abs() < half) & (zeros.y.sub(cy).abs() < half)]
    for kind, (marker, color) in MARKS.items():
        part = inside[inside.kind == kind]
        ax.plot(part.x, part.y, ls="", marker=marker, color=color, ms=4.5, zorder=5)


@styled
def ray_figure(
    fields: Mapping[str, Callable[[Tensor], Tensor]], law: Mixture, sigma: float, angle: float = 0.5
) -> Figure:
    """Density, radial component and length of the fields along one ray from the origin."""
    r = np.linspace(0.15, 1.75, 801)
    unit = np.array([np.cos(angle), np.sin(angle)])
    points = torch.from_numpy(r[:, None] * unit)
    fig, axes = plt.subplots(3, 1, figsize=(WIDTH, 5.0), sharex=True, height_ratios=(1, 1.6, 1.6))
    density = law.log_density(points, sigma).exp().numpy()
    axes[0].fill_between(r, 0, density, color=GREEN, alpha=0.4, lw=0)
    axes[0].set_ylabel(r"$p*N_\sigma$")
    for name, field in fields.items():
        v = field(points).numpy() * sigma**2
        style = {"lw": 2.4, "ls": (0, (4, 1.5))} if name == "exact" else {"lw": 1.3, "ls": "-"}
        style |= {"color": COLOR[name], "label": name}
        axes[1].plot(r, v @ unit, **style)
        axes[2].semilogy(r, np.hypot(*v.T), **style)
    axes[1].axhline(0, color=INK, lw=0.8)
    axes[1].set(ylabel=r"radial part of $r(x)-x$", ylim=(-0.3, 0.3))
    axes[2].set(ylabel=r"$\|r(x)-x\|$", xlabel="distance from the origin", ylim=(1e-4, 1))
    fig.legend(*axes[1].get_legend_handles_labels(), loc="outside upper center", ncols=len(fields))
    interior = np.flatnonzero((density[1:-1] - density[:-2]) * (density[2:] - density[1:-1]) < 0) + 1
    for i in interior:
        kind = density[i] > density[i - 1]
        for ax in axes:
            ax.axvline(r[i], color=GREEN if kind else RED, lw=0.8, ls="-" if kind else ":")
    return fig


@styled
def sample_figure(samples: Mapping[str, Tensor], field: str = "denoising") -> Figure:
    """Held-out draws of p ∗ N_σ beside the last states of both samplers, on the mixture and on the spiral."""
    fig, axes = plt.subplots(2, 3, figsize=(WIDTH, 4.9))
    for axs, law in zip(axes, ("mixture", "spiral")):
        panels = {"held out": samples[f"{law}.held_out"]}
        panels |= {s: samples[f"{law}.{field}.{s}"] for s in ("langevin", "metropolis")}
        count = min(map(len, panels.values()))
        for ax, (name, points), color in zip(axs, panels.items(), (INK, BLUE, RED)):
            ax.plot(*points[:count].T, ls="", marker=".", ms=2.2, color=color)
            title = {"langevin": "Langevin", "metropolis": "Metropolis–Hastings"}.get(name, name)
            ax.set(aspect="equal", xlim=(-2, 2), ylim=(-2, 2), title=f"{law}, {title}")
            ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    return fig


@styled
def energy_figure(found: pd.DataFrame) -> Figure:
    """The log-density against the line integral of the field (left)
    and against minus the reconstruction error (right), a dot a point, a colour a network."""
    fig, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.2), sharey=True)
    names = {kind: COLOR[kind] for kind in ("contractive", "denoising")}
    against = {"integral": r"line integral of $(r-x)/\sigma^2$", "minus_error": r"$-\|r-x\|^2$"}
    for ax, (column, label) in zip(axes, against.items()):
        for name, color in names.items():
            part = found[found.field == name]
            ax.plot(part[column], part.log_density, ".", color=color, ms=2, alpha=0.5, label=name)
        ax.set(xlabel=label)
    axes[0].set_ylabel(r"$\log(p*N_\sigma)$")
    ends = [found.log_density.min(), found.log_density.max()]
    axes[0].plot(ends, ends, color=INK, lw=0.9)
    fig.legend(*axes[1].get_legend_handles_labels(), loc="outside upper center", ncols=2, markerscale=5)
    return fig
