"""Spaces with exact Riemannian distance and average, and nearby pairs of their points.

The three image manifolds have constant curvature, 1, 1/4 and −1. Their points are unit
vectors for a bilinear form, and on all three the average of two points is their sum,
scaled back to unit length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..spaces import Sampled, bisect

__all__ = ["Space", "Cap", "Rotations", "Ellipses", "Flat", "multiply", "rotation_matrix"]

TAU = 2 * math.pi


@dataclass(frozen=True)
class Space(Sampled):
    """A Riemannian manifold whose points are rows of numbers, float64.

    Attributes
    ----------
    dim : dimension
    cube : numbers in the unit interval that make one point
    """

    dim: int
    cube: int

    def step(self, p: Tensor, u: Tensor, epsilon: float) -> Tensor:
        """A point within ε of p, uniform in that ball for uniform ``u (n, dim)``; it may fall outside."""
        raise NotImplementedError

    def inside(self, p: Tensor) -> Tensor:
        """Whether points belong to the manifold, ``(n,)`` bool."""
        return torch.ones(len(p), dtype=torch.bool)

    def distance(self, p: Tensor, q: Tensor) -> Tensor:
        """Riemannian distance of rows, ``(n,)``."""
        raise NotImplementedError

    def geodesic(self, p: Tensor, q: Tensor, t: float) -> Tensor:
        """The point at share t of the shortest path from p to q."""
        raise NotImplementedError

    def average(self, p: Tensor, q: Tensor) -> Tensor:
        """av(p, q), the midpoint of the shortest path."""
        return self.geodesic(p, q, 0.5)

    def pairs_at(self, u: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
        """Pairs from ``u (n, cube + dim)`` in the unit cube, uniform among all pairs with d ≤ ε;
        pairs that leave the manifold are dropped."""
        p = self.fill(u[:, : self.cube])
        q = self.step(p, u[:, self.cube :], epsilon)
        keep = self.inside(q)
        return p[keep], q[keep]

    def pairs(self, n: int, epsilon: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n pairs, uniform among all pairs of points with d(p, q) ≤ ε."""
        found: list[tuple[Tensor, Tensor]] = []
        while sum(len(p) for p, _ in found) < n:
            u = torch.rand(n + 8, self.cube + self.dim, generator=generator, dtype=torch.float64)
            found.append(self.pairs_at(u, epsilon))
        p, q = (torch.cat(column)[:n] for column in zip(*found))
        return p, q


def _blend(p: Tensor, q: Tensor, angle: Tensor, t: float, sine) -> Tensor:
    """(sine((1 − t)θ) p + sine(tθ) q)/sine θ, and the straight line where θ is 0."""
    angle = angle[:, None]
    small = angle < 1e-12
    safe = torch.where(small, torch.ones_like(angle), angle)
    a = torch.where(small, torch.full_like(safe, 1 - t), sine((1 - t) * safe) / sine(safe))
    b = torch.where(small, torch.full_like(safe, t), sine(t * safe) / sine(safe))
    return a * p + b * q


@dataclass(frozen=True)
class Cap(Space):
    """Unit vectors within `polar` radians of the pole e₃: a sphere for polar = π, a hemisphere for π/2.

    For polar ≤ π/2 shortest paths stay inside. Points are ``(n, 3)``.
    """

    dim: int = 2
    cube: int = 2
    polar: float = math.pi

    def fill(self, u):
        height = 1 - u[:, 0] * (1 - math.cos(self.polar))
        rho, phi = (1 - height**2).clamp_min(0).sqrt(), u[:, 1] * TAU
        return torch.stack([rho * phi.cos(), rho * phi.sin(), height], 1)

    def step(self, p, u, epsilon):
        # an orthonormal tangent frame without a singular point on rows (Duff et al., JCGT 6(1), 2017)
        x, y, z = p.unbind(1)
        sign = torch.where(z >= 0, 1.0, -1.0).to(p)
        a = -1 / (sign + z)
        b = x * y * a
        e1 = torch.stack([1 + sign * x * x * a, sign * b, -sign * x], 1)
        e2 = torch.stack([b, sign + y * y * a, -y], 1)
        r, phi = 2 * torch.asin(u[:, 0].sqrt() * math.sin(epsilon / 2)), u[:, 1] * TAU
        return r.cos()[:, None] * p + r.sin()[:, None] * (phi.cos()[:, None] * e1 + phi.sin()[:, None] * e2)

    def inside(self, p):
        return p[:, 2] >= math.cos(self.polar)

    def distance(self, p, q):
        return 2 * torch.atan2((p - q).norm(dim=1), (p + q).norm(dim=1))

    def geodesic(self, p, q, t):
        return _blend(p, q, self.distance(p, q), t, torch.sin)


def multiply(p: Tensor, q: Tensor) -> Tensor:
    """Product of quaternions (real part first), row by row."""
    a, b = p[:, :1], p[:, 1:]
    c, d = q[:, :1], q[:, 1:]
    return torch.cat([a * c - (b * d).sum(1, keepdim=True), a * d + c * b + torch.linalg.cross(b, d)], 1)


