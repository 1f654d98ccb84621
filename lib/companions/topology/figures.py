"""Figures of the topology chapter."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from torch import Tensor

from ...figures.sets import chosen
from ...figures.style import BLUE, FAINT, ORANGE, ORDERED, RED, WIDTH, plain_ticks, shades, styled
from .analysis import by_width_and_step, cloud
from .manifolds import MANIFOLDS

__all__ = ["manifolds", "curves", "bad_sets", "dimensions", "by_dimension", "cuts", "scatter", "ERROR_MAP"]

#: Small errors blue, large ones red, of middling lightness throughout: seen on white and on dark pages.
ERROR_MAP = LinearSegmentedColormap.from_list(
    "error", ["#4C86C6", "#7FA8A0", "#E0A83A", "#D55E00", "#B3285E"]
)
TICKS = (np.arange(0, 2.1, 0.5) * np.pi, ["0", r"$\pi/2$", r"$\pi$", r"$3\pi/2$", r"$2\pi$"])

#: Ticks of the axis that is linear up to 2 and logarithmic beyond.
DERIVATIVES = ([-100, -10, 0, 10, 100], ["−100", "−10", "0", "10", "100"])


def bare(ax: Axes) -> None:
    """A three-dimensional axis without panes, ticks and grid."""
    ax.set_axis_off()
    ax.set_box_aspect(np.ptp([ax.get_xlim3d(), ax.get_ylim3d(), ax.get_zlim3d()], axis=1), zoom=1.45)


def _signed(ax: Axes) -> None:
    """A logarithmic scale of both signs, with a line at 1."""
    ax.axhline(1, color=FAINT, lw=0.9, ls=":")
    ax.set_yscale("symlog", linthresh=2, linscale=0.8)
    ax.set_yticks(*DERIVATIVES)


#: Where the curves are seen from; surfaces are turned so that the worst point is in front.
FRONTS = {"circle": (0.0, -0.8, 1), "linked": (-0.4, -1, 0.6)}


@styled
def manifolds(points: Mapping[str, Tensor], count: int) -> Figure:
    """Each manifold in space, coloured by reconstruction error: ``points`` of `analysis.shown`,
    `count` of `analysis.cloud`."""
    names = [name for name in MANIFOLDS if f"cloud.{name}" in points]
    fig, axes = plt.subplots(1, len(names), figsize=(WIDTH, 2.6), subplot_kw={"projection": "3d"})
    norm = Normalize(0, 2)
    for ax, name in zip(np.atleast_1d(axes), names):
        x = cloud(MANIFOLDS[name], count)[1]
        e = points[f"cloud.{name}"].numpy().reshape(x.shape[:-1])
        if e.ndim == 2:
            faces = ERROR_MAP(norm((e[1:, 1:] + e[1:, :-1] + e[:-1, 1:] + e[:-1, :-1]) / 4))
            whole = {"shade": False, "rstride": 1, "cstride": 1, "antialiased": False, "rasterized": True}
            ax.plot_surface(*np.moveaxis(x, 2, 0), facecolors=faces, **whole)
        else:
            order = np.argsort(e)
            dots = {"s": 9, "alpha": 1, "lw": 0, "depthshade": False, "rasterized": True}
            ax.scatter(*x[order].T, c=e[order], cmap=ERROR_MAP, norm=norm, **dots)
        a, b, c = FRONTS.get(name, x.reshape(-1, 3)[e.argmax()])
        ax.view_init(np.degrees(np.arctan2(c, np.hypot(a, b))), np.degrees(np.arctan2(b, a)))
        ax.set_title(MANIFOLDS[name].name, y=0.97)
        bare(ax)
    where = {"orientation": "horizontal", "shrink": 0.45, "aspect": 35, "pad": 0.02}
    bar = fig.colorbar(plt.cm.ScalarMappable(norm, ERROR_MAP), ax=axes, **where)
    bar.set_label("reconstruction error")
    bar.outline.set_visible(False)
    return fig


@styled
def curves(lines: pd.DataFrame, angles: pd.DataFrame) -> Figure:
    """Code, error and derivative of the round trip along curves: a column each, components in colours.

    ``curves`` and ``angles`` of `analysis.shown`; antipodal pairs with equal codes are dots on the code.
    """
    names = lines.manifold.unique()
    fig, axes = plt.subplots(3, len(names), figsize=(WIDTH, 5.2), sharex=True, sharey="row", squeeze=False)
    for column, name in zip(axes.T, names):
        components = dict(list(lines[lines.manifold == name].groupby("component")))
        spread = max(c.code.abs().max() for c in components.values())
        for (label, line), color in zip(components.items(), (BLUE, RED)):
            column[0].plot(line.q, line.code / spread, color=color, label=label)
            column[1].plot(line.q, line.error, color=color)
            column[2].plot(line.q, line.tangential, color=color)
        if name == "circle":
            line = components["circle"]
            for theta in angles.q:
                both = np.array([theta, theta + np.pi])
                code = np.interp(both, line.q, line.code / spread)
                column[0].plot(both, code, "o--", color=ORANGE, ms=5, lw=1)
                column[1].plot(both, np.interp(both, line.q, line.error), "o", color=ORANGE, ms=5)
        column[1].axhline(1, color=FAINT, lw=0.9, ls=":")
        _signed(column[2])
        column[2].set(xticks=TICKS[0], xticklabels=TICKS[1], xlabel="angle")
        column[0].set_title(MANIFOLDS[name].name)
        if len(components) > 1:
            fig.legend(*column[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    for ax, text in zip(axes[:, 0], ("code, scaled", "error", r"$\langle Dy\,t,t\rangle$")):
        ax.set_ylabel(text)
    return fig


def _shares(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of `analysis.errors` that are named by δ."""
    named = table.loc[:, "largest":].iloc[:, 1:]
    return named.set_axis(named.columns.astype(float), axis=1)


