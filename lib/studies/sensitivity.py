"""What the paper does not say, varied one choice at a time: the same statistics, the same claims.

The paper leaves its loss, optimiser, learning rate, batch size and the meaning of *trained*
open. Each *variant* is the protocol with one of them changed. Training length is looked at on
all networks, whose shorter lengths are snapshots of one run; the other choices on some of the
latent dimensions and at a shorter length, beside the same networks of the protocol at that length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from .. import jacobian, results, workers
from ..model import Autoencoder, Ensemble
from ..protocol import GROUPS, LABELS, Protocol
from ..spectrum import eigenvalues, orientation
from ..store import Store
from ..training import SNAPSHOTS, small, train, train_side_by_side, training_fields
from . import reconstructions
from .claims import CLAIMS
from .evidence import Evidence

__all__ = [
    "CHOICES",
    "DIMS",
    "EPOCHS",
    "POINTS",
    "variants",
    "cells",
    "like",
    "moves",
    "differences",
    "verdicts",
    "answers",
    "distances",
    "changed_by_length",
    "changed_by_precision",
    "rounding_shares",
    "between",
    "rounding",
]

#: Latent dimensions, epochs and points of each set at which choices other than the length are compared.
DIMS, EPOCHS, POINTS = (2, 4, 8, 14, 17, 20), 100, 5_000

#: choice → what it is called → the fields it changes. The rate of plain gradient descent is, of
#: .03, .1, .3, 1 and 3, the one with the least held-out error after five epochs at d = 8.
CHOICES: dict[str, dict[str, dict]] = {
    "loss": {"mean distance": {"loss": "distance"}},
    "optimiser": {"gradient descent": {"optimizer": "sgd", "learning_rate": 0.3}},
    "learning rate": {"3e-4": {"learning_rate": 3e-4}, "3e-3": {"learning_rate": 3e-3}},
    "batch size": {"32": {"batch_size": 32}, "512": {"batch_size": 512}},
    "seed": {"2": {"seeds": (2,)}},
}


def variants(
    base: Protocol, dims: Sequence[int] = DIMS, epochs: int = EPOCHS, points: int = POINTS
) -> dict[tuple[str, str], Protocol]:
    """(choice, what it is) → the protocol with that choice, for the first seed of `base`.

    ``("length", …)`` and ``("precision", "float32")`` change nothing but the epochs and the
    dtype of the spectra of the networks of `base`; all others are trained for themselves.
    """
    base = base.replace(seeds=base.seeds[:1], points=min(points, base.points))
    lengths = [e for e in (*SNAPSHOTS, base.epochs) if e <= base.epochs]
    out = {("length", f"{e} epochs"): base.replace(epochs=e) for e in lengths}
    out["precision", "float32"] = base.replace(dtype="float32")
    short = base.replace(dims=tuple(d for d in base.dims if d in dims), epochs=min(epochs, base.epochs))
    return out | {
        (choice, name): short.replace(**fields)
        for choice, options in CHOICES.items()
        for name, fields in options.items()
    }


def cells(protocols: dict[tuple[str, str], Protocol], store: Store | None = None) -> pd.DataFrame:
    """The results tables of `variants`, with the columns of `lib.studies.reconstructions`, stacked.

    Returns
    -------
    DataFrame with the columns ``choice`` and ``value`` before those of `lib.results`.
    """
    store, tables = store or Store(), []
    runs = [*protocols.values()]
    train_side_by_side(runs, store)
    for _ in workers.run(
        _statistics, [(p,) for p in runs if reconstructions.stored(p, store) is None], store,
        needs=lambda p: [store.path("networks", training_fields(p, seed), "safetensors") for seed in p.seeds],
        here=all(map(small, runs)), label="reconstructions", unit="variant",
    ):  # fmt: skip
        pass
    for (choice, value), protocol in tqdm(protocols.items(), desc="variants", unit="variant"):
        networks = train(protocol, store)
        table = results.cells(networks, protocol, store)
        statistics = reconstructions.statistics(networks, protocol, store)
        table = table.merge(statistics, on=["seed", "d", "set"], how="left", validate="one_to_one")
        table.insert(0, "choice", choice)
        table.insert(1, "value", value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _statistics(store: Store, protocol: Protocol) -> None:
    reconstructions.statistics(train(protocol, store, progress=False), protocol, store)


def like(table: pd.DataFrame, choice: str) -> pd.DataFrame:
    """The rows of one choice beside those of the protocol they are compared with, called *the protocol*.

    The protocol's rows are those of the length at which the variants were trained, on the
    same latent dimensions; for the precision, those of the whole training.
    """
    own = table[table.choice == choice]
    if choice == "length":
        return own
    there = table.epochs.isin(own.epochs.unique()) & table.d.isin(own.d.unique())
    base = table[(table.choice == "length") & there].assign(choice=choice, value="the protocol")
    return pd.concat([base, own], ignore_index=True)


def moves(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """How far each choice moves each statistic: medians over networks on the training data,
    and over networks and noise sets on noise.

    Parameters
    ----------
    columns : column of the table → what it is called

    Returns
    -------
    DataFrame, one row a variant, named in ``way to train``,
    each choice below the protocol that it is to be held against (`like`).
    """
    rows = []
    for choice in table.choice.unique():
        for value, part in like(table, choice).groupby("value", sort=False):
            row = {"way to train": f"{choice}: {value}"}
            train, noise = part[part.set == "train"], part[~part.set.isin(["train", "test"])]
            for column, title in columns.items():
                row |= {f"{title}, train": train[column].median(), f"{title}, noise": noise[column].median()}
            rows.append(row)
    return pd.DataFrame(rows)


def differences(table: pd.DataFrame, choice: str, value: str, columns: Mapping[str, str]) -> pd.DataFrame:
    """The largest difference that a choice makes to each statistic, over all networks and data sets,
    beside the protocol's value there.

    Parameters
    ----------
    columns : column of the table → what it is called
    """
    wide = like(table, choice).pivot(index=["seed", "d", "set"], columns="value", values=list(columns))
    rows = []
    for column, title in columns.items():
        pair = wide[column].dropna()
        gap = (pair[value] - pair["the protocol"]).abs()
        place = seed, d, name = gap.idxmax()
        row = {"statistic": title, "largest difference": gap.max()}
        row |= {"the protocol's value": pair["the protocol"][place], "at": f"$d={d}$, {LABELS[name]}"}
        rows.append(row | {"median difference": gap.median()})
    return pd.DataFrame(rows)


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Every claim under every variant, by the values of its estimates alone: one seed gives no verdict.

    Returns
    -------
    DataFrame, one row a claim and a variant: ``claim, choice, value`` and ``share``, the share of
    the claim's estimates on the side wanted, of those that these networks have a value for; not a
    number where there is none.
    """
    variants = [
        (choice, value, part)
        for choice in table.choice.unique()
        for value, part in like(table, choice).groupby("value", sort=False)
    ]
    # each has one seed: under a number of its own for a seed, all are measured at once
    cells = pd.concat([part.assign(seed=i) for i, (_, _, part) in enumerate(variants)], ignore_index=True)
    evidence, rows = Evidence(cells, characters=cells), []
    for claim in CLAIMS:
        alone = [e for e in claim.estimates(evidence) if e.part.pool != "pairs"]  # of which one seed has none
        for i, (choice, value, _) in enumerate(variants):
            sides = [e.lies(e.seeds[i]) for e in alone if i in e.seeds]
            sides = [side for side in sides if side is not None]
            share = np.mean(sides) if sides else np.nan
            rows.append({"claim": claim.number, "choice": choice, "value": value, "share": share})
    order = {(choice, value): i for i, (choice, value, _) in enumerate(variants)}
    return pd.DataFrame(sorted(rows, key=lambda row: order[row["choice"], row["value"]]))


