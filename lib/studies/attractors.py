"""Where iterations end: the round trip applied again and again, from noise and from digits.

With z₀ = f_enc(x) the codes are iterated, z_{t+1} = f_enc(f_dec(z_t)),
which is the iteration of images y ↦ f(y) seen in d numbers instead of 784.

**Definitions, fixed before any number of this study was computed.** Starts are the first 500 points of each
noise set and 500 images of MNIST's test set.

* *Fixed*: ‖z_{t+1} − z_t‖ ≤ 10⁻⁸ ‖z_t‖ within 2,000 steps. *Cycle* of length p > 1:
  ‖z_{t+p} − z_t‖ ≤ 10⁻⁸ ‖z_t‖ while one step is longer than 10⁻⁴ ‖z_t‖
  (Brent's method, in double precision). Both are *settled*. The steps are in single precision until one
  is shorter than 10⁻⁵ ‖z‖, or for 1,000 of them, and from then on in double precision. Starts that have
  come so far go on as one where they are within a tenth of what makes two ends one.
* *Slow*: not settled after 2,000 steps, but Newton's method finds from there, within ‖z‖/10,
  a fixed point with spectral radius below one. Its end is that point. *Open*: all others; they have no end.
* *End*: ends whose codes are within 10⁻³ of the median norm of the network's ends, directly or through
  other ends, are one (periods have to be equal; of a cycle its member with the smallest first
  coordinate counts). Its *basin* is the set of starts that lead there, its *spectral radius* that of
  K_L, of the product along a cycle.
* *Effective number of ends*: exp of the entropy of the basins' shares among the starts that have an end,
  over all ten noise sets. One means that a network sends all noise to one end.
* *Moved*: with y₁ = f(x) and y∞ the image of the end (of a cycle, the member named above), the median of
  ‖y∞ − y₁‖ over the points of a set, over the median of ‖y₁ − y₁'‖ over pairs of its points. Less than
  one half: what a single round trip shows *is* nearly the end, the character is an attractor. More than
  one: a picture is no nearer to its own end than to the picture of another point, the character is a
  phenomenon of the first step.
* *Shared with digits*: the share of noise starts whose end is also reached from one of the 500 digits.
* *Nearest*: the mean, over the noise starts of a network that have an end, of the distance
  (root mean square over pixels) from its image to the nearest end of another network. *By chance*: the same
  with the other network's ends replaced by as many of its reconstructions of test images, mean over 20 draws.
  The other networks are those of the same seed with another d, or those of the same d with another seed.

**How the seeds 3–10 will judge.** `STATEMENTS` are means over the ten noise sets and over d = 14, 17, 20, one
number a seed; a t interval over the eight seeds judges, with Holm's method for refutation, as for the claims
(`lib.studies.claims`); what compares seeds is judged by the jackknife. Until all eight are there, seeds 0 and
1 are shown as points. All else is exploration.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .. import data, noise, workers
from ..model import Autoencoder, Ensemble
from ..protocol import REPRESENTATIVES, Protocol
from ..results import blocks, by_seed, kept
from ..store import Store
from ..training import train, training_fields, untrained
from .claims import JUDGES, LARGE
from .evidence import Evidence, Part, on_noise
from .iteration import MERGED, effective, iterate, merged, radius, round_trips

__all__ = [
    "network", "table", "overlap", "evidence", "path", "published", "own", "summary",
    "STATEMENTS", "DIMS", "STARTS", "SHOWN",
]  # fmt: skip

#: Raise when a number changes; stored tables are then computed anew.
VERSION = 1
#: Latent dimensions, and starts of each set.
DIMS, STARTS = (2, 5, 8, 14, 17, 20), 500
#: Starts of each set of the untrained networks, and in this build's own version;
#: ends of a network that are shown.
NULL_STARTS, OWN_STARTS, SHOWN = 100, 20, 5
#: Draws of the baseline by chance, and test images that are drawn from;
#: training images among which the nearest is sought.
DRAWS, REPLACED, NEIGHBOURS = 20, 1_000, 10_000


def _seeds(e: Evidence) -> pd.DataFrame:
    """Distance to the nearest end under other seeds, and by chance, as the pool of pairs takes them."""
    pair = {"between": "seeds_nearest", "within": "seeds_chance"}
    return pd.concat({(where, "noise"): on_noise(column)(e) for where, column in pair.items()}, axis=1)


#: What the judging seeds are asked; the order is that of the page.
STATEMENTS = (
    Part("iterations from noise settle: share of the starts",
         on_noise("settled"), LARGE, "mean", "logit", above=0.95),
    Part("a network sends all noise to one end: effective number of ends",
         on_noise("network_effective"), LARGE, "log mean", "log", below=2.0),
    Part("the picture of one round trip is nearly the end's: moved",
         on_noise("moved"), LARGE, "log mean", "log", below=0.5),
    Part("the picture of one round trip is no nearer to its end than to another's: moved",
         on_noise("moved"), LARGE, "log mean", "log", above=1.0),
    Part("noise ends where digits end: share of the starts",
         on_noise("shared"), LARGE, "mean", "logit", above=0.5),
    Part("ends are shared between latent dimensions: nearest over chance",
         lambda e: on_noise("dims_nearest")(e) / on_noise("dims_chance")(e),
         LARGE, "log mean", "log", below=1.0),
    Part("ends are shared between seeds: nearest over chance", _seeds, LARGE, "pairs", "log", below=1.0),
)  # fmt: skip


@torch.no_grad()
def network(
    net: Autoencoder, starts: Mapping[str, Tensor], gallery: Tensor
) -> tuple[pd.DataFrame, pd.DataFrame, Tensor, Tensor]:
    """Everything about one network.

    Parameters
    ----------
    net : Autoencoder, in float64
    starts : set → ``(n, 784)``; ``"test"`` are digits, all others noise
    gallery : training images ``(m, 784)`` among which the nearest is sought

    Returns
    -------
    cells : DataFrame, a row a set
    ends : DataFrame, a row an end, by falling number of noise starts:
        ``end, period, radius, slow`` and a column a set
    codes, images : Tensors, shape (ends, d) and (ends, 784)
    """
    first = net.encoder(torch.cat([*starts.values()]))
    z, steps, period = iterate(net, first)
    names, owner = [*starts], np.repeat(np.arange(len(starts)), [len(x) for x in starts.values()])
    has = period >= 0
    scale = float(z[has].norm(dim=1).median()) if has.any() else 1.0
    label = np.full(len(z), -1)
    label[has] = merged(z[has].numpy(), period[has], MERGED * scale)
    counts = np.stack(
        [np.bincount(label[has & (owner == i)], minlength=label.max() + 1) for i in range(len(names))]
    )
    noisy = np.array([name != "test" for name in names])
    order = np.lexsort((-counts.sum(0), -counts[noisy].sum(0)))
    counts = counts[:, order]
    number = np.full(label.max() + 2, -1)
    number[order] = np.arange(len(order))
    label = number[label]
    one = np.array([np.flatnonzero(label == i)[0] for i in range(len(order))], int)
    codes = z[one]
    images, radii = net.decoder(codes), np.empty(len(one))
    for p in np.unique(period[one]):
        radii[period[one] == p] = radius(net, codes[period[one] == p], max(int(p), 1))
    ends = pd.DataFrame({
        "end": range(len(one)), "period": np.maximum(period[one], 1),
        "radius": radii,
        "slow": [int((period[label == i] == 0).sum()) for i in range(len(one))],
    } | dict(zip(names, counts)))  # fmt: skip
    whole = {
        "network_effective": effective(counts[noisy].sum(0)),
        "network_ends": int((counts[noisy].sum(0) > 0).sum()),
    }
    for factor in (10, 0.1):
        kept = merged(z[has].numpy(), period[has], factor * MERGED * scale)
        whole[f"ends_at_{factor:g}"] = len(np.unique(kept[noisy[owner[has]]]))
    digits = counts[~noisy].sum(0) > 0
    cells = []
    for i, name in enumerate(names):
        mine, y, kind = label[owner == i], net.decoder(first[owner == i]), period[owner == i]
        reached = mine >= 0
        away = (images[mine[reached]] - y[reached]).norm(dim=1)
        half = len(y) // 2
        apart = (y[:half] - y[half : 2 * half]).norm(dim=1).median()
        settled = kind > 0
        cells.append({
            "set": name, "points": len(y), "settled": settled.mean(), "fixed": (kind == 1).mean(),
            "cycle": (kind > 1).mean(),
            "slow": (kind == 0).mean(), "open": (kind == -1).mean(),
            "steps": np.median(steps[owner == i][settled]) if settled.any() else np.nan,
            "ends": int((counts[i] > 0).sum()), "effective": effective(counts[i]),
            "largest": counts[i].max(initial=0) / max(reached.sum(), 1),
            "moved": float(away.median() / apart) if len(away) else np.nan, "apart": float(apart) / 28,
            "shared": digits[mine[reached]].mean() if reached.any() else np.nan,
            "nearest_first": _nearest(y, gallery), "nearest_end": _nearest(images[mine[reached]], gallery),
        } | whole)  # fmt: skip
    return pd.DataFrame(cells), ends, codes, images


def _nearest(y: Tensor, others: Tensor) -> float:
    """Median root mean square pixel distance to the nearest of other images."""
    return float(torch.cdist(y.float(), others.float()).amin(1).median()) / 28 if len(y) else np.nan


def table(
    networks: Sequence[Ensemble],
    protocol: Protocol,
    store: Store | None = None,
    dims: Sequence[int] = DIMS,
    starts: int = STARTS,
    progress: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[tuple[int, int], Tensor]]:
    """The cells, the ends and their images of the networks of a protocol, loaded if stored, else computed.

    Returns
    -------
    cells : DataFrame, a row for each seed, d and set: ``points`` (starts), shares that ``settled``
        (``fixed`` or ``cycle``), are ``slow`` or ``open``, median ``steps``, number of ``ends``,
        ``effective`` number, share of the ``largest`` basin, ``moved``, ``apart``
        (median distance of two first pictures), ``shared`` with digits, median distances from first pictures
        and ends to the nearest training image, and of all noise starts together ``network_effective``,
        ``network_ends``, ``ends_at_…`` (with ten times and a tenth of `MERGED`)
    ends : DataFrame, as `network` gives it
    images : (seed, d) → Tensor, shape (ends, 784)
    """
    store, dims = store or Store(), tuple(dims)
    stored = lambda *run: all(path.exists() for d in _own(*run) for path in _files(store, d, *run))
    look = {"label": "iterating", "unit": "network", "progress": progress}
    found = by_seed(_of_seed, stored, networks, protocol, store, dims, starts, units=len(dims), **look)
    cells, ends, images = zip(*(part for parts in found for part in parts))
    pictures = {place: y for part in images for place, y in part.items()}
    return pd.concat(cells, ignore_index=True), pd.concat(ends, ignore_index=True), pictures


def _own(seed: int, trained: bool, protocol: Protocol, dims: Sequence[int], starts: int) -> list[int]:
    return [d for d in dims if d in protocol.dims]


def _fields(d: int, seed: int, trained: bool, protocol: Protocol, dims: Sequence[int], starts: int) -> dict:
    networks = training_fields(protocol, seed, None if trained else 0)
    fields = {"networks": networks, "d": d, "sets": protocol.sets, "starts": starts}
    return fields | {"noise": noise.VERSION, "version": VERSION}


def _files(store: Store, d: int, *run) -> list[Path]:
    fields = _fields(d, *run)
    tables = [store.path("attractors", fields | {"table": what}, "csv") for what in ("cells", "ends")]
    return [*tables, store.path("attractors", fields, "safetensors")]


def _of_seed(store: Store, *run) -> list[tuple[pd.DataFrame, pd.DataFrame, dict[tuple[int, int], Tensor]]]:
    """Cells, ends and images of each network of one seed, loaded where stored and computed where not."""
    seed, trained, protocol, _, starts = run
    few, found = protocol.replace(points=starts), []
    given = functools.cache(
        lambda: {name: torch.cat(list(blocks(few, name))) for name in (*protocol.sets, "test")}
    )
    for done, d in enumerate(_own(*run)):
        workers.report(done)

        @functools.cache
        def made(d=d) -> dict[str, Any]:
            net = kept(store, protocol, seed, trained).member(d).double()
            gallery = data.load(protocol.training_set).train[:NEIGHBOURS]
            cells, ends, codes, images = network(net, given(), gallery)
            return {
                "cells": cells.round(6),
                "ends": ends.round(6),
                "tensors": {"images": images.float(), "codes": codes},
            }

        fields, head = _fields(d, *run), {"seed": seed, "d": d, "epochs": protocol.epochs if trained else 0}
        tables = []
        for what in ("cells", "ends"):
            part = store.table(
                "attractors", fields | {"table": what}, lambda what=what, made=made: made()[what]
            )
            tables.append(part.assign(**head)[[*head, *part.columns]])
        tensors = store.tensors("attractors", fields, lambda made=made: made()["tensors"])
        found.append((*tables, {(seed, d): tensors["images"]}))
    return found


@torch.no_grad()
def overlap(
    networks: Sequence[Ensemble],
    protocol: Protocol,
    ends: pd.DataFrame,
    images: Mapping[tuple[int, int], Tensor],
) -> pd.DataFrame:
    """Distance from a network's ends, by their basins on noise, to another's nearest end, and by chance.

    Pairs have the same seed, or the same d and seeds of one stage: both among those that judge, or neither.

    Returns
    -------
    DataFrame: ``seed, d, other_seed, other_d, nearest, chance``, root mean square over pixels
    """
    test = torch.cat(list(blocks(protocol.replace(points=REPLACED), "test"))).float()
    nets = {(e.seed, d): e.member(d).float() for e in networks for d in e.dims if (e.seed, d) in images}
    digits = {place: net(test)[1] for place, net in nets.items()}
    found = []
    for a, b in itertools.permutations(nets, 2):
        if a[0] == b[0] or (a[1] == b[1] and (a[0] in JUDGES) == (b[0] in JUDGES)):
            mine = ends[(ends.seed == a[0]) & (ends.d == a[1])]
            weight = torch.from_numpy(mine[list(protocol.sets)].sum(axis=1).to_numpy(float)).float()
            mean = lambda y, w=weight, a=a: float(
                (torch.cdist(images[a], y).amin(1) * w).sum() / w.sum() / 28
            )
            rng = np.random.default_rng(0)
            size = min(len(images[b]), len(test))
            drawn = [mean(digits[b][rng.permutation(len(test))[:size]]) for _ in range(DRAWS)]
            found.append({
                "seed": a[0], "d": a[1], "other_seed": b[0], "other_d": b[1],
                "nearest": mean(images[b]), "chance": float(np.mean(drawn)),
            })  # fmt: skip
    return pd.DataFrame(found).round(6)


def evidence(cells: pd.DataFrame, pairs: pd.DataFrame) -> Evidence:
    """The table that `STATEMENTS` are asked of: the cells, with the means of the pairs of each network."""
    same = pairs.seed == pairs.other_seed
    joined = cells[cells.epochs > 0]
    for word, part in (("dims", pairs[same]), ("seeds", pairs[~same])):
        means = part.groupby(["seed", "d"])[["nearest", "chance"]].mean().add_prefix(f"{word}_")
        joined = joined.join(means, on=["seed", "d"])
    return Evidence(joined)


@torch.no_grad()
def path(net: Autoencoder, x: Tensor, times: Sequence[int]) -> dict[str, Tensor]:
    """The images fᵗ(x) of one point ``x (784,)`` at these times, and where they end if they do.

    Parameters
    ----------
    net : Autoencoder, in float64
    """
    z, out = net.encoder(x[None]), {"$t=0$": x[None]}
    end = iterate(net, z)
    for t in range(1, max(times) + 1):
        if t in times:
            out[f"$t={t}$"] = net.decoder(z)
        z = round_trips(net, z)
    return out | {"end": net.decoder(end.z) if end.period[0] >= 0 else torch.zeros_like(x[None])}


def published(
    networks: Sequence[Ensemble], protocol: Protocol, store: Store
) -> dict[str, pd.DataFrame | dict[str, Tensor]]:
    """The tables and pictures that are published, by the name of their file;
    the untrained networks of the first seed are among the cells."""
    cells, ends, images = table(networks, protocol, store)
    null = untrained(protocol.replace(seeds=protocol.seeds[:1]))
    before, few, _ = table(null, protocol, store, starts=NULL_STARTS)
    return {
        "attractors": pd.concat([cells, before], ignore_index=True),
        "attractors-ends": pd.concat([ends, few], ignore_index=True),
        "attractors-overlap": overlap(networks, protocol, ends, images),
        "attractors-pictures": _largest(images),
    }


def own(
    protocol: Protocol, store: Store | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Tensor]]:
    """This build's version, in seconds: cells,
    ends and pictures of the first seed's two largest networks, on four sets."""
    store, first = store or Store(), protocol.replace(seeds=protocol.seeds[:1])
    few = first.replace(sets=tuple(REPRESENTATIVES.values()))
    cells, ends, images = table(
        train(first, store), few, store, protocol.dims[-2:], OWN_STARTS, progress=False
    )
    return cells, ends, _largest(images)


