"""The first page's figure and numbers: what one network makes of digits and of noise,
and the main results in a few figures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .. import jacobian
from ..model import Autoencoder
from ..protocol import GROUPS
from ..spectrum import eigenvalues

__all__ = ["opening", "findings", "side_by_side", "LARGE"]

#: Latent dimensions at which the paper's statements about wide bottlenecks are looked at.
LARGE = range(14, 21)


@torch.no_grad()
def opening(net: Autoencoder, inputs: Mapping[str, Tensor], shown: int = 6) -> dict[str, Tensor]:
    """What a network makes of data sets: a few images, their reconstructions, and the spectra of many points.

    Parameters
    ----------
    net : Autoencoder, in float64
    inputs : name → Tensor, shape (n, 784)
    shown : images of each set that are kept

    Returns
    -------
    dict of Tensor: ``x/name`` and ``y/name``, shape (shown, 784), float32; ``real/name`` and ``imag/name``,
    shape (n, d), the eigenvalues of K_I(x) = E(x)G(z).
    """
    out = {}
    for name, x in inputs.items():
        trip = jacobian.round_trip(net, x)
        lam = eigenvalues(jacobian.matrices(net, trip)[0])
        out |= {f"x/{name}": x[:shown].float(), f"y/{name}": trip.y[:shown].float()}
        out |= {f"real/{name}": lam.real, f"imag/{name}": lam.imag}
    return out


def findings(cells: pd.DataFrame, reconstructions: pd.DataFrame, untrained: pd.DataFrame) -> dict[str, float]:
    """The main results as single numbers, medians over networks (and, on noise, over sets).

    Parameters
    ----------
    cells : the results table (`lib.results`)
    reconstructions : that of `lib.studies.reconstructions`
    untrained : the results table of the networks before training

    Returns
    -------
    dict
        Names that begin with ``train`` are of the training data, over all d or, with ``large``, over `LARGE`;
        with ``noise`` of the noise sets over `LARGE`: mean of the moduli, standard deviation of their
        logarithms, mean argument, share of reversed points, of K_I. Then the mean modulus of the groups
        ``dark``, ``middle`` and ``bright`` over `LARGE`; the spread over networks of d ≥ 5 of the log mean
        modulus, seeds centred, on training data and on noise; root mean square pixel distances, at d ≥ 12, of
        a middle or bright set's mean reconstruction from the same set's under other networks of the seed,
        from other such sets' and from dark sets' under the same network, and of a dark set's from the same
        set's under other networks; spread of a noise set's reconstructions and a classifier's confidence in
        them, over the training images', at d ≤ 4 and at d ≥ 12; the lowest and highest reversed share on
        noise over `LARGE`; the share of negative real eigenvalues on noise after training and before.
    """
    train = cells[cells.set == "train"]
    noise = cells[~cells.set.isin(["train", "test"])]
    large = noise[noise.d.isin(LARGE)]
    columns = {"mean": "I_mean", "sd_log": "I_sd_log", "arg": "I_arg_mean", "reversed": "I_reversed"}
    out: dict[str, float] = {}
    for where, table in (("train", train), ("train_large", train[train.d.isin(LARGE)]), ("noise", large)):
        out |= {f"{where}_{name}": table[column].median() for name, column in columns.items()}
    out |= {group: large[large.set.isin(sets)].I_mean.median() for group, sets in GROUPS.items()}
    log = np.log(cells[cells.d >= 5].pivot(index=["seed", "d"], columns="set", values="I_mean"))
    over = (log - log.groupby("seed").transform("mean")).std()
    out |= {"spread_train": over["train"], "spread_noise": over.drop(["train", "test"]).median()}
    wide = reconstructions[reconstructions.d >= 12]
    late = wide[wide.set.isin(GROUPS["middle"] + GROUPS["bright"])]
    out |= {"apart_networks": late.from_networks.median(), "apart_sets": late.same_side.median()}
    dark = wide[wide.set.isin(GROUPS["dark"])]
    out |= {"apart_dark": late.other_side.median(), "dark_networks": dark.from_networks.median()}
    for word, dims in (("low", range(2, 5)), ("late", range(12, 21))):
        part = reconstructions[reconstructions.d.isin(dims)].set_index(["seed", "d"])
        own, foreign = part[part.set == "train"], part[part.set != "train"]
        for name, column in (("spread", "spread"), ("sure", "confidence")):
            out[f"{name}_{word}"] = (foreign[column] / own[column].reindex(foreign.index)).median()
    out |= {"lowest": large.I_reversed.min(), "highest": large.I_reversed.max()}
    before = untrained[~untrained.set.isin(["train", "test"])]
    out["negative_noise"] = noise.I_negative_real.mean()
    out["negative_untrained"] = before.I_negative_real.mean()
    return {name: float(value) for name, value in out.items()}


#: Columns of the results table in the conclusion, and what they are called there.
COLUMNS = {
    "I_mean": "mean $|\\lambda|$",
    "I_geometric": "geometric mean",
    "I_sd_log": "sd of $\\log|\\lambda|$",
    "I_arg_mean": "mean $|\\mathrm{Arg}\\,\\lambda|$",
    "I_reversed": "orientation reversed",
    "I_deficient": "rank-deficient points",
    "y_sd": "spread of the reconstructions",
}


def side_by_side(cells: pd.DataFrame, untrained: pd.DataFrame) -> pd.DataFrame:
    """Medians of `COLUMNS` over networks and sets, on the training data and on noise,
    after training and before; no row of zeros."""
    out = {"quantity": list(COLUMNS.values())}
    for word, table in (("", cells), (", untrained", untrained)):
        parts = {"training data": table.set == "train", "noise": ~table.set.isin(["train", "test"])}
        for name, rows in parts.items():
            out[name + word] = table.loc[rows, list(COLUMNS)].median().tolist()
    table = pd.DataFrame(out)
    return table[(table.drop(columns="quantity") != 0).any(axis=1)]
