"""Which chapters the companions have, and what of each is published."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..protocol import Protocol
from ..store import Store
from . import Sizes, bending, codes, score, synthesis, topology
from .bending import analysis as bending_analysis
from .bending import limit
from .bending import training as bending_training
from .codes import causes
from .codes import codes as measures
from .score import chains, plane, second
from .synthesis import measure
from .topology import analysis as topology_analysis
from .topology import dimension
from .topology import training as topology_training

__all__ = ["CHAPTERS", "SHOWN"]

#: chapter → its settings, and the experiments whose named artefacts are published.
CHAPTERS: dict[str, tuple[type[Sizes], tuple[Callable[[Protocol, Any, Store | None], Any], ...]]] = {
    "topology": (topology.Settings, (topology_training.train, dimension.by_dimension)),
    "bending": (bending.Settings, (bending_training.train, limit.minimisers)),
    "codes": (
        codes.Settings,
        (
            *(measures.class_distances, measures.cluster_scores, measures.brackets),
            *(measures.noise_landing, measures.class_laws, causes.sources),
        ),
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
        (
            chains.image_chains,
            chains.plane_chains,
            plane.spiral_networks,
            plane.mixture_errors,
            second.mixture_orders,
        ),
    ),
}

#: chapter → what its page shows of trained networks: small tables,
#: published beside the networks they are taken from.
SHOWN: dict[str, Callable[[Protocol, Any, Store | None], Any]] = {
    "topology": topology_analysis.shown,
    "bending": bending_analysis.shown,
    "score": plane.spiral_tables,
}