def _largest(images: Mapping[tuple[int, int], Tensor]) -> dict[str, Tensor]:
    """The first `SHOWN` ends of each network, in 255 grey values, by ``"seed/d"``."""
    return {f"{s}/{d}": (255 * y[:SHOWN].clamp(0, 1)).round().byte() for (s, d), y in images.items()}


def summary(cells: pd.DataFrame, ends: pd.DataFrame) -> dict[str, float]:
    """Numbers over the trained networks: means over the noise sets at d of `LARGE`, of digits with
    ``digits_`` before them, the median effective number of ends, the geometric mean of *moved*, and the
    largest and median spectral radius, by basins on noise."""
    trained = cells[cells.epochs > 0]
    wide = trained[trained.d.isin(LARGE)] if trained.d.isin(LARGE).any() else trained
    off, own_ = wide[wide.set != "test"], wide[wide.set == "test"]
    names = [n for n in off.set.unique() if n in ends]
    some = ends[(ends.epochs > 0) & (ends[names].sum(axis=1) > 0)]
    out = {
        c: float(off[c].mean()) for c in ("settled", "slow", "open", "cycle", "shared", "largest", "steps")
    }
    out |= {
        "effective": float(off.network_effective.median()),
        "moved": float(np.exp(np.log(off.moved).mean())),
    }
    out |= {"fewest": float(trained.network_effective.min()), "most": float(trained.network_effective.max())}
    out |= {f"digits_{c}": float(own_[c].mean()) for c in ("settled", "slow", "open", "effective")}
    out |= {
        "radius": float(some.radius.median()),
        "largest_radius": float(some.radius.max()),
        "periods": float(some.period.max()),
    }
    return out | {"digits_moved": float(np.exp(np.log(own_.moved).mean()))}
