"""The paper's claims, each a set of parts that the tables of results can answer, and how they are judged.

**Two stages.** Seeds `EXPLORERS` (and six d of seed 2 after 100 epochs) are where we looked before these
definitions were written. Seeds `JUDGES` judge, with the networks of nine d each; the definitions were
committed before any spectrum of theirs was computed.

**Units.** The seed is the independent unit. A part is a statistic of each network, pooled over a range of d
to *one number a seed*, on the log scale for ratios and on the logit scale for shares; a t interval over the
seeds judges it. What is yes or no in each seed is judged by the exact binomial interval, what compares
networks of different seeds by the jackknife over seeds. Intervals are conditional on MNIST and on the fixed
points of noise.

**Verdicts.** A claim *holds* if every one of its tests does at 5 %, uncorrected (intersection and union). It
is *refuted* if any test is significant on the other side after Holm's correction over the claim's tests. Else
it is *open*; with fewer than three seeds it is always open. Bounds on both sides are two one-sided tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .. import published, results
from ..model import Ensemble
from ..protocol import Protocol
from ..spectrum import ARG_BINS, LOG_BINS
from ..store import Store
from . import reconstructions, statistics
from .evidence import BRIGHT, DARK, FLOOR, MIDDLE, NOISE, SCALES, Estimate, Evidence, Part
from .statistics import LEVEL

__all__ = [
    "EXPLORERS",
    "JUDGES",
    "JUDGED_DIMS",
    "LOW",
    "MODERATE",
    "CHARACTER",
    "LARGE",
    "Evidence",
    "Part",
    "Claim",
    "Estimate",
    "CLAIMS",
    "outcomes",
    "judge",
    "numbers",
    "asked",
    "summary",
    "verdicts",
    "stages",
    "published_evidence",
    "judging",
    "evidence_or_own",
    "by_part",
    "MARKS",
    "STATISTICS",
    "architecture",
]

#: Seeds on which definitions and thresholds were made, and seeds that judge.
EXPLORERS, JUDGES = (0, 1), range(3, 11)
#: Networks of each judging seed: all *low* d, and every third above.
JUDGED_DIMS = (2, 3, 4, 5, 8, 11, 14, 17, 20)
#: The ranges of d, no others: the paper's *low*, *moderate*, *high enough for one character* and *large*.
LOW, MODERATE, CHARACTER, LARGE = range(2, 5), range(5, 12), range(12, 21), range(14, 21)
ALL = (LOW, MODERATE, CHARACTER)
#: Both upper ranges together, for what rises or falls with d.
RISING = range(MODERATE[0], CHARACTER[-1] + 1)


@dataclass(frozen=True)
class Claim:
    """A claim of the paper: its number here, the claim in our words, how it is measured, parts, figure."""

    number: int
    says: str
    measured: str
    parts: tuple[Part, ...] = field(repr=False)
    figure: str

    def estimates(self, evidence: Evidence) -> list[Estimate]:
        return [e for part in self.parts for e in part.estimates(evidence)]


def stages(networks: Sequence[Ensemble], protocol: Protocol, store: Store | None = None) -> pd.DataFrame:
    """Statistics of the reconstructions, with distances among the judging seeds, and among the others."""
    tables = []
    for judging in (False, True):
        part = [e for e in networks if (e.seed in JUDGES) is judging]
        if part:
            run = protocol.replace(seeds=tuple(e.seed for e in part))
            tables.append(reconstructions.statistics(part, run, store))
    return pd.concat(tables, ignore_index=True)


def published_evidence() -> Evidence | None:
    """The published tables, or None while there are none; judging seeds are among them once all are there."""
    tables = [published.whole(name) for name in ("cells", "untrained", "characters")]
    if tables[0] is None:
        return None
    every = Evidence(*tables)
    return every if judging(every) else every.where(lambda t: ~t.seed.isin(list(JUDGES)))


def judging(evidence: Evidence) -> Evidence | None:
    """The evidence of the judging networks alone, or None until every one of them is there."""
    return evidence.stage(JUDGES, JUDGED_DIMS)


def evidence_or_own(protocol: Protocol) -> Evidence:
    """The published evidence, or that of this build while nothing is published."""
    found = published_evidence()
    if found is not None:
        return found
    run = results.run(protocol)
    return Evidence(run.table, run.null, stages(run.networks, protocol))


#: A sign for each verdict, told apart without colour.
MARKS = {"holds": "●", "open": "◇", "refuted": "✕"}


def outcomes(estimates: Sequence[Estimate]) -> list[str]:
    """*holds*, *open* or *refuted* for each estimate of one claim; empty where nothing is to be judged."""
    adjusted = statistics.holm([e.against if e.judged else np.nan for e in estimates])
    return [
        "" if not e.judged else "holds" if e.wanted <= LEVEL else "refuted" if p <= LEVEL else "open"
        for e, p in zip(estimates, adjusted)
    ]


def _together(outcomes: Iterable[str]) -> str:
    found = {o for o in outcomes if o}
    return "refuted" if "refuted" in found else "holds" if found == {"holds"} else "open"


def judge(estimates: Sequence[Estimate]) -> str:
    """*holds* where every test does, *refuted* if one is on the other side after correction, else *open*."""
    return _together(outcomes(estimates))


def by_part(estimates: Sequence[Estimate]) -> dict[Part, str]:
    """The verdict on each part of one claim that has a side, with Holm's correction over the whole claim."""
    found: dict[Part, list[str]] = {}
    for e, outcome in zip(estimates, outcomes(estimates)):
        if e.judged:
            found.setdefault(e.part, []).append(outcome)
    return {part: _together(of) for part, of in found.items()}


