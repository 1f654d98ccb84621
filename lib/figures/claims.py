"""Figures of the claims: the estimates of one, and what became of each under every way to train."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..studies.claims import Estimate
from .style import BLUE, FAINT, INK, ORANGE, RED, WIDTH, styled

__all__ = ["estimates", "verdicts"]


@styled
def estimates(found: Sequence[Estimate]) -> Figure:
    """The estimates of a claim with their intervals, a panel for each side wanted; blue what lies on it, red what lies on the other, orange what lies on both.

    Bands show the side wanted, hollow marks the untrained networks where there are any. Estimates that are
    shown only, and those without a value, are left to the table.
    """
    panels: dict[tuple[float | None, float | None], list[Estimate]] = {}
    for e in found:
        if e.ok is not None and np.isfinite(e.value):
            panels.setdefault((e.above, e.below), []).append(e)
    sizes = [len(p) for p in panels.values()] or [1]
    fig, axes = plt.subplots(
        len(sizes),
        1,
        figsize=(WIDTH, 0.35 + sum(0.27 * n + 0.5 for n in sizes)),
        height_ratios=[n + 1.2 for n in sizes],
        squeeze=False,
    )
    for ax, ((above, below), part) in zip(axes.flat, panels.items()):
        y = -np.arange(len(part))
        for i, e in zip(y, part):
            color, marker = (BLUE, "o") if e.ok else (RED, "s") if e.refuted else (ORANGE, "D")
            ax.plot([e.low, e.high], [i, i], color=color, lw=2, solid_capstyle="butt")
            ax.plot(e.value, i, marker, color=color, ms=4)
        low, high = ax.get_xlim()
        edges = [b for b in (above, below) if b is not None]
        low, high = min(low, *edges), max(high, *edges)
        pad = 0.04 * (high - low)
        low, high = low - pad, high + pad
        for i, e in zip(y, part):
            if low <= e.null <= high:
                ax.plot(e.null, i, "o", mfc="none", color=FAINT, ms=4, mew=0.9)
        ax.axvspan(
            low if above is None else above, high if below is None else below, color=BLUE, alpha=0.1, lw=0
        )
        for edge in edges:
            ax.axvline(edge, color=FAINT, lw=0.8)
        ax.set(xlim=(low, high), ylim=(y[-1] - 0.7, 0.7))
        ax.set_yticks(y, [e.label for e in part], fontsize=9.5)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)
    return fig


@styled
def verdicts(found: pd.DataFrame) -> Figure:
    """Claims × variants: the share of a claim's estimates on the side wanted, written into a square whose depth of colour says the same."""
    names = list(dict.fromkeys(zip(found.choice, found.value)))
    share = found.set_index(["claim", "choice", "value"]).share
    claims = sorted(found.claim.unique())
    fig, ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.28 * len(names)))
    grid = np.array([[share[claim, *name] for claim in claims] for name in names])
    ax.pcolormesh(
        np.arange(len(claims) + 1) - 0.5,
        np.arange(len(names) + 1) - 0.5,
        np.ma.masked_invalid(grid),
        cmap="cividis",
        vmin=0,
        vmax=1,
        edgecolors=FAINT,
        lw=0.3,
    )
    for i, row in enumerate(grid):
        for j, value in enumerate(row):
            text = (
                "–"
                if np.isnan(value)
                else f"{value:.2f}".removeprefix("0")
                if 0 < value < 1
                else f"{value:.0f}"
            )
            ax.text(
                j,
                i,
                text,
                ha="center",
                va="center",
                fontsize=9.5,
                color=INK if np.isnan(value) else "white" if value < 0.55 else "black",
            )
    ax.set_xticks(range(len(claims)), claims)
    ax.set_yticks(range(len(names)), [f"{choice}: {value}" for choice, value in names])
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.grid(False)
    ax.xaxis.tick_top()
    ax.set_title("claim")
    return fig