def rotation_matrix(q: Tensor) -> Tensor:
    """The rotation v ↦ q v q⁻¹ of unit quaternions, ``(n, 4) -> (n, 3, 3)``.

    >>> rotation_matrix(torch.tensor([[1.0, 0, 0, 0]])).tolist()
    [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]
    """
    w, x, y, z = q.unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), 2 * (x * y + w * z),
        1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, 1).view(-1, 3, 3)


@dataclass(frozen=True)
class Rotations(Space):
    """SO(3) with d = the angle of the rotation from one to the other, in [0, π];
    unit quaternions ``(n, 4)``, q and −q the same."""

    dim: int = 3
    cube: int = 3

    def fill(self, u):
        # Shoemake, Graphics Gems III, 1992
        a, b = (1 - u[:, 0]).sqrt(), u[:, 0].sqrt()
        s, t = u[:, 1] * TAU, u[:, 2] * TAU
        return torch.stack([b * t.cos(), a * s.sin(), a * s.cos(), b * t.sin()], 1)

    def step(self, p, u, epsilon):
        # the volume of a ball of radius ω is proportional to ω − sin ω
        angle = bisect(lambda a: a - a.sin(), u[:, 0] * (epsilon - math.sin(epsilon)), epsilon)
        half = angle[:, None] / 2
        z, phi = 2 * u[:, 1] - 1, u[:, 2] * TAU
        rho = (1 - z**2).clamp_min(0).sqrt()
        axis = torch.stack([rho * phi.cos(), rho * phi.sin(), z], 1)
        return multiply(p, torch.cat([half.cos(), half.sin() * axis], 1))

    def _aligned(self, p: Tensor, q: Tensor) -> Tensor:
        return torch.where((p * q).sum(1, keepdim=True) < 0, -q, q)

    def distance(self, p, q):
        q = self._aligned(p, q)
        return 4 * torch.atan2((p - q).norm(dim=1), (p + q).norm(dim=1))

    def geodesic(self, p, q, t):
        return _blend(p, self._aligned(p, q), self.distance(p, q) / 2, t, torch.sin)


@dataclass(frozen=True)
class Ellipses(Space):
    """Ellipses of one area and centre with axes at most e^reach : 1,
    a disc of radius `reach` in the hyperbolic plane.

    The ellipse uᵀP⁻¹u ≤ ρ² of a positive definite P with det P = 1 is the point
    (x₀, x₁, x₂), P = [[x₀ + x₁, x₂], [x₂, x₀ − x₁]], of the hyperboloid x₀² − x₁² − x₂² = 1.
    d(P, Q) = arcosh ½ tr P⁻¹Q is the Fisher–Rao distance of the normal distributions with
    covariances P and Q, unchanged when the plane is mapped linearly. Its curvature is −1.
    """

    dim: int = 2
    cube: int = 2
    reach: float = 1.6

    @staticmethod
    def form(p: Tensor, q: Tensor) -> Tensor:
        """⟨p, q⟩ = −p₀q₀ + p₁q₁ + p₂q₂."""
        return (p * q).sum(1) - 2 * p[:, 0] * q[:, 0]

    def fill(self, u):
        height, phi = 1 + u[:, 0] * (math.cosh(self.reach) - 1), u[:, 1] * TAU
        rho = (height**2 - 1).sqrt()
        return torch.stack([height, rho * phi.cos(), rho * phi.sin()], 1)

    def step(self, p, u, epsilon):
        rho = p[:, 1:].norm(dim=1, keepdim=True)
        n = torch.where(rho > 0, p[:, 1:] / rho.clamp_min(1e-300), torch.tensor([1.0, 0.0]).to(p))
        e1 = torch.cat([rho, p[:, :1] * n], 1)
        e2 = torch.stack([torch.zeros_like(n[:, 0]), -n[:, 1], n[:, 0]], 1)
        r, phi = 2 * torch.asinh(u[:, :1].sqrt() * math.sinh(epsilon / 2)), u[:, 1:] * TAU
        return r.cosh() * p + r.sinh() * (phi.cos() * e1 + phi.sin() * e2)

    def inside(self, p):
        return p[:, 0] <= math.cosh(self.reach)

    def distance(self, p, q):
        return 2 * torch.asinh(self.form(p - q, p - q).clamp_min(0).sqrt() / 2)

    def geodesic(self, p, q, t):
        return _blend(p, q, self.distance(p, q), t, torch.sinh)


@dataclass(frozen=True)
class Flat(Space):
    """The cube [−half, half]^dim with Euclidean distance, dim 1 or 2."""

    half: float = 1.0

    def fill(self, u):
        return (2 * u - 1) * self.half

    def step(self, p, u, epsilon):
        if self.dim == 1:
            return p + (2 * u - 1) * epsilon
        r, phi = epsilon * u[:, :1].sqrt(), TAU * u[:, 1:]
        return p + r * torch.cat([phi.cos(), phi.sin()], 1)

    def inside(self, p):
        return (p.abs() <= self.half).all(1)

    def distance(self, p, q):
        return (p - q).norm(dim=1)

    def geodesic(self, p, q, t):
        return (1 - t) * p + t * q
