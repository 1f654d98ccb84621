"""Exact optimal transport between samples, and the bound that ties codes to images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import ot
from scipy.spatial.distance import cdist
from torch import Tensor

__all__ = ["wasserstein", "Bracket", "bracket"]


def wasserstein(x: Tensor | np.ndarray, y: Tensor | np.ndarray) -> float:
    """W₁ between the empirical laws of ``x (m, n)`` and ``y (k, n)``, Euclidean cost,
    exact (network simplex of POT).

    >>> wasserstein(np.zeros((3, 2)), np.array([[3.0, 4.0]]))
    5.0
    """
    cost = cdist(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    value, log = ot.emd2([], [], cost, numItermax=2_000_000, log=True)
    if log["warning"]:
        raise RuntimeError(
            f"wasserstein: expected an optimal plan for {cost.shape[0]}×{cost.shape[1]} points, got: "
            f"{log['warning']}"
        )
    return float(value)


@dataclass(frozen=True)
class Bracket:
    """The two-sided bound for one pair of classes, with every constant in it.

    ``lower ≤ sharp ≤ codes ≤ upper``, where ``lower`` = (images − e_a − e_b)/Lip f and
    ``sharp`` = reconstructions/Lip f.

    Attributes
    ----------
    images, codes, reconstructions : W₁ between the two classes in pixel space, in latent space,
        and after the round trip
    error_a, error_b : mean Euclidean norm of the reconstruction error of each class
    lip_g, lip_f : the largest stretch of encoder and decoder over the cross pairs
    """

    images: float
    codes: float
    reconstructions: float
    error_a: float
    error_b: float
    lip_g: float
    lip_f: float

    @property
    def upper(self) -> float:
        return self.lip_g * self.images

    @property
    def lower(self) -> float:
        return (self.images - self.error_a - self.error_b) / self.lip_f if self.lip_f else -np.inf

    @property
    def sharp(self) -> float:
        return self.reconstructions / self.lip_f if self.lip_f else 0.0


def bracket(x: tuple[Tensor, Tensor], z: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> Bracket:
    """The bound for two samples: images `x`, their codes `z` and their reconstructions `y`, pairs of tensors.

    Stretches are taken over the pairs (i, j) with i in the one sample and j in the other: a
    transport plan between the two uses no other pair, which makes the bound exact for the
    empirical laws.
    """
    dx, dz, dy = (cdist(a.double(), b.double()) for a, b in (x, z, y))

    def stretch(out: np.ndarray, into: np.ndarray) -> float:
        moved = into > 0
        if (out[~moved] > 0).any():
            return np.inf
        return float((out[moved] / into[moved]).max(initial=0.0))

    errors = [float((a - b).double().norm(dim=1).mean()) for a, b in zip(x, y)]
    distances = [wasserstein(*pair) for pair in (x, z, y)]
    return Bracket(*distances, *errors, stretch(dz, dx), stretch(dy, dz))
