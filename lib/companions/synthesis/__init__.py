"""Does regularisation cure the instability? Variants of the paper's networks through the paper's protocol."""

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
    """The variants and the size of their runs. The networks of strength 0 are the plain ones."""

    dims: tuple[int, ...] = (4,)  #: latent dimensions
    seeds: tuple[int, ...] = (0,)  #: of initialisation and batch order
    #: σ of the denoising variants (standard deviation a pixel) and of the contractive ones, whose penalty is
    #: σ²‖∂r/∂x‖_F², to leading order the same where the error is small
    noise: tuple[float, ...] = (0.5,)
    bending: tuple[float, ...] = (0.01,)  #: weights of the isometry and bending loss of the encoder
    epochs: int = 25  #: as in the protocol
    points: int = 100  #: as in the protocol

    SMOKE = dict(dims=(2, 8), noise=(0.5,), bending=(0.01,), epochs=1, points=24)
    FULL = dict(dims=(2, 8, 14, 20), noise=(0.25, 0.5), bending=(0.001, 0.01), epochs=100, points=2_000)

    def strengths(self, regulariser: str) -> tuple[float, ...]:
        """The strengths of one regulariser; the denoising stack holds the plain networks and twins too."""
        plain = (0.0, *TWINS, *self.noise)
        mine = {"untrained": (0.0,), "denoising": plain, "contractive": self.noise, "bending": self.bending}
        return mine[regulariser]
