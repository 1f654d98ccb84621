"""What is usual: quantiles of a few cheap scores over held-out images and noise, to read one input against.

The scores are those of `lib.studies.detection_scores` that need one round trip, one more encoding and a d×d
matrix, and the difference between two seeds' reconstructions, ‖y − y'‖²/784, which asks whether networks
trained alike agree on an input.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .. import noise
from ..model import Autoencoder, Ensemble
from ..protocol import REPRESENTATIVES
from . import detection_data, detection_scores

__all__ = ["quantiles", "cheap", "CHEAP", "DIFFERENCE", "LEVELS", "INSIDE"]

#: Scores of `lib.studies.detection_scores` that an input is read by.
CHEAP = ("relative error", "re-encoding shift", "hamming", "K_L defect")
#: ‖y − y'‖²/784 between the network and the one of the next seed with the same d.
DIFFERENCE = "difference between seeds"
LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
#: The set of held-out images, by name.
INSIDE = "held out"


def cheap(net: Autoencoder, x: Tensor) -> dict[str, np.ndarray]:
    """The scores `CHEAP` of the points ``x (n, 784)``, each ``(n,)``; nothing has to be fitted for them."""
    p = detection_scores.probe(net, x)
    return {name: detection_scores.SCORES[name].of(p, None) for name in CHEAP}


@torch.no_grad()
def quantiles(
    networks: Sequence[Ensemble], training_set: str, dims: Sequence[int], points: int = detection_data.POINTS
) -> pd.DataFrame:
    """Quantiles of every score at `LEVELS`, in float64.

    The held-out images are the part that gives thresholds in `lib.studies.detection`;
    the noise sets are the paper's three representatives.

    Returns
    -------
    DataFrame with ``seed, d, set, score, points`` and a column ``q01 … q99`` for each level.
    """
    sets = {INSIDE: detection_data.parts(training_set).rank[:points]}
    sets |= {name: noise.sample(name, 0, points) for name in REPRESENTATIVES.values()}
    found = []
    for d in dims:
        nets = [e.member(d).double() for e in networks]
        for name, x in sets.items():
            y = [net(x)[1] for net in nets]
            for i, (ensemble, net) in enumerate(zip(networks, nets)):
                scores = cheap(net, x)
                if len(nets) > 1:
                    scores[DIFFERENCE] = (y[i] - y[(i + 1) % len(nets)]).square().mean(1).numpy()
                for score, values in scores.items():
                    at = {f"q{round(100 * q):02d}": v for q, v in zip(LEVELS, np.quantile(values, LEVELS))}
                    head = {"seed": ensemble.seed, "d": d, "set": name, "score": score, "points": len(x)}
                    found.append(head | at)
    return pd.DataFrame(found)