def _survival_lines(ax: Axes, table: pd.DataFrame, column: str, name: str) -> None:
    means = _shares(table).groupby(table[column]).mean()
    values, delta = list(means.index), means.columns.to_numpy()
    for share, color in zip(means.to_numpy(), shades(len(values))):
        ax.plot(delta, np.where(share > 0, share, np.nan), color=color, lw=1.3)
    ax.axvline(1, color=FAINT, lw=0.9, ls=":")
    ax.set(xscale="log", yscale="log", xlabel=r"$\delta$")
    shown = plt.cm.ScalarMappable(LogNorm(values[0], values[-1]), ORDERED)
    bar = ax.figure.colorbar(shown, ax=ax, location="top", aspect=30, label=name)
    plain_ticks(bar.ax.xaxis, chosen(values, 4))


@styled
def bad_sets(circle: pd.DataFrame, delta: float = 0.1) -> Figure:
    """Above: share of the circle with error > δ against δ. Below: share above one δ, and the largest error;
    ``circle`` of `analysis.shown`."""
    tables = by_width_and_step(circle)
    names = {"width": "hidden width", "step": "training steps"}
    fig, axes = plt.subplots(2, 2, figsize=(WIDTH, 5.8), sharey="row")
    for (above, below), (column, name) in zip(axes.T, names.items()):
        table = tables[column]
        _survival_lines(above, table, column, name)
        share = rf"share with error $>{delta:g}$"
        for what, color, marker, label in (
            ("share", BLUE, "o", share),
            ("largest", RED, "s", "largest error"),
        ):
            seen = table[what].where(table[what] > 0)
            below.plot(table[column], seen, marker, color=color, ms=3.5, alpha=0.6, mew=0)
            below.plot(table.groupby(column)[what].median(), color=color, lw=1.3, label=label)
        below.axhline(1, color=FAINT, lw=0.9, ls=":")
        below.set(xscale="log", yscale="log", xlabel=name)
        ticks = sorted(table[column].unique())[:: 1 if column == "width" else 2]
        below.set_xticks(ticks, [f"{t:,g}" for t in ticks])
        below.minorticks_off()
    fig.legend(*axes[1, 1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    axes[0, 0].set_ylabel(r"share of the circle with error $>\delta$")
    return fig


@styled
def dimensions(table: pd.DataFrame) -> Figure:
    """Share of the measure with error > δ for latent dimension k and k + 1, a line for each seed;
    ``dimensions`` of `analysis.shown`."""
    names = [name for name in table.manifold.unique() if name != "arc"]
    fig, axes = plt.subplots(1, len(names), figsize=(WIDTH, 2.5), sharey=True, sharex=True)
    shares = _shares(table)
    delta = shares.columns.to_numpy()
    for ax, name in zip(axes, names):
        k = MANIFOLDS[name].dim
        for d, color, label in ((k, RED, "$d=k$"), (k + 1, BLUE, "$d=k+1$")):
            for i, share in enumerate(shares[(table.manifold == name) & (table.d == d)].to_numpy()):
                seen, named = np.where(share > 0, share, np.nan), label if i == 0 else None
                ax.plot(delta, seen, color=color, lw=1.1, alpha=0.85, label=named)
        ax.axvline(1, color=FAINT, lw=0.9, ls=":")
        ax.set(xscale="log", yscale="log", title=MANIFOLDS[name].name, xlabel=r"$\delta$")
        ax.set(xticks=[1e-3, 1e-2, 1e-1, 1], xlim=(delta[0], 3))
    axes[0].set_ylabel(r"share with error $>\delta$")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return fig


@styled
def by_dimension(table: pd.DataFrame) -> Figure:
    """Mean and largest error against the latent dimension, a panel for each manifold; seeds are dots,
    lines join their medians; of `dimension.by_dimension`."""
    names = table.manifold.unique()
    fig, axes = plt.subplots(1, len(names), figsize=(WIDTH, 2.7), sharey=True, sharex=True)
    for ax, name in zip(axes, names):
        part = table[table.manifold == name]
        for column, color, marker in (("largest", RED, "s"), ("mean", BLUE, "o")):
            ax.plot(part.d, part[column], marker, color=color, ms=4, alpha=0.6, mew=0)
            ax.plot(part.groupby("d")[column].median(), color=color, lw=1.3, label=f"{column} error")
        ax.axvline(MANIFOLDS[name].dim, color=FAINT, lw=0.9, ls="--")
        if MANIFOLDS[name].bound:
            ax.axhline(MANIFOLDS[name].bound, color=FAINT, lw=0.9, ls=":")
        ax.set(yscale="log", title=MANIFOLDS[name].name, xticks=sorted(part.d.unique()), xlabel="$d$")
    axes[0].set_ylabel("error")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return fig


@styled
def cuts(lines: pd.DataFrame) -> Figure:
    """K_I and K_L (numbers, d = 1) around the circle,
    and near its cut against the distance from the cut's middle; of `analysis.around_cut`."""
    whole, close = (lines[lines.part == part] for part in ("whole", "close"))
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.8), sharey=True)
    for ax, line in ((left, whole), (right, close)):
        ax.plot(line.q, line.k_i, color=BLUE, label=r"$K_\mathcal{I}(x)$")
        ax.plot(line.q, line.k_l, color=RED, lw=1.1, label=r"$K_\mathcal{L}(z)$")
        _signed(ax)
    left.set(xticks=TICKS[0], xticklabels=TICKS[1], xlabel="angle", ylabel="eigenvalue")
    right.set(xlabel="angle from the middle of the cut")
    top = right.twinx()
    top.plot(close.q, close.error, color=ORANGE, lw=1, label="error")
    top.set(ylim=(0, 4.2), yticks=[0, 1, 2])
    top.grid(False)
    top.spines.right.set_visible(True)
    handles = [*left.get_legend_handles_labels(), *top.get_legend_handles_labels()]
    fig.legend(handles[0] + handles[2], handles[1] + handles[3], loc="outside upper center", ncols=3)
    return fig


