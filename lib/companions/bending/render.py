"""Smooth images of the points of three manifolds: a post's shadow, a solid without symmetry, an ellipse."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .geometry import Cap, Ellipses, Rotations, Space, rotation_matrix

__all__ = ["draw", "examples", "IMAGES", "SPACES", "shadow", "solid", "ellipse"]

#: The sun stands at least 25° above the horizon, so that shadows stay in the picture.
SPACES: dict[str, Space] = {
    "sundial": Cap(polar=math.radians(65)),
    "solid": Rotations(),
    "ellipse": Ellipses(),
}

#: Centre, radius and grey value of the balls that make up the solid.
BALLS = torch.tensor([
    (0.00, 0.00, 0.00, 0.42, 0.55), (0.62, 0.10, 0.05, 0.30, 1.00), (-0.15, 0.60, 0.10, 0.24, 0.80),
    (0.05, -0.10, 0.64, 0.27, 0.35), (-0.50, -0.42, -0.20, 0.20, 0.95),
], dtype=torch.float64)  # fmt: skip


def _screen(pixels: int, half: float) -> Tensor:
    """Centres of the pixels of [−half, half]², row by row from the top, ``(pixels², 2)``."""
    line = (torch.arange(pixels, dtype=torch.float64) + 0.5) / pixels * 2 * half - half
    y, x = torch.meshgrid(-line, line, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def shadow(p: Tensor, pixels: int) -> Tensor:
    """The ground from above: the shadow of a post with a ball on top, for the direction `p` to the sun.

    ``p (n, 3) -> (n, pixels²)`` in [0, ¾], the sunlit ground at ¾.
    The shadow of the top falls at −h (p₁, p₂)/p₃.
    """
    u = _screen(pixels, 1.0)
    tip = -0.30 * p[:, None, :2] / p[:, None, 2:]  # (n, 1, 2)
    # 1e-3: no kink where the shadow vanishes
    along = ((u * tip).sum(2) / (tip.square().sum(2) + 1e-3)).clamp(0, 1)
    post = torch.sigmoid((0.15 - (u - along[..., None] * tip).norm(dim=2)) / 0.07)
    ball = torch.sigmoid((0.28 - (u - tip).norm(dim=2)) / 0.07)
    return 0.75 * (1 - post) * (1 - ball)


def solid(q: Tensor, pixels: int) -> Tensor:
    """Five balls of different size and brightness, turned by the quaternion `q`, seen along the third axis.

    ``q (n, 4) -> (n, pixels²)`` in [0, 1]. Nearer balls hide farther ones by a softmax of depth.
    """
    u = _screen(pixels, 1.0)
    centre = BALLS[:, :3] @ rotation_matrix(q).mT  # (n, balls, 3)
    radius, grey = BALLS[:, 3, None], BALLS[:, 4, None]
    rho2 = (u - centre[:, :, None, :2]).square().sum(3)  # (n, balls, pixels²)
    inside = torch.sigmoid((radius - (rho2 + 1e-6).sqrt()) / 0.05)
    bulge = (1 - rho2 / radius**2).clamp_min(0)
    weight = inside * torch.exp((centre[:, :, 2:] + radius * bulge) / 0.12) + 1e-12
    shade = (weight * grey * (0.5 + 0.5 * bulge)).sum(1) / weight.sum(1)
    return shade * (1 - (1 - inside).prod(1))


def ellipse(p: Tensor, pixels: int) -> Tensor:
    """A bright ellipse uᵀP⁻¹u ≤ ρ² on dark ground, its edge soft. ``p (n, 3) -> (n, pixels²)`` in [0, 1]."""
    u = _screen(pixels, 1.0)
    a, b, c = p[:, 0] - p[:, 1], -p[:, 2], p[:, 0] + p[:, 1]  # P⁻¹ = [[a, b], [b, c]], since det P = 1
    x, y = u.T
    norm = a[:, None] * x**2 + 2 * b[:, None] * x * y + c[:, None] * y**2
    return torch.sigmoid((1 - (norm / 0.4**2 + 1e-6).sqrt()) / 0.12)


IMAGES = {"sundial": shadow, "solid": solid, "ellipse": ellipse}


def draw(name: str, p: Tensor, pixels: int) -> Tensor:
    """Images of points of a manifold in `SPACES`, ``(n, pixels²)`` float64, a few hundred at a time."""
    return torch.cat([IMAGES[name](part, pixels) for part in p.split(256)])


def examples(count: int, pixels: int) -> dict[str, np.ndarray]:
    """Images of random points of every manifold, ``(count, pixels, pixels)``."""
    generator = torch.Generator().manual_seed(3)
    return {
        name: draw(name, space.sample(count, generator), pixels).view(count, pixels, pixels).numpy()
        for name, space in SPACES.items()
    }
