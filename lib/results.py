"""The results table: one row for each network and data set; this run's, and the published one.

Columns
-------
``training_set, seed, d, epochs, set, points``
    The cell. ``epochs`` 0 is the untrained network; ``set`` is ``train`` (the paper's D_train),
    ``test`` (its held-out part) or one of the ten noise sets.
``I_…, L_…``
    Of the spectra of K_I and K_L, pooled over points and nonzero eigenvalues:
    ``mean`` of |λ|; ``trace``, the mean of tr K/d; ``geometric`` mean; ``sd_log`` of log|λ|;
    ``zeros``, the share of zero eigenvalues; ``deficient``, the share of points with rank < d;
    ``reversed``, the share of points with a negative product of the nonzero eigenvalues, and
    ``reversed_full``, the same among full-rank points; ``nonreal`` and ``negative_real`` shares;
    ``arg_mean``; ``log_*`` and ``arg_*``, the box plots' quartiles and whiskers; histograms.
``distance_…``
    Of ‖λ_I − λ_L‖²/d over points, in the order by modulus; ``matched_…`` under the best
    matching, and ``ordered_median`` in the order by modulus, on the same first points.
``pattern_equal, hamming, hamming_distance_rho``
    Share of points whose encoder patterns at x and y agree, mean number of units that differ,
    and its rank correlation with the distance.
``error, brightness, brightness_sd, y_sd``
    Mean squared pixel error; mean and standard deviation over points of the reconstruction's
    mean pixel; root mean pixel variance of the reconstructions over points.
``mahalanobis_…``
    √(Mahalanobis distance²/d) of the codes from the law of the training codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from . import data, noise, spectrum
from .model import Ensemble
from .protocol import Protocol
from .spectrum import Cell
from .store import Store, read_table
from .training import device_of, train, training_fields, untrained

__all__ = ["cells", "evaluate", "blocks", "published", "reconstructions", "spread", "GROUPS", "REPRESENTATIVES", "PUBLISHED"]

PUBLISHED = Path(__file__).resolve().parent.parent / "book" / "published"

#: The ten sets by mean brightness (section II-C).
GROUPS = {
    "dark": ("bernoulli_0.13", "beta_0.8_5", "bernoulli_0.25"),
    "middle": ("bernoulli_0.5", "normal", "uniform", "beta_0.5_0.5"),
    "bright": ("bernoulli_0.75", "bernoulli_0.87", "beta_5_0.8"),
}
#: The paper's bright, moderate and dark representatives, in the order of its tables.
REPRESENTATIVES = {"bright": "beta_5_0.8", "moderate": "normal", "dark": "bernoulli_0.13"}


def blocks(protocol: Protocol, name: str) -> Iterator[Tensor]:
    """The points of a data set, block by block, each ``(≤ noise.BLOCK, 784)`` float64.

    Of ``train`` and ``test`` a protocol with fewer points than there are images takes evenly
    spaced ones.
    """
    if name in ("train", "test"):
        images = data.load(protocol.training_set)
        x = images.x if name == "train" else images.test
        n = min(protocol.points, len(x))
        yield from x[torch.arange(n) * len(x) // n].split(noise.BLOCK)
    else:
        for start in range(0, protocol.points, noise.BLOCK):
            yield noise.sample(name, start, min(start + noise.BLOCK, protocol.points))


def evaluate(ensembles: Sequence[Ensemble], protocol: Protocol, name: str, progress: bool = True) -> list[pd.DataFrame]:
    """The rows of one data set, a table for each ensemble: each block is drawn once and passed through all networks."""
    dtype, device = getattr(torch, protocol.dtype), device_of(protocol)
    nets = [[e.member(d).to(device, dtype) for d in e.dims] for e in ensembles]
    grid = [[Cell(net) for net in members] for members in nets]
    total = min(protocol.points, len(data.load(protocol.training_set).x)) if name == "train" else protocol.points
    with tqdm(total=total, disable=not progress, unit="pt", desc=f"spectra on {name}", leave=False) as bar:
        for x in blocks(protocol, name):
            x = x.to(device, dtype)
            for members in grid:
                for cell in members:
                    cell.add(x)
            bar.update(len(x))
    tables = []
    for e, members in zip(ensembles, grid):
        rows = []
        for d, cell in zip(e.dims, members):
            head = {"training_set": protocol.training_set, "seed": e.seed, "d": d, "epochs": len(e.curves.get("train", ())), "set": name}
            rows.append(head | cell.row(_codes(cell.net, protocol)))
        tables.append(pd.DataFrame(rows))
    return tables


@torch.no_grad()
def _codes(net, protocol: Protocol) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the training codes of `net`."""
    weight = next(net.parameters())
    z = torch.cat([net.encoder(x.to(weight)) for x in blocks(protocol, "train")]).cpu().numpy()
    return z.mean(0), np.atleast_2d(np.cov(z.T))


