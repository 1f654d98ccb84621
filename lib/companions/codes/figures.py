"""The figures of the chapter on codes: results -> Figure."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from ...figures.sets import by_group, chosen
from ...figures.style import BLUE, COLORS, FAINT, GREEN, INK, LABELS, LINES, RED, WIDTH, plain_ticks, styled
from .pictures import PICTURES

__all__ = [
    "distance_figure",
    "cluster_figure",
    "source_figure",
    "bracket_figure",
    "landing_figure",
    "class_figure",
    "tsne_figure",
]

#: Classes whose digit is written at an axis.
CLASSES = (0, 3, 6, 9)
LOOK = {"trained": (RED, "o"), "untrained": (INK, "s"), "pca": (BLUE, "^"), "pixels": (GREEN, None)}


@styled
def distance_figure(table: pd.DataFrame) -> Figure:
    """W₁ between all pairs of classes, in units of the mean split-half distance:
    pixels and some latent spaces, one seed."""
    dims = chosen(sorted(table.d[table.space == "trained"].unique()), 3)
    shown = [("pixels", 784)] + [("trained", d) for d in dims]
    keys = [(s, d, table[(table.space == s) & (table.d == d)].seed.min()) for s, d in shown]
    fig, axes = plt.subplots(1, len(keys), figsize=(WIDTH, 2.6), squeeze=False)
    for ax, (space, d, seed) in zip(axes.flat, keys):
        part = table[(table.space == space) & (table.d == d) & (table.seed == seed)]
        grid = np.zeros((10, 10))
        grid[part.a, part.b] = grid[part.b, part.a] = part.distance
        image = ax.imshow(grid / np.diag(grid).mean(), cmap="viridis", norm=LogNorm(0.5, 16))
        ax.set(title="pixels" if space == "pixels" else f"codes, $d={d}$", xticks=CLASSES, yticks=CLASSES)
        ax.label_outer()
        ax.grid(False)
    bar = fig.colorbar(image, ax=axes, label="distance / split-half", shrink=0.8, ticks=[0.5, 1, 2, 4, 8, 16])
    bar.ax.set_yticklabels(["½", "1", "2", "4", "8", "16"])
    bar.ax.minorticks_off()
    return fig


@styled
def cluster_figure(scores: pd.DataFrame) -> Figure:
    """Transport ratio, silhouette and k-NN accuracy against d, for the codes and for the controls;
    seeds are lines of their own."""
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.0))
    titles = {"ratio": "between / split-half", "silhouette": "silhouette of the labels"}
    titles["knn"] = "k-NN accuracy, held out"
    for ax, (column, title) in zip(axes, titles.items()):
        for space, (color, marker) in LOOK.items():
            part = scores[scores.space == space]
            if space == "pixels":
                ax.axhline(part[column].iloc[0], color=color, ls=(0, (4, 2)))
                continue
            for line, (_, rows) in zip(LINES, part.groupby("seed")):
                ax.plot(rows.d, rows[column], line, color=color, marker=marker)
        ax.set(title=title, xlabel="latent dimension $d$")
    handles = [
        Line2D([], [], color=c, marker=m, ls="-" if m else (0, (4, 2)), label={"pca": "PCA"}.get(k, k))
        for k, (c, m) in LOOK.items()
    ]
    fig.legend(handles=handles, loc="outside upper center", ncols=4)
    return fig


#: Rows of `source_figure`: what is measured, its labels, space, what the networks were trained on; words.
CASES = {
    ("images", "true", "trained", "images"): "images, trained on images",
    ("images", "true", "trained", "gaussian"): "images, trained on a Gaussian for each class",
    ("images", "true", "trained", "single"): "images, trained on one Gaussian",
    ("images", "true", "pca", "nothing"): "images, PCA",
    ("images", "true", "untrained", "nothing"): "images, untrained",
    ("images", "true", "pixels", "nothing"): "images, pixels",
    ("gaussian", "true", "trained", "gaussian"): "Gaussian classes, trained on them",
    ("gaussian", "true", "trained", "images"): "Gaussian classes, trained on images",
    ("gaussian", "true", "pca", "nothing"): "Gaussian classes, PCA",
    ("gaussian", "true", "pixels", "nothing"): "Gaussian classes, pixels",
    ("images", "in clusters", "trained", "images"): "labels permuted in clusters",
    ("images", "permuted", "trained", "images"): "labels permuted",
}


@styled
def source_figure(table: pd.DataFrame) -> Figure:
    """Transport ratio, silhouette and k-NN accuracy, a row for each of `CASES`,
    a dot for each network; of `causes.sources`."""
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.6), sharey=True)
    titles = {"ratio": "between / split-half", "silhouette": "silhouette", "knn": "k-NN accuracy"}
    dims, known = (
        sorted(table.d[table.space == "trained"].unique()),
        table.set_index(["measured", "labels", "space", "source"]),
    )
    for ax, (column, title) in zip(axes, titles.items()):
        for i, case in enumerate(CASES):
            part = known.loc[[case]]
            for d, color, marker in zip((*dims, 784), (BLUE, RED, GREEN), "os^"):
                values = part[column][part.d == d]
                ax.plot(values, [i] * len(values), marker, color=color, ms=4.5, alpha=0.8)
        ax.set(title=title, yticks=range(len(CASES)), ylim=(len(CASES) - 0.5, -0.5))
        ax.axhline(5.5, color=FAINT, lw=0.8)
        ax.axhline(9.5, color=FAINT, lw=0.8)
        ax.grid(axis="y", visible=False)
    axes[0].set(xscale="log", yticklabels=CASES.values())
    plain_ticks(axes[0].xaxis, [1, 2, 4, 8])
    axes[2].axvline(0.1, color=FAINT, lw=0.9, ls=":")
    axes[2].set(xlim=(0, 1), xticks=[0, 0.5, 1])
    handles = [
        Line2D([], [], color=c, marker=m, ls="", label=f"$d={d}$")
        for d, c, m in zip((*dims, 784), (BLUE, RED, GREEN), "os^")
    ]
    fig.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return fig


@styled
def bracket_figure(table: pd.DataFrame) -> Figure:
    """The measured distance between codes inside its bracket, all pairs of classes in its order."""
    dims = chosen(sorted(table.d.unique()), 3)
    fig, axes = plt.subplots(1, len(dims), figsize=(WIDTH, 3.2), squeeze=False)
    for ax, d in zip(axes.flat, dims):
        part = table[(table.d == d) & (table.seed == table.seed.min())].sort_values("codes")
        x = np.arange(len(part))
        ax.fill_between(x, part.sharp, part.upper, color=INK, alpha=0.2, lw=0, label="bracket (sharper)")
        ax.plot(x, part.upper, color=INK, lw=0.9)
        ax.plot(x, part.sharp, color=BLUE, lw=1.2, label="below, from reconstructions")
        ax.plot(x, part.lower, color=BLUE, lw=1.2, ls=":", label="below, from images")
        ax.plot(x, part.codes, color=RED, ls="", marker=".", label="measured")
        ax.axhline(0, color=INK, lw=0.8)
        ax.set(title=f"$d={d}$", xlabel="pairs of classes", yscale="symlog")
    axes[0, 0].set_ylabel("$W_1$ between codes")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return fig


@styled
def landing_figure(far: pd.DataFrame) -> Figure:
    """Distance of each noise set to the training data, in codes and in reconstructions,
    in units of a digit class's own; share outside."""
    rows = {"codes": "codes", "recon": "reconstructions", "outside": "share outside"}
    fig = by_group(far, rows, log=("codes", "recon"), known="held_out")
    for ax in fig.axes[:6]:
        ax.axhline(1, color=INK, lw=0.9, ls=":")
    return fig


