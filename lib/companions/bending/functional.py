"""The loss on pairs, its limit, and how the one tends to the other on maps in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .geometry import Cap, Flat, Space

__all__ = [
    "gamma",
    "terms",
    "monte_carlo",
    "Example",
    "EXAMPLES",
    "by_epsilon",
    "by_pairs",
    "best_scales",
    "slope",
]

Map = Callable[[Tensor], Tensor]


def gamma(s: Tensor) -> Tensor:
    """γ(s) = s² + s⁻² − 2 = (s − 1/s)²: zero at 1 alone, infinite at 0 and ∞.

    >>> gamma(torch.tensor([1.0, 2.0])).tolist()
    [0.0, 2.25]
    """
    return (s - 1 / s).square()


def terms(x: Tensor, y: Tensor, average: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
    """The two terms of the loss for each pair: γ(‖φ(y) − φ(x)‖/d) and ‖8(½(φ(x) + φ(y)) − φ(av))/d²‖².

    Parameters
    ----------
    x, y, average : Tensors, shape (..., n, d)
        Codes of the two points and of their Riemannian average.
    distance : Tensor, shape (..., n)
        Riemannian distance of the two points, positive.

    Returns
    -------
    two Tensors, shape (..., n)
    """
    first = (y - x).norm(dim=-1) / distance
    second = 8 * ((x + y) / 2 - average) / distance[..., None].square()
    return gamma(first), second.square().sum(-1)


def monte_carlo(
    phi: Map, space: Space, u: Tensor, epsilon: float, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Both terms of every pair that ``u (n, cube + dim)`` in the unit cube gives; codes are in `dtype`."""
    p, q = space.pairs_at(u, epsilon)
    d = space.distance(p, q)
    keep = d > 0
    p, q, d = p[keep], q[keep], d[keep]
    codes = [phi(v.to(dtype)) for v in (p, q, space.average(p, q))]
    return terms(*codes, d.to(dtype))


@dataclass(frozen=True)
class Example:
    """A map in closed form with the limits of both terms, means over points and unit tangents.

    Attributes
    ----------
    stretch, bending : mean of γ(|Dφ v|) and of |D²φ(v, v)|²
    order : exponent of ε in the difference, as derived in the book
    """

    name: str
    space: Space
    phi: Map
    stretch: float
    bending: float
    order: int


def _sphere(scale: float) -> Example:
    # a great circle becomes a circle of radius s run through at speed s
    return Example("sphere", Cap(), lambda x: scale * x, (scale - 1 / scale) ** 2, scale**2, 2)


def _helix(a: float, b: float) -> Example:
    phi = lambda t: torch.cat([a * t.cos(), a * t.sin(), b * t], 1)
    speed = math.hypot(a, b)
    return Example("helix", Flat(1, 1, 2.0), phi, (speed - 1 / speed) ** 2, a**2, 2)


def _graph(k1: float, k2: float) -> Example:
    """φ(u) = (u₁, u₂, ½k₁u₁² + ½k₂u₂²) on [−1, 1]²: |Dφ v|² = 1 + (k₁u₁v₁ + k₂u₂v₂)²,
    D²φ(v, v) = (0, 0, k₁v₁² + k₂v₂²)."""
    phi = lambda u: torch.cat([u, (torch.tensor([k1, k2]).to(u) / 2 * u**2).sum(1, keepdim=True)], 1)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    # the trapezoidal rule is exact up to rounding on a smooth periodic function
    angle = (np.arange(64) + 0.5) / 64 * 2 * np.pi
    u1, u2, t = np.meshgrid(nodes, nodes, angle, indexing="ij")
    s = 1 + (k1 * u1 * np.cos(t) + k2 * u2 * np.sin(t)) ** 2
    stretch = float(np.einsum("i,j,ijk->", weights, weights, s + 1 / s - 2) / (4 * 64))
    bending = (3 * k1**2 + 3 * k2**2 + 2 * k1 * k2) / 8
    return Example("quadratic graph", Flat(2, 2, 1.0), phi, stretch, bending, 1)


#: The sphere scaled by 1.3, a helix of radius 0.8 and pitch 2π·0.9,
#: and the graph of 0.8u₁² − 0.3u₂² over a square.
EXAMPLES = (_sphere(1.3), _helix(0.8, 0.9), _graph(1.6, -0.6))


def _sobol(space: Space, log2: int, seed: int = 0) -> Tensor:
    engine = torch.quasirandom.SobolEngine(space.cube + space.dim, scramble=True, seed=seed)
    return engine.draw(2**log2, dtype=torch.float64)


def by_epsilon(epsilons: np.ndarray, log2: int) -> pd.DataFrame:
    """Both terms against their limits for falling ε, from 2^log2 scrambled Sobol points.

    Columns: example, epsilon, ``stretch`` and ``bending`` (absolute differences from the limit),
    ``single`` (the bending term's difference with codes in float32).
    """
    rows = []
    for example in EXAMPLES:
        u = _sobol(example.space, log2)
        for epsilon in map(float, epsilons):
            both = {
                t: monte_carlo(example.phi, example.space, u, epsilon, t)
                for t in (torch.float64, torch.float32)
            }
            stretch, bending = (t.mean().item() for t in both[torch.float64])
            single = both[torch.float32][1].double().mean().item()
            row = {"example": example.name, "epsilon": epsilon, "stretch": abs(stretch - example.stretch)}
            rows.append(
                row | {"bending": abs(bending - example.bending), "single": abs(single - example.bending)}
            )
    return pd.DataFrame(rows)


def by_pairs(epsilon: float, draws: tuple[int, ...], repeats: int, lam: float, log2: int) -> pd.DataFrame:
    """Root mean square difference, over repeats, between N random pairs and very many,
    of stretch + λ·bending at one ε."""
    rows = []
    for i, example in enumerate(EXAMPLES):
        generator = torch.Generator().manual_seed(i)
        space = example.space

        def value(u: Tensor) -> float:
            stretch, bending = monte_carlo(example.phi, space, u, epsilon)
            return (stretch + lam * bending).mean().item()

        exact = value(_sobol(space, log2))
        for k in draws:
            size, how = (2**k, space.cube + space.dim), {"generator": generator, "dtype": torch.float64}
            errors = [value(torch.rand(size, **how)) - exact for _ in range(repeats)]
            error = float(np.sqrt(np.mean(np.square(errors))))
            rows.append({"example": example.name, "pairs": 2**k, "error": error})
    return pd.DataFrame(rows)


def best_scales(epsilons: np.ndarray, lam: float, log2: int) -> pd.DataFrame:
    """The best scale s of the round sphere φ(x) = s x, for the functional at ε and for its limit.

    The functional is As² + B/s² − 2 + λCs² with A, B, C means over pairs, so s⁴ = B/(A + λC); in
    the limit A = B = C = 1 and s⁴ = 1/(1 + λ).
    """
    space = Cap()
    u = _sobol(space, log2)
    rows = []
    for epsilon in epsilons:
        p, q = space.pairs_at(u, float(epsilon))
        d = space.distance(p, q)
        chord2 = ((p - q).norm(dim=1) / d).square()
        second = terms(p, q, space.average(p, q), d)[1]
        best = (torch.mean(1 / chord2) / (chord2.mean() + lam * second.mean())) ** 0.25
        rows.append({"epsilon": float(epsilon), "best": best.item(), "limit": (1 + lam) ** -0.25})
    return pd.DataFrame(rows)


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """The exponent p of y ∝ x^p, fitted to the logarithms by least squares.

    >>> round(slope(np.array([1.0, 2, 4]), np.array([3.0, 12, 48])), 6)
    2.0
    """
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
