"""Which variants are trained, and how long."""

from __future__ import annotations

from dataclasses import dataclass

from .. import Sizes

__all__ = ["Settings", "REGULARISERS", "TWINS", "VERSION"]

#: Raise when the result of training a variant changes.
VERSION = 1

REGULARISERS = ("denoising", "contractive", "bending")
#: σ of the twins: plain networks but for a noise far too small to matter. What they differ by is chance.
TWINS = (1e-6, 2e-6)


@dataclass(frozen=True)
class Settings(Sizes):
    """The variants and the size of their runs. The networks of strength 0 are the plain ones.

    Attributes
    ----------
    dims : latent dimensions
    seeds : of initialisation and batch order
    noise : σ of the denoising variants (standard deviation a pixel) and of the contractive ones,
        whose penalty is σ²‖∂r/∂x‖_F², to leading order the same where the error is small
    bending : weights of the isometry and bending loss of the encoder
    epochs, points : as in the protocol
    """

    dims: tuple[int, ...] = (4,)
    seeds: tuple[int, ...] = (0,)
    noise: tuple[float, ...] = (0.5,)
    bending: tuple[float, ...] = (0.01,)
    epochs: int = 25
    points: int = 100

    SMOKE = dict(dims=(2, 8), noise=(0.5,), bending=(0.01,), epochs=1, points=24)
    FULL = dict(
        dims=(2, 8, 14, 20), noise=(0.25, 0.5), bending=(0.001, 0.01), epochs=100, points=2_000
    )  # on MNIST, a hundred epochs are hours

    def strengths(self, regulariser: str) -> tuple[float, ...]:
        """The strengths of one regulariser; the denoising stack also holds the plain networks (strength 0) and their twins."""
        return {
            "untrained": (0.0,),
            "denoising": (0.0, *TWINS, *self.noise),
            "contractive": self.noise,
            "bending": self.bending,
        }[regulariser]