def numbers(estimates: Sequence[Estimate], explored: Sequence[Estimate] = ()) -> pd.DataFrame:
    """The estimates of a claim as a table for reading, beside them their values in the seeds `explored`."""

    def bound(p: Part) -> str:
        if p.scale == "yes":
            return "in most seeds"
        if p.above is not None and p.below is not None:
            return f"in ({p.above:.3g}, {p.below:.3g})"
        if p.above is not None:
            return f"> {p.above:.3g}"
        return "shown only" if p.below is None else f"< {p.below:.3g}"

    def interval(low: float, high: float) -> str:
        return "" if np.isnan(low) else f"{low:.3g} … {high:.3g}"

    def gain(e: Estimate) -> str:
        word = {"log": "× ", "logit": "odds × "}.get(e.part.scale, "")
        value, low, high = np.exp(e.gain) if word else e.gain
        number = f"{value:.3g}" if word else f"{value:+.3g}"
        return "" if np.isnan(value) else f"{word}{number} ({interval(low, high) or 'points'})"

    rows = [{
        "measured": e.label, "range": e.part.range, "value": e.value,
        "95 % interval": interval(e.low, e.high), "wanted": bound(e.part),
        "p": "" if np.isnan(e.wanted) else f"{e.wanted:.2g}", "verdict": o or "–",
        "trained against untrained": gain(e),
    } for e, o in zip(estimates, outcomes(estimates))]  # fmt: skip
    table = pd.DataFrame(rows)
    if explored:
        table.insert(3, "explored", [e.value for e in explored])
    return table


def asked(statements: Sequence[Part], evidence: Evidence) -> pd.DataFrame:
    """What a study asks of the judging seeds: each statement, the exploring seeds' values, its verdict.

    Returns
    -------
    DataFrame: ``statement``, ``$d$``, ``wanted``, a column for each exploring seed there is, the judging
    seeds' interval and p-value, and ``verdict``, *not judged yet* until all of them are there.
    """
    first = evidence.where(lambda t: t.seed.isin(EXPLORERS))
    judges = evidence.stage(JUDGES)
    shown = [e for part in statements for e in part.estimates(first)]
    frame = numbers(shown)[["measured", "range", "wanted"]].rename(columns={"measured": "statement"})
    for seed in first.seeds:
        frame[f"seed {seed}"] = [e.seeds.get(seed, np.nan) for e in shown]
    judged = numbers([e for part in statements for e in part.estimates(judges)]) if judges else None
    for column, none in (("95 % interval", "–"), ("p", "–"), ("verdict", "not judged yet")):
        frame[column] = none if judged is None else judged[column]
    frame["range"] = frame["range"].str.removeprefix("d = ")
    return frame.rename(columns={"range": "$d$"})


