"""Figures of the chapter on computation, from the tables of `lib.press.bench`."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .style import WIDTH, plain_ticks, styled

__all__ = ["methods", "parts"]


@styled
def methods(spectra: pd.DataFrame) -> Figure:
    """Time per point of the spectrum of J_I against d, by method."""
    fig, ax = plt.subplots(figsize=(WIDTH, 4.0))
    for name, label in (
        ("naive", r"jacrev, eigvals of $784\times784$"), ("func", "torch.func through the bottleneck, LAPACK"), ("ours", "this book"),
    ):  # fmt: skip
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
