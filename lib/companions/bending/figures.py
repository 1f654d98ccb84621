"""Figures of the bending chapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...figures.style import BLUE, GREEN, INK, ORANGE, ORDERED, RED, WIDTH, plain_ticks, styled
from .functional import slope

__all__ = [
    "pictures",
    "convergence",
    "minimised",
    "learning",
    "distortion",
    "components",
    "clouds",
    "journeys",
    "by_distance",
]

COLOURS = {"bending": BLUE, "plain": RED, "pixels": INK}
NAMES = {"bending": "low bending", "plain": "plain", "pixels": "blend of pixels"}
TITLES = {"sundial": "sundial", "solid": "rotating solid", "ellipse": "ellipses"}


def _strip(ax: Axes, images: np.ndarray) -> None:
    """Pictures (n, h, w) side by side, a hairline between them."""
    n, h, w = images.shape
    gap = max(1, w // 16)
    strip = np.full((h, n * (w + gap) - gap), np.nan)
    for i, image in enumerate(images):
        strip[:, i * (w + gap) : i * (w + gap) + w] = image
    ax.imshow(np.ma.masked_invalid(strip), vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()


def _label(ax: Axes, text: str) -> None:
    ax.text(-0.012, 0.5, text, transform=ax.transAxes, ha="right", va="center")


@styled
def pictures(images: Mapping[str, np.ndarray]) -> Figure:
    """Images of each manifold, a row each: manifold -> (n, pixels, pixels)."""
    fig, axes = plt.subplots(len(images), 1, figsize=(WIDTH, 0.72 * len(images)), squeeze=False)
    for ax, (manifold, row) in zip(axes[:, 0], images.items()):
        _strip(ax, row)
        _label(ax, TITLES[manifold])
    return fig


@styled
def journeys(points: Mapping[str, Tensor], manifold: str) -> Figure:
    """Strips of interpolated images between a near and a far pair, a column each, a row for each way;
    ``points`` of `analysis.shown`."""
    labels = {w: NAMES.get(w, w) for w in ("geodesic", "bending", "plain", "blend of pixels")}
    fig, axes = plt.subplots(len(labels), 2, figsize=(WIDTH, 0.6 * len(labels) + 0.25), squeeze=False)
    for column, ends in zip(axes.T, ("near", "far")):
        column[0].set_title(f"{ends}, $d={points[f'ends.{manifold}.{ends}'].item():.2f}$")
        for ax, (row, label) in zip(column, labels.items()):
            _strip(ax, points[f"way.{manifold}.{ends}.{row}"].numpy() / 255)
            if ends == "near":
                _label(ax, label)
    return fig


@styled
def convergence(epsilon: pd.DataFrame, pairs: pd.DataFrame, best: pd.DataFrame) -> Figure:
    """Differences of the Monte Carlo functional from its limit, on log-log axes with fitted slopes.

    Against ε (both terms, and the bending term in float32), against the number of pairs,
    and the best scale of a sphere.
    """
    fig, axes = plt.subplots(2, 2, figsize=(WIDTH, 6))
    colours = dict(zip(epsilon.example.unique(), (BLUE, RED, GREEN)))
    for ax, column, title in ((axes[0, 0], "stretch", "first term"), (axes[0, 1], "bending", "second term")):
        fitted: list[float] = []
        for name, part in epsilon.groupby("example", sort=False):
            p = slope(part.epsilon.to_numpy(), part[column].to_numpy())
            ax.plot(part.epsilon, part[column], "o-", color=colours[name], label=name)
            fitted.append(p)
            if column == "bending":
                ax.plot(part.epsilon, part.single, "x:", color=colours[name], lw=0.9, ms=5)
        ax.set(xscale="log", yscale="log", xlabel=r"$\varepsilon$", title=_slopes(title, fitted))
    axes[0, 0].set_ylabel("difference from the limit")
    axes[0, 1].plot([], [], "x:", color=INK, lw=0.9, ms=5, label="in float32")
    top = epsilon.bending.max()
    axes[0, 1].set_ylim(epsilon.bending.min() / 3, 300 * top)
    fitted = []
    for name, part in pairs.groupby("example", sort=False):
        fitted.append(slope(part.pairs.to_numpy(), part.error.to_numpy()))
        axes[1, 0].plot(part.pairs, part.error, "o-", color=colours[name])
    axes[1, 0].set(
        xscale="log", yscale="log", xlabel="pairs $N$", ylabel="root mean square difference",
        title=_slopes("sampling", fitted),
    )  # fmt: skip
    gap = (best.best - best.limit).abs()
    axes[1, 1].plot(best.epsilon, gap, "o-", color=ORANGE, label="best scale of a sphere")
    axes[1, 1].set(
        xscale="log", yscale="log", xlabel=r"$\varepsilon$", ylabel=r"$|s_\varepsilon-s_0|$",
        title=_slopes("best scale", [slope(best.epsilon.to_numpy(), gap.to_numpy())]),
    )  # fmt: skip
    for ax in (axes[0, 0], axes[0, 1], axes[1, 1]):
        ax.set_xticks([0.05, 0.1, 0.2, 0.4, 0.8], ["0.05", "0.1", "0.2", "0.4", "0.8"])
        ax.minorticks_off()
    fig.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return fig


@styled
def minimised(table: pd.DataFrame) -> Figure:
    """The functional of trained encoders against the ε they were trained at,
    and how far their shapes are apart; of `limit.minimisers`."""
    names = list(table.manifold.unique())
    fig, axes = plt.subplots(len(names), 2, figsize=(WIDTH, 5), sharex=True, squeeze=False)
    for (left, right), name in zip(axes, names):
        for (lam, part), color in zip(table[table.manifold == name].groupby("lam"), (BLUE, RED)):
            for column, look, words in (("own", "o--", r"$L_\varepsilon$"), ("limit", "s-", r"$L_{0.02}$")):
                left.plot(part.epsilon, part[column], look[0], color=color, ms=3.5, alpha=0.6, mew=0)
                mean = part.groupby("epsilon")[column].mean()
                left.plot(mean, look[1:], color=color, label=rf"{words}, $\lambda={lam:g}$")
            for column, look in (("reference", "s-"), ("seeds", "o:")):
                right.plot(part.groupby("epsilon")[column].mean(), look, color=color, ms=4)
        left.set(title=TITLES[name], ylabel="functional", yscale="log")
        right.set(title=TITLES[name], ylabel="distance of shapes", yscale="log")
    for ax in axes[-1]:
        ax.set(xscale="log", xlabel=r"trained at $\varepsilon$")
        ax.set_xticks(ticks := sorted(table.epsilon.unique()), [f"{t:g}" for t in ticks])
        ax.minorticks_off()
    for ax in axes.flat:
        plain_ticks(
            ax.yaxis,
            [t for t in (0.003, 0.01, 0.03, 0.1, 0.2, 0.3) if ax.get_ylim()[0] < t < ax.get_ylim()[1]],
        )
    axes[0, 1].plot([], [], "s-", color=INK, label="to the reference")
    axes[0, 1].plot([], [], "o:", color=INK, label="between seeds")
    handles = [h for ax in axes[0] for h in ax.get_legend_handles_labels()[0]]
    handles = [h for h in handles if not h.get_label().startswith("_")]
    fig.legend(handles=handles, loc="outside upper center", ncols=3)
    return fig


def _slopes(title: str, fitted: Sequence[float]) -> str:
    return f"{title}\nfitted {', '.join(f'{p:.2f}' for p in fitted)}".replace("-", "−")


@styled
def learning(curves: Mapping[str, Tensor], manifolds: Sequence[str], lam: float) -> Figure:
    """Training: the two terms of the encoder's loss, λ times the second,
    then the pixel errors of decoder and plain autoencoder; running means."""
    fig, axes = plt.subplots(2, 3, figsize=(WIDTH, 4.2), sharey="row")

    def smooth(y: Tensor, width: int = 25) -> tuple[np.ndarray, np.ndarray]:
        width = min(width, len(y))
        means = np.convolve(y.numpy(), np.ones(width) / width, mode="valid")
        return np.arange(len(y) - width + 1) + width / 2, means

    for i, (above, below, manifold) in enumerate(zip(*axes, manifolds)):
        above.plot(*smooth(curves["stretch"][:, i]), color=GREEN, label=r"$\gamma$ term")
        weighted = smooth(lam * curves["bending"][:, i])
        above.plot(*weighted, color=ORANGE, label=r"$\lambda\,\times$ bending term")
        below.plot(*smooth(curves["decoder"][:, i]), color=BLUE, label="decoder, after the encoder")
        below.plot(*smooth(curves["plain"][:, i]), color=RED, label="plain autoencoder")
        above.set(yscale="log", title=TITLES[manifold])
        below.set(yscale="log", xlabel="steps")
    axes[0, 0].set_ylabel("terms of the loss")
    axes[1, 0].set_ylabel("mean squared pixel error")
    (lines, names), (more, others) = (ax.get_legend_handles_labels() for ax in axes[:, 0])
    fig.legend(lines + more, names + others, loc="outside upper center", ncols=2)
    return fig


@styled
def distortion(points: Mapping[str, Tensor]) -> Figure:
    """Distribution functions of the difference quotient and of the second difference over near pairs;
    ``points`` of `analysis.shown`."""
    manifolds = list(TITLES)
    fig, axes = plt.subplots(2, len(manifolds), figsize=(WIDTH, 4.4), sharey=True)
    for column, manifold in zip(axes.T, manifolds):
        for kind in ("bending", "plain"):
            for ax, name in zip(column, ("quotient", "second")):
                x = points[f"{name}.{manifold}.{kind}"].numpy()
                ax.plot(x, (np.arange(len(x)) + 0.5) / len(x), color=COLOURS[kind], label=NAMES[kind])
        column[0].axvline(1, color=INK, lw=0.9, ls=":")
        column[0].set(xscale="log", xlim=(0.2, 5), title=TITLES[manifold])
        column[0].set_xlabel(r"$\|\varphi(y)-\varphi(x)\|\,/\,d$")
        column[0].set_xticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
        column[0].minorticks_off()
        column[1].set(xscale="log", xlim=(0.02, 30))
        column[1].set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    axes[1, 1].set_xlabel(r"$\|8(\frac{1}{2}(\varphi(x)+\varphi(y))-\varphi(\mathrm{av}(x,y)))\|\,/\,d^2$")
    for ax in axes[:, 0]:
        ax.set_ylabel("share of pairs")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return fig


@styled
def components(shares: pd.DataFrame) -> Figure:
    """Share of the codes' variance in each principal component, a panel for each manifold;
    ``shares`` of `analysis.shown`."""
    manifolds = list(TITLES)
    fig, axes = plt.subplots(1, len(manifolds), figsize=(WIDTH, 2.5), sharey=True)
    for ax, manifold in zip(axes, manifolds):
        for kind, marker in (("bending", "o"), ("plain", "s")):
            share = shares[f"{manifold} {kind}"]
            rank, style = np.arange(1, len(share) + 1), {"color": COLOURS[kind], "label": NAMES[kind]}
            ax.plot(rank, share, f"{marker}-", lw=1.1, **style)
        ax.set(yscale="log", ylim=(1e-6, 1.5), xlabel="principal component", title=TITLES[manifold])
        ax.set_xticks(range(1, len(share) + 1, 2 if len(share) < 14 else 3))
    axes[0].set_ylabel("share of variance")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return fig


@styled
def clouds(points: Mapping[str, Tensor]) -> Figure:
    """First three principal components of the codes, low bending above and plain below;
    equal scales on the three axes."""
    manifolds = list(TITLES)
    fig, axes = plt.subplots(2, len(manifolds), figsize=(WIDTH, 5.0), subplot_kw={"projection": "3d"})
    for row, kind in zip(axes, ("bending", "plain")):
        for ax, manifold in zip(row, manifolds):
            cloud = points[f"cloud.{manifold}.{kind}"].numpy()
            x, c = cloud[:, :3], cloud[:, 3]
            span = c.max() - c.min()
            ax.scatter(*x.T, c=ORDERED((c - c.min()) / span), s=3, lw=0, depthshade=False, rasterized=True)
            half = np.abs(x).max()
            ax.set(xlim=(-half, half), ylim=(-half, half), zlim=(-half, half))
            ax.set_axis_off()
            ax.set_box_aspect((1, 1, 1), zoom=1.5)
            ax.view_init(28, -60)
            ax.set_title(f"{TITLES[manifold]}, {NAMES[kind]}", y=0.98)
    return fig


@styled
def by_distance(table: pd.DataFrame) -> Figure:
    """Interpolation error (above) and detour in the latent space (below)
    against the distance of the end points: medians, and quartiles as bands."""
    manifolds = list(table.manifold.unique())
    fig, axes = plt.subplots(2, len(manifolds), figsize=(WIDTH, 4.4), sharex="col")
    for column, manifold in zip(axes.T, manifolds):
        for kind in ("bending", "plain", "pixels"):
            part = table[(table.manifold == manifold) & (table.kind == kind)]
            for ax, name in zip(column, ("error", "detour")):
                if kind == "pixels" and name == "detour":
                    continue
                ax.plot(part.distance, part[name], "o-", color=COLOURS[kind], label=NAMES[kind], ms=3)
                low, high = part[f"{name}_25"], part[f"{name}_75"]
                ax.fill_between(part.distance, low, high, color=COLOURS[kind], alpha=0.15, lw=0)
        column[0].set(title=TITLES[manifold], ylim=(0, None))
        column[1].set(xlabel="distance of the end points", ylim=(0, None))
    axes[0, 0].set_ylabel("pixel error")
    axes[1, 0].set_ylabel("detour / length")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return fig