def summary(evidence: Evidence, estimates: dict[Claim, list[Estimate]] | None = None) -> pd.DataFrame:
    """All claims, judged by all seeds of the evidence; `estimates` of each, if they are at hand.

    Returns
    -------
    DataFrame: ``number``, ``claim``, how many of its parts hold, are open and are refuted, how many lie with
    all their values on the side wanted (``toward``) and how many do not (``away``), ``verdict``, and the
    verdict ``without`` networks that are rank-deficient at most points.
    """
    rows = []
    rest = Evidence(evidence.cells, characters=evidence.characters).without(evidence.deficient)
    for claim in CLAIMS:
        found = estimates[claim] if estimates else claim.estimates(evidence)
        parts = by_part(found)
        toward = sum(all(e.side for e in found if e.part == part) for part in parts)
        rows.append(
            {"number": claim.number, "claim": claim.says}
            | {verdict: list(parts.values()).count(verdict) for verdict in MARKS}
            | {"toward": toward, "away": len(parts) - toward, "verdict": judge(found)}
            | {"without": judge(claim.estimates(rest)) if evidence.deficient else judge(found)}
        )
    return pd.DataFrame(rows)


def verdicts(evidence: Evidence) -> dict[int, str]:
    """Claim → verdict by the judging seeds; all are *open* until every one of these is there."""
    judges = judging(evidence)
    return {c.number: judge(c.estimates(judges)) if judges else "open" for c in CLAIMS}


# --- statistics: Evidence → networks × columns ---------------------------------------------------

Measure = Callable[[Evidence], "pd.DataFrame | pd.Series"]


def _ratio(column: str, base: str | None = None) -> Measure:
    """Each noise set over the training data in the same network."""
    return lambda e: e[column][NOISE].div(e[base or column]["train"], axis=0)


def _train(column: str) -> Measure:
    return lambda e: e[column]["train"]


def _sets(column: str, names: Sequence[str]) -> Measure:
    return lambda e: e[column][list(names)]


def _log(column: str) -> Measure:
    """Logarithm on all sets, for pools that take standard deviations over d."""
    return lambda e: np.log(e[column].clip(lower=FLOOR))


def _logit(e: Evidence, column: str) -> pd.DataFrame:
    return SCALES["logit"][0](e[column], e.points)


def _groups(column: str, over: Sequence[str], under: Sequence[str]) -> Measure:
    """Mean over one group of sets over the mean of another."""
    return lambda e: e[column][over].mean(axis=1) / e[column][under].mean(axis=1)


def _apart(column: str, *falling: Sequence[str]) -> Measure:
    """1 for a network in which the groups do not overlap and fall in the order given, else 0."""

    def of(e: Evidence) -> pd.Series:
        f = e[column]
        yes = [f[a].min(axis=1) > f[b].max(axis=1) for a, b in zip(falling, falling[1:])]
        return pd.concat(yes, axis=1).all(axis=1).astype(float).where(f[NOISE].notna().all(axis=1))

    return of


def _unlike(measure: Measure) -> Measure:
    return lambda e: 1 - measure(e)


def _histogram(column: str, of: Callable[[np.ndarray], float]) -> Callable[[Evidence], pd.DataFrame]:
    """A number from each cell's histogram."""

    def number(text: object) -> float:
        counts = np.array(text.split(), dtype=float) if isinstance(text, str) else np.zeros(1)
        return float(of(counts)) if counts.sum() else np.nan

    return lambda e: e[column].map(number).astype(float)


def _quantile(column: str, edges: np.ndarray, q: float) -> Callable[[Evidence], pd.DataFrame]:
    """A quantile of a histogram, linear within bins."""
    return _histogram(column, lambda n: np.interp(q, np.append(0, n.cumsum()) / n.sum(), edges))


_LOW_TAIL, _MEDIAN = (_quantile("I_log_hist", LOG_BINS, q) for q in (0.01, 0.5))
_WIDE_ANGLE = _quantile("I_arg_hist", ARG_BINS, 0.95)
#: Share of nonzero eigenvalues with log|λ_I| below −4.5, an edge of the histogram (|λ_I| below .011).
_SMALL = _histogram("I_log_hist", lambda n: n[: np.searchsorted(LOG_BINS, -4.5)].sum() / n.sum())
#: Smallest share of eigenvalues in one of the 36 bins of |Arg λ_I|.
_RAREST_ANGLE = _histogram("I_arg_hist", lambda n: n.min() / n.sum())


def _from_half(e: Evidence) -> pd.Series:
    """How much further from one half the logit of reversal lies on dark sets than on the others."""
    far = _logit(e, "I_reversed").abs()
    return far[DARK].mean(axis=1) - far[MIDDLE + BRIGHT].mean(axis=1)


def _brightness_gap(e: Evidence) -> pd.Series:
    """Reconstructions' mean pixel: how far middle sets lie from bright ones over how far from dark ones."""
    dark, middle, bright = (e["brightness"][g].mean(axis=1) for g in (DARK, MIDDLE, BRIGHT))
    return (middle - bright).abs() / (middle - dark).abs()


