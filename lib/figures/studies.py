"""Figures of the chapters on data, training, noise, reconstructions,
sensitivity and computation: `table -> Figure`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from .sets import by_group, legend, tones
from .style import COLORS, FAINT, INK, LABELS, WIDTH, log_axis, plain_ticks, shades, styled
from .tables import ordered, variant

__all__ = [
    "panels", "training_curves", "curves_table", "image_rows", "pixel_distributions", "pixel_table", "sweep",
    "choices", "lengths",
    "methods", "parts",
]  # fmt: skip


@styled
def panels(table: pd.DataFrame, statistics: Mapping[str, str], log: Sequence[str] = ()) -> Figure:
    """Any columns of the table against d, a row of panels a column, all data sets."""
    return by_group(table, statistics, log)


@styled
def training_curves(curves: Mapping[int, Mapping[str, Tensor]], dims: Sequence[int]) -> Figure:
    """Mean squared pixel error by epoch, while training (thin) and held out (thick),
    one line a network, coloured by d.

    Parameters
    ----------
    curves : seed → ``{"train": (epochs, k), "test": (epochs, k)}``
    """
    fig, axes = plt.subplots(1, len(curves), figsize=(WIDTH, 3.6), sharey=True, squeeze=False)
    by_width = shades(len(dims))
    for ax, (seed, pair) in zip(axes.flat, curves.items()):
        epochs = np.arange(1, len(pair["train"]) + 1)
        for i, tone in enumerate(by_width):
            ax.plot(epochs, pair["train"][:, i], color=tone, lw=0.7)
            ax.plot(epochs, pair["test"][:, i], color=tone, lw=1.5)
        ax.set(title=f"seed {seed}", xlabel="epoch", yscale="log", xscale="log")
    axes[0, 0].set_ylabel("mean squared pixel error")
    bounds = BoundaryNorm(np.arange(len(dims) + 1) - 0.5, len(dims))
    bar = fig.colorbar(
        plt.cm.ScalarMappable(bounds, ListedColormap(by_width)), ax=axes, label="$d$", aspect=30
    )
    few = range(0, len(dims), 1 if len(dims) < 8 else 3)
    bar.set_ticks(list(few), labels=[str(dims[i]) for i in few])
    bar.ax.minorticks_off()
    return fig


def curves_table(curves: Mapping[int, Mapping[str, Tensor]], dims: Sequence[int]) -> dict[str, pd.DataFrame]:
    """The numbers behind `training_curves`: a row an epoch, a column a network and part."""
    columns = {
        f"seed {seed}, d={d}, {part}": pair[part][:, i]
        for seed, pair in curves.items()
        for i, d in enumerate(dims)
        for part in ("train", "test")
    }
    table = pd.DataFrame(columns)
    table.insert(0, "epoch", np.arange(1, len(table) + 1))
    return {"curves": table}


@styled
def image_rows(rows: Mapping[str, Tensor]) -> Figure:
    """One row of 28×28 pictures a label; the grey scale is [0, 1]."""
    columns = max(len(x) for x in rows.values())
    size = min(0.62, (WIDTH - 1.3) / columns)
    fig, axes = plt.subplots(
        len(rows), columns, figsize=(size * columns + 1.3, (size + 0.04) * len(rows)), squeeze=False
    )
    for axs, (label, images) in zip(axes, rows.items()):
        for ax in axs:
            ax.axis("off")
        for ax, image in zip(axs, images):
            ax.imshow(image.reshape(28, 28), vmin=0, vmax=1, interpolation="nearest")
        axs[0].text(-0.25, 0.5, label, transform=axs[0].transAxes, ha="right", va="center")
    return fig


@styled
def pixel_distributions(histograms: Mapping[str, tuple[np.ndarray, float]], edges: np.ndarray) -> Figure:
    """Histogram of one pixel's distribution for each noise set, with its mean as a dotted line.

    Parameters
    ----------
    histograms : name → (share of drawn pixels in each bin, mean of the distribution)
    """
    fig, axes = plt.subplots(4, 3, figsize=(WIDTH, 5.6), sharex=True)
    for ax in axes.flat[len(histograms) :]:
        ax.remove()
    for ax, (name, (share, mean)) in zip(axes.flat, histograms.items()):
        ax.stairs(share, edges, fill=True, color=COLORS[name], alpha=0.8)
        ax.axvline(mean, color=INK, ls=":", lw=1.3)
        ax.set(title=f"{LABELS[name]}, mean {mean:.2f}", yticks=[], xticks=[0, 0.5, 1])
        ax.set_xticklabels(["0", ".5", "1"])
        ax.tick_params(labelbottom=True)
        ax.spines.left.set_visible(False)
        ax.grid(False)
    fig.supxlabel("pixel value")
    return fig


def pixel_table(
    histograms: Mapping[str, tuple[np.ndarray, float]], edges: np.ndarray
) -> dict[str, pd.DataFrame]:
    """The numbers behind `pixel_distributions`: a row a bin, a column a noise set."""
    shares = {name: share for name, (share, _) in histograms.items()}
    return {"distributions": pd.DataFrame({"from": edges[:-1], "to": edges[1:]} | shares)}


@styled
def sweep(
    table: pd.DataFrame, parameter: str, label: str, statistics: Mapping[str, str], log: Sequence[str] = ()
) -> Figure:
    """Statistics of the round trip along a family of pixel distributions, one panel a statistic.

    Thin lines are single networks, heavy ones their median over the seeds, coloured by d.
    """
    fig, axes = plt.subplots(1, len(statistics), figsize=(WIDTH, 3.3), squeeze=False)
    tone = tones(fig, table, columns=4)
    for ax, (column, title) in zip(axes.flat, statistics.items()):
        for d, of_width in table.groupby("d"):
            for _, part in of_width.groupby("seed"):
                ax.plot(part[parameter], part[column], color=tone[d], lw=0.7, alpha=0.5)
            ax.plot(of_width.groupby(parameter)[column].median(), color=tone[d])
        ax.set_title(title)
        if column in log:
            log_axis(ax.yaxis, table[column])
    fig.supxlabel(label)
    return fig


@styled
def choices(table: pd.DataFrame, column: str, label: str, dims: Sequence[int], log: bool = False) -> Figure:
    """One statistic under every variant of `lib.studies.sensitivity`: a row a variant, a dot a data set,
    a panel a latent dimension."""
    names = list(dict.fromkeys(zip(table.choice, table.value)))
    rows = {name: -i for i, name in enumerate(names)}
    size = (WIDTH, 1.4 + 0.27 * len(names))
    fig, axes = plt.subplots(1, len(dims), figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax, d in zip(axes.flat, dims):
        for name in ordered(table, "train"):
            part = table[(table.d == d) & (table.set == name)]
            y = [rows[key] for key in zip(part.choice, part.value)]
            strong = name == "train"
            ax.plot(
                part[column], y, "o", color=COLORS[name], ms=6 if strong else 4, zorder=3 if strong else 2
            )
        ax.set_title(f"$d={d}$")
        if log:
            log_axis(ax.xaxis, table[table.d.isin(dims)][column])
        for (before, _), (after, _), y in zip(names, names[1:], rows.values()):
            if before != after:
                ax.axhline(y - 0.5, color=FAINT, lw=0.7)
        ax.grid(axis="y", lw=0.4)
    axes[0, 0].set_yticks(list(rows.values()), [variant(*name) for name in names])
    fig.supxlabel(label)
    legend(fig, table, marker="o")
    return fig


@styled
def lengths(
    table: pd.DataFrame, statistics: Mapping[str, str], dims: Sequence[int], log: Sequence[str] = ()
) -> Figure:
    """Statistics by epochs of training: a row a statistic, a column a latent dimension, a line a data set."""
    table = table[table.choice == "length"]
    size = (WIDTH, 1.6 * len(statistics) + 1.2)
    fig, axes = plt.subplots(
        len(statistics), len(dims), figsize=size, sharex=True, sharey="row", squeeze=False
    )
    for axs, (column, title) in zip(axes, statistics.items()):
        for ax, d in zip(axs, dims):
            for name in ordered(table, "train"):
                part = table[(table.d == d) & (table.set == name)].sort_values("epochs")
                strong = name == "train"
                look = {"lw": 2.8, "ms": 4, "zorder": 3} if strong else {"lw": 1.3, "ms": 2.5, "zorder": 2}
                ax.plot(part.epochs, part[column], color=COLORS[name], marker="o", **look)
            ax.set_xscale("log")
            if column in log:
                log_axis(ax.yaxis, table[table.d.isin(dims)][column])
        axs[0].set_ylabel(title)
    epochs = sorted(table.epochs.unique())
    for ax, d in zip(axes[0], dims):
        ax.set_title(f"$d={d}$")
        plain_ticks(ax.xaxis, epochs[:: max(1, len(epochs) // 2)])
    fig.align_ylabels()
    fig.supxlabel("epochs of training")
    legend(fig, table)
    return fig


@styled
def methods(spectra: pd.DataFrame) -> Figure:
    """Time per point of the spectrum of J_I against d, by method."""
    fig, ax = plt.subplots(figsize=(WIDTH, 4.0))
    for name, label in {
        "naive": r"jacrev, eigvals of $784\times784$",
        "func": "torch.func through the bottleneck, LAPACK",
        "ours": "this book",
    }.items():
        ax.plot(spectra.d, spectra[name], marker="o", label=label)
    ax.set(yscale="log", xlabel="latent dimension $d$", ylabel="µs a point, one thread", xticks=spectra.d)
    plain_ticks(ax.yaxis, [10, 100, 1_000, 10_000, 100_000])
    fig.legend(loc="outside upper center", ncols=1)
    return fig


@styled
def parts(evaluation: pd.DataFrame) -> Figure:
    """Where the time of an evaluation goes, against d: stacked bars, what no part accounts for on top."""
    names = ["round trip", "K_I and K_L", "eigenvalues", "orientation"]
    rest = (evaluation["all"] - evaluation[names].sum(axis=1)).clip(lower=0)
    table = evaluation.assign(**{"the rest": rest})
    fig, ax = plt.subplots(figsize=(WIDTH, 4.0))
    base = np.zeros(len(table))
    labels = {"K_I and K_L": r"$K_{\mathcal{I}}$ and $K_{\mathcal{L}}$"}
    for name in [*names, "the rest"]:
        ax.bar(table.d, table[name], bottom=base, width=2.0, label=labels.get(name, name))
        base += table[name].to_numpy()
    ax.set(xlabel="latent dimension $d$", ylabel="µs a point, one thread", xticks=table.d)
    fig.legend(loc="outside upper center", ncols=3)
    return fig
