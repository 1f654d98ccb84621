"""Which chapters the companions have, and what of each is published."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..protocol import Protocol
from ..store import Store
from . import Sizes, bending, score, synthesis, topology
from . import codes as embedding
from .bending import training as bending_training
from .codes import codes
from .score import chains, plane
from .synthesis import measure
from .topology import training as topology_training

__all__ = ["CHAPTERS"]

#: chapter → its settings, and the experiments whose named artefacts are published.
CHAPTERS: dict[str, tuple[type[Sizes], tuple[Callable[[Protocol, Any, Store | None], Any], ...]]] = {
    "topology": (topology.Settings, (topology_training.train,)),
    "bending": (bending.Settings, (bending_training.train,)),
    "codes": (
        embedding.Settings,
        (codes.class_distances, codes.cluster_scores, codes.brackets, codes.noise_landing),
    ),
    "synthesis": (
        synthesis.Settings,
        (
            *(functools.partial(measure.part, regulariser=r) for r in ("untrained", *synthesis.REGULARISERS)),
            measure.asymmetry,
            measure.nearest_image,
        ),
    ),
    "score": (
        score.Settings,
        (chains.image_chains, chains.plane_chains, plane.spiral_networks, plane.mixture_errors),
    ),
}