def _between_seeds(column: str, together: bool = False) -> Measure:
    """For *pairs*: distance from other seeds' mean reconstructions and `column`; sets apart or `together`."""

    def of(e: Evidence) -> pd.DataFrame:
        pair = {"between": e["from_seeds"][NOISE], "within": e[column][NOISE]}
        return pd.concat({k: v.mean(axis=1).to_frame("") if together else v for k, v in pair.items()}, axis=1)

    return of


def _alike_far(e: Evidence) -> pd.Series:
    """Claim 13's Mahalanobis ratio, mean over the sets whose reconstructions look like training ones."""
    far = np.log(_ratio("mahalanobis_q1", "mahalanobis_median")(e))
    alike = (_ratio("confidence")(e) >= 0.9) & (_ratio("nearest")(e) <= 1.25)
    return np.exp(far.where(alike).mean(axis=1))


def _often_far(e: Evidence) -> pd.Series:
    """Share of noise sets whose mean |λ_L| is off the training data's by a factor of more than 1.5."""
    gap = np.log(_ratio("L_mean")(e)).abs()
    return (gap > np.log(1.5)).astype(float).where(gap.notna()).mean(axis=1)


def _over(ranges: Iterable[range], says: str, of: Measure, **kind) -> tuple[Part, ...]:
    """The same part over several ranges of d."""
    return tuple(Part(says, of, dims, **kind) for dims in ranges)


BOTH = (("$J_I$", "I"), ("$J_L$", "L"))
SHARE = {"pool": "mean", "scale": "logit"}
YES = {"pool": "most", "scale": "yes"}

