"""Closed manifolds, and an arc as the control: points, uniform samples, and on the torus intrinsic distances.

Every manifold is a map from intrinsic coordinates q to R^m, followed by an isometry into a
larger ambient space, so that no coordinate gives the answer away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..spaces import Sampled, bisect

__all__ = ["Manifold", "Curve", "LinkedCircles", "Sphere", "Torus", "MANIFOLDS", "isometry"]

TAU = 2 * math.pi


def isometry(m: int, n: int, generator: torch.Generator) -> Tensor:
    """A random n×m matrix Q with orthonormal columns, uniform among them: R^m → R^n without distortion."""
    q, r = torch.linalg.qr(torch.randn(n, m, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()


@dataclass(frozen=True)
class Manifold(Sampled):
    """A compact manifold in R^m.

    Attributes
    ----------
    name : str
    dim, m : dimension, and dimension of the Euclidean space it is described in
    cube : numbers in one row of intrinsic coordinates
    bound : what the largest error of every continuous autoencoder with latent dimension `dim` is at least
    """

    name: str
    dim: int
    m: int
    cube: int
    bound: float

    def points(self, q: Tensor) -> Tensor:
        """``q (n, cube) -> (n, m)`` float64."""
        raise NotImplementedError

    def grid(self, n: int) -> Tensor:
        """About n points of equal measure each, ``(n', cube)``, the same on every call."""
        k = torch.arange(n, dtype=torch.float64)
        golden = (math.sqrt(5) - 1) / 2
        return self.fill(torch.stack([(k + 0.5) / n, (k * golden) % 1], 1))


@dataclass(frozen=True)
class Curve(Manifold):
    """The unit circle, or an arc of it with both end points, an interval: q is (angle,)."""

    span: float = TAU

    def points(self, q):
        return torch.stack([q[:, 0].cos(), q[:, 0].sin()], 1)

    def fill(self, u):
        return u * self.span

    def grid(self, n):
        return ((torch.arange(n, dtype=torch.float64) + 0.5) / n * self.span)[:, None]

    def tangent(self, q: Tensor) -> Tensor:
        """The unit vector along which q grows, ``(n, m)``."""
        return torch.stack([-q[:, 0].sin(), q[:, 0].cos()], 1)


class LinkedCircles(Manifold):
    """A = (cos t, sin t, 0) and B = (1 + cos s, 0, sin s), each through the other;
    q is (angle, 0 on A or 1 on B)."""

    def points(self, q):
        c, s, b = q[:, 0].cos(), q[:, 0].sin(), q[:, 1]
        return torch.stack([c + b, s * (1 - b), s * b], 1)

    def fill(self, u):
        return torch.stack([u[:, 0] * TAU, (u[:, 1] >= 0.5).to(u)], 1)

    def grid(self, n):
        angle = (torch.arange(n // 2, dtype=torch.float64) + 0.5) / (n // 2) * TAU
        return torch.cat([torch.stack([angle, torch.full_like(angle, b)], 1) for b in (0.0, 1.0)])

    def tangent(self, q: Tensor) -> Tensor:
        """The unit vector along which the angle grows, ``(n, 3)``."""
        c, s, b = q[:, 0].cos(), q[:, 0].sin(), q[:, 1]
        return torch.stack([-s, c * (1 - b), c * b], 1)


class Sphere(Manifold):
    """The unit sphere; q is (height, longitude). Equal steps of height cut off equal areas."""

    def points(self, q):
        rho = (1 - q[:, 0] ** 2).clamp_min(0).sqrt()
        return torch.stack([rho * q[:, 1].cos(), rho * q[:, 1].sin(), q[:, 0]], 1)

    def fill(self, u):
        return torch.stack([2 * u[:, 0] - 1, u[:, 1] * TAU], 1)


@dataclass(frozen=True)
class Torus(Manifold):
    """The torus of revolution with radii R > r; q is (u around the axis, v around the tube).

    The metric is (R + r cos v)² du² + r² dv², the area element r (R + r cos v) du dv.
    """

    big: float = 2.0
    small: float = 1.0

    def points(self, q):
        rho = self.big + self.small * q[:, 1].cos()
        return torch.stack([rho * q[:, 0].cos(), rho * q[:, 0].sin(), self.small * q[:, 1].sin()], 1)

    def fill(self, u):
        # v solves v + (r/R) sin v = 2π u
        v = bisect(lambda v: v + self.small / self.big * v.sin(), TAU * u[:, 1], TAU)
        return torch.stack([u[:, 0] * TAU, v], 1)

    def distance(self, p: Tensor, q: Tensor, segments: int = 48, steps: int = 80) -> Tensor:
        """Length of the shortest path between rows of coordinates, ``(n,)``, to about 1e-4 of it.

        Polygonal paths, three windings around either circle and each also bent to either
        side of the tube, slide down their energy ∫ (R + r cos v)² u'² + r² v'²; the shortest counts.
        """
        around = torch.tensor([-TAU, 0.0, TAU], dtype=p.dtype)
        gap = ((q - p + math.pi) % TAU - math.pi)[:, None] + torch.cartesian_prod(around, around)  # (n, 9, 2)
        s = torch.linspace(0, 1, segments + 1, dtype=p.dtype)[:, None]
        bend = (
            torch.tensor([0.0, 0.7, -0.7], dtype=p.dtype)[:, None, None]
            * torch.tensor([0.0, 1.0], dtype=p.dtype)
            * (math.pi * s).sin()
        )
        path = p[:, None, None, None] + s * gap[:, :, None, None] + bend  # (n, 9, 3, segments + 1, 2)
        path = self._relax(path.flatten(0, 2), steps)
        step = path.diff(dim=1)
        length = torch.hypot(self._speed(path) * step[..., 0], self.small * step[..., 1]).sum(1)
        return length.view(len(p), -1).amin(1)

    def _speed(self, path: Tensor) -> Tensor:
        """R + r cos v in the middle of every segment."""
        return self.big + self.small * ((path[:, 1:, 1] + path[:, :-1, 1]) / 2).cos()

    def _relax(self, path: Tensor, steps: int) -> Tensor:
        """Gradient descent with the gradient taken in the inner product of first derivatives:
        no step is too long for any wavelength."""
        n = path.shape[1] - 1
        k = torch.arange(1, n, dtype=path.dtype)
        sines = (math.pi * k[:, None] * k / n).sin() * math.sqrt(2 / n)  # symmetric and orthogonal
        laplace = (2 - 2 * (math.pi * k / n).cos()) * n * n
        turn = (path[:, -1, 0] - path[:, 0, 0]).square()[:, None]
        scale = torch.stack(
            [
                (self.big + self.small) ** 2 * laplace.expand(len(path), -1),
                self.small**2 * laplace + 1.5 * self.big * self.small * turn,
            ],
            2,
        )
        for _ in range(steps):
            step, speed = path.diff(dim=1) * n, self._speed(path)
            flow_u, flow_v = speed**2 * step[..., 0], self.small**2 * step[..., 1]
            pull = (
                -speed * self.small * ((path[:, 1:, 1] + path[:, :-1, 1]) / 2).sin() * step[..., 0] ** 2 / 2
            )
            gradient = -torch.stack([flow_u.diff(dim=1), flow_v.diff(dim=1)], 2) * n
            gradient[..., 1] += pull[:, 1:] + pull[:, :-1]
            path[:, 1:-1] -= sines @ ((sines @ gradient) / scale)
        return path


MANIFOLDS: dict[str, Manifold] = {
    "arc": Curve("arc", 1, 2, 1, 0.0, 0.75 * TAU),
    "circle": Curve("circle", 1, 2, 1, 1.0),
    "linked": LinkedCircles("linked circles", 1, 3, 2, 1.0),
    "sphere": Sphere("sphere", 2, 3, 2, 1.0),
    "torus": Torus("torus", 2, 3, 2, 1.0),
}
