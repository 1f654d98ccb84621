"""Figures of the chapter on iterations: ends with their basins, how iterations fare,
and how far ends of two networks are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from ..protocol import SETS
from ..studies.attractors import SHOWN
from .sets import by_group
from .style import BLUE, FAINT, INK, LABELS, RED, WIDTH, styled

__all__ = ["gallery", "panels", "basins", "overlap"]


def _noise(ends: pd.DataFrame) -> list[str]:
    """The noise sets that a table of ends counts starts of: this build has fewer than the published run."""
    return [name for name in SETS if name in ends]


@styled
def gallery(pictures: Mapping[str, Tensor], ends: pd.DataFrame) -> Figure:
    """The largest ends of each network: a row a latent dimension, a block of columns a seed,
    below each its share of the noise starts.

    Parameters
    ----------
    pictures : ``"seed/d"`` → uint8 Tensor, shape (≤ `SHOWN`, 784)
    """
    trained = ends[ends.epochs > 0]
    seeds, dims = sorted(trained.seed.unique()), sorted(trained.d.unique())
    columns = len(seeds) * (SHOWN + 1) - 1
    size = (WIDTH - 0.5) / columns
    fig, axes = plt.subplots(
        len(dims), columns, figsize=(WIDTH, len(dims) * (size + 0.3) + 0.5), squeeze=False
    )
    for ax in axes.flat:
        ax.axis("off")
    for axs, d in zip(axes, dims):
        axs[0].text(-0.25, 0.5, f"$d={d}$", transform=axs[0].transAxes, ha="right", va="center")
        for k, seed in enumerate(seeds):
            own = trained[(trained.seed == seed) & (trained.d == d)].sort_values("end")
            basin = own[_noise(own)].sum(axis=1).to_numpy(float)
            for i, image in enumerate(pictures.get(f"{seed}/{d}", [])):
                ax = axs[k * (SHOWN + 1) + i]
                ax.imshow(image.reshape(28, 28), vmin=0, vmax=255, interpolation="nearest")
                ax.text(
                    0.5,
                    -0.06,
                    f"{basin[i] / max(basin.sum(), 1):.0%}",
                    transform=ax.transAxes,
                    ha="center",
                    va="top",
                )
    for k, seed in enumerate(seeds):
        axes[0, k * (SHOWN + 1) + SHOWN // 2].set_title(f"seed {seed}")
    return fig


@styled
def panels(
    table: pd.DataFrame,
    columns: Mapping[str, str],
    log: Sequence[str] = (),
    guides: Mapping[str, Sequence[float]] = {},
) -> Figure:
    """Columns of the cells against d, a row of panels each: dark, middle and bright noise,
    and in every panel the digits' own starts."""
    fig = by_group(table, columns, log, known="test")
    for axs, column in zip(np.reshape(fig.axes, (len(columns), -1)), columns):
        for ax in axs:
            for level in guides.get(column, ()):
                ax.axhline(level, color=FAINT, ls=":", lw=1)
    return fig


@styled
def basins(ends: pd.DataFrame) -> Figure:
    """Where the starts of each set end, for the first seed at its four largest d:
    the five ends with the largest basins on noise, the other ends, and no end."""
    ends = ends[ends.epochs > 0]
    ends = ends[ends.seed == ends.seed.min()]
    dims = sorted(ends.d.unique())[-4:]
    fig, axes = plt.subplots(1, len(dims), figsize=(WIDTH, 3.9), sharey=True, squeeze=False)
    names = ["test", *_noise(ends)]
    tones = ["#3c69d8", "#00806a", "#a06e00", "#a8428e", "#c24a00"]
    for ax, d in zip(axes[0], dims):
        own = ends[ends.d == d].sort_values("end")
        whole = own[names].to_numpy(float) / own.attrs.get("starts", max(float(own[names].sum().max()), 1))
        at = np.zeros(len(names))
        for i, share in enumerate([*whole[:SHOWN], whole[SHOWN:].sum(0)]):
            ax.barh(
                range(len(names)),
                share,
                left=at,
                color=tones[i] if i < SHOWN else FAINT,
                height=0.8,
                label=f"end {i + 1}" if i < SHOWN else "other ends",
            )
            at += share
        ax.set(title=f"$d={d}$", xlim=(0, 1))
        ax.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
        ax.grid(axis="y", lw=0)
    axes[0, 0].set_yticks(range(len(names)), [LABELS[n] for n in names])
    axes[0, 0].invert_yaxis()
    fig.supxlabel("share of the starts")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return fig


@styled
def overlap(pairs: pd.DataFrame) -> Figure:
    """Distance to the nearest end of another network against that by chance;
    below the diagonal ends are nearer than chance."""
    fig, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.4), sharex=True, sharey=True)
    same = pairs.seed == pairs.other_seed
    top = 1.05 * float(pairs[["nearest", "chance"]].max().max())
    for ax, part, title, color in zip(
        axes, (pairs[same], pairs[~same]), ("another d, same seed", "another seed, same d"), (BLUE, RED)
    ):
        ax.plot([0, top], [0, top], color=FAINT, lw=0.9)
        ax.plot(part.chance, part.nearest, "o", color=color, ms=3.5)
        for row in part.itertuples() if len(part) < 20 else ():
            ax.annotate(f"{row.d}", (row.chance, row.nearest), (4, -2), textcoords="offset points", color=INK)
        ax.set(title=title, xlim=(0, top), ylim=(0, top), aspect="equal")
    fig.supxlabel("by chance")
    axes[0].set_ylabel("nearest end")
    return fig