CLAIMS = (
    Claim(1, "The two Jacobians' eigenvalues are close on the training data and further apart on every noise "
             "set.",
        "Figure 1's distance, once its median over points and once its mean: set over training data above 1 "
        "for every set. On the training data the median is below a tenth of the squared median "
        "$|\\lambda_I|$.",
        (*_over(ALL, "median distance over squared median $|\\lambda_I|$, training data",
                lambda e: e["distance_median"]["train"] / np.exp(2 * e["I_log_median"]["train"]), below=0.1),
         *_over(ALL, "median distance, ratio", _ratio("distance_median"), above=1.0),
         *_over(ALL, "mean distance, ratio", _ratio("distance_mean"), above=1.0)), "fig-1"),
    Claim(2, "On the training data the arithmetic and the geometric mean of |λ| are near one, of like size, "
             "and fall slowly with d.",
        "For both Jacobians: each mean within a factor of two of one; geometric over arithmetic mean above "
        "one half; the line fitted to each log mean over d = 5 to 20 falls, by less than a factor of two. At "
        "d ≤ 4 outliers rule the arithmetic mean; that range is judged for itself.",
        tuple(part for name, j in BOTH for part in (
            *_over(ALL, f"arithmetic mean, {name}", _train(f"{j}_mean"), above=0.5, below=2.0),
            *_over(ALL, f"geometric mean, {name}", _train(f"{j}_geometric"), above=0.5, below=2.0),
            *_over(ALL, f"geometric over arithmetic mean, {name}",
                   lambda e, j=j: e[f"{j}_geometric"]["train"] / e[f"{j}_mean"]["train"], above=0.5),
            Part(f"factor from d = 5 to 20, arithmetic mean, {name}",
                 lambda e, j=j: _log(f"{j}_mean")(e)["train"], RISING, "factor", above=0.5, below=1.0),
            Part(f"factor from d = 5 to 20, geometric mean, {name}",
                 lambda e, j=j: _log(f"{j}_geometric")(e)["train"], RISING, "factor", above=0.5, below=1.0),
        )), "fig-2"),
    Claim(3, "The means on noise vary more from architecture to architecture than those on the training "
             "data.",
        "Standard deviation over d of the log arithmetic mean: set over training data above 1, for every set "
        "and both Jacobians.",
        tuple(part for name, j in BOTH for part in
              _over(ALL, f"sd over d of the log mean, {name}, ratio",
                    _log(f"{j}_mean"), pool="sd", above=1.0)), "fig-2"),
    Claim(4, "For large d the mean $|\\lambda_I|$ falls into three clusters, dark above middle above bright.",
        "Mean over the dark sets over that of the middle ones, and middle over bright, above 1; in most "
        "seeds the three groups do not overlap in more than half of the networks.",
        (Part("dark over middle", _groups("I_mean", DARK, MIDDLE), LARGE, above=1.0),
         Part("middle over bright", _groups("I_mean", MIDDLE, BRIGHT), LARGE, above=1.0),
         Part("groups separate in most networks",
              _apart("I_mean", DARK, MIDDLE, BRIGHT), LARGE, **YES)), "fig-2"),
    Claim(5, "The mean $|\\lambda_L|$ does not cluster so.",
        "In most seeds: the three groups overlap in more than half of the networks, and so do the bright "
        "sets with the rest, and the dark with the middle ones. The share of networks with three separate "
        "groups is larger for $\\lambda_I$.",
        (Part("three groups overlap in most networks, $J_L$",
              _unlike(_apart("L_mean", DARK, MIDDLE, BRIGHT)), LARGE, **YES),
         Part("bright sets overlap with the rest in most networks, $J_L$",
              _unlike(_apart("L_mean", DARK + MIDDLE, BRIGHT)), LARGE, **YES),
         Part("dark sets overlap with the middle ones in most networks, $J_L$",
              _unlike(_apart("L_mean", DARK, MIDDLE)), LARGE, **YES),
         Part("share of networks with separate groups, $J_I$ minus $J_L$",
              lambda e: _apart("I_mean", DARK, MIDDLE, BRIGHT)(e) - _apart("L_mean", DARK, MIDDLE, BRIGHT)(e),
              LARGE, "mean", "plain", above=0.0)), "fig-2"),
    Claim(6, "For large d the means on noise end below those on the training data.",
        "Set over training data below 1 for every set: arithmetic and geometric means, both Jacobians.",
        tuple(Part(f"{word} mean, {name}, ratio", _ratio(f"{j}_{c}"), LARGE, below=1.0)
              for name, j in BOTH for word, c in (("arithmetic", "mean"), ("geometric", "geometric"))),
        "fig-2"),
    Claim(7, "On the training data the left tail of log|λ| grows with d, yet zeros stay rare.",
        "The line fitted over d = 5 to 20 to the distance from the median of $\\log|\\lambda_I|$ to its 1 % "
        "quantile rises: over all d the tail shrinks first and a line would be fitted to a U. Share of zero "
        "eigenvalues of both Jacobians below 1 %.",
        (Part("growth of the left tail (median minus 1 % quantile of $\\log|\\lambda_I|$) from d = 5 to 20",
              lambda e: (_MEDIAN(e) - _LOW_TAIL(e))["train"], RISING, "trend", "plain", above=0.0),
         *(part for name, j in BOTH for part in
           _over(ALL, f"share of zeros, {name}", _train(f"{j}_zeros"), below=0.01, **SHARE))), "fig-3"),
    Claim(8, "$\\log|\\lambda_I|$ spreads more on every noise set than on the training data.",
        "Standard deviation of $\\log|\\lambda_I|$, set over training data in the same network, above 1 for "
        "every set.",
        _over(ALL, "sd of $\\log|\\lambda_I|$, ratio", _ratio("I_sd_log"), above=1.0), "fig-4"),
    Claim(9, "At 300 epochs orientation is rarely reversed on the training data, and about half the time on "
             "all but the darkest noise for large d.",
        "Share of points with reversed orientation under K_I, at 300 epochs. On the training data below .1; "
        "on every middle and bright set between .4 and .6 at the same large d; the dark sets, which the "
        "paper excepts, lie further from one half than the others. Shown beside: the dark sets, full-rank "
        "points alone, and rank-deficient points.",
        (*_over((LOW, MODERATE, LARGE), "share reversed, training data",
                _train("I_reversed"), below=0.1, **SHARE),
         Part("share reversed", _sets("I_reversed", MIDDLE + BRIGHT), LARGE, above=0.4, below=0.6, **SHARE),
         Part("distance of the logit from one half, dark minus the others",
              _from_half, LARGE, "mean", "plain", above=0.0),
         Part("share reversed", _sets("I_reversed", DARK), LARGE, **SHARE),
         Part("share among full-rank points", _sets("I_reversed_full", ["train", *NOISE]), LARGE, **SHARE),
         Part("share of rank-deficient points",
              _sets("I_deficient", ["train", *NOISE]), LARGE, **SHARE)), "fig-5"),
    Claim(10, "$|\\mathrm{Arg}\\,\\lambda_I|$ is small on the training data, wider on every noise set, and "
              "widest on bright ones.",
        "Mean $|\\mathrm{Arg}\\,\\lambda_I|$: below π/8 on the training data; set over training data above 1 "
        "for every set; bright over middle and bright over dark above 1.",
        (*_over(ALL, "mean $|\\mathrm{Arg}\\,\\lambda_I|$, training data",
                _train("I_arg_mean"), below=np.pi / 8),
         *_over(ALL, "mean, ratio", _ratio("I_arg_mean"), above=1.0),
         *_over(ALL, "bright over middle", _groups("I_arg_mean", BRIGHT, MIDDLE), above=1.0),
         *_over(ALL, "bright over dark", _groups("I_arg_mean", BRIGHT, DARK), above=1.0)), "fig-6"),
    Claim(11, "At low d noise is reconstructed as various digits; from d = 12 on as one character of each "
              "network, which is no digit and differs over d and seeds.",
        "Low d: spread of a set's reconstructions above half of the training data's, classifier's confidence "
        "above nine tenths of that on reconstructed training images. High d: spread below a tenth; "
        "confidence lower than on the training data; distance of the network's mean reconstruction from "
        "those of all the seed's other networks, small d included, above the spread, and so from the "
        "networks with the same d of other seeds. The measures are ours.",
        (Part("relative spread", _ratio("spread"), LOW, above=0.5),
         Part("relative confidence", _ratio("confidence"), LOW, above=0.9),
         Part("relative spread", _ratio("spread"), CHARACTER, below=0.1),
         Part("relative confidence", _ratio("confidence"), CHARACTER, below=1.0),
         Part("distance between networks over spread",
              lambda e: e["from_networks"][NOISE] / e["spread"][NOISE], CHARACTER, above=1.0),
         Part("distance between seeds over spread",
              _between_seeds("spread"), CHARACTER, "pairs", above=1.0)), "tab-I"),
    Claim(12, "The reconstructions fall in two groups, sets with mean below one half and the others.",
        "Distance of a set's mean reconstruction from those of sets on the other side over that on its own "
        "side above 1 for every set, which any map that follows brightness passes. Two groups and no "
        "continuum: the mean pixels of reconstructions of middle and bright sets lie less than half as far "
        "apart as those of middle and dark sets.",
        (Part("other side over same side",
              lambda e: e["other_side"][NOISE] / e["same_side"][NOISE], CHARACTER, above=1.0),
         Part("gap in brightness, middle to bright over middle to dark",
              _brightness_gap, CHARACTER, below=0.5)), "tab-I"),
    Claim(13, "The codes of noise are far from those of the training data; at low d the mean $\\lambda_L$ on "
              "noise is far from the training data's.",
        "Lower quartile of the codes' Mahalanobis distance on a set over the training data's median above 1 "
        "for every set. Low d: mean $|\\lambda_L|$ off the training data's by a factor of more than 1.5, up "
        "or down, for every set.",
        (*_over(ALL, "Mahalanobis distance, lower quartile over median",
                _ratio("mahalanobis_q1", "mahalanobis_median"), above=1.0),
         Part("factor between mean $|\\lambda_L|$ and the training data's",
              lambda e: np.exp(np.log(_ratio("L_mean")(e)).abs()), LOW, above=1.5)), "manifold-tab-direct"),
    Claim(14, "At moderate d the reconstructions of noise are uniform and still look like digits.",
        "Relative spread below a quarter and relative confidence above nine tenths for every set. The "
        "measures are ours.",
        (Part("relative spread", _ratio("spread"), MODERATE, below=0.25),
         Part("relative confidence", _ratio("confidence"), MODERATE, above=0.9)), "tab-I"),
    Claim(15, "The medians of log|λ| vary more over d on noise than on the training data.",
        "Standard deviation over d of the median of $\\log|\\lambda_I|$: set over training data above 1 for "
        "every set.",
        _over(ALL, "sd over d of the median of $\\log|\\lambda_I|$, ratio",
              lambda e: e["I_log_median"], pool="sd", above=1.0), "fig-3"),
    Claim(16, "At low d no noise set shows zero or small eigenvalues.",
        "Share of zero eigenvalues of K_I below 1 %. Share of nonzero ones with $\\log|\\lambda_I|$ below "
        "−4.5, that is $|\\lambda_I|$ below .011: below 5 %, the first version's bound, and below 1 %, the "
        "stricter one. For every set.",
        (Part("share of zeros", _sets("I_zeros", NOISE), LOW, below=0.01, **SHARE),
         Part("share of small $|\\lambda_I|$", lambda e: _SMALL(e)[NOISE], LOW, below=0.05, **SHARE),
         Part("share of small $|\\lambda_I|$, stricter",
              lambda e: _SMALL(e)[NOISE], LOW, below=0.01, **SHARE)), "fig-3"),
    Claim(17, "The reconstruction error is small on the training data alone.",
        "Ratio of mean squared pixel errors, set over training data, in the network of the range where it is "
        "smallest: above 2 for every set.",
        _over(ALL, "smallest error ratio", _ratio("error"), pool="smallest", above=2.0),
        "reconstructions-spread-table"),
    Claim(18, "The behaviour on the training data is consistent across architectures.",
        "Standard deviation over d, median of the ten noise sets over training data, above 1: for the log "
        "mean, the median of log|λ|, the log of the standard deviation of log|λ|, the logit of the reversed "
        "share and the log mean |Arg λ| of K_I.",
        tuple(part for label, of in (
            ("log mean", _log("I_mean")), ("median of log|λ|", lambda e: e["I_log_median"]),
            ("log sd of log|λ|", _log("I_sd_log")),
            ("logit of reversal at 300 epochs", lambda e: _logit(e, "I_reversed")),
            ("log mean |Arg λ|", _log("I_arg_mean")),
        ) for part in _over(ALL, f"sd over d, {label}, ratio", of, pool="typical sd", above=1.0)), "fig-4"),
    Claim(19, "On the training data |λ| is on average below one, and near it, for both Jacobians.",
        "Arithmetic mean of |λ| on the training data between one half and one. At d ≤ 4 outliers rule it; "
        "that range is judged for itself.",
        tuple(part for name, j in BOTH for part in
              _over(ALL, f"mean $|\\lambda|$, {name}", _train(f"{j}_mean"), above=0.5, below=1.0)), "fig-2"),
    Claim(20, "At high d one network reconstructs all noise sets as one character, and another network as "
              "another.",
        "Root mean square distance between the mean reconstructions of two sets of one network, over that "
        "between two networks on one set, mean over sets: below 1, for sets on the same side of one half and "
        "for sets across it, for other d of the seed and for other seeds at the same d.",
        (Part("sets on the same side over other d",
              lambda e: e["same_side"][NOISE].mean(axis=1) / e["from_networks"][NOISE].mean(axis=1),
              CHARACTER, below=1.0),
         Part("sets across one half over other d",
              lambda e: e["other_side"][NOISE].mean(axis=1) / e["from_networks"][NOISE].mean(axis=1),
              CHARACTER, below=1.0),
         Part("other seeds over sets on the same side",
              _between_seeds("same_side", together=True), CHARACTER, "pairs", above=1.0),
         Part("other seeds over sets across one half",
              _between_seeds("other_side", together=True), CHARACTER, "pairs", above=1.0)), "tab-I"),
    Claim(21, "For large d the geometric means of $|\\lambda_I|$ cluster by brightness as the arithmetic "
              "ones do.",
        "As claim 4, for the geometric mean.",
        (Part("dark over middle", _groups("I_geometric", DARK, MIDDLE), LARGE, above=1.0),
         Part("middle over bright", _groups("I_geometric", MIDDLE, BRIGHT), LARGE, above=1.0),
         Part("groups separate in most networks",
              _apart("I_geometric", DARK, MIDDLE, BRIGHT), LARGE, **YES)), "fig-2"),
    Claim(22, "The geometric means on noise vary more from architecture to architecture than those on the "
              "training data.",
        "As claim 3, for the geometric mean.",
        tuple(part for name, j in BOTH for part in
              _over(ALL, f"sd over d of the log geometric mean, {name}, ratio",
                    _log(f"{j}_geometric"), pool="sd", above=1.0)), "fig-2"),
    Claim(23, "On the training data the eigenvalues have no extreme outliers at any d.",
        "In the network of the range where it is largest: mean over median $|\\lambda|$ below 2 for both "
        "Jacobians, and mean over median of Figure 1's distance below 10.",
        (*(part for name, j in BOTH for part in
           _over(ALL, f"largest mean over median $|\\lambda|$, {name}",
                 lambda e, j=j: e[f"{j}_mean"]["train"] / np.exp(e[f"{j}_log_median"]["train"]),
                 pool="largest", below=2.0)),
         *_over(ALL, "largest mean over median distance",
                lambda e: e["distance_mean"]["train"] / e["distance_median"]["train"],
                pool="largest", below=10.0)), "fig-1"),
    Claim(24, "At low d the reconstructions of one noise set do not belong to one class of digits.",
        "Effective number of classes (exponential of the entropy) that a classifier finds among a set's "
        "reconstructions above 2 for every set. The measure is ours; whether the classes are the same on "
        "another set or seed is not in the tables.",
        (Part("effective number of classes", _sets("classes", NOISE), LOW, above=2.0),), "tab-I"),
    Claim(25, "$|\\mathrm{Arg}\\,\\lambda_I|$ has a wider range on every noise set than on the training "
              "data; the range grows with brightness, and on bright sets any angle occurs.",
        "Range: 95 % quantile of $|\\mathrm{Arg}\\,\\lambda_I|$. Set over training data above 1 for every "
        "set; bright over middle and middle over dark above 1. Any angle: each of 36 equal bins of [0, π] "
        "has more than .1 % of the eigenvalues on every bright set.",
        (*_over(ALL, "95 % quantile, ratio",
                lambda e: (q := _WIDE_ANGLE(e))[NOISE].div(q["train"], axis=0), above=1.0),
         *_over(ALL, "95 % quantile, bright over middle",
                lambda e: (q := _WIDE_ANGLE(e))[BRIGHT].mean(axis=1) / q[MIDDLE].mean(axis=1), above=1.0),
         *_over(ALL, "95 % quantile, middle over dark",
                lambda e: (q := _WIDE_ANGLE(e))[MIDDLE].mean(axis=1) / q[DARK].mean(axis=1), above=1.0),
         *_over(ALL, "share in the emptiest of 36 bins",
                lambda e: _RAREST_ANGLE(e)[BRIGHT], above=0.001, **SHARE)), "fig-6"),
    Claim(26, "At moderate d the reconstructions of different noise sets no longer differ.",
        "Root mean square distance between the mean reconstructions of two sets of one network, mean over "
        "sets, below a quarter of the spread of reconstructed training images: for sets on the same side of "
        "one half and for sets across it. The measure is ours.",
        tuple(Part(f"sets {where} over the training data's spread",
                   lambda e, c=c: e[c][NOISE].mean(axis=1) / e["spread"]["train"], MODERATE, below=0.25)
              for where, c in (("on the same side", "same_side"), ("across one half", "other_side"))),
        "tab-I"),
    Claim(27, "The codes of noise are far from the training data's even where its reconstructions look like "
              "training ones.",
        "Lower quartile of the codes' Mahalanobis distance over the training data's median, mean over those "
        "noise sets of a network whose reconstructions look alike: confidence at least nine tenths of the "
        "training data's and distance to the nearest training image at most 1.25 times. Above 1.",
        _over((LOW, MODERATE), "Mahalanobis distance where reconstructions look alike",
              _alike_far, above=1.0), "manifold-tab-direct"),
    Claim(28, "The mean $|\\lambda_L|$ on noise is frequently far from the training data's, at any d.",
        "Share of noise sets whose mean $|\\lambda_L|$ is off the training data's by a factor of more than "
        "1.5, up or down: above one half.",
        _over(ALL, "share of sets off by a factor of 1.5", _often_far, above=0.5, count=len(NOISE), **SHARE),
        "fig-2"),
)  # fmt: skip