def answers(found: pd.DataFrame) -> dict[str, Any]:
    """What `verdicts` say to the two questions of the chapter;
    claims that a variant's networks cannot judge do not count.

    Returns
    -------
    dict: ``held``, a table of the share of claims that hold wholly under each variant; ``ways``, how many
    ways to train there are besides another seed and another precision, ``most``, the largest share among them
    and ``best``, the names of those that have it; ``always``, ``never`` and ``turning``, the numbers of the
    claims that hold wholly under every variant, under none, and under some; ``by seed``, those that one seed
    has and another has not.
    """
    said = found.dropna(subset="share").assign(whole=lambda t: t.share == 1)
    held = said.groupby(["choice", "value"], sort=False).whole.mean().rename("held").reset_index()
    by_claim = said.groupby("claim").whole.mean()
    pick = lambda chosen: [int(n) for n in by_claim.index[chosen]]
    ways = held[~held.choice.isin(["seed", "precision"])]
    ways = ways[
        (ways.value != "the protocol") | ~ways.value.duplicated()
    ]  # one run stands beside each choice
    seeds = _pivot(found, "seed")
    best = ways[ways.held == ways.held.max()]
    return {
        "held": held,
        "ways": len(ways),
        "most": ways.held.max(),
        "best": [f"{row.choice}: {row.value}" for row in best.itertuples()],
        "by seed": [int(n) for n in seeds.index[_differ(seeds == 1)]],
        "always": pick(by_claim == 1),
        "never": pick(by_claim == 0),
        "turning": pick((by_claim > 0) & (by_claim < 1)),
    }


def _pivot(found: pd.DataFrame, choice: str) -> pd.DataFrame:
    """Share of a claim's estimates on the side wanted,
    a row a claim that every variant can judge, a column a variant."""
    rows = found[found.choice == choice]
    order = list(dict.fromkeys(rows.value))
    return rows.pivot(index="claim", columns="value", values="share")[order].dropna()


def _differ(table: pd.DataFrame) -> pd.Series:
    return table.nunique(axis=1) > 1


def distances(held: pd.DataFrame) -> dict[str, np.ndarray]:
    """By how much each variant's share of claims that hold wholly differs from the protocol's, by choice;
    for the length, the shares themselves."""
    out = {}
    for choice, part in held.groupby("choice", sort=False):
        values = part.set_index("value").held
        if "the protocol" in values:
            values = (values.drop("the protocol") - values["the protocol"]).abs()
        out[choice] = values.to_numpy()
    return out


