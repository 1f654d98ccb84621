"""The second order: the slope of r against the Hessian of log p ∗ N_σ, moments in a ball, and two readings as an energy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor

from . import Settings
from .denoiser import Residual
from .optimum import Mixture, spiral
from .plane import KINDS, spiral_fields
from .sampling import energy_difference

__all__ = ["expanded_moments", "ball_moments", "second_order", "energies", "energy_table"]

#: Points at which the second order is taken; radius of the ball; points of the energies, and nodes of their line integrals.
POINTS, RADIUS, SPREAD, NODES = 300, 0.04, 1_500, 96


def expanded_moments(s: Tensor, h: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Mean ``(b, n)`` less the centre, and covariance ``(b, n, n)``, of a density in a ball, to second order in its radius δ.

    With s = ∇log p, H = ∇² log p, A = H + ssᵀ, c = δ²/(n + 2) and e = δ²/(n + 4) they are c s and
    c [I + e(A + ½ tr A · I) − ½ c tr A · I] − c² ssᵀ.
    """
    n = s.shape[1]
    c, e, eye = radius**2 / (n + 2), radius**2 / (n + 4), torch.eye(n, dtype=s.dtype)
    a = h + s[:, :, None] * s[:, None]
    trace = a.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] * eye
    second = c * (eye + e * (a + trace / 2) - c * trace / 2)
    return c * s, second - c**2 * s[:, :, None] * s[:, None]


def ball_moments(log_density: Callable[[Tensor], Tensor], x: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """The same without expansion, in the plane: by Gauss–Legendre in r² and evenly spaced angles."""
    t, w = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(6))
    angle = 2 * torch.pi * torch.arange(16, dtype=torch.float64) / 16
    r = radius * ((t + 1) / 2).sqrt()
    u = torch.stack([torch.outer(r, angle.cos()), torch.outer(r, angle.sin())], 2).flatten(0, 1)
    log = torch.stack([log_density(part) for part in x[:, None] + u])
    weight = torch.softmax(log, 1) * w.repeat_interleave(16)
    weight = weight / weight.sum(1, keepdim=True)
    mean = weight @ u
    gap = u - mean[:, None]
    return mean, torch.einsum("bq,bqi,bqj->bij", weight, gap, gap)


def _relative(estimate: Tensor, truth: Tensor, base: Tensor | float = 0.0) -> float:
    return float(((estimate - truth).square().sum() / (truth - base).square().sum()).sqrt())


def second_order(settings: Settings, net: Residual, law: Mixture | None = None) -> pd.DataFrame:
    """Slopes of the spiral's networks against the known Hessian, at draws x of p ∗ N_σ; a row a field, the exact one as control.

    Columns ``field``; ``hessian``, relative error of (∂r/∂x − I)/σ²; ``asymmetry``, ‖J − Jᵀ‖/(2‖J − I‖) pooled over points;
    ``negative``, the share of points at which ∂r/∂x has an eigenvalue with negative real part; ``mean`` and ``covariance``,
    relative errors of `expanded_moments` from the field and its slope, the covariance's relative to what makes it differ from cI.
    """
    law, sigma = law or spiral(), settings.spiral_sigma
    x = law.sample(POINTS, torch.Generator().manual_seed(3), sigma)
    eye = torch.eye(2, dtype=torch.float64)
    slopes = {"exact": eye + sigma**2 * law.hessian(x, sigma)}
    slopes |= {kind: net.slope(i, x) for i, kind in enumerate(KINDS)}
    truth, flat = (slopes["exact"] - eye) / sigma**2, RADIUS**2 / 4 * eye
    mean, covariance = ball_moments(lambda v: law.log_density(v, sigma), x, RADIUS)
    rows = []
    for name, field in spiral_fields(settings, net).items():
        j = slopes[name]
        h = (j - eye) / sigma**2
        m, c = expanded_moments(field(x), h, RADIUS)
        rows.append({
            "field": name, "hessian": _relative(h, truth),
            "asymmetry": float((j - j.transpose(1, 2)).norm() / (2 * (j - eye).norm())),
            "negative": float((torch.linalg.eigvals(j).real.amin(1) < 0).double().mean()),
            "mean": _relative(m, mean), "covariance": _relative(c, covariance, flat),
        })  # fmt: skip
    return pd.DataFrame(rows)


def energies(settings: Settings, net: Residual, reach: float = 1.5) -> pd.DataFrame:
    """Log-density of p ∗ N_σ at points spread evenly over the disc that the spiral fills, and two readings of r as one.

    Columns ``field, log_density``; ``integral``, ∫ (r(x) − x)/σ² · dx along the straight line from the densest node of the
    spiral, plus the log-density there; ``minus_error``, −‖r(x) − x‖².
    """
    law, sigma = spiral(), settings.spiral_sigma
    u, v = torch.rand(2, SPREAD, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    x = reach * u.sqrt()[:, None] * torch.stack([(2 * torch.pi * v).cos(), (2 * torch.pi * v).sin()], 1)
    at = law.log_density(law.means, sigma)
    start, log = law.means[at.argmax()], law.log_density(x, sigma)
    parts = []
    for name, field in spiral_fields(settings, net).items():
        along = energy_difference(field, start.expand_as(x), x, NODES) + at.max()
        error = (sigma**2 * field(x)).square().sum(1)
        parts.append(
            pd.DataFrame({"field": name, "log_density": log, "integral": along, "minus_error": -error})
        )
    return pd.concat(parts, ignore_index=True)


def energy_table(found: pd.DataFrame) -> pd.DataFrame:
    """How well each reading orders the points: Spearman's correlation with the log-density, and the integral's median absolute error."""
    rows = [
        {
            "field": name,
            "integral": spearmanr(part.integral, part.log_density).statistic,
            "error": spearmanr(part.minus_error, part.log_density).statistic,
            "off": (part.integral - part.log_density).abs().median(),
        }
        for name, part in found.groupby("field", sort=False)
    ]
    return pd.DataFrame(rows)