def cells(
    protocol: Protocol, store: Store | None = None, trained: bool = True, names: Sequence[str] | None = None, progress: bool = True
) -> pd.DataFrame:
    """Every cell of a protocol, loaded where stored and computed where not.

    Parameters
    ----------
    names : data sets, default ``train``, ``test`` and the protocol's noise sets. Any pixel law
        that `lib.noise.distribution` knows may be asked for.
    trained : bool
        False: the same statistics for the untrained networks, the null baseline.

    Returns
    -------
    DataFrame, one row a cell, sorted by set (training data first), seed and d.
    """
    store = store or Store()
    ensembles = train(protocol, store, progress) if trained else untrained(protocol)
    tables = []
    for name in tqdm(names or ("train", "test", *protocol.sets), disable=not progress, unit="set", desc="data sets", leave=False):
        keys = {e.seed: _fields(protocol, e.seed, name, trained) for e in ensembles}
        stored = {seed: store.load_table("cells", key) for seed, key in keys.items()}
        missing = [e for e in ensembles if stored[e.seed] is None]
        if missing:
            for e, table in zip(missing, evaluate(missing, protocol, name, progress)):
                store.save_table("cells", keys[e.seed], table)
                stored[e.seed] = store.load_table("cells", keys[e.seed])  # what is shown is what is stored
        tables += stored.values()
    return pd.concat(tables, ignore_index=True)


def _fields(protocol: Protocol, seed: int, name: str, trained: bool) -> dict[str, Any]:
    """What determines the rows of one seed on one data set."""
    if trained:
        networks = training_fields(protocol, seed)
    else:
        networks = {"dims": protocol.dims, "seed": seed, "epochs": 0, "images": data.load(protocol.training_set).sha256}
    versions = {"spectrum": spectrum.VERSION, "noise": noise.VERSION}
    return {"networks": networks, "set": name, "points": protocol.points, "dtype": protocol.dtype, **versions}


@torch.no_grad()
def reconstructions(ensembles: Sequence[Ensemble], count: int = 6) -> dict[tuple[int, int, str], Tensor]:
    """Tables I and II: the first `count` reconstructions of each representative set.

    Returns
    -------
    dict from (seed, d, set) to Tensor, shape (count, 784), in (−1, 1)
    """
    out = {}
    for e in ensembles:
        for name in REPRESENTATIVES.values():
            x = noise.sample(name, 0, count).to(e.theta)
            out |= {(e.seed, d, name): y for d, y in zip(e.dims, e.forward(x)[1])}
    return out


def spread(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Lowest, middle and highest value of some columns over the networks, one row a data set, dark sets first."""
    order = [name for name in ("train", "test", *(s for group in GROUPS.values() for s in group)) if (table.set == name).any()]
    groups = table.groupby("set")
    out = {"data set": order}
    for column in columns:
        for word, q in (("lowest", 0.0), ("median", 0.5), ("highest", 1.0)):
            out[f"{column}, {word}" if len(columns) > 1 else word] = [groups.get_group(name)[column].quantile(q) for name in order]
    return pd.DataFrame(out)


def published() -> pd.DataFrame | None:
    """The published table of all cells at the paper's scale, or None while there is none.

    Raises
    ------
    CorruptArtefact
        When a byte of it has changed.
    """
    path = PUBLISHED / "cells.csv"
    return read_table(path)[0] if path.exists() else None
