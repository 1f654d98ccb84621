"""What a few independent seeds can say: intervals, tests and components of variance.

The seed is the unit: networks of one seed share their batches and part of their initial weights. Everything
here takes one number a seed, on a scale on which a normal distribution is a fair description (logarithm for
ratios, logit for shares), or one number for each pair of an architecture and a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = [
    "CONFIDENCE",
    "LEVEL",
    "FEWEST",
    "Outcome",
    "t_test",
    "binomial_test",
    "holm",
    "pseudo_values",
    "pairs_without",
    "Components",
    "components",
]

#: Of the intervals that are shown; level of each one-sided test; fewest seeds that give an interval.
CONFIDENCE, LEVEL, FEWEST = 0.95, 0.05, 3


class Outcome(NamedTuple):
    """A mean over seeds with its interval, and what it says to the bounds between which it should lie.

    ``wanted`` is the p-value for lying between the bounds (small: it does), ``against`` that for lying
    outside (small: it does not). Not numbers where the seeds are too few or there is no bound.
    """

    value: float
    low: float
    high: float
    wanted: float
    against: float


def t_test(values: Sequence[float], above: float | None = None, below: float | None = None) -> Outcome:
    """Student's t interval of the mean over seeds, and the tests of its bounds.

    With one bound the test is one-sided. With two, lying between them takes both of two
    one-sided tests (Schuirmann 1987), so the larger p-value counts; lying outside takes one of
    two, so the smaller counts twice.

    Parameters
    ----------
    values : one number a seed; fewer than `FEWEST` give a mean and nothing else
    """
    v = np.asarray(values, dtype=float)
    v = v[~np.isnan(v)]
    if not len(v):
        return Outcome(*[np.nan] * 5)
    mean = float(v.mean())
    if len(v) < FEWEST:
        return Outcome(mean, *[np.nan] * 4)
    error = float(v.std(ddof=1) / np.sqrt(len(v)))
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, len(v) - 1) * error

    def greater(bound: float) -> float:
        """p-value for a mean above the bound."""
        if error == 0:  # seeds that do not differ at all: only in made-up tables
            return float(mean <= bound)
        return float(stats.t.sf((mean - bound) / error, len(v) - 1))

    right = [greater(above)] if above is not None else []
    right += [1 - greater(below)] if below is not None else []
    wanted = max(right, default=np.nan)
    against = min(1.0, min((1 - p for p in right), default=np.nan) * len(right)) if right else np.nan
    return Outcome(mean, mean - reach, mean + reach, wanted, against)


def binomial_test(answers: Sequence[float]) -> Outcome:
    """Share of seeds that say yes, with Clopper and Pearson's exact interval; the bound is one half.

    >>> round(float(binomial_test([1] * 8).low), 2)
    0.63
    """
    v = np.asarray(answers, dtype=float)
    v = v[~np.isnan(v)]
    if len(v) < FEWEST:
        return Outcome(float(v.mean()) if len(v) else np.nan, *[np.nan] * 4)
    yes = int(v.sum())
    low, high = stats.binomtest(yes, len(v)).proportion_ci(CONFIDENCE)
    more, fewer = (stats.binomtest(yes, len(v), alternative=side).pvalue for side in ("greater", "less"))
    return Outcome(yes / len(v), low, high, float(more), float(fewer))


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values adjusted so that those at most α reject with a family-wise error of α (Holm 1979);
    what is not a number stays.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, dtype=float)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted = p.copy()
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted


def pseudo_values(whole: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Tukey's jackknife: n·θ − (n−1)·θ₍ᵢ₎, one a seed, to be treated like independent numbers.

    Parameters
    ----------
    whole : θ from all seeds, shape (…)
    without : θ₍ᵢ₎ with the i-th seed left out, shape (n, …)
    """
    n = len(without)
    return n * np.asarray(whole)[None] - (n - 1) * np.asarray(without)


def pairs_without(rows: np.ndarray) -> np.ndarray:
    """The mean over all pairs of n seeds, each left out in turn, from every seed's mean over its own pairs.

    With rᵢ = mean of D(i, j) over j ≠ i, the mean over pairs is U = mean rᵢ and,
    without seed i, (nU − 2rᵢ)/(n − 2).

    Parameters
    ----------
    rows : r, shape (n, …), n ≥ 3

    Returns
    -------
    ndarray, shape (n, …)
    """
    n = len(rows)
    return (n * rows.mean(0)[None] - 2 * rows) / (n - 2)


class Components(NamedTuple):
    """Variance components of a two-way layout, and the share of d in their sum with its interval."""

    d: float
    seed: float
    rest: float
    share: float
    low: float
    high: float


def components(table: np.ndarray, draws: int = 4_000, seed: int = 0) -> Components:
    """How much of the variance belongs to d, to the seed, and to neither.

    y = μ + a_d + b_seed + e with one number for each pair. The estimates equate the mean squares of the
    two-way analysis of variance with their expectations, none below zero. The interval of
    σ_d²/(σ_d² + σ_seed² + σ_e²) is Weerahandi's generalised one (1993; Hamada and Weerahandi 2000 for this
    layout): sums of squares over χ² variates of their degrees of freedom take the place of the expected mean
    squares, and the share's quantiles over `draws` are its limits. One number a pair cannot tell an
    interaction of d and seed from noise; both are *rest*.

    Parameters
    ----------
    table : shape (architectures, seeds), at least 2 of each;
        rows or columns with a gap are left out by the caller

    Returns
    -------
    Components; not numbers where the table is too small or has a gap.
    """
    y = np.asarray(table, dtype=float)
    if y.ndim != 2 or min(y.shape) < 2 or np.isnan(y).any():
        return Components(*[np.nan] * 6)
    rows, columns = y.shape
    of_d, of_seed = y.mean(1) - y.mean(), y.mean(0) - y.mean()
    rest = y - y.mean() - of_d[:, None] - of_seed[None]
    squares = np.array([columns * (of_d**2).sum(), rows * (of_seed**2).sum(), (rest**2).sum()])
    freedom = np.array([rows - 1, columns - 1, (rows - 1) * (columns - 1)])

    def split(expected: np.ndarray) -> np.ndarray:
        """Mean squares (…, 3) to components (…, 3)."""
        error = expected[..., 2]
        d = np.maximum(0, expected[..., 0] - error) / columns
        s = np.maximum(0, expected[..., 1] - error) / rows
        return np.stack([d, s, error], -1)

    def share(parts: np.ndarray) -> np.ndarray:
        whole = parts.sum(-1)
        return np.divide(parts[..., 0], whole, out=np.full_like(whole, np.nan), where=whole > 0)

    found = split(squares / freedom)
    drawn = squares / np.random.default_rng(seed).chisquare(freedom, (draws, 3))
    shares = share(split(drawn))
    if columns < FEWEST or np.isnan(shares).all():
        low = high = np.nan
    else:
        low, high = np.quantile(shares, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Components(*map(float, (*found, share(found[None])[0], low, high)))
