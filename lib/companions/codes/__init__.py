"""The law of the codes: what the encoder makes of the classes, measured by optimal transport."""

from __future__ import annotations

from dataclasses import dataclass

from .. import Sizes

__all__ = ["Settings", "VERSION"]

#: Raise when a stored result of this chapter changes.
VERSION = 1


@dataclass(frozen=True)
class Settings(Sizes):
    """Sizes of samples."""

    half: int = 50  #: images of each class in each of two disjoint halves
    law: int = 150  #: points of each sample of a whole distribution (the training data, a noise set)
    neighbours: int = 5  #: k of the k-NN classifier
    pictured: int = 300  #: images in a t-SNE picture
    source_dims: tuple[int, ...] = (2, 6)  #: latent dimensions of the networks trained on Gaussian data
    source_seeds: int = 1  #: first seeds of the protocol for which they are
    source_epochs: int = 10  #: of these, and of those trained on the images that they are held against

    SMOKE = dict(half=12, law=40, pictured=120, source_dims=(2, 3), source_epochs=2)
    FULL = dict(half=300, law=800, pictured=3_000, source_dims=(2, 8), source_seeds=2, source_epochs=5)