@styled
def class_figure(landing: pd.DataFrame) -> Figure:
    """W₁ from each data set's codes to each digit class's, first seed and largest d;
    the unit is the median over pairs of different classes."""
    d = landing.d.max()
    part = landing[(landing.d == d) & (landing.seed == landing.seed.min())].set_index("set")
    columns = [f"to_{c}" for c in range(10)]
    digits = part.loc[[f"class_{c}" for c in range(10)], columns].to_numpy()
    unit = np.median(digits[~np.eye(10, dtype=bool)])
    names = ["half", "held_out", *(n for n in COLORS if n in part.index)]
    labels = [{"half": "training", "held_out": "held out"}.get(n) or LABELS[n] for n in names]
    fig, ax = plt.subplots(figsize=(WIDTH, 3.6))
    values = part.loc[names, columns].to_numpy() / unit
    image = ax.imshow(np.log2(values), cmap="RdYlBu_r", vmin=-3, vmax=3, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        ax.text(j, i, f"{value:.1f}", ha="center", va="center", color="#30343a")
    ax.set(xticks=range(10), yticks=range(len(names)), xlabel="digit class", title=f"codes, $d={d}$")
    ax.set_yticklabels(labels)
    ax.grid(False)
    bar = fig.colorbar(image, ticks=range(-3, 4))
    bar.ax.set_yticklabels([f"{2.0**k:g}" for k in range(-3, 4)])
    bar.set_label("distance / median between classes")
    return fig


@styled
def tsne_figure(pictures: Mapping[str, Tensor]) -> Figure:
    """The t-SNE pictures side by side, coloured by label where there is one."""
    titles = {"finer": "codes, perplexity 8", "gaussian": "a Gaussian, no classes"}
    fig, axes = plt.subplots(1, 4, figsize=(WIDTH, 2.2))
    for ax, name in zip(axes, PICTURES):
        color = INK if name == "gaussian" else plt.get_cmap("tab10")(pictures["labels"].numpy())
        ax.scatter(*pictures[f"{name}.picture"].numpy().T, color=color, s=3, lw=0)
        ax.set(title=titles.get(name, name), xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        ax.grid(False)
    return fig
