"""What regularised autoencoders learn: the score of the data (Alain & Bengio, JMLR 15, 2014)."""

from __future__ import annotations

from dataclasses import dataclass

from .. import Sizes

__all__ = ["Settings", "VERSION"]

#: Raise when a stored result of this chapter changes.
VERSION = 2


@dataclass(frozen=True)
class Settings(Sizes):
    """Sizes of the chapter's experiments; lengths are in steps of the optimiser or of a chain."""

    nodes: int = 40_001  #: grid of the one-dimensional problem
    # denoisers of the Gaussian mixtures
    sigmas: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
    mixture_steps: int = 500
    mixture_seeds: tuple[int, ...] = (0,)
    hidden: int = 32
    batch: int = 128
    # denoiser and contractive network of the spiral
    spiral_sigma: float = 0.1
    spiral_steps: int = 2_000
    spiral_hidden: int = 64
    spiral_batch: int = 256
    chains: int = 200  #: parallel chains in the plane
    chain_steps: int = 300
    # the images
    image_sigma: float = 1.0
    image_hidden: int = 128
    image_steps: int = 500
    image_chains: int = 60
    image_chain_steps: int = 80
    held_out: int = 400  #: points of each sample that a distance is taken between

    SMOKE = dict(nodes=4_001, sigmas=(0.2, 0.8), mixture_steps=40, mixture_seeds=(0,), hidden=16, batch=64)
    SMOKE |= dict(spiral_steps=40, spiral_hidden=16, spiral_batch=64, chains=40, chain_steps=40)
    SMOKE |= dict(image_hidden=16, image_steps=20, image_chains=10, image_chain_steps=20, held_out=60)
    FULL = dict(nodes=100_001, mixture_steps=20_000, mixture_seeds=(0, 1, 2, 3), hidden=128, batch=512)
    FULL |= dict(spiral_steps=30_000, spiral_hidden=192, spiral_batch=1_024, chains=2_000, chain_steps=5_000)
    FULL |= dict(image_sigma=0.6, image_hidden=1_024, image_steps=30_000, image_chains=500)
    FULL |= dict(image_chain_steps=2_000, held_out=4_000)