@styled
def scatter(points: Mapping[str, Tensor]) -> Figure:
    """‖λ_I − λ_L‖²/d against the reconstruction error, point by point; orientation-reversing points in red;
    ``points`` of `analysis.shown`."""
    names = [name for name in MANIFOLDS if f"error.{name}" in points]
    fig, axes = plt.subplots(1, len(names), figsize=(WIDTH, 2.7), sharey=True, sharex=True)
    for ax, name in zip(axes, names):
        t = pd.DataFrame({k: points[f"{k}.{name}"].numpy() for k in ("error", "distance", "reversed")})
        for flag, color, sign in ((False, BLUE, ">"), (True, RED, "<")):
            part, dots = t[t.reversed == flag], {"ms": 2, "alpha": 0.6, "mew": 0, "rasterized": True}
            label = rf"$\det K_\mathcal{{I}}{sign}0$"
            ax.plot(part.error, part.distance, ".", color=color, label=label, **dots)
        ax.set(xscale="log", yscale="log", title=MANIFOLDS[name].name, xlabel="reconstruction error")
        ax.set(xlim=(3e-4, 3), xticks=[1e-3, 1e-2, 1e-1, 1])
    axes[0].set_ylabel(r"$\|\lambda_\mathcal{I}-\lambda_\mathcal{L}\|^2/d$")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, markerscale=5)
    return fig
