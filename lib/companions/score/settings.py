"""How large the experiments of the score chapter are."""

from __future__ import annotations

from dataclasses import dataclass

from .. import Sizes

__all__ = ["Settings", "VERSION"]

#: Raise when a stored result of this chapter changes.
VERSION = 2


@dataclass(frozen=True)
class Settings(Sizes):
    """Sizes of the chapter's experiments; lengths are in steps of the optimiser or of a chain.

    Attributes
    ----------
    nodes : grid of the one-dimensional problem
    sigmas, mixture_steps, mixture_seeds, hidden, batch : denoisers of the Gaussian mixtures
    spiral_sigma, spiral_steps, spiral_hidden, spiral_batch : denoiser and contractive network of the spiral
    chains, chain_steps : parallel chains in the plane, and their length
    image_sigma, image_hidden, image_steps, image_chains, image_chain_steps : the images
    held_out : points of each sample that a distance is taken between
    """

    nodes: int = 40_001
    sigmas: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
    mixture_steps: int = 500
    mixture_seeds: tuple[int, ...] = (0,)
    hidden: int = 32
    batch: int = 128
    spiral_sigma: float = 0.1
    spiral_steps: int = 2_000
    spiral_hidden: int = 64
    spiral_batch: int = 256
    chains: int = 200
    chain_steps: int = 300
    image_sigma: float = 1.0
    image_hidden: int = 128
    image_steps: int = 500
    image_chains: int = 60
    image_chain_steps: int = 80
    held_out: int = 400

    SMOKE = dict(
        nodes=4_001, sigmas=(0.2, 0.8), mixture_steps=40, mixture_seeds=(0,), hidden=16, batch=64, spiral_steps=40, spiral_hidden=16, spiral_batch=64,
        chains=40, chain_steps=40, image_hidden=16, image_steps=20, image_chains=10, image_chain_steps=20, held_out=60,
    )  # fmt: skip
    FULL = dict(
        nodes=100_001, mixture_steps=20_000, mixture_seeds=(0, 1, 2, 3), hidden=128, batch=512, spiral_steps=30_000, spiral_hidden=192, spiral_batch=1_024,
        chains=2_000, chain_steps=5_000, image_sigma=0.6, image_hidden=1_024, image_steps=30_000, image_chains=500, image_chain_steps=2_000, held_out=4_000,
    )  # fmt: skip
