"""The second order: the slope of r against the Hessian of log p ∗ N_σ, moments in a ball,
and two readings as an energy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor

from ...protocol import Protocol
from ...store import Store
from . import VERSION, Settings
from .denoiser import Residual, train_residual
from .optimum import Mixture, spiral
from .plane import KINDS, mixture, relative, spiral_fields
from .sampling import energy_difference

__all__ = [
    "expanded_moments", "ball_moments", "second_order", "energies", "energy_table", "mixture_orders",
]  # fmt: skip

#: Points at which the second order is taken; radius of the ball; points of the energies,
#: and nodes of their line integrals.
POINTS, RADIUS, SPREAD, NODES = 300, 0.04, 1_500, 96


def expanded_moments(s: Tensor, h: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Mean ``(b, n)`` less the centre, and covariance ``(b, n, n)``, of a density in a ball,
    to second order in its radius δ.

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


def second_order(settings: Settings, net: Residual) -> pd.DataFrame:
    """Slopes of the spiral's networks against the known Hessian, at draws x of p ∗ N_σ; a row a field,
    the exact one as control.

    Columns ``field``; ``hessian``, relative error of (∂r/∂x − I)/σ²; ``asymmetry``, ‖J − Jᵀ‖/(2‖J − I‖)
    pooled over points; ``negative``, the share of points at which ∂r/∂x has an eigenvalue with negative real
    part; ``mean`` and ``covariance``, relative errors of `expanded_moments` from the field and its slope, the
    covariance's relative to what makes it differ from cI.
    """
    law, sigma = spiral(), settings.spiral_sigma
    x = law.sample(POINTS, torch.Generator().manual_seed(3), sigma)
    eye = torch.eye(2, dtype=torch.float64)
    slopes = {"exact": eye + sigma**2 * law.hessian(x, sigma)}
    slopes |= {kind: net.slope(i, x) for i, kind in enumerate(KINDS)}
    moments = ball_moments(lambda v: law.log_density(v, sigma), x, RADIUS)
    rows = []
    for name, field in spiral_fields(settings, net).items():
        row = {"field": name} | _slope_errors(slopes[name], slopes["exact"], sigma)
        rows.append(row | _moment_errors(moments, field(x), slopes[name], sigma, RADIUS))
    return pd.DataFrame(rows)


def _moment_errors(
    moments: tuple[Tensor, Tensor], score: Tensor, slope: Tensor, sigma: float, radius: float
) -> dict[str, float]:
    """``mean`` and ``covariance`` of `second_order`, against the moments in a ball around points."""
    eye = torch.eye(2, dtype=torch.float64)
    mean, covariance = expanded_moments(score, (slope - eye) / sigma**2, radius)
    return {
        "mean": relative(mean, moments[0]),
        "covariance": relative(covariance, moments[1], radius**2 / 4 * eye),
    }


def _slope_errors(j: Tensor, exact: Tensor, sigma: float) -> dict[str, float]:
    """``hessian``, ``asymmetry`` and ``negative`` of `second_order` for slopes ∂r/∂x ``(b, n, n)``,
    and those of the optimum."""
    eye = torch.eye(j.shape[1], dtype=j.dtype)
    return {
        "hessian": relative((j - eye) / sigma**2, (exact - eye) / sigma**2),
        "asymmetry": float((j - j.transpose(1, 2)).norm() / (2 * (j - eye).norm())),
        "negative": float((torch.linalg.eigvals(j).real.amin(1) < 0).double().mean()),
    }


def mixture_orders(
    protocol: Protocol, settings: Settings, store: Store | None = None, dims: Sequence[int] = (2, 10)
) -> pd.DataFrame:
    """First and second order, and both readings as an energy, of denoisers of the mixtures against σ.
    The protocol plays no part.

    A row for n, σ and ``step``, a quarter of the training and all of it (a quarter of that of
    `plane.mixture_errors`, the first seed); step 0 is the exact field, the control. At draws x of p ∗ N_σ:
    ``score``, relative error of the field; ``hessian``, ``asymmetry``, ``negative`` of `second_order`; in the
    plane ``mean`` and ``covariance`` too, in a ball of radius 0.4 times the least standard deviation of
    p ∗ N_σ, which is √(.01 + σ²). At draws of p ∗ N_2σ, which cover troughs as well: ``integral`` and
    ``error``, Spearman's correlation of the line integral from the densest centre, and of −‖r(x) − x‖², with
    the log-density; ``off``, the integral's median absolute error.
    """

    spread = min(SPREAD, settings.held_out)

    def compute() -> pd.DataFrame:
        rows = []
        for n in dims:
            law, generator = mixture(n), torch.Generator().manual_seed(100 + n)
            net = Residual(n, settings.hidden, settings.sigmas, generator)
            steps, marks = max(4, settings.mixture_steps // 4), max(1, settings.mixture_steps // 16)
            sizes, label = (steps, settings.batch), f"{n}-D mixture, second order"
            kept = train_residual(net, law.sample, *sizes, generator, snapshots=[marks], label=label)
            for i, sigma in enumerate(settings.sigmas):
                fresh = torch.Generator().manual_seed(1_000 + n)
                x, wide = law.sample(POINTS, fresh, sigma), law.sample(spread, fresh, 2 * sigma)
                exact = torch.eye(n, dtype=torch.float64) + sigma**2 * law.hessian(x, sigma)
                if n == 2:
                    radius = 0.4 * (0.01 + sigma**2) ** 0.5
                    moments = ball_moments(lambda v, s=sigma: law.log_density(v, s), x, radius)
                fields = {0: (lambda v, s=sigma: law.score(v, s), exact)}
                for step, weights in kept.items():
                    one = net.load(weights, "p")
                    fields[step] = one.field(i), one.slope(i, x)
                for step, (field, slope) in fields.items():
                    row = {"n": n, "sigma": sigma, "step": step}
                    row["score"] = relative(field(x), law.score(x, sigma))
                    row |= _slope_errors(slope, exact, sigma)
                    if n == 2:
                        row |= _moment_errors(moments, field(x), slope, sigma, radius)
                    told = energy_table(_readings("", law, field, wide, sigma)).drop(columns="field")
                    rows.append(row | told.iloc[0].to_dict())
        return pd.DataFrame(rows)

    fields = {"experiment": "mixtures, second order", "version": VERSION, "dims": tuple(dims)}
    fields |= {"points": POINTS, "spread": spread, "nodes": NODES}
    fields |= settings.only("sigmas", "mixture_steps", "hidden", "batch")
    return (store or Store()).table("score", fields, compute, "companions/score-mixtures-second")


def _readings(name: str, law: Mixture, field: Callable, x: Tensor, sigma: float) -> pd.DataFrame:
    """The rows of `energies` of one field at the points x."""
    at = law.log_density(law.means, sigma)
    along = energy_difference(field, law.means[at.argmax()].expand_as(x), x, NODES) + at.max()
    found = {"field": name, "log_density": law.log_density(x, sigma), "integral": along}
    return pd.DataFrame(found | {"minus_error": -(sigma**2 * field(x)).square().sum(1)})


def energies(settings: Settings, net: Residual, reach: float = 1.5) -> pd.DataFrame:
    """Log-density of p ∗ N_σ at points spread evenly over the disc that the spiral fills,
    and two readings of r as one.

    Columns ``field, log_density``; ``integral``, ∫ (r(x) − x)/σ² · dx along the straight line from the
    densest node of the spiral, plus the log-density there; ``minus_error``, −‖r(x) − x‖².
    """
    law, sigma = spiral(), settings.spiral_sigma
    u, v = torch.rand(2, SPREAD, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    x = reach * u.sqrt()[:, None] * torch.stack([(2 * torch.pi * v).cos(), (2 * torch.pi * v).sin()], 1)
    fields = spiral_fields(settings, net).items()
    parts = [_readings(name, law, field, x, sigma) for name, field in fields]
    return pd.concat(parts, ignore_index=True)


def energy_table(found: pd.DataFrame) -> pd.DataFrame:
    """How well each reading orders the points: Spearman's correlation with the log-density,
    and the integral's median absolute error."""
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
