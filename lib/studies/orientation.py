"""What orientation means: the number of negative eigenvalues, its parity, and where a reversal comes from.

At a point x with rank r the matrix K has r nonzero eigenvalues, m of them negative and real.
Orientation is reversed where m is odd.

**Definitions, fixed before any number of this study was computed.** All are of K_I unless K_L is named;
a cell is one network on one set, with 2,000 points.

* *Count*: m(x). Its *share* is q = Σm/Σr over the points of a cell.
* *Independent signs*: m ~ Bin(r(x), q). Reversed would then be the share ½(1 − mean (1−2q)^r(x)), and the
  variance of m would be q(1−q) mean r + q² var r. *Excess* is the reversed share less this one;
  *dispersion* the variance of m over this one. If signs were independent given the point, but q differed
  from point to point, the dispersion would be above one and, since q ↦ (1−2q)^r is convex below one half,
  the excess not above zero.
* *Signs by rank*, added after a first look at 250 points of seed 0: the k-th smallest eigenvalue of a point
  is negative with a probability p_k of its own, independently; p_k is its share in the cell. *Excess by rank*
  is the reversed share less that which follows.
* *Left half-plane*: n(x), the eigenvalues with negative real part, conjugate pairs included.
  Pairs count twice, so n and m have one parity.
* *Layers*: for a set S of the encoder's three hidden layers, K_S has in S the activation pattern at y = f(x)
  and elsewhere that at x: K_∅ = K_I, and K_S = K_L for all three. v(S) is the share of points that K_S
  reverses. A *layer's part* is the mean of v(S ∪ ℓ) − v(S) over the six orders in which the layers can be
  replaced (Shapley's value); the three parts sum to v(all) − v(∅). Its *share* is the part over that sum.
* *Hamming distance*: units of the encoder that are active at one of x and y alone. *Far less near* is
  the reversed share among the third of a cell's points with the largest distance less that among the
  third with the smallest.
* *Where*, at the first 500 points: the *rank* of a negative eigenvalue among the r by falling modulus,
  (i−1)/(r−1), and the *place* of its eigenvector among the singular directions of J_I in the space of images:
  with u = Gv/‖Gv‖ and left singular vectors u₁, …, u_r of J_I = GE by falling singular value, Σ ⟨u, u_i⟩²
  (i−1)/(r−1). Both are one half where nothing is preferred, more where small ones are.
* *Units*: with right and left eigenvectors b, a (aᵀb = 1), λ = aᵀKb is in each hidden layer a sum over its
  active units. A real eigenvalue *hangs on* a group of units if in some layer the sum without them has
  another sign, or is zero. The groups are the units that are *switched*, active at x and not at y, and those
  that are *idle*, active at none of the 2,000 training points.

**How the seeds 3–10 will judge.** `STATEMENTS` are means over the ten noise sets (or the training data) and
over the d of a range, one number a seed; a t interval over the eight seeds judges, with Holm's method for
refutation, as for the claims (`lib.studies.claims`). Until all eight are there, seeds 0 and 1 are shown as
points. All else is exploration.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from .. import noise, workers
from ..model import Ensemble
from ..protocol import REPRESENTATIVES, Protocol
from ..results import blocks, by_seed, kept
from ..store import Store
from ..training import train, training_fields, untrained
from .claims import LARGE, MODERATE
from .evidence import FULL, Evidence, Part, on_noise
from .orientation_cell import Cell, idle_units

__all__ = [
    "table",
    "rows",
    "along",
    "trained_along",
    "published",
    "lengths",
    "own",
    "summary",
    "fit",
    "STATEMENTS",
    "DIMS",
    "POINTS",
    "EPOCHS",
]

#: Raise when a number changes; stored tables are then computed anew.
VERSION = 1
#: Latent dimensions, and points of each set.
DIMS, POINTS = (2, 5, 8, 14, 17, 20), 2_000
#: Points of each set in this build's own version.
OWN_POINTS = 200
#: Lengths of training along which counts and reversal are followed.
EPOCHS = (10, 30, 100, 300, 1_000)


def _train(column: str):
    return lambda e: e[column]["train"]


def _kept(e: Evidence):
    """Negative eigenvalues a point, trained over untrained; not a number without the untrained."""
    return on_noise("I_count")(e) / (on_noise("I_count")(Evidence(e.null)) if e.null is not None else np.nan)


#: What the judging seeds are asked; the order is that of the page.
STATEMENTS = (
    Part("the count on noise varies less than independent signs would: dispersion",
         on_noise("I_dispersion"), LARGE, "log mean", "log", below=1.0),
    Part("noise is reversed more often than with independent signs: excess",
         on_noise("I_excess"), LARGE, "mean", "plain", above=0.0),
    Part("the training data are reversed as often as with independent signs: excess",
         _train("I_excess"), LARGE, "mean", "plain", above=-0.02, below=0.02),
    Part("with signs by rank noise is reversed as often as it is: excess by rank",
         on_noise("I_ranked_excess"), LARGE, "mean", "plain", above=-0.05, below=0.05),
    Part("training halves the number of negative eigenvalues on noise: trained over untrained",
         _kept, MODERATE, "log mean", "log", below=0.5),
    Part("the first layer restores most of the orientation on noise: its share",
         on_noise("share_1"), LARGE, "mean", "plain", above=0.5),
    Part("the second layer does", on_noise("share_2"), LARGE, "mean", "plain", above=0.5),
    Part("the third layer does", on_noise("share_3"), LARGE, "mean", "plain", above=0.5),
    Part("noise is reversed more often the more units switch: far less near",
         on_noise("far_less_near"), LARGE, "mean", "plain", above=0.0),
    Part("negative eigenvalues on noise are small ones: rank by modulus",
         on_noise("rank_negative"), LARGE, "mean", "plain", above=0.5),
    Part("their directions are weak ones: place among the singular directions",
         on_noise("place_negative"), LARGE, "mean", "plain", above=0.5),
    Part("most of them hang on switched units",
         on_noise("switched_negative"), LARGE, "mean", "logit", above=0.5),
    Part("most of them hang on idle units", on_noise("idle_negative"), LARGE, "mean", "logit", above=0.5),
)  # fmt: skip


def rows(ensemble: Ensemble, protocol: Protocol, points: int = POINTS) -> pd.DataFrame:
    """The cells of the networks of one seed, in float64."""
    few, found = protocol.replace(points=points), []
    train = torch.cat(list(blocks(few, "train")))
    nets = [ensemble.member(d).double() for d in ensemble.dims]
    idle = [idle_units(net, train) for net in nets]
    head = {"seed": ensemble.seed, "epochs": ensemble.epochs}
    names = ("train", *protocol.sets)
    for name in names:
        x = train if name == "train" else torch.cat(list(blocks(few, name)))
        for net, units in zip(nets, idle):
            cell = Cell(net, units)
            cell.add(x)
            found.append(head | {"d": net.d, "set": name} | cell.row())
            workers.report(len(found))
    return pd.DataFrame(found)


def table(
    networks: Sequence[Ensemble],
    protocol: Protocol,
    store: Store | None = None,
    dims: Sequence[int] = DIMS,
    points: int = POINTS,
    progress: bool = True,
) -> pd.DataFrame:
    """The rows of the networks of a protocol, loaded where stored and computed where not.

    Parameters
    ----------
    networks : those of `lib.training.train`, or of `untrained`.
    dims : latent dimensions that are looked at, those of the protocol among them.

    Returns
    -------
    DataFrame, one row for each seed, d and set
        ``points``; for each Jacobian, with ``I_`` or ``L_`` before it, ``rank`` (mean), ``deficient``,
        ``reversed``, ``count`` (negative eigenvalues a point), ``share`` q, ``nonreal``, ``independent``
        (what independent signs give), ``excess``, the same with signs by rank
        (``ranked``, ``ranked_excess``), ``smallest`` (how many of the negative eigenvalues are the smallest
        of their point), ``dispersion``, ``left`` (eigenvalues with negative real part a point),
        ``left_independent``, ``unlike`` (points at which the parity of the counted eigenvalues is not the
        orientation), ``counts`` and ``binomial`` (points by count, observed and expected); ``vS`` the share
        that K_S reverses, ``part_ℓ`` and ``share_ℓ``; ``hamming`` (mean), ``far_less_near``, and
        ``hamming_points``, ``_I``, ``_L``, ``_changed``: points by bins of the distance, those reversed, and
        those with another orientation under K_L; ``rank``, ``place``, ``switched``, ``idle`` of the negative
        and of the positive real eigenvalues, and how many there are.
    """
    store, dims = store or Store(), tuple(d for d in dims if d in protocol.dims)
    stored = lambda *run: store.load_table("orientation", _fields(*run)) is not None
    look = {"label": "orientation", "unit": "cell", "progress": progress}
    units = (1 + len(protocol.sets)) * len(dims)
    found = by_seed(_of_seed, stored, networks, protocol, store, dims, points, units=units, **look)
    return pd.concat(found, ignore_index=True)


def _fields(
    seed: int, trained: bool, protocol: Protocol, dims: Sequence[int], points: int
) -> dict[str, object]:
    networks = training_fields(protocol, seed, None if trained else 0)
    fields = {"networks": networks, "sets": protocol.sets, "dims": dims, "points": points}
    return fields | {"noise": noise.VERSION, "version": VERSION}


def _of_seed(store: Store, *run) -> pd.DataFrame:
    """The rows of one seed, loaded where stored and computed where not."""
    seed, trained, protocol, dims, points = run
    compute = lambda: rows(kept(store, protocol, seed, trained).part(dims), protocol, points).round(6)
    return store.table("orientation", _fields(*run), compute)


def trained_along(
    protocol: Protocol, epochs: Sequence[int] = EPOCHS, store: Store | None = None
) -> pd.DataFrame:
    """The table along training: the protocol's networks after each of these numbers of epochs.

    Each longer training goes on from the checkpoint of the one before; a killed one from its last.
    """
    store, found = store or Store(), []
    for n in sorted(epochs):
        run = protocol.replace(epochs=n)
        found.append(table(train(run, store), run, store))
    return pd.concat(found, ignore_index=True)


def along(lengths: pd.DataFrame) -> pd.DataFrame:
    """Counts and reversal along training from the cells of `lib.studies.sensitivity`, choice *length*.

    The count is the share of negative ones among the nonzero eigenvalues times their number, (1 − zeros) d.

    Returns
    -------
    DataFrame: ``seed, d, epochs, set, count, reversed``
    """
    part = lengths[(lengths.choice == "length") & lengths.d.isin(DIMS)]
    count = part.I_negative_real * (1 - part.I_zeros) * part.d
    return (
        part[["seed", "d", "epochs", "set"]]
        .assign(count=count, reversed=part.I_reversed)
        .reset_index(drop=True)
    )


def published(networks: Sequence[Ensemble], protocol: Protocol, store: Store) -> dict[str, pd.DataFrame]:
    """The published tables by the name of their file: of the trained and of the untrained networks."""
    return {
        "orientation": table(networks, protocol, store),
        "orientation-untrained": table(untrained(protocol), protocol, store),
    }


def lengths(networks: Sequence[Ensemble], protocol: Protocol, store: Store) -> dict[str, pd.DataFrame]:
    """The table along training to a thousand epochs, of the first seed's networks with these d; hours."""
    run = protocol.replace(seeds=protocol.seeds[:1], dims=tuple(d for d in DIMS if d in protocol.dims))
    return {"orientation-lengths": trained_along(run, EPOCHS, store)}


