"""Is the intrinsic dimension recognised? Largest and mean error of trained autoencoders
against the latent dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ...protocol import Protocol
from ...store import Store
from . import VERSION, Settings
from .analysis import errors, exhibits, select
from .manifolds import MANIFOLDS
from .training import group

__all__ = ["DIMS", "SEEDS", "constant", "sizes", "by_dimension", "steepest", "recognised"]

#: Latent dimensions, beside 0, which is the best constant;
#: and how many of the chapter's seeds are trained at each.
DIMS, SEEDS = (1, 2, 3, 4), 3


def constant(points: int) -> pd.DataFrame:
    """Errors where nothing is encoded: every point of a manifold is returned as the mean of all;
    ``manifold, d, seed, mean, largest``."""
    rows = []
    for name, space in MANIFOLDS.items():
        x = space.points(space.grid(points))
        e = (x - x.mean(0)).norm(dim=1)
        rows.append((name, 0, -1, float(e.mean()), float(e.max())))
    return pd.DataFrame(rows, columns=["manifold", "d", "seed", "mean", "largest"])


def sizes(settings: Settings) -> Settings:
    """Those of the comparison of dimensions: the first seeds, a quarter of the batch, at most 1,000 steps.
    That is time's choice, made before any result."""
    few = {
        "seeds": settings.seeds[:SEEDS],
        "batch": settings.batch // 4,
        "steps": min(1_000, settings.steps * 3 // 10),
    }
    return replace(settings, **few)


def by_dimension(protocol: Protocol, settings: Settings, store: Store | None = None) -> pd.DataFrame:
    """Mean and largest reconstruction error, a row a manifold, latent dimension in 0 and `DIMS`, and seed.

    All are of the main width and trained alike, shorter than the chapter's own (`sizes`). Errors are taken on
    a grid of equal measures; where antipodes are known that d = k gives one code (`exhibits`), the largest
    counts these too: a grid may miss them. The protocol plays no part. Columns
    ``manifold, d, seed, mean, largest``.
    """

    def compute() -> pd.DataFrame:
        every = [(name, d) for name in MANIFOLDS for d in DIMS]
        own = sizes(settings)
        nets = select(group(own, own.width, every, store), step=own.steps)
        table = errors(nets, settings.points, np.array([]))
        for i, net in enumerate(nets):
            if net.manifold in ("circle", "linked", "sphere") and net.d == net.space.dim:
                table.loc[i, "largest"] = max(table.largest[i], exhibits(net).largest.max())
        whole = pd.concat([constant(settings.points), table[["manifold", "d", "seed", "mean", "largest"]]])
        order = {name: i for i, name in enumerate(MANIFOLDS)}
        return whole.sort_values(["manifold", "d", "seed"], key=lambda c: c.replace(order), ignore_index=True)

    fields = {"experiment": "by dimension", "version": VERSION, "dims": DIMS}
    fields |= sizes(settings).only("ambient", "width", "seeds", "steps", "batch", "rate", "points")
    return (store or Store()).table("topology", fields, compute, "companions/topology-by-dimension")


def steepest(errors: Sequence[float]) -> int:
    """The d at which log e(d) falls most from e(d − 1), of errors at d = 0, 1, …

    >>> steepest([1.0, 0.9, 0.01, 0.005])
    2
    """
    return 1 + int(np.argmin(np.diff(np.log(errors))))


def recognised(table: pd.DataFrame) -> pd.DataFrame:
    """The dimension that errors point to, the `steepest` fall, by manifold,
    seed and ``error`` (``mean`` or ``largest``), in ``d``; ``k`` is the manifold's own."""
    rows = []
    for name, part in table.groupby("manifold", sort=False):
        first = part[part.d == 0]
        for seed, line in part[part.d > 0].groupby("seed"):
            whole = pd.concat([first, line.sort_values("d")])
            for error in ("mean", "largest"):
                found = steepest(whole[error].to_numpy())
                rows.append(
                    {"manifold": name, "k": MANIFOLDS[name].dim, "seed": seed, "error": error, "d": found}
                )
    return pd.DataFrame(rows)
