"""The tables of section I: both sides of its inequalities, how often they fail,
what a spectrum costs, and ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .. import jacobian
from ..model import WIDTHS, Autoencoder
from .theory import (
    crossing_pair,
    eigenvalue_gap,
    eigenvector_condition,
    frobenius_gap,
    latent_jacobian,
    lipschitz,
    nilpotent_pair,
)

__all__ = ["FAMILIES", "sides", "violations", "around_the_switch", "multiplications", "ranks", "separation"]

#: Pairs of matrices whose eigenvalues are farther apart than the matrices, by a parameter.
FAMILIES = {"nilpotent": nilpotent_pair, "crossing": crossing_pair}
#: Bounds are computed with rounding: a relative excess below this breaks none.
ROUNDING = 1e-6


def sides(family: str, parameter: np.ndarray) -> pd.DataFrame:
    """‖λ(A) − λ(B)‖² and ‖A − B‖_F² of one of `FAMILIES`, a row a value of the parameter.

    >>> sides("nilpotent", np.array([0.5]))
       parameter  eigenvalues  matrices
    0        0.5          1.0      0.25
    """
    pairs = [FAMILIES[family](p) for p in parameter]
    return pd.DataFrame({
        "parameter": parameter,
        "eigenvalues": [float(eigenvalue_gap(*pair)) for pair in pairs],
        "matrices": [float(frobenius_gap(*pair)) for pair in pairs],
    })  # fmt: skip


def violations(pairs: pd.DataFrame) -> pd.DataFrame:
    """Share of the pairs of `lib.studies.theory.pairs` that violate each inequality, a row a data set and d.

    The first two columns are Theorem I.2's inequality,
    with eigenvalues by modulus and under the best matching; the other three are theorems.
    """
    slack = 1 + ROUNDING
    right = pairs.matrices * slack
    broken = pd.DataFrame({
        "set": pairs.set, "d": pairs.d,
        "by modulus": pairs.eigenvalues > right,
        "best matching": pairs.matched > right,
        "singular values": pairs.singular > right,
        "Bauer–Fike": pairs.bauer_fike > pairs.bauer_fike_bound * slack,
        r"with $\kappa\kappa'$": pairs.matched > pairs.kappa**2 * right,
    })  # fmt: skip
    return broken.groupby(["set", "d"], sort=False).mean().reset_index()


def around_the_switch(ray: pd.DataFrame) -> tuple[float, float]:
    """Of `lib.studies.theory.ray`: the slope of log ‖ΔJ‖² against log t before the first unit switches,
    and the factor across the switch."""
    inside, outside = ray[ray.switched == 0], ray[ray.switched > 0]
    fitted = inside[inside.matrices > 1e-24]
    slope = np.polyfit(np.log(fitted.t), np.log(fitted.matrices), 1)[0]
    return float(slope), float(outside.matrices.iloc[0] / inside.matrices.iloc[-1])


def multiplications(dims: Sequence[int]) -> pd.DataFrame:
    """Multiplications at one point, by d: of the small matrix and its eigenvalues, and of the large one's."""
    chain = [2 * d * sum(m * n for m, n in zip((*WIDTHS, d), (*WIDTHS[1:], d))) for d in dims]
    return pd.DataFrame(
        {
            "$d$": dims,
            r"$K_{\mathcal I}$: chain": np.array(chain, float),
            r"$K_{\mathcal I}$: $d^3$": [float(d**3) for d in dims],
            r"$J_{\mathcal I}$: product $GE$": [float(784**2 * d) for d in dims],
            r"$J_{\mathcal I}$: $784^3$": float(784**3),
        }
    )


def ranks(nets: Sequence[tuple[str, Autoencoder]], points: Mapping[str, Tensor]) -> pd.DataFrame:
    """Active units in the narrowest layer (median) and share of points with r < d: a row a network,
    a column a set of points.

    Parameters
    ----------
    nets : (what it is called, Autoencoder in float64)
    points : name → Tensor, shape (n, 784)
    """
    rows = []
    for state, net in nets:
        row = {"network": state, "$d$": net.d}
        for name, x in points.items():
            trip = jacobian.round_trip(net, x)
            active = torch.stack([m.sum(1) for m in (*trip.at_z, *trip.at_x)]).amin(0)
            deficient = (jacobian.rank(trip, trip.at_x) < net.d).double().mean()
            row[name] = f"{int(active.median())}; {float(deficient):.1%}"
        rows.append(row)
    return pd.DataFrame(rows)


def separation(net: Autoencoder, z: Tensor) -> dict[str, float]:
    """What the corrected Theorem I.2 says of the codes ``z (n, d)``, by medians: ``kappa`` κ(V),
    ``lipschitz`` L, ``least`` 1/(κ²L), ``apart``."""
    kappa = float(eigenvector_condition(latent_jacobian(net, z)).median())
    constant, apart = float(lipschitz(net, z).median()), float(torch.pdist(z).median())
    return {"kappa": kappa, "lipschitz": constant, "least": 1 / (kappa**2 * constant), "apart": apart}
