"""From the tables of results to one number a seed, its interval and its test: evidence, parts and estimates.

A *part* is a statistic of each network, pooled over a range of d within a seed; an *estimate* is what the
seeds together say about one column of it. What is claimed of them stands in `lib.studies.claims`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from ..protocol import GROUPS, LABELS
from . import statistics

__all__ = ["Evidence", "Part", "Estimate", "SCALES", "POOLS", "DARK", "MIDDLE", "BRIGHT", "NOISE", "on_noise"]

DARK, MIDDLE, BRIGHT = (list(names) for names in GROUPS.values())
NOISE = DARK + MIDDLE + BRIGHT
#: Below this a ratio's parts are rounding; points of a share that the table does not tell; share of points up
#: to which a network counts as of full rank.
FLOOR, POINTS, FULL = 1e-12, 500, 0.01

#: scale → from one number a seed to where it is tested, and back.
SCALES: dict[str, tuple[Callable, Callable]] = {
    "log": (lambda v, n: np.log(v.clip(lower=FLOOR)), np.exp),
    "logit": (lambda v, n: np.log((v * n + 0.5) / (n - v * n + 0.5)), lambda v: 1 / (1 + np.exp(-v))),
    "plain": (lambda v, n: v, lambda v: v),
    "yes": (lambda v, n: v, lambda v: v),
}


@dataclass(frozen=True)
class Evidence:
    """The tables that claims are judged by, of as many seeds as there are.

    Attributes
    ----------
    cells, null : tables of `lib.results` for trained and untrained networks
    characters : table of `lib.studies.reconstructions`; its ``from_seeds`` has to be among these seeds alone
    """

    cells: pd.DataFrame
    null: pd.DataFrame | None = None
    characters: pd.DataFrame | None = None
    _wide: dict[str | Callable, pd.DataFrame] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __getitem__(self, column: str) -> pd.DataFrame:
        """A column as networks (seed, d) × data sets; not numbers where no table has it."""
        if column not in self._wide:
            tables = [t for t in (self.cells, self.characters) if t is not None and column in t]
            every = self.cells.set_index(["seed", "d"]).index.unique()
            found = tables[0].pivot(index=["seed", "d"], columns="set", values=column) if tables else None
            found = pd.DataFrame(index=every) if found is None else found
            self._wide[column] = found.reindex(index=every, columns=["train", *NOISE]).sort_index()
        return self._wide[column]

    def measure(self, of: Callable[[Evidence], pd.DataFrame | pd.Series]) -> pd.DataFrame:
        """What a part measures of each network, kept for its other ranges of d."""
        if of not in self._wide:
            found = of(self)
            self._wide[of] = (found.to_frame("") if isinstance(found, pd.Series) else found).astype(float)
        return self._wide[of]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted(self.cells.seed.unique()))

    @property
    def points(self) -> int:
        return int(self.cells.points.max()) if "points" in self.cells else POINTS

    def where(self, keep: Callable[[pd.DataFrame], pd.Series]) -> Evidence:
        """The rows of all tables for which `keep` is true."""
        tables = self.cells, self.null, self.characters
        return Evidence(*(None if t is None else t[keep(t)] for t in tables))

    def stage(self, seeds: Collection[int], dims: Collection[int] = ()) -> Evidence | None:
        """The evidence of these seeds alone, and of these d if any are named; None unless all are there."""
        wanted = set(itertools.product(seeds, dims)) if dims else {(s,) for s in seeds}
        key = ["seed", "d"] if dims else ["seed"]
        if not wanted <= set(self.cells[key].itertuples(index=False, name=None)):
            return None
        return self.where(lambda t: t.seed.isin(list(seeds)) & (t.d.isin(list(dims)) if dims else True))

    def without(self, networks: Collection[tuple[int, int]]) -> Evidence:
        """The evidence without some networks, named by (seed, d)."""
        gone = pd.MultiIndex.from_tuples(list(networks) or [(-1, -1)])
        return self.where(lambda t: ~pd.MultiIndex.from_frame(t[["seed", "d"]]).isin(gone))

    @cached_property
    def deficient(self) -> list[tuple[int, int]]:
        """Networks (seed, d) whose K_I is rank-deficient at most training points."""
        lost = self["I_deficient"]["train"]
        return [(int(s), int(d)) for s, d in lost.index[lost > 0.5]]

    @cached_property
    def paired(self) -> tuple[Evidence, Evidence] | None:
        """Trained and untrained networks that have full rank on every data set in both states."""
        if self.null is None:
            return None
        untrained = Evidence(self.null)
        here, there = (e["I_deficient"].max(axis=1) for e in (self, untrained))
        worst = pd.concat([here, there], axis=1, join="inner").max(axis=1)
        lost = worst[worst > FULL].index.union(here.index.symmetric_difference(there.index))
        return (self.without(lost), untrained.without(lost)) if len(lost) < len(worst) else None


# --- pooling: networks (seed, d) × columns → one row a seed ------------------------------------


def _log_mean(f: pd.DataFrame) -> pd.DataFrame:
    """Geometric mean over d."""
    return np.exp(np.log(f.clip(lower=FLOOR)).groupby("seed").mean())


def _over_d(name: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda f: f.groupby("seed").agg(name)


def _sd_ratio(f: pd.DataFrame) -> pd.DataFrame:
    """Standard deviation over d on each noise set over that on the training data."""
    sd = f.groupby("seed").std()
    return sd[NOISE].div(sd["train"], axis=0)


def _typical_sd_ratio(f: pd.DataFrame) -> pd.DataFrame:
    """The same for the median of the noise sets."""
    return _sd_ratio(f).median(axis=1).to_frame("")


def _trend(f: pd.DataFrame) -> pd.DataFrame:
    """What the least squares line over d gains from the first d of the range to the last."""

    def gain(part: pd.DataFrame) -> pd.Series:
        d = part.index.get_level_values("d").to_numpy(dtype=float)
        centred = d - d.mean()
        with np.errstate(invalid="ignore"):  # one d alone has no slope
            return part.mul(centred, axis=0).sum(skipna=False) / (centred**2).sum() * np.ptp(d)

    return pd.DataFrame({seed: gain(part.dropna()) for seed, part in f.groupby("seed")}).T


def _most(f: pd.DataFrame) -> pd.DataFrame:
    """1 for a seed in whose networks the answer is mostly yes."""
    share = f.groupby("seed").mean()
    return (share > 0.5).astype(float).where(share.notna())


def _pairs(f: pd.DataFrame) -> pd.DataFrame:
    """Jackknife of Σ_d log(mean over pairs of seeds of *between* / mean over seeds of *within*).

    d are those common to all seeds; `f` has columns (between or within, set). With two seeds each has the
    same pair, with one there is none.
    """
    seeds = f.index.unique("seed")
    whole = f.groupby("d").size() == len(seeds)
    f = f[f.index.get_level_values("d").isin(whole.index[whole])]
    values = np.stack([f.xs(s, level="seed").sort_index() for s in seeds]) if len(f) else np.empty((0, 0, 0))
    half = len(f.columns) // 2
    between, within = values[..., :half], values[..., half:]  # (seeds, d, sets)
    ratio = lambda a, b: np.log(np.maximum(a, FLOOR) / np.maximum(b, FLOOR)).mean(-2)
    n = len(seeds)
    if n < statistics.FEWEST or not values.size:
        found = ratio(between, within) if values.size else np.full((n, half), np.nan)
    else:
        spread = (n * within.mean(0)[None] - within) / (n - 1)
        without = ratio(statistics.pairs_without(between), spread)
        found = statistics.pseudo_values(ratio(between.mean(0), within.mean(0)), without)
    return pd.DataFrame(np.exp(found), index=seeds, columns=f.columns[:half].get_level_values(1))


POOLS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "mean": _over_d("mean"), "log mean": _log_mean, "smallest": _over_d("min"), "largest": _over_d("max"),
    "sd": _sd_ratio, "typical sd": _typical_sd_ratio, "trend": _trend, "factor": lambda f: np.exp(_trend(f)),
    "most": _most, "pairs": _pairs,
}  # fmt: skip


def on_noise(column: str) -> Callable[[Evidence], pd.Series]:
    """Of each network, the mean of a column over the noise sets."""
    return lambda e: e[column][NOISE].mean(axis=1)


@dataclass(frozen=True)
class Part:
    """One statistic of a claim over one range of d, with the side on which it has to lie.

    Attributes
    ----------
    says : what is measured
    of : Evidence → networks (seed, d) × columns; each column, a data set or nothing, is a test of its own
    dims : range of d
    pool : how a seed's networks become one number (`POOLS`)
    scale : on which seeds are averaged and tested (`SCALES`); *yes*: 0 or 1, exact binomial against one half
    above, below : bounds of the pooled statistic; both None: shown only
    count : trials behind a share that is not one of points
    """

    says: str
    of: Callable[[Evidence], pd.DataFrame | pd.Series] = field(repr=False)
    dims: range
    pool: str = "log mean"
    scale: str = "log"
    above: float | None = None
    below: float | None = None
    count: int = 0

    def by_seed(self, evidence: Evidence) -> pd.DataFrame:
        """Seeds × columns, on the scale on which they are tested."""
        found = evidence.measure(self.of)
        found = found[found.index.get_level_values("d").isin(self.dims)]
        return SCALES[self.scale][0](POOLS[self.pool](found), self.count or evidence.points)

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The bounds on the scale of the test."""
        plain = {"log": np.log, "logit": lambda p: np.log(p / (1 - p))}.get(self.scale, float)
        return tuple(None if b is None else float(plain(b)) for b in (self.above, self.below))

    @property
    def range(self) -> str:
        return f"d = {self.dims[0]}–{self.dims[-1]}"

    def estimates(self, evidence: Evidence) -> list[Estimate]:
        """One estimate a column, with what training adds where untrained networks are there."""
        values, back = self.by_seed(evidence), SCALES[self.scale][1]
        pair = evidence.paired if self.scale != "yes" else None
        none = pd.DataFrame(columns=values.columns)
        gains = self.by_seed(pair[0]) - self.by_seed(pair[1]) if pair else none
        found = []
        for name in values.columns:
            if self.scale == "yes":
                test = statistics.binomial_test(values[name])
            else:
                test = statistics.t_test(values[name], *self.bounds)
            gain = statistics.t_test(gains[name])
            label = f"{self.says}, {LABELS[name]}" if name in LABELS else self.says
            seeds = {int(s): float(back(v)) for s, v in values[name].dropna().items()}
            limits = (float(back(v)) for v in test[:3])
            found.append(Estimate(label, self, *limits, test.wanted, test.against, seeds, gain[:3]))
        return found


@dataclass(frozen=True)
class Estimate:
    """One number behind a claim, on the natural scale of its statistic.

    Attributes
    ----------
    label, part : what is measured, and the part it belongs to
    value, low, high : mean over seeds (taken on the scale of the test) and its 95 % interval
    wanted, against : p-values for the side wanted and for the other, uncorrected
    seeds : seed → its number
    gain : trained minus untrained networks, paired by seed, on the scale of the test: mean and 95 % interval
    """

    label: str
    part: Part
    value: float
    low: float
    high: float
    wanted: float
    against: float
    seeds: dict[int, float]
    gain: tuple[float, float, float]

    @property
    def judged(self) -> bool:
        return self.part.scale == "yes" or (self.part.above, self.part.below) != (None, None)

    @property
    def side(self) -> bool | None:
        """Whether the value itself lies on the side wanted; None where there is no side or no value."""
        return self.lies(self.value)

    def lies(self, value: float) -> bool | None:
        """Whether a value, for instance that of one seed, lies on the side wanted."""
        above, below = (0.5, None) if self.part.scale == "yes" else (self.part.above, self.part.below)
        if not self.judged or np.isnan(value):
            return None
        return (above is None or value > above) and (below is None or value < below)
