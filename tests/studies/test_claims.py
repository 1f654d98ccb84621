"""Claims are judged as the book says: in a world where the paper is right all hold, and each fails where its own number does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.protocol import GROUPS, Protocol
from lib.spectrum import LOG_BINS
from lib.studies.claims import CLAIMS, FEWEST, Estimate, Evidence, judge, numbers, summary

SIDES = {name: group for group, names in GROUPS.items() for name in names}


def histogram(**mass: float) -> str:
    """Counts in the bins of log|λ| of given masses at given moduli."""
    counts = np.zeros(len(LOG_BINS) - 1)
    for modulus, count in mass.items():
        counts[np.searchsorted(LOG_BINS, np.log(float(modulus[1:].replace("_", ".")))) - 1] += count
    return " ".join(map(str, counts))


def as_the_paper_says(dims=range(2, 21), seeds=(0, 1)) -> Evidence:
    """Tables of numbers made up so that every claim of the paper is true."""
    cells, looks = [], []
    for seed in seeds:
        for d in dims:
            wobble = 0.2 * (-1) ** d
            mean = 0.95 - 0.01 * d
            for name in ("train", *Protocol().sets):
                side = SIDES.get(name)
                train = name == "train"
                i_mean = (
                    mean if train else {"dark": 0.5, "middle": 0.25, "bright": 0.1}[side] * np.exp(wobble)
                )
                l_mean = mean if train else 0.4 * np.exp(wobble)
                cells.append({
                    "seed": seed, "d": d, "set": name, "I_mean": i_mean, "L_mean": l_mean, "I_geometric": 0.8 * i_mean, "L_geometric": 0.8 * l_mean,
                    "distance_median": 0.001 if train else 0.1, "distance_mean": 0.001 if train else 0.1, "I_zeros": 0.0, "L_zeros": 0.0,
                    "I_sd_log": 0.3 if train else 1 + wobble, "I_log_median": 0.0 if train else wobble,
                    "I_reversed": 0.01 if train else 0.5 + 0.1 * wobble, "I_reversed_full": 0.01 if train else 0.5, "I_deficient": 0.0,
                    "I_arg_mean": 0.1 if train else {"dark": 0.5, "middle": 0.6, "bright": 0.9}[side] + 0.1 * wobble,
                    "I_log_hist": histogram(m0_8=95, **{f"m{0.8 * np.exp(-0.15 * d):.3f}".replace(".", "_"): 5}) if train else histogram(m0_5=100),
                    "error": 0.01 if train else 0.1, "mahalanobis_q1": 0.8 if train else 5.0, "mahalanobis_median": 1.0 if train else 6.0,
                })  # fmt: skip
                spread, confidence = (
                    (1.0, 1.0)
                    if train
                    else (0.8, 0.95)
                    if d <= 4
                    else (0.2, 0.95)
                    if d <= 11
                    else (0.05, 0.5)
                )
                looks.append({
                    "seed": seed, "d": d, "set": name, "spread": spread, "confidence": confidence,
                    "from_networks": 0.3, "from_seeds": 0.3 if len(seeds) > 1 else np.nan, "other_side": 0.4, "same_side": 0.1,
                })  # fmt: skip
    return Evidence(pd.DataFrame(cells), characters=pd.DataFrame(looks))


def spoilt(column: str, rows, value) -> Evidence:
    """The same with `value` in the rows where `rows` is true."""
    e = as_the_paper_says()
    table = e.characters if column in e.characters else e.cells
    at = rows(table)
    table.loc[at, column] = value(table[at]) if callable(value) else value
    return e


#: claim → the column, rows and value that contradict it.
NOISE = lambda t: t.set != "train"  # noqa: E731
TRAIN = lambda t: t.set == "train"  # noqa: E731
AGAINST = {
    1: ("distance_median", NOISE, 0.0005),
    2: ("I_mean", TRAIN, lambda t: 3 + 0.1 * t.d),
    3: ("I_mean", NOISE, 0.3),
    4: ("I_mean", NOISE, 0.3),
    5: (
        "L_mean",
        NOISE,
        lambda t: t.set.map({n: {"dark": 0.5, "middle": 0.25, "bright": 0.1}[g] for n, g in SIDES.items()}),
    ),
    6: ("I_geometric", NOISE, 2.0),
    7: ("I_zeros", TRAIN, 0.2),
    8: ("I_sd_log", NOISE, 0.1),
    9: ("I_reversed", NOISE, 0.0),
    10: ("I_arg_mean", NOISE, 0.05),
    11: ("spread", NOISE, 0.4),
    12: ("other_side", NOISE, 0.05),
    13: ("mahalanobis_q1", NOISE, 0.5),
    14: ("confidence", NOISE, 0.5),
    15: ("I_log_median", NOISE, 0.0),
    16: ("I_zeros", NOISE, 0.3),
    17: ("error", NOISE, 0.01),
    18: ("I_reversed", TRAIN, lambda t: 0.5 + 0.5 * (-1.0) ** t.d),
    19: ("I_mean", TRAIN, 1.4),
}


def verdict(number: int, evidence: Evidence) -> str:
    return judge(CLAIMS[number - 1].estimates(evidence))


@pytest.fixture(scope="module")
def right() -> Evidence:
    return as_the_paper_says()


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: str(c.number))
def test_a_claim_holds_where_the_paper_is_right_and_not_where_its_number_is_wrong(claim, right):
    estimates = claim.estimates(right)
    assert judge(estimates) == "holds", [e for e in estimates if e.ok is False]
    assert verdict(claim.number, spoilt(*AGAINST[claim.number])) in ("holds in part", "does not hold")


def test_every_claim_has_a_number_and_a_figure_of_its_own():
    assert [c.number for c in CLAIMS] == list(range(1, 20)) == sorted(AGAINST)
    assert all(c.says and c.measured and c.figure for c in CLAIMS)


def test_too_few_networks_give_no_verdict():
    few = as_the_paper_says(dims=range(2, FEWEST + 1), seeds=(0,))
    assert verdict(19, few) == "cannot be said"
    by_value = Evidence(few.cells, characters=few.characters, intervals=False)
    assert verdict(19, by_value) == "holds"
    assert verdict(4, by_value) == "cannot be said"  # no network in the claim's range of d


def test_one_seed_cannot_tell_seeds_apart():
    assert verdict(11, as_the_paper_says(seeds=(0,))) == "cannot be said"


def test_an_interval_is_the_bootstrap_of_the_mean():
    v = np.random.default_rng(1).normal(2.0, 1.0, 38)
    value, low, high = Evidence(pd.DataFrame()).interval(v, np.arange(38), lambda v, d: v.mean(1))
    assert value == v.mean() and low < value < high
    half = 1.96 * v.std() / np.sqrt(38)
    np.testing.assert_allclose([low, high], [value - half, value + half], atol=0.25 * half)
    assert (
        Evidence(pd.DataFrame(), intervals=False).interval(v, np.arange(38), lambda v, d: v.mean(1))
        == (value,) * 3
    )


def test_an_estimate_holds_only_with_its_whole_interval():
    assert Estimate("", 1.0, 0.5, 1.5, above=0.0).ok is True
    assert Estimate("", 1.0, -0.1, 1.5, above=0.0).ok is False
    assert Estimate("", 1.0, 0.5, 1.5, above=0.0, below=1.2).ok is False
    assert Estimate("", 1.0, 0.5, 1.5).ok is None
    one, other = Estimate("", 1.0, 0.5, 1.5, above=0.0), Estimate("", -1.0, -2.0, -0.5, above=0.0)
    assert [judge(e) for e in ([one], [one, other], [other], [])] == [
        "holds",
        "holds in part",
        "does not hold",
        "cannot be said",
    ]


def test_an_interval_that_holds_its_bound_settles_nothing():
    open_, other = Estimate("", 1.0, -0.1, 1.5, above=0.0), Estimate("", -1.0, -2.0, -0.5, above=0.0)
    assert not open_.refuted and other.refuted and Estimate("", 2.0, 1.5, 2.5, above=0.0, below=1.0).refuted
    assert [judge(e) for e in ([open_], [open_, other])] == ["cannot be said", "does not hold"]
    assert list(numbers([open_, other, Estimate("", 1.0, 0.5, 1.5)]).holds) == ["open", "no", ""]


def test_untrained_networks_are_shown_beside(right):
    null = right.cells.assign(I_mean=0.25)
    found = CLAIMS[18].estimates(Evidence(right.cells, null, right.characters))
    shown = numbers(found)
    assert list(shown.untrained) == ["0.25", shown.untrained[1]] and list(shown.holds) == ["yes", "yes"]


def test_the_summary_counts_the_estimates(right):
    table = summary(right)
    assert len(table) == 19 and (table.verdict == "holds").all()
    assert table["estimates that hold"][18] == "2 of 2"
