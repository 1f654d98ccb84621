"""What related work says of eigenvalues, asked of these networks.

`predictors` takes two statements about single held-out images x, as they stand in the abstracts of
arXiv:2107.06386 and arXiv:2006.16540: trace and product of the eigenvalues predict the reconstruction error;
and a map contracts where all of them are smaller than one in modulus, as it must at a stored image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from .. import results, spectrum
from ..model import Ensemble
from ..protocol import Protocol
from ..store import Store
from ..training import training_fields

__all__ = ["predictors", "published", "DIMS", "POINTS"]

#: Raise when a number changes; stored tables are then computed anew.
VERSION = 1
#: Latent dimensions, and held-out images.
DIMS, POINTS = (2, 5, 8, 14, 17, 20), 2_000


def predictors(
    networks: Sequence[Ensemble],
    protocol: Protocol,
    store: Store | None = None,
    dims: Sequence[int] = DIMS,
    points: int = POINTS,
) -> pd.DataFrame:
    """Rank correlations over held-out images of the squared error with the spectrum of K_I, loaded if stored.

    Returns
    -------
    DataFrame: ``seed, d, points``; ``trace`` and ``product``, Spearman's correlations of ‖y − x‖²
    with tr K_I and with Σ log|λ| over the nonzero eigenvalues; ``contracting``, the share of
    images at which every |λ| < 1.
    """
    store, few = store or Store(), protocol.replace(points=points)
    dims, found = tuple(d for d in dims if d in protocol.dims), []
    for e in networks:

        def compute(e=e) -> pd.DataFrame:
            x = torch.cat(list(results.blocks(few, "test")))
            return pd.DataFrame([{"seed": e.seed, "d": d} | _row(e.member(d).double(), x) for d in dims])

        fields = {
            "networks": training_fields(protocol, e.seed, e.epochs),
            "dims": dims,
            "points": points,
            "spectrum": spectrum.VERSION,
            "version": VERSION,
        }
        found.append(store.table("predictors", fields, compute))
    return pd.concat(found, ignore_index=True)


def _row(net: torch.nn.Module, x: torch.Tensor) -> dict[str, float]:
    cell = spectrum.Cell(net)
    cell.add(x)
    a = cell.arrays()
    modulus, kept = np.abs(a["lam_I"]), np.arange(net.d) < a["rank_I"][:, None]
    product = np.log(np.where(kept, modulus, 1).clip(np.finfo(float).tiny)).sum(1)
    rank = lambda values: float(spearmanr(a["error"], values).statistic)
    return {
        "points": len(x),
        "trace": rank(a["trace_I"]),
        "product": rank(product),
        "contracting": float((modulus.max(1) < 1).mean()),
    }


def published(networks: Sequence[Ensemble], protocol: Protocol, store: Store) -> Mapping[str, pd.DataFrame]:
    """The table that is published, by the name of its file."""
    return {"related": predictors(networks, protocol, store).round(6)}
