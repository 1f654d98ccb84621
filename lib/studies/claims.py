"""The paper's nineteen claims, each as numbers with intervals and a verdict.

A claim is broken into *estimates*: a number computed from the results table, a 95 % interval
by bootstrap over the networks in the claim's range of d, and the side on which the interval
has to lie wholly. A claim *holds* if every estimate does and holds *in part* if some do. If none
does, it *does not hold* where some interval lies wholly on the other side, and *cannot be said*
where every interval holds its bound. Differences between data sets are paired: the set minus the
training data in the same network. Two seeds cannot tell a seed's part from that of d: the
networks are treated as exchangeable.

Where the paper uses a word without a number (*near*, *small*, *about half*), the number is
ours; all of them stand in this file and were fixed before results at the paper's scale existed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from .. import published, results
from ..figures.style import LABELS
from ..protocol import GROUPS, Protocol
from ..spectrum import LOG_BINS
from . import reconstructions

__all__ = [
    "Estimate",
    "Claim",
    "Evidence",
    "published_evidence",
    "evidence_or_own",
    "CLAIMS",
    "judge",
    "numbers",
    "summary",
    "MARKS",
    "LOW",
    "MODERATE",
    "CHARACTER",
    "LARGE",
    "ALL",
]

#: Ranges of d for the paper's *low*, *moderate*, *high enough for one character* and *large*.
LOW, MODERATE, CHARACTER, LARGE, ALL = range(2, 5), range(5, 12), range(12, 33), range(14, 33), range(2, 33)
NOISE = tuple(name for group in GROUPS.values() for name in group)
#: Resamples of the networks behind every interval, and the fewest networks that give one.
RESAMPLES, FEWEST = 2_000, 4
#: A distance below this is rounding; in ratios it counts as this.
FLOOR = 1e-12

#: Values ``(resamples, networks, …)`` and their d ``(resamples, networks)`` to one number a resample.
Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """One number behind a claim.

    Attributes
    ----------
    label : what is measured
    value, low, high : the mean over networks (or the statistic said) and its 95 % interval
    above, below : the bounds between which the interval has to lie; both None: shown only
    null : the same number for the untrained networks, not a number where there is none
    """

    label: str
    value: float
    low: float
    high: float
    above: float | None = None
    below: float | None = None
    null: float = np.nan

    @property
    def ok(self) -> bool | None:
        if self.above is None and self.below is None:
            return None
        return (self.above is None or self.low > self.above) and (
            self.below is None or self.high < self.below
        )

    @property
    def refuted(self) -> bool:
        """Whether the interval lies wholly on the other side of a bound."""
        return (self.above is not None and self.high <= self.above) or (
            self.below is not None and self.low >= self.below
        )


@dataclass(frozen=True)
class Evidence:
    """The tables that claims are judged by: all cells, the untrained networks' cells, and the looks of reconstructions.

    Without `intervals` every interval is its value, however few networks there are: for holding
    claims against many small tables, not for a verdict.
    """

    cells: pd.DataFrame
    null: pd.DataFrame | None = None
    characters: pd.DataFrame | None = None
    intervals: bool = True
    _wide: dict[tuple[str, bool], pd.DataFrame] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def fewest(self) -> int:
        """The fewest networks that give an estimate."""
        return FEWEST if self.intervals else 1

    def wide(self, column: str, dims: Iterable[int], null: bool = False) -> pd.DataFrame:
        """One column of the table as networks × data sets, for d in `dims`."""
        if (column, null) not in self._wide:
            table = self.null if null else self.cells
            if not null and column not in table:
                table = self.characters
            known = table is not None and column in table
            self._wide[column, null] = (
                table.pivot(index=["seed", "d"], columns="set", values=column) if known else pd.DataFrame()
            )
        frame = self._wide[column, null]
        return frame[frame.index.get_level_values("d").isin(list(dims))] if len(frame) else frame

    def estimate(
        self, label: str, columns: str | Sequence[str], dims: Iterable[int], of: Callable[..., np.ndarray | pd.Series],
        above: float | None = None, below: float | None = None, statistic: Statistic | None = None,
    ) -> Estimate:  # fmt: skip
        """The mean over networks of ``of(*frames)``, one frame a column; or another `statistic` of networks' values.

        `of` maps networks × sets frames to one value (or a row of values) a network.
        """
        columns = [columns] if isinstance(columns, str) else columns
        frames = [self.wide(c, dims) for c in columns]
        if any(len(f) < self.fewest for f in frames):
            return Estimate(label, np.nan, np.nan, np.nan, above, below)
        values = of(*frames)
        index = frames[0].index.get_level_values("d").to_numpy()
        statistic = statistic or _mean
        value, low, high = self.interval(np.asarray(values, dtype=float), index, statistic)
        nulls = (
            [self.wide(c, dims, null=True) for c in columns] if self.null is not None else [pd.DataFrame()]
        )
        null = np.nan
        if all(len(f) >= FEWEST for f in nulls):
            null = float(
                statistic(
                    np.asarray(of(*nulls), dtype=float)[None],
                    nulls[0].index.get_level_values("d").to_numpy()[None],
                )[0]
            )
        return Estimate(label, value, low, high, above, below, null)

    def interval(self, values: np.ndarray, d: np.ndarray, statistic: Statistic) -> tuple[float, float, float]:
        """A statistic of the networks with its 95 % percentile bootstrap interval."""
        value = float(statistic(values[None], d[None])[0])
        if not self.intervals or np.isnan(value):
            return value, value, value
        draws = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
        low, high = np.nanquantile(statistic(values[draws], d[draws]), (0.025, 0.975))
        return value, float(low), float(high)


def _mean(v: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Mean over the networks for which the measure exists."""
    known = ~np.isnan(v)
    with np.errstate(invalid="ignore"):  # no network at all: not a number
        return np.where(known, v, 0.0).sum(1) / known.sum(1)


