"""The ten pixel distributions of section II-A, drawn so that point i never depends on how it is asked for.

Every pixel of every point is independent, but for the fields, whose neighbouring pixels are alike. Points are
drawn in blocks, and each block has a counter-based generator of its own, keyed by the distribution, the seed
and the block's number: chunk size, order of access, number of workers and device change nothing.
"""

from __future__ import annotations

import functools
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
SIDE = 28
#: Places at which the quantiles of a field's pixels are taken exactly.
NODES = 8_193


#: Laws along two families, whose members differ in brightness and, at mean one half,
#: in variance (section II-B).
FAMILIES = {
    "bernoulli": tuple(
        f"bernoulli_{p}" for p in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
    ),
    "beta": tuple(f"beta_{a}_{a}" for a in (0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 50.0)),
}


class _ZeroInflatedBeta(stats.rv_continuous):
    """0 with probability q, else Beta(a, b)."""

    def _argcheck(self, q, a, b):
        return (0 <= q) & (q < 1) & (a > 0) & (b > 0)

    def _cdf(self, x, q, a, b):
        return q + (1 - q) * special.betainc(a, b, x)

    def _ppf(self, u, q, a, b):
        return special.betaincinv(a, b, np.maximum(u - q, 0) / (1 - q))

    def _stats(self, q, a, b):
        mean = (1 - q) * a / (a + b)
        return mean, mean * (a + 1) / (a + b + 1) - mean**2, None, None


_zero_inflated_beta = _ZeroInflatedBeta(a=0.0, b=1.0, name="zero_inflated_beta")


def distribution(name: str) -> stats.distributions.rv_frozen:
    """The law of one pixel as a frozen SciPy distribution.

    ``bernoulli_P``, ``beta_A_B``, ``normal`` or ``normal_MU_SIGMA`` (a normal law truncated to [0, 1]; the
    paper's has μ = .5, σ = 1), ``uniform``. Any parameters are taken, so that section II-B can sweep them.
    ``field_M_V_L_Q`` has mean M, variance V and a share Q of pixels that are 0; the others follow a Beta law.
    Its pixels are F⁻¹(Φ(g)) of a Gaussian field g with correlation exp(−r²/2L²) at a distance of r pixels.

    >>> float(distribution("beta_0.8_5").mean().round(4))
    0.1379
    >>> distribution("gamma_2")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    lib.protocol.ProtocolError: noise set: expected bernoulli_P, ... got 'gamma_2'; for instance bernoulli_0.5
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
        if (
            family == "field"
            and len(numbers) == 4
            and numbers[2] >= 0
            and (law := _beta_part(*numbers[:2], numbers[3]))
        ):
            return _zero_inflated_beta(numbers[3], *law)
    except ValueError:
        pass
    raise ProtocolError(
        "noise set: expected bernoulli_P, beta_A_B, normal[_MU_SIGMA], uniform or field_M_V_L_Q, "
        f"got {name!r}; for instance bernoulli_0.5"
    )


def _beta_part(mean: float, variance: float, zeros: float) -> tuple[float, float] | None:
    """Parameters of the Beta law that, with a share of zeros, gives a mean and a variance, or None."""
    if not 0 <= zeros < 1:
        return None
    mu = mean / (1 - zeros)
    own = (variance + mean**2) / (1 - zeros) - mu**2
    if not (0 < mu < 1 and 0 < own < mu * (1 - mu)):
        return None
    kappa = mu * (1 - mu) / own - 1
    return mu * kappa, (1 - mu) * kappa


def _quantiles(g: np.ndarray, zeros: float, a: float, b: float) -> np.ndarray:
    """F⁻¹(Φ(g)) of the zero-inflated Beta law, its Beta part interpolated between `NODES` values of Φ⁻¹:
    within 1e-4, unless its variance is nearly the largest there is.

    SciPy's inverse of the incomplete Beta function takes two microseconds a pixel, fifteen times as long.
    """
    nodes = np.linspace(-8.2, 8.2, NODES)
    u = (special.ndtr(g) - zeros) / (1 - zeros)
    x = np.interp(special.ndtri(u.clip(0)), nodes, special.betaincinv(a, b, special.ndtr(nodes)))
    return np.where(u > 0, x, 0.0)


@functools.cache
def _root(length: float) -> np.ndarray:
    """R with RRᵀ = exp(−(i − j)²/2L²), ``(28, 28)``:
    the kernel on the grid is the product of its two axes' kernels, so R Z Rᵀ has it."""
    apart = np.subtract.outer(np.arange(SIDE), np.arange(SIDE)) / (length or 1)
    values, vectors = np.linalg.eigh(np.exp(-(apart**2) / 2) if length else np.eye(SIDE))
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T  # small eigenvalues are rounding, of either sign


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
    if family == "field":
        root = _root(float(name.split("_")[3]))
        return _quantiles(root @ rng.standard_normal((BLOCK, SIDE, SIDE)) @ root.T, *law.args).reshape(shape)
    u = rng.random(shape)
    if family == "bernoulli":
        return (u < law.args[0]).astype(np.float64)
    if family == "uniform":
        return u
    # the truncated normal by inversion: exact, and cheaper than SciPy's general route
    low, high = special.ndtr(law.args[0]), special.ndtr(law.args[1])
    x = law.kwds["loc"] + law.kwds["scale"] * special.ndtri(low + u * (high - low))
    return np.clip(x, 0.0, 1.0, out=x)
