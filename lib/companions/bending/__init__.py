"""Embeddings of low bending and low distortion (Braunsmann, Rajković, Wirth, Rumpf; M2AN 58(1), 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from .. import Sizes

__all__ = ["Settings", "VERSION"]

#: Raise when a stored network of this chapter changes.
VERSION = 1


@dataclass(frozen=True)
class Settings(Sizes):
    """Sizes of the chapter's experiments. γ(s) = s² + s⁻² − 2 throughout; it, λ and ε are our choices."""

    pixels: int = 16  #: images are pixels × pixels
    widths: tuple[int, ...] = (
        128,
        64,
        32,
    )  #: hidden, of the encoder, mirrored by the decoder; the main paper's
    d: int = 12  #: latent dimension
    lam: float = 0.1  #: λ, the weight of the bending term
    epsilon: float = 0.6  #: ε, the largest Riemannian distance of a training pair
    pool: int = 2_000  #: pairs of each manifold that are rendered for training
    pairs: int = 32  #: pairs in a batch, each of three images: two points and their average
    encoder_steps: int = 700  #: of the optimiser
    decoder_steps: int = 700
    plain_steps: int = 700  #: of the plain autoencoder, which sees the same kind of batches
    rate: float = 3e-3  #: of Adam
    seed: int = 0  #: of the initial weights and of the training pairs
    held_out: int = 1_000  #: fresh pairs for every measurement
    sobol: int = 16  #: log2 of the points in the study of ε
    draws: tuple[int, ...] = (6, 7, 8, 9, 10, 11, 12, 13)  #: log2 of the pairs in the study of sampling
    repeats: int = 32  #: of each of these

    SMOKE = dict(pixels=8, widths=(16, 8), d=4, pool=200, pairs=16, held_out=100, sobol=10)
    SMOKE |= dict(encoder_steps=30, decoder_steps=30, plain_steps=30, draws=(5, 7, 9), repeats=8)
    FULL = dict(pixels=28, d=16, pool=30_000, pairs=128, rate=1e-3, held_out=2_000, sobol=20)
    FULL |= dict(encoder_steps=15_000, decoder_steps=15_000, plain_steps=15_000)
    FULL |= dict(draws=tuple(range(6, 19)), repeats=64)
