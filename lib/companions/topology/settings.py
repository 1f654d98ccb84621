"""How large the experiments of the topology chapter are."""

from __future__ import annotations

from dataclasses import dataclass

from .. import Sizes

__all__ = ["Settings", "VERSION"]

#: Raise when a stored network of this chapter changes.
VERSION = 2


@dataclass(frozen=True)
class Settings(Sizes):
    """Sizes of the chapter's experiments.

    Attributes
    ----------
    ambient : dimension of the space that every manifold is rotated into
    width : units of both hidden layers, for the comparison of manifolds and latent dimensions
    widths : the same, for the circle alone
    seeds : seeds of the initial weights; one network each
    steps, batch, rate : training with Adam on fresh points of the manifold
    snapshots : how many training times of the circle are kept, spaced evenly in log(steps); of the others the last alone
    points : points of the manifold at which errors are taken
    """

    ambient: int = 10
    width: int = 32
    widths: tuple[int, ...] = (4, 16, 32)
    seeds: tuple[int, ...] = (0, 1)
    steps: int = 1_000
    batch: int = 128
    rate: float = 1e-2
    snapshots: int = 9
    points: int = 2_000

    SMOKE = dict(width=8, widths=(4, 8), seeds=(0,), steps=60, batch=64, snapshots=3, points=400)
    FULL = dict(
        width=64,
        widths=(4, 8, 16, 32, 64, 128),
        seeds=(0, 1, 2, 3, 4),
        steps=20_000,
        batch=512,
        snapshots=12,
        points=10_000,
    )
