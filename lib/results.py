"""The results table: one row for each network and data set.

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

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from . import data, noise, spectrum, workers
from .data import DataError
from .model import Ensemble
from .protocol import REPRESENTATIVES, Protocol, ProtocolError
from .spectrum import Cell
from .store import Store
from .training import small, torch_device, train, training_fields, untrained

__all__ = ["run", "Run", "cells", "cell_fields", "evaluate", "by_seed", "blocks", "reconstructions"]

#: Points times columns of Jacobians (about 10 µs each) from which several processes are worth their start.
WORTHWHILE = 2_000_000

Laws = dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]


def blocks(protocol: Protocol, name: str) -> Iterator[Tensor]:
    """The points of a data set, block by block, each ``(≤ noise.BLOCK, 784)`` float64.

    Of ``train`` and ``test`` a protocol with fewer points than there are images takes evenly
    spaced ones.
    """
    if name in ("train", "test"):
        images = data.load(protocol.training_set)
        x = images.x if name == "train" else images.test
        n = min(protocol.points, len(x))
        yield from (x[rows] for rows in (torch.arange(n) * len(x) // n).split(noise.BLOCK))
    else:
        for start in range(0, protocol.points, noise.BLOCK):
            yield noise.sample(name, start, min(start + noise.BLOCK, protocol.points))


def evaluate(
    ensembles: Sequence[Ensemble],
    protocol: Protocol,
    name: str,
    progress: bool = True,
    laws: Laws | None = None,
) -> list[pd.DataFrame]:
    """The rows of one data set, a table for each ensemble: each block is drawn once for all networks.

    Parameters
    ----------
    laws : mean and covariance of the training codes by (seed, d); default: computed here.
        Codes of a network that it does not have are held against their own law.
    """
    dtype, device = getattr(torch, protocol.dtype), torch_device()
    grid = [[Cell(e.member(d).to(device, dtype)) for d in e.dims] for e in ensembles]
    laws = training_codes(ensembles, protocol) if laws is None else laws
    total = protocol.points
    if name == "train":
        total = min(total, len(data.load(protocol.training_set).x))
    with tqdm(total=total, disable=not progress, unit="pt", desc=f"spectra on {name}", leave=False) as bar:
        for x in blocks(protocol, name):
            x = x.to(device, dtype)
            for cell in itertools.chain(*grid):
                cell.add(x)
            bar.update(len(x))
    tables = []
    for e, members in zip(ensembles, grid):
        rows = []
        for d, cell in zip(e.dims, members):
            head = {"training_set": protocol.training_set, "seed": e.seed, "d": d}
            head |= {"epochs": e.epochs, "set": name}
            rows.append(head | cell.row(laws.get((e.seed, d))))
        tables.append(pd.DataFrame(rows))
    return tables


@torch.no_grad()
def training_codes(ensembles: Sequence[Ensemble], protocol: Protocol) -> Laws:
    """Mean ``(d,)`` and covariance ``(d, d)`` of the training codes of every network, by (seed, d)."""
    dtype, device = getattr(torch, protocol.dtype), torch_device()
    laws = {}
    for e in ensembles:
        for d in e.dims:
            encoder = e.member(d).to(device, dtype).encoder
            z = torch.cat([encoder(x.to(device, dtype)) for x in blocks(protocol, "train")]).cpu().numpy()
            laws[e.seed, d] = z.mean(0), np.atleast_2d(np.cov(z.T))
    return laws


class Run(NamedTuple):
    """What one protocol comes to."""

    networks: list[Ensemble]
    #: the cells of the trained networks, and those of the untrained ones, the null baseline
    table: pd.DataFrame
    null: pd.DataFrame


def run(protocol: Protocol, store: Store | None = None, progress: bool = True) -> Run:
    """The natural way of data: protocol → networks → cells → table,
    each step loaded where stored and computed where not."""
    store = store or Store()
    networks = train(protocol, store, progress)
    table, null = (cells(es, protocol, store, progress=progress) for es in (networks, untrained(protocol)))
    return Run(networks, table, null)


def cells(
    networks: Sequence[Ensemble],
    protocol: Protocol,
    store: Store | None = None,
    names: Sequence[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Every cell of the protocol's networks, loaded where stored and computed where not.

    Parameters
    ----------
    networks : those of `lib.training.train`, or those of `untrained`: the null baseline.
    names : data sets, default ``train``, ``test`` and the protocol's noise sets. Any pixel law
        that `lib.noise.distribution` knows may be asked for.

    Returns
    -------
    DataFrame, one row a cell, sorted by set (training data first), seed and d.

    Raises
    ------
    ProtocolError
        When a network is not one of the protocol's: its cells would be stored under a wrong key.
    """
    store, names = store or Store(), names or ("train", "test", *protocol.sets)
    keys = {}
    for name, e in itertools.product(names, networks):
        epochs = e.epochs
        if e.dims != protocol.dims or e.seed not in protocol.seeds or epochs not in (0, protocol.epochs):
            raise ProtocolError(
                f"networks: expected those of the protocol, d = {protocol.dims}, "
                f"seeds {protocol.seeds}, {protocol.epochs} epochs or none, "
                f"got d = {e.dims}, seed {e.seed}, {epochs} epochs; lib.training.train gives them"
            )
        keys[name, e.seed] = cell_fields(protocol, e.seed, name, epochs > 0)
    load = lambda: {place: store.load_table("cells", fields) for place, fields in keys.items()}
    stored = load()
    if any(table is None for table in stored.values()):
        # one process, so that each block is drawn once for all networks
        with store.alone("cells", {"together": [*keys.values()]}):
            stored = load()
            missing = {name: [e for e in networks if stored[name, e.seed] is None] for name in names}
            parts: dict[tuple[str, int], list[pd.DataFrame]] = {}
            for name, table in _evaluated(missing, protocol, store, progress):
                place = (name, int(table.seed[0]))
                parts.setdefault(place, []).append(table)
                whole = pd.concat(parts[place], ignore_index=True).sort_values("d", ignore_index=True)
                if len(whole) == len(protocol.dims):
                    stored[place] = store.table("cells", keys[place], lambda: whole)
    return pd.concat(stored.values(), ignore_index=True)


