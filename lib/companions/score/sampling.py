"""Sampling from a score estimate alone, and how good the sample is.

A field is a function ``(b, n) -> (b, n)`` that estimates ∇log p; for an autoencoder it is
(r(x) − x)/σ². Neither sampler ever sees a density.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "Chain",
    "langevin",
    "metropolis",
    "energy_difference",
    "energy_distance",
    "mmd",
    "effective_sample_size",
]

Field = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Chain:
    """Parallel chains.

    Attributes
    ----------
    last : Tensor, shape (c, n)
    trace : Tensor, shape (t, c, m)
        The first m coordinates after every step.
    acceptance : float
        Share of accepted proposals; 1 where every proposal is taken.
    """

    last: Tensor
    trace: Tensor
    acceptance: float


def langevin(
    field: Field, x: Tensor, steps: int, step: float, generator: torch.Generator, kept: int = 2
) -> Chain:
    """Unadjusted Langevin: x ← x + ε s(x) + √(2ε) ξ, with ε = `step`.

    On N(0, τ²) it leaves N(0, τ²/(1 − ε/(2τ²))) invariant: the discretisation widens the law.
    """
    trace = []
    for _ in range(steps):
        x = x + step * field(x) + math.sqrt(2 * step) * _normal(x, generator)
        trace.append(x[:, :kept])
    return Chain(x, torch.stack(trace), 1.0)


def energy_difference(field: Field, x: Tensor, y: Tensor, nodes: int = 5) -> Tensor:
    """log p(y) − log p(x) ≈ ∫₀¹ s(x + t(y − x))·(y − x) dt by Gauss–Legendre quadrature, shape (b,).

    For a field that is not a gradient the value belongs to the straight segment alone.

    >>> x, y = torch.zeros(1, 2), torch.ones(1, 2)
    >>> energy_difference(lambda v: -v, x, y).tolist()
    [-1.0]
    """
    t, w = (torch.from_numpy(v).to(x) for v in np.polynomial.legendre.leggauss(nodes))
    points = x + (t[:, None, None] + 1) / 2 * (y - x)  # (nodes, b, n)
    s = field(points.flatten(0, 1)).view_as(points)
    return torch.einsum("q,qbn,bn->b", w / 2, s, y - x)


def metropolis(
    field: Field,
    x: Tensor,
    steps: int,
    step: float,
    generator: torch.Generator,
    drift: bool = False,
    nodes: int = 5,
    kept: int = 2,
) -> Chain:
    """Metropolis–Hastings with the estimated energy difference.

    Proposals are x + √(2ε) ξ, or with `drift` the Langevin step x + ε s(x) + √(2ε) ξ, whose
    asymmetry is corrected as usual.
    """
    trace, accepted = [], 0.0
    here = field(x) if drift else torch.zeros_like(x)
    for _ in range(steps):
        y = x + step * here + math.sqrt(2 * step) * _normal(x, generator)
        there = field(y) if drift else here
        log = energy_difference(field, x, y, nodes)
        if drift:
            way, back = (y - x - step * here).square().sum(1), (x - y - step * there).square().sum(1)
            log = log + (way - back) / (4 * step)
        u = torch.rand(len(x), generator=generator, dtype=torch.float64).to(x).clamp_min(1e-30)
        take = u.log() < log
        x, here = torch.where(take[:, None], y, x), torch.where(take[:, None], there, here)
        accepted += take.double().mean().item()
        trace.append(x[:, :kept])
    return Chain(x, torch.stack(trace), accepted / steps)


def _normal(x: Tensor, generator: torch.Generator) -> Tensor:
    """Drawn on the CPU whatever the device, so that the draws do not depend on it."""
    return torch.randn(x.shape, generator=generator, dtype=torch.float32).to(x)


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖ without bias; 0 for equal laws,
    and a little below by chance (Székely & Rizzo)."""
    x, y = x.double(), y.double()
    m, n = len(x), len(y)
    return float(
        2 * torch.cdist(x, y).mean()
        - torch.cdist(x, x).sum() / (m * (m - 1))
        - torch.cdist(y, y).sum() / (n * (n - 1))
    )


def mmd(x: Tensor, y: Tensor, bandwidth: float) -> float:
    """Squared maximum mean discrepancy without bias, kernel exp(−‖x − y‖²/(2b²)) (Gretton et al.)."""

    def kernel(a, b):
        return torch.exp(-torch.cdist(a, b).square() / (2 * bandwidth**2))

    x, y = x.double(), y.double()
    m, n = len(x), len(y)
    return float(
        (kernel(x, x).sum() - m) / (m * (m - 1))
        + (kernel(y, y).sum() - n) / (n * (n - 1))
        - 2 * kernel(x, y).mean()
    )


def effective_sample_size(trace: Tensor) -> float:
    """Independent draws that one step of one chain is worth, times the length t: t / (1 + 2Σρ).

    Autocovariances are averaged over the chains, taken about the mean of all of them, so that
    chains which have not mixed count for little; the sum stops at Geyer's first negative pair.

    Parameters
    ----------
    trace : Tensor, shape (t, c)

    Returns
    -------
    float : per chain, at most t.
    """
    z = (trace - trace.mean()).double().numpy()
    t = len(z)
    spectrum = np.abs(np.fft.rfft(z, 2 * t, axis=0)) ** 2
    covariance = np.fft.irfft(spectrum, axis=0)[:t].mean(1) / np.arange(t, 0, -1)
    rho = covariance / covariance[0]
    pairs = rho[: t // 2 * 2].reshape(-1, 2).sum(1)
    negative = np.flatnonzero(pairs < 0)
    stop = negative[0] if len(negative) else len(pairs)
    return float(min(t, t / max(2 * pairs[:stop].sum() - 1, 1.0)))
