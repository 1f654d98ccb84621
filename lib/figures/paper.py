"""The paper's figures, each drawn from the results table: `table -> Figure`.

The same function draws this build's figure and the published one. Seeds are told apart by
the line: the first is solid, the second dashed, and so on. Every figure carries the columns it
shows (see `lib.figures.style.styled`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from ..protocol import GROUPS, REPRESENTATIVES
from ..spectrum import ARG_BINS, LOG_BINS
from .style import BLUE, COLORS, LABELS, RED, styled

__all__ = [
    "tables", "numbers", "histograms",
    "figure1", "figure2", "figure3", "figure4", "figure5", "figure6",
    "both", "spread", "panels", "choices", "lengths", "training_curves", "image_rows", "pixel_laws", "sweep",
]  # fmt: skip

#: The four panels of Figures 1, 3 and 6.
PANELS = ("train", *REPRESENTATIVES.values())
LINES = ("-", "--", ":", "-.")


def both(draw: Callable[[Any], Figure], table: Any, published: Any | None) -> dict[str, Figure | None]:
    """The arguments ``fig`` and ``published`` of `lib.pages.page.figure`: one function, two results, mostly tables."""
    return {"fig": draw(table), "published": None if published is None else draw(published)}


@styled
def figure1(table: pd.DataFrame) -> Figure:
    """‖λ_I − λ_L‖²/d against d: median, quartiles and mean over points, one panel a data set."""
    fig, axes = plt.subplots(2, 2, figsize=(7.2, 5.0), sharex=True, sharey=True)
    for ax, name in zip(axes.flat, PANELS):
        for line, (seed, part) in _by_seed(table, name):
            ax.plot(part.d, part.distance_median, line, color=COLORS[name], marker="o")
            ax.plot(part.d, part.distance_mean, line, color=COLORS[name], marker="x", lw=0.9, alpha=0.8)
            ax.fill_between(part.d, part.distance_q1, part.distance_q3, color=COLORS[name], alpha=0.15, lw=0)
        ax.set(title=LABELS[name], yscale="log")
        _whole_dims(ax, table)
    fig.supxlabel("latent dimension $d$", size=9, color="#808792")
    fig.supylabel(r"$\|\lambda_I-\lambda_L\|^2/d$", size=9, color="#808792")
    keys = [("median, quartiles", "o", 1.6), ("mean", "x", 0.9)]
    handles = [Line2D([], [], color="#808792", marker=m, lw=w, label=label) for label, m, w in keys]
    axes[0, 0].legend(handles=handles + _seed_handles(table))
    return _shows(
        fig, table[table.set.isin(PANELS)], [f"distance_{k}" for k in ("median", "q1", "q3", "mean")]
    )


@styled
def figure2(table: pd.DataFrame) -> Figure:
    """Arithmetic and geometric means of |λ| against d for J_I and J_L, all data sets."""
    fig, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), sharex=True, sharey="row")
    for (row, statistic, word), axs in zip(((0, "mean", "arithmetic"), (1, "geometric", "geometric")), axes):
        for j, ax in zip("IL", axs):
            _lines(ax, table, f"{j}_{statistic}")
            ax.set(
                yscale="log",
                title=rf"{word} mean of $|\lambda|$, $J_{{\mathcal{{{'I' if j == 'I' else 'L'}}}}}$",
            )
    for ax in axes[1]:
        ax.set_xlabel("latent dimension $d$")
    _set_legend(fig, table)
    return _shows(fig, table, [f"{j}_{statistic}" for statistic in ("mean", "geometric") for j in "IL"])


@styled
def figure3(table: pd.DataFrame, seed: int | None = None) -> Figure:
    """Box plots of log|λ| per d, J_I blue and J_L red, four data sets, one seed (default: the first)."""
    return _boxes(table, seed, "log", r"$\log\,|\lambda|$")


@styled
def figure4(table: pd.DataFrame) -> Figure:
    """Standard deviation of log|λ| against d for J_I and J_L, all data sets."""
    return _pair(table, "sd_log", r"standard deviation of $\log|\lambda|$")


@styled
def figure5(table: pd.DataFrame) -> Figure:
    """Share of points with a negative product of the nonzero eigenvalues against d, all data sets."""
    fig = _pair(table, "reversed", "share of points with reversed orientation")
    for ax in fig.axes[:2]:
        ax.axhline(0.5, color="#808792", lw=0.8, ls=(0, (1, 2)))
        ax.set_ylim(-0.02, 1.02)
    return fig


@styled
def figure6(table: pd.DataFrame, seed: int | None = None) -> Figure:
    """Box plots of |Arg λ| per d, J_I blue and J_L red, four data sets, one seed (default: the first)."""
    fig = _boxes(table, seed, "arg", r"$|\mathrm{Arg}\,\lambda|$")
    for ax in fig.axes:
        ax.set_yticks([0, np.pi / 2, np.pi], ["0", r"$\pi/2$", r"$\pi$"])
    return fig


@styled
def panels(table: pd.DataFrame, statistics: Mapping[str, str], log: Sequence[str] = ()) -> Figure:
    """Any columns of the table against d, one panel a column, all data sets."""
    fig, axes = plt.subplots(1, len(statistics), figsize=(7.2, 3.4), sharex=True, squeeze=False)
    for ax, (column, title) in zip(axes.flat, statistics.items()):
        _lines(ax, table, column)
        ax.set(title=title, xlabel="latent dimension $d$", yscale="log" if column in log else "linear")
    _set_legend(fig, table)
    return _shows(fig, table, statistics)


@styled
def choices(table: pd.DataFrame, column: str, label: str, dims: Sequence[int], log: bool = False) -> Figure:
    """One statistic under every variant of `lib.studies.sensitivity`: a row a variant, a dot a data set, a panel a latent dimension."""
    names = list(dict.fromkeys(zip(table.choice, table.value)))
    rows = {name: -i for i, name in enumerate(names)}
    fig, axes = plt.subplots(
        1, len(dims), figsize=(7.2, 0.9 + 0.23 * len(names)), sharex=True, sharey=True, squeeze=False
    )
    for ax, d in zip(axes.flat, dims):
        for name in _sets(table):
            part = table[(table.d == d) & (table.set == name)]
            y = [rows[key] for key in zip(part.choice, part.value)]
            strong = name == "train"
            ax.plot(
                part[column],
                y,
                "o",
                color=COLORS[name],
                ms=6 if strong else 3.5,
                alpha=1 if strong else 0.85,
                zorder=3 if strong else 2,
            )
        ax.set(title=f"$d={d}$", xscale="log" if log else "linear")
        if log:  # matplotlib labels either whole decades or all their parts
            wide = np.ptp(np.log10(table[table.d.isin(dims)][column])) > 1.5
            ax.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_formatter(NullFormatter())
        for (before, _), (after, _), y in zip(names, names[1:], rows.values()):
            if before != after:
                ax.axhline(y - 0.5, color="#808792", lw=0.6, alpha=0.6)
        ax.grid(axis="y", lw=0.4)
    axes[0, 0].set_yticks(
        list(rows.values()),
        [
            f"{value}" if choice in value or choice == "length" else f"{choice}: {value}"
            for choice, value in names
        ],
    )
    fig.supxlabel(label, size=9, color="#808792")
    handles = [
        Line2D([], [], color=COLORS[n], marker="o", ls="", ms=6 if n == "train" else 3.5, label=LABELS[n])
        for n in _sets(table)
    ]
    fig.legend(handles=handles, loc="outside right center", handlelength=0.8)
    return _shows(fig, table[table.d.isin(dims)], [column])


@styled
def lengths(
    table: pd.DataFrame, statistics: Mapping[str, str], dims: Sequence[int], log: Sequence[str] = ()
) -> Figure:
    """Statistics against epochs of training: a row a statistic, a column a latent dimension, a line a data set."""
    table = table[table.choice == "length"]
    fig, axes = plt.subplots(
        len(statistics),
        len(dims),
        figsize=(7.2, 1.55 * len(statistics) + 0.6),
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for axs, (column, title) in zip(axes, statistics.items()):
        for ax, d in zip(axs, dims):
            for name in _sets(table):
                part = table[(table.d == d) & (table.set == name)].sort_values("epochs")
                strong = name == "train"
                ax.plot(
                    part.epochs,
                    part[column],
                    color=COLORS[name],
                    lw=2.6 if strong else 1.2,
                    marker="o",
                    ms=3.5 if strong else 2,
                    zorder=3 if strong else 2,
                )
            ax.set(xscale="log", yscale="log" if column in log else "linear")
        axs[0].set_ylabel(title)
    epochs = sorted(table.epochs.unique())
    for ax, d in zip(axes[0], dims):
        ax.set_title(f"$d={d}$")
        ax.set_xticks(epochs, [str(e) for e in epochs])
        ax.set_xticks([], minor=True)
    fig.supxlabel("epochs of training", size=9, color="#808792")
    _set_legend(fig, table)
    return _shows(fig, table[table.d.isin(dims)], statistics)


@styled
def training_curves(curves: Mapping[int, Mapping[str, Tensor]], dims: Sequence[int]) -> Figure:
    """Mean squared pixel error by epoch, while training (thin) and held out (thick), one line a network.

    Parameters
    ----------
    curves : seed → ``{"train": (epochs, k), "test": (epochs, k)}``
    """
    fig, axes = plt.subplots(1, len(curves), figsize=(7.2, 3.0), sharey=True, squeeze=False)
    shades = plt.get_cmap("viridis")(np.linspace(0.1, 0.9, len(dims)))
    for ax, (seed, pair) in zip(axes.flat, curves.items()):
        epochs = np.arange(1, len(pair["train"]) + 1)
        for i, (d, shade) in enumerate(zip(dims, shades)):
            ax.plot(epochs, pair["train"][:, i], color=shade, lw=0.7, alpha=0.7)
            ax.plot(epochs, pair["test"][:, i], color=shade, label=f"$d={d}$")
        ax.set(title=f"seed {seed}", xlabel="epoch", yscale="log", xscale="log")
    axes[0, 0].set_ylabel("mean squared pixel error")
    axes[0, -1].legend(ncols=1 + len(dims) // 10, fontsize=7)
    columns = {
        f"seed {seed}, d={d}, {k}": pair[k][:, i]
        for seed, pair in curves.items()
        for i, d in enumerate(dims)
        for k in ("train", "test")
    }
    fig.data = {"curves": pd.DataFrame({"epoch": epochs} | columns)}
    return fig


@styled
def image_rows(rows: Mapping[str, Tensor], columns: int | None = None) -> Figure:
    """One row of 28×28 pictures a label; the grey scale is [0, 1]."""
    columns = columns or max(len(x) for x in rows.values())
    fig, axes = plt.subplots(
        len(rows), columns, figsize=(0.62 * columns + 1.3, 0.66 * len(rows)), squeeze=False
    )
    for axs, (label, images) in zip(axes, rows.items()):
        for ax in axs:
            ax.axis("off")
        for ax, image in zip(axs, images):
            ax.imshow(image.reshape(28, 28), vmin=0, vmax=1, interpolation="nearest")
        axs[0].text(-0.25, 0.5, label, transform=axs[0].transAxes, ha="right", va="center")
    return fig


@styled
def pixel_laws(histograms: Mapping[str, tuple[np.ndarray, float]], edges: np.ndarray) -> Figure:
    """Histogram of one pixel's law for each noise set, with its mean as a dotted line.

    Parameters
    ----------
    histograms : name → (share of drawn pixels in each bin, mean of the law)
    """
    fig, axes = plt.subplots(2, 5, figsize=(7.2, 2.9), sharex=True)
    for ax, (name, (share, mean)) in zip(axes.flat, histograms.items()):
        ax.stairs(share, edges, fill=True, color=COLORS[name], alpha=0.75)
        ax.axvline(mean, color=COLORS[name], ls=":", lw=1.2)
        ax.set(title=f"{LABELS[name]}, mean {mean:.2f}", yticks=[])
        ax.spines.left.set_visible(False)
        ax.grid(False)
    fig.supxlabel("pixel value", size=9, color="#808792")
    fig.data = {
        "laws": pd.DataFrame(
            {"from": edges[:-1], "to": edges[1:]} | {name: share for name, (share, _) in histograms.items()}
        )
    }
    return fig


@styled
def sweep(table: pd.DataFrame, parameter: str, label: str, statistics: Mapping[str, str]) -> Figure:
    """Statistics of the round trip along a family of pixel laws, one panel a statistic, one line a network."""
    fig, axes = plt.subplots(1, len(statistics), figsize=(7.2, 2.7), squeeze=False)
    dims = sorted(table.d.unique())
    shades = dict(zip(dims, plt.get_cmap("viridis")(np.linspace(0.1, 0.9, len(dims)))))
    for ax, (column, title) in zip(axes.flat, statistics.items()):
        for line, (seed, of_seed) in zip(LINES, table.groupby("seed")):
            for d, part in of_seed.groupby("d"):
                ax.plot(
                    part[parameter],
                    part[column],
                    line,
                    color=shades[d],
                    label=f"$d={d}$" if line == "-" else None,
                )
        ax.set(xlabel=label, title=title)
    axes[0, 0].legend(fontsize=7)
    return _shows(fig, table, [parameter, *statistics])


def histograms(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """How many eigenvalues lie where: the cells' histograms of ``log`` |λ| or |``arg`` λ|, one row a bin that is not empty.

    Returns
    -------
    DataFrame with columns ``set, seed, d, jacobian, from, to, count``
    """
    edges = {"log": LOG_BINS, "arg": ARG_BINS}[what]
    parts = []
    for j in "IL":
        for head, counts in zip(
            table[["set", "seed", "d"]].itertuples(index=False), table[f"{j}_{what}_hist"]
        ):
            part = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "count": np.array(counts.split(), int)})
            parts.append(part[part["count"] > 0].assign(**head._asdict(), jacobian=j))
    return pd.concat(parts, ignore_index=True)[["set", "seed", "d", "jacobian", "from", "to", "count"]]


def spread(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Median, and in brackets lowest and highest value over the networks, one row a data set, dark sets first.

    The values of the single networks are in its ``attrs["data"]``, as `lib.pages.page.table` expects them.

    Parameters
    ----------
    columns : column of the table → what it is called
    """
    order = [
        name
        for name in ("train", "test", *(s for group in GROUPS.values() for s in group))
        if (table.set == name).any()
    ]
    groups = {name: table[table.set == name] for name in order}

    def cell(values: pd.Series) -> str:
        return f"{values.median():.3g} ({values.min():.3g} … {values.max():.3g})"

    out = pd.DataFrame(
        {"data set": [LABELS[name] for name in order]}
        | {title: [cell(groups[n][c]) for n in order] for c, title in columns.items()}
    )
    out.attrs["data"] = numbers(table, columns)
    return out