def _evaluated(
    missing: dict[str, list[Ensemble]], protocol: Protocol, store: Store, progress: bool
) -> Iterator[tuple[str, pd.DataFrame]]:
    """(data set, rows of one ensemble or of some of its networks), as they become ready."""
    columns = sum(d + 5 for es in missing.values() for e in es for d in e.dims)
    if not columns:
        return
    if not workers.several() or protocol.points * columns < WORTHWHILE:
        count = sum(len(e.dims) for es in missing.values() for e in es)
        laws = training_codes({e.seed: e for es in missing.values() for e in es}.values(), protocol)
        with tqdm(total=count, disable=not progress, unit="cell", desc="spectra", leave=False) as bar:
            for name, ensembles in missing.items():
                for table in evaluate(ensembles, protocol, name, progress, laws) if ensembles else ():
                    bar.update(len(table))
                    yield name, table
        return
    networks = {e.seed: keep(e, protocol, store) for es in missing.values() for e in es}
    needs = lambda seed, *_: [networks[seed]] if networks[seed] else []
    trained = {seed: path is not None for seed, path in networks.items()}
    laws = {
        seed: found
        for (seed, *_), found in workers.run(
            _codes_of, [(seed, trained[seed], protocol) for seed in networks], store,
            needs=needs, label="training codes", unit="seed", progress=progress,
        )
    }  # fmt: skip
    # four items a seed and set, of about equal cost: finer progress, and less to hold in memory
    items = [
        (e.seed, trained[e.seed], protocol, name, part, {(e.seed, d): laws[e.seed][e.seed, d] for d in part})
        for name, es in missing.items()
        for e in es
        for part in (e.dims[i::4] for i in range(4))
        if part
    ]
    for (_, _, _, name, *_), table in workers.run(
        _cells_of, items, store, weights=[len(item[4]) for item in items],
        needs=needs, label="spectra", unit="cell", progress=progress,
    ):  # fmt: skip
        yield name, table


def keep(e: Ensemble, protocol: Protocol, store: Store) -> Path | None:
    """The file from which another process can load trained networks, written where it lacks,
    or None for untrained ones."""
    if not e.curves:
        return None
    fields = training_fields(protocol, e.seed)
    store.tensors("networks", fields, e.tensors)
    return store.path("networks", fields, "safetensors")


def kept(store: Store, protocol: Protocol, seed: int, trained: bool) -> Ensemble:
    """The networks that `keep` has put into the store; the untrained ones are drawn."""
    if not trained:
        return Ensemble.initial(protocol.dims, seed)
    tensors = store.load_tensors("networks", training_fields(protocol, seed))
    if tensors is None:
        raise DataError(
            f"{store.root}: expected the networks of seed {seed}, found none; start the run again, "
            "or give its workers the folder BOOK_RESULTS of the process that asks"
        )
    return Ensemble.from_tensors(tensors, seed)


def by_seed(
    function: Callable[..., Any], stored: Callable[..., bool], networks: Sequence[Ensemble],
    protocol: Protocol, store: Store, *more: Any, units: int = 1, **look: Any,
) -> list[Any]:  # fmt: skip
    """What ``function(store, seed, trained, protocol, *more)`` loads or else computes for each seed.

    What is not `stored` yet, which is asked with the same arguments but the first,
    is computed as `lib.workers` shares it out.

    Parameters
    ----------
    units : of one seed on the bar; `look` is as `lib.workers.run` takes it.
    """
    files = {e.seed: keep(e, protocol, store) for e in networks}
    items = [(seed, file is not None, protocol, *more) for seed, file in files.items()]
    missing = [item for item in items if not stored(*item)]
    for _ in workers.run(
        function, missing, store, weights=[units] * len(missing), here=small(protocol),
        needs=lambda seed, *_: [files[seed]] if files[seed] else [], **look,
    ):  # fmt: skip
        pass
    return [function(store, *item) for item in items]


def _codes_of(store: Store, seed: int, trained: bool, protocol: Protocol) -> Laws:
    return training_codes([kept(store, protocol, seed, trained)], protocol)


def _cells_of(
    store: Store, seed: int, trained: bool, protocol: Protocol, name: str, dims: Sequence[int], laws: Laws
) -> pd.DataFrame:
    whole = kept(store, protocol, seed, trained)
    return evaluate([whole.part(dims)], protocol, name, False, laws)[0]


def cell_fields(protocol: Protocol, seed: int, name: str, trained: bool) -> dict[str, Any]:
    """What determines the rows of one seed on one data set: the key under which they are stored."""
    if trained:
        networks = training_fields(protocol, seed)
    else:
        networks = {"dims": protocol.dims, "seed": seed, "epochs": 0}
        networks["images"] = data.digest(protocol.training_set)
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