# --- architecture or initialisation? -----------------------------------------------------------

#: Statistics whose variance is split into d, seed and rest: column → scale.
STATISTICS = {f"{j}_{name}": scale for j in "IL" for name, scale in (
    ("mean", "log"), ("geometric", "log"), ("log_median", "plain"),
    ("sd_log", "log"), ("reversed", "logit"), ("arg_mean", "log"),
)} | {"distance_median": "log"}  # fmt: skip


def architecture(evidence: Evidence) -> pd.DataFrame:
    """Architecture or initialisation? Shares of variance of each statistic on each data set over all d.

    The paper's title *holds* for a statistic where the lower limit of d's share is above one half, is
    *refuted* where the upper limit is below, and is *open* elsewhere.

    Returns
    -------
    DataFrame
        ``statistic, set``; the components ``d, seed, rest`` on the scale of `STATISTICS`; the ``share`` of d
        with its 95 % interval ``low, high``; ``verdict``.
    """
    rows = []
    for column, scale in STATISTICS.items():
        values = SCALES[scale][0](evidence[column].astype(float), evidence.points)
        for name in ("train", *NOISE):
            table = values[name].unstack("seed").dropna()
            c = statistics.components(table.to_numpy())
            verdict = "holds" if c.low > 0.5 else "refuted" if c.high < 0.5 else "open"
            rows.append({"statistic": column, "set": name, **c._asdict(), "verdict": verdict})
    return pd.DataFrame(rows)
