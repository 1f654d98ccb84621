"""Small tables and numbers between a page's figures: of training, of noise, and of the results table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from .. import noise
from ..model import Ensemble
from ..protocol import GROUPS

__all__ = [
    "final_errors", "late_fall", "pixel_histograms", "moments", "truncation", "along", "ratio_to_train",
    "by_dimension", "again", "in_standard_errors",
]  # fmt: skip


def final_errors(ensembles: Sequence[Ensemble]) -> pd.DataFrame:
    """Mean squared pixel error after the last epoch, by d: by seed and part (while training, held out)."""
    ends = [(e, part) for e in ensembles for part in ("train", "test")]
    words = {"train": "while training", "test": "held out"}
    columns = {f"seed {e.seed}, {words[part]}": e.curves[part][-1].tolist() for e, part in ends}
    return pd.DataFrame({"$d$": ensembles[0].dims} | columns)


def late_fall(ensembles: Sequence[Ensemble]) -> tuple[pd.DataFrame, int]:
    """By how much the held-out error falls over the second half of training, as a share of that half way.

    Returns
    -------
    table, a column a seed, and the number of epochs that each mean is over.
    """
    epochs = len(ensembles[0].curves["test"])
    span, half = max(1, min(20, epochs // 4)), epochs // 2
    before, after = slice(max(half - span, 0), max(half, 1)), slice(-span, None)
    test = {f"seed {e.seed}": e.curves["test"] for e in ensembles}
    fall = {name: (1 - c[after].mean(0) / c[before].mean(0)).tolist() for name, c in test.items()}
    return pd.DataFrame({"$d$": ensembles[0].dims} | fall), span


def pixel_histograms(
    names: Sequence[str], edges: np.ndarray, points: int = 500
) -> dict[str, tuple[np.ndarray, float]]:
    """Name → (share of the pixels of the first points in each bin, mean of the distribution)."""
    found = {}
    for name in names:
        x = noise.sample(name, 0, points)
        found[name] = np.histogram(x, edges)[0] / x.numel(), float(noise.distribution(name).mean())
    return found


def moments(names: Sequence[str], points: int = 500) -> pd.DataFrame:
    """One pixel's mean and standard deviation; and over points,
    the spread of their brightness and the distance from the mean image."""
    rows = []
    for name in names:
        law, x = noise.distribution(name), noise.sample(name, 0, points)
        away = (x - law.mean()).norm(dim=1)
        points_own = x.mean(1).std(), away.mean(), away.std()
        rows.append((name, law.mean(), law.std(), *map(float, points_own)))
    columns = ["set", "mean", "sd", "sd of a point's brightness", "distance from the mean image", "its sd"]
    return pd.DataFrame(rows, columns=columns)


def truncation(sigmas: Sequence[float]) -> pd.DataFrame:
    """Standard deviation of a pixel under the normal distribution of mean .5 truncated to [0, 1], by σ;
    the uniform one last."""
    names = {f"{s:g}": f"normal_0.5_{s}" for s in sigmas} | {"∞ (uniform)": "uniform"}
    deviations = [float(noise.distribution(name).std()) for name in names.values()]
    return pd.DataFrame({r"$\sigma$": list(names), "sd of a pixel": deviations})


def along(table: pd.DataFrame, family: str) -> pd.DataFrame:
    """The rows of one of `lib.noise.FAMILIES` in order, with the column ``p`` (Bernoulli)
    or ``sd`` of a pixel (Beta)."""
    rows = table[table.set.isin(noise.FAMILIES[family])]
    if family == "bernoulli":
        return rows.assign(p=rows.set.str.split("_").str[1].astype(float)).sort_values("p")
    return rows.assign(sd=rows.set.map(lambda name: float(noise.distribution(name).std()))).sort_values("sd")


def ratio_to_train(table: pd.DataFrame, column: str) -> pd.Series:
    """A column on each noise set over the same network's on the training data, by (seed, d, set)."""
    wide = table.pivot_table(index=["seed", "d"], columns="set", values=column)
    return wide.drop(columns=["train", "test"], errors="ignore").div(wide["train"], axis=0).stack()


def by_dimension(values: pd.Series) -> dict[str, float]:
    """Extremes and median of a series, and its medians at the smallest and the largest d, for a sentence.

    Returns
    -------
    dict with ``low, median, high``, ``first, last`` (values of d), ``at_first, at_last``.
    """
    medians = values.groupby("d").median()
    return {
        "low": values.min(), "median": values.median(), "high": values.max(), "first": medians.index[0],
        "last": medians.index[-1], "at_first": medians.iloc[0], "at_last": medians.iloc[-1],
    }  # fmt: skip


def again(fresh: pd.DataFrame, published: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Medians over the networks of cells computed again / as published, a row a noise set.

    Parameters
    ----------
    columns : column of the results table → what it is called
    """
    both = fresh.merge(published, on=["seed", "d", "set"], suffixes=(", here", ", published"))
    there = [name for group in GROUPS.values() for name in group if (both.set == name).any()]
    medians = both.groupby("set").median(numeric_only=True).loc[there]
    pairs = {c: zip(medians[f"{c}, here"], medians[f"{c}, published"]) for c in columns}
    shown = {columns[c]: [f"{here:.3g} / {then:.3g}" for here, then in pair] for c, pair in pairs.items()}
    return pd.DataFrame({"data set": there} | shown)


def in_standard_errors(fresh: pd.DataFrame, published: pd.DataFrame, points: int) -> pd.Series:
    """Difference of two shares of reversed points over the standard error √(p(1 − p)/points)
    of the first, cell by cell."""
    both = fresh.merge(published, on=["seed", "d", "set"], suffixes=("", "_published"))
    p = both.I_reversed_published
    return (both.I_reversed - p) / (p * (1 - p) / points).clip(lower=1 / points**2) ** 0.5
