"""How large the experiments of the bending chapter are."""

from __future__ import annotations

from dataclasses import dataclass

from .. import Sizes

__all__ = ["Settings", "VERSION"]

#: Raise when a stored network of this chapter changes.
VERSION = 1


@dataclass(frozen=True)
class Settings(Sizes):
    """Sizes of the chapter's experiments. γ(s) = s² + s⁻² − 2 throughout; it, λ and ε are our choices.

    Attributes
    ----------
    pixels : images are pixels × pixels
    widths : hidden widths of the encoder, mirrored by the decoder; the main paper's
    d : latent dimension
    lam : λ, the weight of the bending term
    epsilon : ε, the largest Riemannian distance of a training pair
    pool : pairs of each manifold that are rendered for training
    pairs : pairs in a batch, drawn from the pool; each brings three images, two points and their average
    encoder_steps, decoder_steps, plain_steps : optimiser steps; the plain autoencoder sees the same kind of batches
    rate : of Adam
    seed : of the initial weights and of the training pairs
    held_out : fresh pairs for every measurement
    sobol : log2 of the points in the study of ε
    draws, repeats : numbers of pairs (log2) in the study of sampling, and how often each is repeated
    """

    pixels: int = 16
    widths: tuple[int, ...] = (128, 64, 32)
    d: int = 12
    lam: float = 0.1
    epsilon: float = 0.6
    pool: int = 2_000
    pairs: int = 32
    encoder_steps: int = 700
    decoder_steps: int = 700
    plain_steps: int = 700
    rate: float = 3e-3
    seed: int = 0
    held_out: int = 1_000
    sobol: int = 16
    draws: tuple[int, ...] = (6, 7, 8, 9, 10, 11, 12, 13)
    repeats: int = 32

    SMOKE = dict(
        pixels=8,
        widths=(16, 8),
        d=4,
        pool=200,
        pairs=16,
        encoder_steps=30,
        decoder_steps=30,
        plain_steps=30,
        held_out=100,
        sobol=10,
        draws=(5, 7, 9),
        repeats=8,
    )
    FULL = dict(
        pixels=28, d=16, pool=30_000, pairs=128, encoder_steps=15_000, decoder_steps=15_000, plain_steps=15_000, rate=1e-3, held_out=2_000, sobol=20,
        draws=tuple(range(6, 19)), repeats=64,
    )  # fmt: skip
