"""The ten pixel distributions of section II-A, drawn so that point i never depends on how it is asked for.

Every pixel of every point is independent. Points are drawn in blocks, and each block has a
counter-based generator of its own, keyed by the distribution, the seed and the block's
number: chunk size, order of access, number of workers and device change nothing.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from scipy import special, stats

from .protocol import ProtocolError

__all__ = ["sample", "distribution", "FAMILIES", "BLOCK", "VERSION"]

#: Raise when a drawn value changes; stored cells are then computed anew.
VERSION = 1
#: Points drawn together. Part of the definition of the data sets: changing it changes them.
BLOCK = 500
PIXELS = 784


#: Laws along two families, whose members differ in brightness and, at mean one half, in variance (section II-B).
FAMILIES = {
    "bernoulli": tuple(
        f"bernoulli_{p}" for p in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
    ),
    "beta": tuple(f"beta_{a}_{a}" for a in (0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 50.0)),
}


def distribution(name: str) -> stats.distributions.rv_frozen:
    """The law of one pixel as a frozen SciPy distribution.

    ``bernoulli_P``, ``beta_A_B``, ``normal`` or ``normal_MU_SIGMA`` (a normal law truncated
    to [0, 1]; the paper's has μ = .5, σ = 1), ``uniform``. Any parameters are taken, so that
    section II-B can sweep them.

    >>> float(distribution("beta_0.8_5").mean().round(4))
    0.1379
    >>> distribution("gamma_2")
    Traceback (most recent call last):
    lib.protocol.ProtocolError: noise set: expected bernoulli_P, beta_A_B, normal[_MU_SIGMA] or uniform, got 'gamma_2'; for instance bernoulli_0.5
    """
    family, *words = name.split("_")
    try:
        numbers = [float(w) for w in words]
        if family == "bernoulli" and len(numbers) == 1 and 0 <= numbers[0] <= 1:
            return stats.bernoulli(numbers[0])
        if family == "beta" and len(numbers) == 2 and min(numbers) > 0:
            return stats.beta(*numbers)
        if family == "uniform" and not numbers:
            return stats.uniform()
        if family == "normal" and len(numbers) in (0, 2):
            mu, sigma = numbers or (0.5, 1.0)
            if sigma > 0:
                return stats.truncnorm((0 - mu) / sigma, (1 - mu) / sigma, loc=mu, scale=sigma)
    except ValueError:
        pass
    raise ProtocolError(
        f"noise set: expected bernoulli_P, beta_A_B, normal[_MU_SIGMA] or uniform, got {name!r}; for instance bernoulli_0.5"
    )


def sample(name: str, start: int, stop: int, seed: int = 0) -> torch.Tensor:
    """Points ``start … stop−1`` of a noise data set.

    Parameters
    ----------
    name : str
        As in `distribution`.
    start, stop : int
        0 ≤ start ≤ stop; there is no last point.
    seed : int
        Another seed is another, independent data set of the same law.

    Returns
    -------
    Tensor, shape (stop − start, 784), float64, values in [0, 1].

    Examples
    --------
    >>> bool((sample("uniform", 0, 1200)[700:900] == sample("uniform", 700, 900)).all())
    True
    """
    law = distribution(name)
    if not 0 <= start <= stop:
        raise ProtocolError(
            f"points: expected 0 ≤ start ≤ stop, got {start} and {stop}; for instance 0 and 500"
        )
    if start == stop:
        return torch.empty(0, PIXELS, dtype=torch.float64)
    first, last = start // BLOCK, (stop - 1) // BLOCK
    drawn = np.concatenate([_block(name, law, seed, b) for b in range(first, last + 1)])
    return torch.from_numpy(drawn[start - first * BLOCK : stop - first * BLOCK])


def _block(name: str, law, seed: int, block: int) -> np.ndarray:
    """One block, shape (BLOCK, 784)."""
    word = hashlib.sha256(f"noise|{VERSION}|{name}|{seed}".encode()).digest()
    key = int.from_bytes(word[:16], "big")
    # the top word of Philox's counter is the block: blocks are 2^192 draws apart
    rng = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, block]))
    shape = (BLOCK, PIXELS)
    family = name.partition("_")[0]
    if family == "beta":
        return rng.beta(*law.args, size=shape)
    u = rng.random(shape)
    if family == "bernoulli":
        return (u < law.args[0]).astype(np.float64)
    if family == "uniform":
        return u
    # the truncated normal by inversion: exact, and cheaper than SciPy's general route
    low, high = special.ndtr(law.args[0]), special.ndtr(law.args[1])
    x = law.kwds["loc"] + law.kwds["scale"] * special.ndtri(low + u * (high - low))
    return np.clip(x, 0.0, 1.0, out=x)
