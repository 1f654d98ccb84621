"""Why autoencoders work, and what they cannot do (Kvalheim & Sontag, TMLR 2024, arXiv:2310.02250)."""

from __future__ import annotations

from dataclasses import dataclass

from .. import Sizes

__all__ = ["Settings", "VERSION"]

#: Raise when a stored network of this chapter changes.
VERSION = 2


@dataclass(frozen=True)
class Settings(Sizes):
    """Sizes of the chapter's experiments."""

    ambient: int = 10  #: dimension of the space that every manifold is rotated into
    width: int = 32  #: units of both hidden layers, for the comparison of manifolds and latent dimensions
    widths: tuple[int, ...] = (4, 16, 32)  #: the same, for the circle alone
    seeds: tuple[int, ...] = (0, 1)  #: of the initial weights; one network each
    steps: int = 1_000  #: of Adam, on fresh points of the manifold
    batch: int = 128
    rate: float = 1e-2
    snapshots: int = 9  #: training times of the circle, evenly in log(steps); of the others the last alone
    points: int = 2_000  #: points of the manifold at which errors are taken

    SMOKE = dict(width=8, widths=(4, 8), seeds=(0,), steps=60, batch=64, snapshots=3, points=400)
    FULL = dict(width=64, widths=(4, 8, 16, 32, 64, 128), seeds=(0, 1, 2, 3, 4))
    FULL |= dict(steps=20_000, batch=512, snapshots=12, points=10_000)