def changed_by_length(found: pd.DataFrame) -> tuple[str, str, list[int], int]:
    """The shortest and the longest training, the claims whose share of estimates differs between them,
    and how many can be judged."""
    share = _pivot(found, "length")
    first, last = share.columns[0], share.columns[-1]
    return first, last, [int(n) for n in share.index[share[first] != share[last]]], len(share)


def changed_by_precision(found: pd.DataFrame) -> list[int]:
    """The claims that have another share of estimates on the wanted side in single precision."""
    share = _pivot(found, "precision")
    return [int(n) for n in share.index[_differ(share)]]


def rounding_shares(points: pd.DataFrame) -> pd.DataFrame:
    """`rounding` by d and data set: shares of rank-deficient points and of wrong signs,
    median error, smallest moduli."""
    rows = points.assign(low=points["rank"] < points.d).groupby(["d", "set"], sort=False)
    shares = rows.agg(
        points=("rank", "size"), deficient=("low", "mean"), wrong=("wrong", "mean"),
        error=("error", "median"), exact=("exact", "min"), naive=("naive", "min"),
    ).reset_index()  # fmt: skip
    columns = [
        "$d$", "data set", "points", "deficient", "sign differs", "median relative error",
        "smallest modulus, $K_I$", "smallest of the top d, float32 $J_I$",
    ]  # fmt: skip
    return shares.set_axis(columns, axis=1)


def between(table: pd.DataFrame, dims: Sequence[int], column: str = "I_reversed") -> pd.DataFrame:
    """How much of the variance of reversal, yes or no, lies between networks:
    Var p / (p̄(1 − p̄)), by length and data set.

    With p the share of reversed points in a network and p̄ its mean over networks, p̄(1 − p̄) is
    the variance of its indicator over all points of all networks, and Var p the part of it between
    networks. 0: every network has the same share. 1: each network has one sign for all points.

    Returns
    -------
    DataFrame, one row a length: ``epochs``, and for the training data and each group of noise
    sets (`lib.protocol.GROUPS`) the share of reversed points and the part between networks, means
    over the sets of the group.
    """
    part = table[(table.choice == "length") & table.d.isin(list(dims))]
    columns, of = {}, {"training data": ("train",)} | {f"{name} noise": g for name, g in GROUPS.items()}
    for title, sets in of.items():
        groups = part[part.set.isin(sets)].groupby(["epochs", "set"])[column]
        mean, variance = groups.mean(), groups.var(ddof=0)
        for word, values in (("reversed", mean), ("between", variance / (mean * (1 - mean)))):
            columns[f"{title}: {word}"] = values.groupby("epochs").mean()
    return pd.DataFrame(columns).reset_index()


@torch.no_grad()
def rounding(
    networks: Ensemble, protocol: Protocol, dims: Sequence[int], sets: Sequence[str], points: int = 20
) -> pd.DataFrame:
    """What a float32 eigendecomposition of the whole 784×784 Jacobian makes of the same points.

    At each point the d eigenvalues of largest modulus of the float32 J_I are held against those
    of the float64 K_I; the sign of their product against the orientation of `lib.spectrum`.

    Returns
    -------
    DataFrame, one row a point: ``d, set``; ``rank``; ``wrong``, whether the signs differ; ``exact`` and
    ``naive``, the smallest of the r moduli (r the rank) and the smallest of the naive d; and ``error``, the
    largest relative difference among the r largest moduli.
    """
    tables = []
    with tqdm(total=len(dims) * len(sets), desc="784×784 in float32", unit="cell", leave=False) as bar:
        for d in dims:
            for name in sets:
                x = next(results.blocks(protocol.replace(points=points), name))
                tables.append(_rounding(networks.member(d), x).assign(d=d, set=name))
                bar.update()
    return pd.concat(tables, ignore_index=True)


def _rounding(net: Autoencoder, x: torch.Tensor) -> pd.DataFrame:
    net = net.double()
    trip = jacobian.round_trip(net, x)
    k, _ = jacobian.matrices(net, trip)
    r = jacobian.rank(trip, trip.at_x)
    sign, lam = orientation(net, trip, trip.at_x, k, r), eigenvalues(k).abs()
    j, _ = jacobian.reference(net.float(), x.float())
    top = torch.linalg.eigvals(j)
    top = top.gather(1, top.abs().argsort(dim=1, descending=True)[:, : net.d])
    kept = torch.arange(net.d) < r[:, None]
    error = ((top.abs() - lam).abs() / lam).where(kept, 0.0).amax(1)
    last = lam.gather(1, (r - 1).clamp_min(0)[:, None])[:, 0]
    product = top.sgn().prod(1).real.sign()  # of signs alone: a product of d small moduli would underflow
    columns = {"rank": r, "wrong": product != sign, "exact": last, "naive": top.abs()[:, -1], "error": error}
    return pd.DataFrame({name: value.numpy() for name, value in columns.items()})
