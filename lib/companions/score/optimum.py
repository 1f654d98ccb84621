"""Optimal reconstructions in closed form or by quadrature: nothing is trained here.

For a density p with score s = ∇log p and a noise level σ,

    contractive   r = argmin E‖r(x) − x‖² + σ² E‖∂r/∂x‖_F²   = (I − σ²L)⁻¹ id,   L = Δ + s·∇
    denoising     r = argmin E‖r(x + σξ) − x‖²               = x + σ² ∇log(p ∗ N_σ)(x)

(Alain & Bengio, JMLR 15, 2014; the resolvent form follows from the Euler–Lagrange equation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.polynomial import Polynomial
from scipy.linalg import solveh_banded
from scipy.special import roots_hermitenorm
from torch import Tensor

from ...store import Store
from . import VERSION

__all__ = [
    "Energy",
    "DOUBLE_WELL",
    "contractive",
    "denoising",
    "optimum_curves",
    "optimum_errors",
    "error_sweep",
    "slopes",
    "kernel_field",
    "Mixture",
    "ring",
    "cloud",
    "spiral",
]


@dataclass(frozen=True)
class Energy:
    """A density p ∝ exp(−U) on an interval, U a polynomial with coefficients from the constant up.

    >>> Energy((0.0, 0.0, 0.5), 8.0).score(np.array([2.0])).tolist()
    [-2.0]
    """

    coefficients: tuple[float, ...]
    half_width: float

    def grid(self, nodes: int) -> np.ndarray:
        """`nodes` equidistant points of the interval, shape (nodes,)."""
        return np.linspace(-self.half_width, self.half_width, nodes)

    def density(self, x: np.ndarray) -> np.ndarray:
        """exp(−U), not normalised; its largest value on the interval is near 1."""
        u = Polynomial(self.coefficients)
        return np.exp(u(self.grid(2001)).min() - u(x))

    def score(self, x: np.ndarray, order: int = 1) -> np.ndarray:
        """The derivative of log p of the given order: 1 is the score, 2 its slope."""
        return -Polynomial(self.coefficients).deriv(order)(x)


#: Two wells of unequal depth, at about −1 and 1.
DOUBLE_WELL = Energy((1.0, 0.3, -2.0, 0.0, 1.0), 2.5)


def contractive(energy: Energy, sigma: float, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """The contractive optimum in one dimension, and its slope.

    r = x + g minimises ∫ p (g² + σ²(1 + g′)²); piecewise linear g on a grid turns the
    condition p g = σ² (p(1 + g′))′, with p(1 + g′) = 0 at both ends, into one symmetric
    positive definite tridiagonal system.

    Returns
    -------
    g : ndarray, shape (nodes,)
        r(x) − x at the nodes; error O(h²) for spacing h.
    slope : ndarray, shape (nodes − 1,)
        r′ at the midpoints.
    """
    x = energy.grid(nodes)
    h = x[1] - x[0]
    mass = h * energy.density(x)
    mass[[0, -1]] /= 2
    flux = sigma**2 * energy.density(x[:-1] + h / 2) / h  # conductance of an interval
    diagonal = mass.copy()
    diagonal[:-1] += flux
    diagonal[1:] += flux
    force = np.zeros(nodes)
    force[:-1] += flux * h
    force[1:] -= flux * h
    # scaled to a unit diagonal: p spans many orders of magnitude
    scale = 1 / np.sqrt(diagonal)
    bands = np.stack([np.append(0.0, -flux * scale[:-1] * scale[1:]), np.ones(nodes)])
    g = scale * solveh_banded(bands, scale * force)
    return g, 1 + np.diff(g) / h


def denoising(energy: Energy, sigma: float, x: np.ndarray, order: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """The denoising optimum r(x̃) = E[x | x̃] in one dimension, and its slope, by Gauss–Hermite quadrature.

    With x = x̃ + σu and weights w ∝ φ(u) p(x̃ + σu): r − x̃ = σ E_w u and r′ = Var_w u.

    Returns
    -------
    g, slope : ndarray, each of the shape of `x`
    """
    u, w = roots_hermitenorm(order)
    log = -Polynomial(energy.coefficients)(x[:, None] + sigma * u)
    weights = w * np.exp(log - log.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    mean = weights @ u
    return sigma * mean, weights @ u**2 - mean**2


def smoothed_score(energy: Energy, sigma: float, x: np.ndarray, nodes: int = 4001) -> np.ndarray:
    """∇log(p ∗ N_σ) by the trapezoidal rule in x, which shares nothing with `denoising` but the energy."""
    reach = energy.half_width + 10 * sigma
    t = np.linspace(-reach, reach, nodes)
    log = -Polynomial(energy.coefficients)(t) - (x[:, None] - t) ** 2 / (2 * sigma**2)
    weights = np.exp(log - log.max(1, keepdims=True))
    return (weights @ t / weights.sum(1) - x) / sigma**2


def optimum_curves(energy: Energy, sigmas: Sequence[float], nodes: int, shown: int = 400) -> pd.DataFrame:
    """Both optima against the score: columns ``sigma, x, density, score, second, contractive, denoising``
    and the slopes ``contractive_slope, denoising_slope``, where (r − x)/σ² and (r′ − 1)/σ² are meant."""
    x = energy.grid(nodes)
    mid = (x[1:] + x[:-1]) / 2
    rows = []
    for sigma in sigmas:
        pick = np.linspace(0, nodes - 2, shown).round().astype(int)
        g, slope = contractive(energy, sigma, nodes)
        d, d_slope = denoising(energy, sigma, mid[pick])
        at = mid[pick]
        columns = {"sigma": sigma, "x": at, "density": energy.density(at)}
        columns |= {"score": energy.score(at), "second": energy.score(at, 2)}
        columns |= {"contractive": (g[pick] + g[pick + 1]) / 2 / sigma**2, "denoising": d / sigma**2}
        columns["contractive_slope"] = (slope[pick] - 1) / sigma**2
        columns["denoising_slope"] = (d_slope - 1) / sigma**2
        rows.append(pd.DataFrame(columns))
    return pd.concat(rows, ignore_index=True)


def optimum_errors(energy: Energy, sigmas: Sequence[float], nodes: int) -> pd.DataFrame:
    """Relative L²(p) errors against σ: one row for each optimum, order of derivative and σ.

    ``target`` is ``score`` for ∇log p, and ``smoothed`` for ∇log(p ∗ N_σ), for which the
    denoising optimum is exact.
    """
    x = energy.grid(nodes)
    mid = (x[1:] + x[:-1]) / 2
    coarse = energy.grid(1201)

    def error(estimate, truth, at):
        p = energy.density(at)
        return float(np.sqrt((p * (estimate - truth) ** 2).sum() / (p * truth**2).sum()))

    rows = []
    for sigma in sigmas:
        g, slope = contractive(energy, sigma, nodes)
        d, d_slope = denoising(energy, sigma, coarse)
        smoothed = smoothed_score(energy, sigma, coarse)
        for *head, estimate, truth, at in (
            ("contractive", "score", 1, g, energy.score(x), x),
            ("contractive", "score", 2, slope - 1, energy.score(mid, 2), mid),
            ("denoising", "score", 1, d, energy.score(coarse), coarse),
            ("denoising", "score", 2, d_slope - 1, energy.score(coarse, 2), coarse),
            ("denoising", "smoothed", 1, d, smoothed, coarse),
        ):
            rows.append((*head, sigma, error(estimate / sigma**2, truth, at)))
    return pd.DataFrame(rows, columns=["optimum", "target", "order", "sigma", "error"])


def error_sweep(nodes: int) -> pd.DataFrame:
    """`optimum_errors` of the double well over σ from 0.005 to 0.5, loaded or computed."""
    fields = {"experiment": "optimum errors", "version": VERSION, "nodes": nodes}
    compute = lambda: optimum_errors(DOUBLE_WELL, np.geomspace(0.005, 0.5, 13), nodes)
    return Store().table("score", fields, compute)


def slopes(errors: pd.DataFrame, below: float = 0.03) -> pd.DataFrame:
    """Slopes of log error against log σ, fitted by least squares over σ ≤ `below`."""
    fitted = errors[(errors.target == "score") & (errors.sigma <= below)].groupby(["optimum", "order"])
    rows = [(*key, float(np.polyfit(np.log(t.sigma), np.log(t.error), 1)[0])) for key, t in fitted]
    return pd.DataFrame(rows, columns=["optimum", "order", "slope"])


def kernel_field(x: Tensor, sigma: float) -> Callable[[Tensor], Tensor]:
    """The denoising optimum r of the empirical law of ``x (m, n)``:
    weights softmax(−‖x̃ − x_i‖²/(2σ²)) on the points.

    No network with this training set has a smaller denoising loss on it.
    """
    return lambda at: torch.softmax(torch.cdist(at, x).square_().div_(-2 * sigma**2), 1) @ x


@dataclass(frozen=True)
class Mixture:
    """A Gaussian mixture Σ_k w_k N(μ_k, Σ_k), float64; its smoothed score is known in closed form.

    Attributes
    ----------
    weights : Tensor, shape (m,), summing to 1
    means : Tensor, shape (m, n)
    covariances : Tensor, shape (m, n, n)
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor

    def sample(self, count: int, generator: torch.Generator, sigma: float = 0.0) -> Tensor:
        """Draws from p ∗ N_σ, shape (count, n)."""
        which = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        root = torch.linalg.cholesky(self.covariances)
        normal = lambda *shape: torch.randn(shape, dtype=torch.float64, generator=generator)
        n = self.means.shape[1]
        x = self.means[which] + (root[which] @ normal(count, n, 1)).squeeze(2)
        return x + sigma * normal(count, n) if sigma else x

    def _terms(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """log w_k N(x; μ_k, Σ_k + σ²I) ``(b, m)`` and (Σ_k + σ²I)⁻¹(μ_k − x) ``(b, m, n)``."""
        n = self.means.shape[1]
        covariance = self.covariances + sigma**2 * torch.eye(n, dtype=torch.float64)
        gap = self.means - x[:, None]
        pull = torch.einsum("mij,bmj->bmi", torch.linalg.inv(covariance), gap)
        log = self.weights.log() - 0.5 * ((gap * pull).sum(2) + torch.logdet(2 * torch.pi * covariance))
        return log, pull

    def log_density(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """log (p ∗ N_σ)(x) at ``x (b, n)``, shape (b,)."""
        return self._terms(x, sigma)[0].logsumexp(1)

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """∇log (p ∗ N_σ)(x) at ``x (b, n)``, shape (b, n).

        >>> one = Mixture(torch.ones(1).double(), torch.zeros(1, 2).double(), 3 * torch.eye(2).double()[None])
        >>> one.score(torch.tensor([[4.0, 0.0]]).double(), sigma=1.0).tolist()
        [[-1.0, 0.0]]
        """
        log, pull = self._terms(x, sigma)
        return (log.softmax(1)[:, :, None] * pull).sum(1)

    def kernel_score(self, sigma: float) -> Callable[[Tensor], Tensor]:
        """`score` at one σ for components whose covariance is one multiple of the identity: much cheaper."""
        variance = self.covariances[0, 0, 0] + sigma**2
        same = self.covariances[0, 0, 0] * torch.eye(self.means.shape[1], dtype=torch.float64)
        alike = torch.equal(self.covariances, same.expand_as(self.covariances))
        if not (alike and (self.weights == self.weights[0]).all()):
            raise ValueError(
                "kernel_score: expected equal weights and one covariance c·I, got others; use score"
            )
        mean = kernel_field(self.means, float(variance) ** 0.5)
        return lambda x: (mean(x) - x) / variance

    def hessian(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """∇² log (p ∗ N_σ)(x), shape (b, n, n): σ² times it plus I is the slope of the denoising optimum."""
        log, pull = self._terms(x, sigma)
        w = log.softmax(1)
        n = self.means.shape[1]
        inverse = torch.linalg.inv(self.covariances + sigma**2 * torch.eye(n, dtype=torch.float64))
        s = (w[:, :, None] * pull).sum(1)
        square = torch.einsum("bm,bmi,bmj->bij", w, pull, pull)
        return square - torch.einsum("bm,mij->bij", w, inverse) - s[:, :, None] * s[:, None]


def ring(components: int = 5) -> Mixture:
    """Elongated Gaussians on the unit circle of the plane, each along its radius."""
    angle = 2 * torch.pi * torch.arange(components, dtype=torch.float64) / components
    radial = torch.stack([angle.cos(), angle.sin()], 1)
    outer = radial[:, :, None] * radial[:, None]
    covariances = 0.01 * torch.eye(2, dtype=torch.float64) + 0.05 * outer
    weights = torch.arange(1, components + 1, dtype=torch.float64)
    return Mixture(weights / weights.sum(), radial, covariances)


def cloud(n: int, components: int = 5, seed: int = 0) -> Mixture:
    """A mixture in n dimensions: centres normal with unit variance,
    covariances with eigenvalues from 0.02 to 0.3."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(components, n, dtype=torch.float64, generator=generator)
    q = torch.linalg.qr(torch.randn(components, n, n, dtype=torch.float64, generator=generator)).Q
    spectrum = torch.logspace(np.log10(0.02), np.log10(0.3), n, dtype=torch.float64)
    weights = torch.full((components,), 1 / components, dtype=torch.float64)
    return Mixture(weights, means, (q * spectrum) @ q.transpose(1, 2))


def spiral(turns: float = 2.0, thickness: float = 0.04, nodes: int = 400) -> Mixture:
    """A band around an Archimedean spiral, of radius from 0.3 to 1.5: `nodes` equal Gaussians,
    evenly spaced along it."""
    phase = np.linspace(0, 1, 20_001)
    radius = 0.3 + 1.2 * phase
    steps = np.hypot(np.diff(radius), radius[1:] * np.diff(2 * np.pi * turns * phase))
    length = np.append(0, np.cumsum(steps))
    phase = np.interp(np.linspace(0, length[-1], nodes), length, phase)
    radius, angle = 0.3 + 1.2 * phase, 2 * np.pi * turns * phase
    means = torch.from_numpy(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1))
    covariances = thickness**2 * torch.eye(2, dtype=torch.float64).expand(nodes, 2, 2)
    return Mixture(torch.full((nodes,), 1 / nodes, dtype=torch.float64), means, covariances)
