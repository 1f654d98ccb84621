"""How large the experiments on the codes are."""

from __future__ import annotations

from dataclasses import dataclass

from .. import Sizes

__all__ = ["Settings", "VERSION"]

#: Raise when a stored result of this chapter changes.
VERSION = 1


@dataclass(frozen=True)
class Settings(Sizes):
    """Sizes of samples.

    Attributes
    ----------
    half : images of each class in each of two disjoint halves
    law : points of each sample of a whole law (the training data, a noise set)
    neighbours : k of the k-NN classifier
    pictured : images in a t-SNE picture
    """

    half: int = 50
    law: int = 150
    neighbours: int = 5
    pictured: int = 300

    SMOKE = dict(half=12, law=40, pictured=120)
    FULL = dict(half=300, law=800, pictured=3_000)