def _slope(v: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Least squares slope over d."""
    d = d - d.mean(1, keepdims=True)
    with np.errstate(invalid="ignore"):  # one d alone has no slope
        return (d * v).sum(1) / (d * d).sum(1)


def _sd_gap(v: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Standard deviation over networks of the first column minus that of the second."""
    return np.subtract(*np.nanstd(v, axis=1).T)


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes
    ----------
    number : as in the book's list
    says : the claim in our words
    measured : its definition as a function of the results table
    estimates : Evidence → list of `Estimate`
    figure : label of the figure or table that shows it
    """

    number: int
    says: str
    measured: str
    estimates: Callable[[Evidence], list[Estimate]] = field(repr=False)
    figure: str


def judge(estimates: Sequence[Estimate]) -> str:
    """*holds*, *holds in part*, *does not hold*; *cannot be said* where no network is in the range, or where no interval settles anything."""
    wanted = [e for e in estimates if e.ok is not None]
    if not wanted or any(np.isnan(e.value) for e in wanted):
        return "cannot be said"
    if any(e.ok for e in wanted):
        return "holds" if all(e.ok for e in wanted) else "holds in part"
    return "does not hold" if any(e.refuted for e in wanted) else "cannot be said"


#: A sign for each verdict, for a table that is taken in at a glance.
MARKS = {"holds": "●", "holds in part": "◐", "does not hold": "○", "cannot be said": "–"}


def numbers(estimates: Sequence[Estimate]) -> pd.DataFrame:
    """The estimates of a claim as a table for reading."""

    def bound(e: Estimate) -> str:
        if e.ok is None:
            return "shown only"
        if e.above is not None and e.below is not None:
            return f"in ({e.above:.3g}, {e.below:.3g})"
        return f"> {e.above:.3g}" if e.above is not None else f"< {e.below:.3g}"

    rows = [{
        "measured": e.label, "value": e.value, "95 % interval": f"{e.low:.3g} … {e.high:.3g}", "wanted": bound(e),
        "holds": "" if e.ok is None or np.isnan(e.value) else "yes" if e.ok else "no" if e.refuted else "open", "untrained": "" if np.isnan(e.null) else f"{e.null:.3g}",
    } for e in estimates]  # fmt: skip
    return pd.DataFrame(rows)


def summary(evidence: Evidence) -> pd.DataFrame:
    """All claims: number, claim, how many of its estimates hold, verdict."""
    rows = []
    for claim in CLAIMS:
        estimates = [e for e in claim.estimates(evidence) if e.ok is not None]
        rows.append(
            {
                "": claim.number,
                "claim": claim.says,
                "estimates that hold": f"{sum(e.ok for e in estimates)} of {len(estimates)}",
                "verdict": judge(estimates),
            }
        )
    return pd.DataFrame(rows)


# --- parts that several claims share ----------------------------------------------------------


def _each(
    evidence: Evidence, label: str, columns, dims, of, sets: Sequence[str] = NOISE, **bounds
) -> list[Estimate]:
    """One estimate for each noise set: ``of(frames…, set)``."""
    return [
        evidence.estimate(f"{label}, {LABELS[s]}", columns, dims, lambda *f, s=s: of(*f, s), **bounds)
        for s in sets
    ]


def _minus_train(frame: pd.DataFrame, s: str) -> pd.Series:
    return frame[s] - frame["train"]


def _log_ratio(frame: pd.DataFrame, s: str) -> pd.Series:
    return np.log(frame[s].clip(lower=FLOOR) / frame["train"].clip(lower=FLOOR))


def _train(frame: pd.DataFrame) -> pd.Series:
    return frame["train"]


def _log_train(frame: pd.DataFrame) -> pd.Series:
    return np.log(frame["train"])


def _group_gap(first: str, second: str):
    return lambda f: f[list(GROUPS[first])].mean(axis=1) - f[list(GROUPS[second])].mean(axis=1)


def _separated(f: pd.DataFrame) -> pd.Series:
    """1 for a network whose three groups do not overlap and fall dark > middle > bright."""
    dark, middle, bright = (f[list(GROUPS[g])] for g in ("dark", "middle", "bright"))
    return ((dark.min(axis=1) > middle.max(axis=1)) & (middle.min(axis=1) > bright.max(axis=1))).astype(float)


def _across(
    evidence: Evidence, label: str, column: str, dims=ALL, log: bool = True, sets: Sequence[str] = NOISE
) -> list[Estimate]:
    """How much more a statistic varies over networks on each noise set than on the training data; seeds centred."""

    def pair(f, s):
        v = np.log(f[[s, "train"]]) if log else f[[s, "train"]]
        return v - v.groupby("seed").transform("mean")

    return _each(evidence, label, column, dims, pair, sets, above=0.0, statistic=_sd_gap)


def _tail(evidence: Evidence, share: float, column: str = "I_log_hist") -> pd.Series:
    """Distance on a log scale from the lower `share` quantile of |λ| to the median, on the training data, by network."""
    part = evidence.cells[evidence.cells.set == "train"].set_index(["seed", "d"])[column]
    middle = (LOG_BINS[1:] + LOG_BINS[:-1]) / 2

    def gap(text: str) -> float:
        mass = np.cumsum(np.fromstring(text, sep=" "))
        return np.interp(0.5, mass / mass[-1], middle) - np.interp(share, mass / mass[-1], middle)

    return part.map(gap)


def _tail_estimate(evidence: Evidence) -> Estimate:
    tail = _tail(evidence, 0.01)
    d = tail.index.get_level_values("d").to_numpy()
    label = "length of the left tail (median minus 1 % quantile of $\\log|\\lambda_I|$), slope in d"
    if len(tail) < evidence.fewest:
        return Estimate(label, np.nan, np.nan, np.nan, 0.0)
    return Estimate(label, *evidence.interval(tail.to_numpy(), d, _slope), above=0.0)


def _small(evidence: Evidence, dims, sets: Sequence[str], below: float) -> list[Estimate]:
    """Share of nonzero eigenvalues of K_I with modulus below .01, from the histograms."""
    edge = np.searchsorted(LOG_BINS, np.log(0.01))
    counts = evidence.cells.I_log_hist.map(lambda text: np.fromstring(text, sep=" "))
    cells = evidence.cells.assign(small=counts.map(lambda c: c[:edge].sum() / c.sum()))
    return _each(
        replace(evidence, cells=cells, null=None),
        "share of $|\\lambda_I|$ below .01",
        "small",
        dims,
        lambda f, s: f[s],
        sets,
        below=below,
    )


LOG2 = float(np.log(2))

CLAIMS = (
    Claim(1, "The two Jacobians' eigenvalues are close on the training data and further apart on every noise set.",
        "Log ratio of Figure 1's distance, set over training data in the same network, above 0 for every set: once for the median over points, once for the mean. On the training data the median distance is below a tenth of the squared mean $|\\lambda_I|$.",
        lambda e: [
            e.estimate("median distance / mean² on the training data", ["distance_median", "I_mean"], ALL, lambda a, b: a["train"] / b["train"] ** 2, below=0.1),
            *_each(e, "log ratio of medians", "distance_median", ALL, _log_ratio, above=0.0),
            *_each(e, "log ratio of means", "distance_mean", ALL, _log_ratio, above=0.0),
        ], "fig-1"),
    Claim(2, "On the training data the arithmetic and the geometric mean of |λ| are near one, of like size, and fall slowly with d.",
        "On the training data: both means within a factor of two of one; their ratio above one half; slope of the arithmetic mean in d below 0. For both Jacobians.",
        lambda e: [est for j in "IL" for est in (
            e.estimate(f"log arithmetic mean, J_{j}", f"{j}_mean", ALL, _log_train, above=-LOG2, below=LOG2),
            e.estimate(f"log geometric mean, J_{j}", f"{j}_geometric", ALL, _log_train, above=-LOG2, below=LOG2),
            e.estimate(f"geometric / arithmetic, J_{j}", [f"{j}_geometric", f"{j}_mean"], ALL, lambda a, b: a["train"] / b["train"], above=0.5),
            e.estimate(f"slope of the arithmetic mean in d, J_{j}", f"{j}_mean", ALL, _train, below=0.0, statistic=_slope),
        )], "fig-2"),
    Claim(3, "The means on noise vary more from architecture to architecture than those on the training data.",
        "Standard deviation over networks of the log arithmetic mean, seeds centred: noise set minus training data, above 0 for every set and both Jacobians.",
        lambda e: _across(e, "J_I", "I_mean") + _across(e, "J_L", "L_mean"), "fig-2"),
    Claim(4, "For large d the mean $|\\lambda_I|$ falls into three clusters, dark above middle above bright.",
        "d ≥ 14. Mean over the dark sets minus mean over the middle ones, and middle minus bright, above 0; the groups do not overlap in more than half of the networks.",
        lambda e: [
            e.estimate("dark − middle", "I_mean", LARGE, _group_gap("dark", "middle"), above=0.0),
            e.estimate("middle − bright", "I_mean", LARGE, _group_gap("middle", "bright"), above=0.0),
            e.estimate("share of networks with separate groups", "I_mean", LARGE, _separated, above=0.5),
        ], "fig-2"),
    Claim(5, "The mean $|\\lambda_L|$ does not cluster so.",
        "d ≥ 14. The groups do not overlap in fewer than half of the networks, and in fewer than for $\\lambda_I$.",
        lambda e: [
            e.estimate("share of networks with separate groups, J_L", "L_mean", LARGE, _separated, below=0.5),
            e.estimate("the same share, J_I minus J_L", ["I_mean", "L_mean"], LARGE, lambda a, b: _separated(a) - _separated(b), above=0.0),
        ], "fig-2"),
    Claim(6, "For large d the means on noise end below those on the training data.",
        "d ≥ 14. Log ratio, set over training data, below 0 for every set: arithmetic and geometric means, both Jacobians.",
        lambda e: [est for c in ("I_mean", "I_geometric", "L_mean", "L_geometric") for est in _each(e, c, c, LARGE, _log_ratio, below=0.0)], "fig-2"),
    Claim(7, "On the training data the left tail of log|λ| grows with d, yet zeros stay rare.",
        "Slope in d of the distance from the median of $\\log|\\lambda_I|$ to its 1 % quantile, above 0; share of zero eigenvalues below 1 %.",
        lambda e: [_tail_estimate(e), e.estimate("share of zeros, J_I", "I_zeros", ALL, _train, below=0.01), e.estimate("share of zeros, J_L", "L_zeros", ALL, _train, below=0.01)], "fig-3"),
    Claim(8, "$\\log|\\lambda_I|$ spreads more on every noise set than on the training data.",
        "Standard deviation of $\\log|\\lambda_I|$, set minus training data in the same network, above 0 for every set.",
        lambda e: _each(e, "difference", "I_sd_log", ALL, _minus_train, above=0.0), "fig-4"),
    Claim(9, "Orientation is rarely reversed on the training data, and about half the time on all but the darkest noise for large d.",
        "Share of points with reversed orientation under K_I: below .1 on the training data, all d; between .4 and .6 for each middle and bright set, d ≥ 14. Shown beside: the dark sets, and full-rank points alone.",
        lambda e: [
            e.estimate("training data", "I_reversed", ALL, _train, below=0.1),
            *_each(e, "share", "I_reversed", LARGE, lambda f, s: f[s], GROUPS["middle"] + GROUPS["bright"], above=0.4, below=0.6),
            *_each(e, "share", "I_reversed", LARGE, lambda f, s: f[s], GROUPS["dark"]),
            *_each(e, "share among full-rank points", "I_reversed_full", LARGE, lambda f, s: f[s]),
            *_each(e, "share of rank-deficient points", "I_deficient", LARGE, lambda f, s: f[s], ("train", *NOISE)),
        ], "fig-5"),
    Claim(10, "$|\\mathrm{Arg}\\,\\lambda_I|$ is small on the training data, wider on every noise set, and widest on bright ones.",
        "Mean $|\\mathrm{Arg}\\,\\lambda_I|$: below π/8 on the training data; set minus training data above 0 for every set; bright minus middle and bright minus dark above 0.",
        lambda e: [
            e.estimate("training data", "I_arg_mean", ALL, _train, below=np.pi / 8),
            *_each(e, "difference", "I_arg_mean", ALL, _minus_train, above=0.0),
            e.estimate("bright − middle", "I_arg_mean", ALL, _group_gap("bright", "middle"), above=0.0),
            e.estimate("bright − dark", "I_arg_mean", ALL, _group_gap("bright", "dark"), above=0.0),
        ], "fig-6"),
    Claim(11, "At low d noise is copied as various digits; from d = 12 on as one character of each network, which is no digit and differs over d and seeds.",
        "Low d ≤ 4: spread of a set's copies above half of the training data's, classifier's confidence above nine tenths of that on copies of training images. d ≥ 12: spread below a tenth, confidence lower than on the training data, distance of the network's mean copy from those of all the seed's other networks, small d included, and of the other seed above the spread. The measures are ours.",
        lambda e: [
            *_each(e, "d ≤ 4: relative spread", "spread", LOW, lambda f, s: f[s] / f["train"], above=0.5),
            *_each(e, "d ≤ 4: relative confidence", "confidence", LOW, lambda f, s: f[s] / f["train"], above=0.9),
            *_each(e, "d ≥ 12: relative spread", "spread", CHARACTER, lambda f, s: f[s] / f["train"], below=0.1),
            *_each(e, "d ≥ 12: confidence minus training data's", "confidence", CHARACTER, _minus_train, below=0.0),
            *_each(e, "d ≥ 12: distance between networks minus spread", ["from_networks", "spread"], CHARACTER, lambda a, b, s: a[s] - b[s], above=0.0),
            *_each(e, "d ≥ 12: distance between seeds minus spread", ["from_seeds", "spread"], CHARACTER, lambda a, b, s: a[s] - b[s], above=0.0),
        ], "tab-I"),
    Claim(12, "The reconstructions fall in two groups, sets with mean below one half and the others.",
        "d ≥ 12. Distance of a set's mean copy from those of sets on the other side minus from those on its own side, above 0 for every set.",
        lambda e: _each(e, "other side − same side", ["other_side", "same_side"], CHARACTER, lambda a, b, s: a[s] - b[s], above=0.0), "tab-I"),
    Claim(13, "The codes of noise are far from those of the training data even where the copies look alike; at low d the mean $\\lambda_L$ on noise is far from the training data's.",
        "Lower quartile of the codes' Mahalanobis distance on a set minus the training data's median, above 0 for every set. d ≤ 4: |log ratio| of mean $|\\lambda_L|$ above log 1.5 for every set.",
        lambda e: [
            *_each(e, "Mahalanobis, lower quartile − median", ["mahalanobis_q1", "mahalanobis_median"], ALL, lambda a, b, s: a[s] - b["train"], above=0.0),
            *_each(e, "d ≤ 4: |log ratio| of mean $|\\lambda_L|$", "L_mean", LOW, lambda f, s: _log_ratio(f, s).abs(), above=float(np.log(1.5))),
        ], "fig-2"),
    Claim(14, "At moderate d the copies of noise are uniform and still look like digits.",
        "5 ≤ d ≤ 11: relative spread below a quarter and relative confidence above nine tenths for every set. The measures are ours.",
        lambda e: [
            *_each(e, "relative spread", "spread", MODERATE, lambda f, s: f[s] / f["train"], below=0.25),
            *_each(e, "relative confidence", "confidence", MODERATE, lambda f, s: f[s] / f["train"], above=0.9),
        ], "tab-I"),
    Claim(15, "The medians of log|λ| vary more over d on noise than on the training data.",
        "Standard deviation over networks of the median of $\\log|\\lambda_I|$, seeds centred: set minus training data, above 0 for every set.",
        lambda e: _across(e, "J_I", "I_log_median", log=False), "fig-3"),
    Claim(16, "At low d no noise set shows zero or small eigenvalues.",
        "d ≤ 4: share of zero eigenvalues of K_I below 1 %, and share of nonzero ones with modulus below .01 below 5 %, for every set.",
        lambda e: [*_each(e, "share of zeros", "I_zeros", LOW, lambda f, s: f[s], below=0.01), *_small(e, LOW, NOISE, 0.05)], "fig-3"),
    Claim(17, "The reconstruction error is small on the training data alone.",
        "Mean over networks of the ratio of mean squared pixel errors, set over training data: above 2 for every set.",
        lambda e: _each(e, "error ratio", "error", ALL, lambda f, s: f[s] / f["train"], above=2.0), "fig-1"),
    Claim(18, "The behaviour on the training data is consistent across architectures.",
        "Standard deviation over networks, seeds centred, on the median noise set minus on the training data, above 0: for the log mean, median of log|λ|, standard deviation of log|λ|, reversed share and mean |Arg λ| of K_I.",
        lambda e: [
            e.estimate(label, column, ALL, lambda f, log=log: _median_and_train(f, log), above=0.0, statistic=_sd_gap)
            for label, column, log in (("log mean", "I_mean", True), ("median of log|λ|", "I_log_median", False), ("sd of log|λ|", "I_sd_log", False),
                ("reversed", "I_reversed", False), ("mean |Arg λ|", "I_arg_mean", False))
        ], "fig-4"),
    Claim(19, "On the training data |λ| is on average below one, and near it, for both Jacobians.",
        "Arithmetic mean of |λ| on the training data between one half and one.",
        lambda e: [e.estimate(f"mean |λ|, J_{j}", f"{j}_mean", ALL, _train, above=0.5, below=1.0) for j in "IL"], "fig-2"),
)  # fmt: skip


def _median_and_train(f: pd.DataFrame, log: bool) -> pd.DataFrame:
    v = np.log(f) if log else f
    centred = v - v.groupby("seed").transform("mean")
    spread = centred[list(NOISE)].std()
    typical = spread.sort_values().index[len(spread) // 2]  # the noise set of middle spread
    return centred[[typical, "train"]]


def published_evidence() -> Evidence | None:
    """The published tables, or None while there are none."""
    cells = published.cells()
    return (
        None
        if cells is None
        else Evidence(cells, published.table("untrained"), published.table("characters"))
    )


def evidence_or_own(protocol: Protocol) -> Evidence:
    """The published evidence, or that of this build while nothing is published."""
    found = published_evidence()
    if found is not None:
        return found
    run = results.run(protocol)
    return Evidence(run.table, run.null, reconstructions.statistics(run.networks, protocol))