def numbers(table: pd.DataFrame, columns: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Those columns of the results table, and what a row is of: the numbers behind a figure, as `lib.pages.page` takes them."""
    head = [
        name for name in ("choice", "value", "set", "seed", "d") if name in table
    ]  # the first two: of `lib.studies.sensitivity`
    return {"cells": table[[*head, *columns]].reset_index(drop=True)}


def tables(samples: Mapping[tuple[int, int, str], Tensor]) -> list[dict[str, dict[str, Tensor]]]:
    """Tables I, II, … of the paper, one for each seed, as `lib.pages.page.pictures` takes them: d → data set → reconstructions.

    `samples` are those of `lib.results.reconstructions`.
    """
    found: dict[int, dict[str, dict[str, Tensor]]] = {}
    for (seed, d, name), images in samples.items():
        group = next(group for group, member in REPRESENTATIVES.items() if member == name)
        found.setdefault(seed, {}).setdefault(f"$d={d}$", {})[f"{group}, {LABELS[name]}"] = images
    return list(found.values())


def _shows(fig: Figure, table: pd.DataFrame, columns: Iterable[str]) -> Figure:
    """The figure with the columns of the table that it shows."""
    fig.data = numbers(table, columns)
    return fig


def _by_seed(table: pd.DataFrame, name: str):
    """(line style, (seed, rows sorted by d)) of one data set."""
    part = table[table.set == name].sort_values("d")
    return zip(LINES, part.groupby("seed"))


def _sets(table: pd.DataFrame) -> list[str]:
    return [
        name
        for name in ("train", *(s for group in GROUPS.values() for s in group))
        if (table.set == name).any()
    ]


def _lines(ax: Axes, table: pd.DataFrame, column: str) -> None:
    for name in _sets(table):
        for line, (seed, part) in _by_seed(table, name):
            strong = name == "train"
            ax.plot(
                part.d,
                part[column],
                line,
                color=COLORS[name],
                lw=2.6 if strong else 1.2,
                marker="o" if strong else None,
                zorder=3 if strong else 2,
            )
    _whole_dims(ax, table)


def _whole_dims(ax: Axes, table: pd.DataFrame) -> None:
    dims = sorted(table.d.unique())
    ax.set_xticks(dims if len(dims) < 10 else [d for d in dims if d % 2 == 0])


def _pair(table: pd.DataFrame, statistic: str, label: str) -> Figure:
    fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.5), sharex=True, sharey=True)
    for j, ax in zip("IL", axes):
        _lines(ax, table, f"{j}_{statistic}")
        ax.set(title=rf"$J_{{\mathcal{{{j}}}}}$", xlabel="latent dimension $d$")
    axes[0].set_ylabel(label)
    _set_legend(fig, table)
    return _shows(fig, table, [f"{j}_{statistic}" for j in "IL"])


def _set_legend(fig: Figure, table: pd.DataFrame) -> None:
    handles = [
        Line2D([], [], color=COLORS[n], lw=2.6 if n == "train" else 1.4, label=LABELS[n])
        for n in _sets(table)
    ]
    fig.legend(handles=handles + _seed_handles(table), loc="outside right center", handlelength=1.6)


def _seed_handles(table: pd.DataFrame) -> list[Line2D]:
    seeds = sorted(table.seed.unique())
    return (
        [Line2D([], [], color="#808792", ls=line, lw=1, label=f"seed {s}") for line, s in zip(LINES, seeds)]
        if len(seeds) > 1
        else []
    )


def _boxes(table: pd.DataFrame, seed: int | None, prefix: str, label: str) -> Figure:
    seed = min(table.seed) if seed is None else seed
    fig, axes = plt.subplots(2, 2, figsize=(7.2, 5.0), sharex=True, sharey=True)
    for ax, name in zip(axes.flat, PANELS):
        part = table[(table.set == name) & (table.seed == seed)].sort_values("d")
        for j, color, shift in (("I", BLUE, -0.19), ("L", RED, 0.19)):
            keys = {"whislo": "low", "q1": "q1", "med": "median", "q3": "q3", "whishi": "high"}
            stats = [{k: row[f"{j}_{prefix}_{v}"] for k, v in keys.items()} for _, row in part.iterrows()]
            line = {"color": color, "lw": 0.9}
            ax.bxp(
                stats, positions=part.d + shift, widths=0.3, showfliers=False, patch_artist=True, manage_ticks=False,
                boxprops={"facecolor": color + "40", "edgecolor": color, "lw": 0.9}, medianprops={"color": color, "lw": 1.6}, whiskerprops=line, capprops=line,
            )  # fmt: skip
        ax.set_title(LABELS[name])
        _whole_dims(ax, table)
    fig.supxlabel("latent dimension $d$", size=9, color="#808792")
    fig.supylabel(label, size=9, color="#808792")
    handles = [
        Patch(facecolor=c + "40", edgecolor=c, label=rf"$J_{{\mathcal{{{j}}}}}$")
        for j, c in (("I", BLUE), ("L", RED))
    ]
    fig.legend(handles=handles, loc="outside upper right", ncols=2)
    part = table[table.set.isin(PANELS) & (table.seed == seed)]
    _shows(fig, part, [f"{j}_{prefix}_{k}" for j in "IL" for k in ("low", "q1", "median", "q3", "high")])
    fig.data["histograms"] = histograms(part, prefix)
    return fig