def own(protocol: Protocol, store: Store | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """This build's, in seconds: the first seed's two largest networks, trained and not, on four sets."""
    store = store or Store()
    first = protocol.replace(seeds=protocol.seeds[:1])
    few = first.replace(sets=tuple(REPRESENTATIVES.values()))
    return tuple(
        table(networks, few, store, protocol.dims[-2:], OWN_POINTS, progress=False)
        for networks in (train(first, store), untrained(first))
    )


def summary(found: pd.DataFrame, null: pd.DataFrame) -> dict[str, float]:
    """Means over networks, and over the noise sets: ``train_…`` and ``noise_…`` at d of `LARGE`, of K_I;
    ``low_…`` and ``null_…``, noise at d of `MODERATE` where the untrained networks have full rank, trained
    and untrained; ``noise_two`` and ``noise_two_expected``, the share of points with two negative eigenvalues
    or more, and what independent signs would give."""
    noisy = found.set != "train"
    wide = found.d.isin(LARGE) if found.d.isin(LARGE).any() else found.d > 0
    out = {}
    for word, rows in (("train", found[~noisy & wide]), ("noise", found[noisy & wide])):
        out |= {f"{word}_{c}": float(v) for c, v in rows.mean(numeric_only=True).items()}
    for name, word in (("counts", "two"), ("binomial", "two_expected")):
        points = np.sum([np.array(str(w).split(), float) for w in found[noisy & wide][f"I_{name}"]], axis=0)
        out[f"noise_{word}"] = float(points[2:].sum() / points.sum())
    full = null[(null.set != "train") & (null.I_deficient < FULL)]
    low = found[noisy].merge(full[["seed", "d", "set"]], on=["seed", "d", "set"])
    for word, rows in (("low", low), ("null", full)):
        out |= {f"{word}_{c}": float(rows[f"I_{c}"].mean()) for c in ("count", "reversed")}
    return out


def fit(found: pd.DataFrame, by: str = "I_independent", of: str = "I_reversed") -> pd.DataFrame:
    """How well a prediction describes the reversed share, on the training data and on noise: means,
    and the root mean square of what is left."""
    rows = []
    for word, part in (
        ("training data", found[found.set == "train"]),
        ("noise", found[found.set != "train"]),
    ):
        left = part[of] - part[by]
        rows.append({
            "cells": word, "number": len(part), "reversed": part[of].mean(), "predicted": part[by].mean(),
            "root mean square difference": float(np.sqrt((left**2).mean())),
        })  # fmt: skip
    return pd.DataFrame(rows)
