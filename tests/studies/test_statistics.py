"""Statistics over seeds: exact where a formula is known, with the coverage they promise where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lib.studies.statistics import LEVEL, binomial_test, components, holm, pseudo_values, t_test


def test_the_interval_is_students():
    v = np.random.default_rng(0).normal(1.0, 2.0, 8)
    found, exact = t_test(v, above=0.0), stats.ttest_1samp(v, 0.0, alternative="two-sided")
    np.testing.assert_allclose(found[1:3], exact.confidence_interval(0.95))
    assert found.wanted == pytest.approx(stats.ttest_1samp(v, 0.0, alternative="greater").pvalue)
    assert found.against == pytest.approx(1 - found.wanted)


def test_between_two_bounds_takes_two_tests_and_outside_takes_one_of_two():
    v = np.random.default_rng(1).normal(0.0, 0.2, 8)
    inside, outside = t_test(v, above=-1.0, below=1.0), t_test(v + 3, above=-1.0, below=1.0)
    singly = [stats.ttest_1samp(v, b, alternative=a).pvalue for b, a in ((-1.0, "greater"), (1.0, "less"))]
    assert inside.wanted == pytest.approx(max(singly)) and inside.wanted < LEVEL < inside.against
    assert outside.wanted > 0.5 and outside.against == pytest.approx(
        2 * stats.ttest_1samp(v + 3, 1.0, alternative="greater").pvalue
    )


def test_two_seeds_give_a_mean_and_no_more():
    assert t_test([1.0, 2.0], above=0.0).value == 1.5 and np.isnan(t_test([1.0, 2.0], above=0.0)[1:]).all()
    assert np.isnan(binomial_test([1, 1])[1:]).all() and np.isnan(t_test([], above=0.0).value)


def test_the_exact_binomial_over_eight_seeds():
    every, most = binomial_test([1] * 8), binomial_test([1] * 7 + [0])
    assert every.low == pytest.approx(0.025 ** (1 / 8)) and every.high == 1
    assert every.wanted == pytest.approx(2**-8) and most.wanted == pytest.approx(9 * 2**-8)
    assert binomial_test([0] * 8).against == pytest.approx(2**-8)


def test_holm_rejects_step_by_step():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, np.nan, 0.005]), [0.03, 0.06, 0.06, np.nan, 0.02])
    assert len(holm([])) == 0


def test_pseudo_values_of_a_mean_are_the_values():
    v = np.random.default_rng(0).normal(size=6)
    np.testing.assert_allclose(pseudo_values(v.mean(), (v.sum() - v) / 5), v)


def test_components_are_those_of_the_analysis_of_variance():
    y = np.random.default_rng(4).normal(size=(5, 3)) + np.arange(5)[:, None]
    rest = y - y.mean(1, keepdims=True) - y.mean(0) + y.mean()
    error = (rest**2).sum() / 8
    found = components(y)
    assert found.rest == pytest.approx(error)
    assert found.d == pytest.approx(max(0, y.mean(1).var(ddof=1) - error / 3))
    assert found.seed == pytest.approx(max(0, y.mean(0).var(ddof=1) - error / 5))
    assert found.share == pytest.approx(found.d / (found.d + found.seed + found.rest))
    assert np.isnan(components(np.full((1, 3), 1.0)).share) and np.isnan(components(y[:, :2]).low)


@pytest.mark.parametrize("sd", [(1.0, 1.0, 1.0), (0.3, 1.0, 0.5), (2.0, 0.3, 1.0)])
def test_the_interval_of_the_share_covers_it(sd):
    """Nineteen d, eight seeds, 300 samples: coverage within three standard errors of 95 %, or above."""
    rng, samples = np.random.default_rng(5), 300
    truth = sd[0] ** 2 / sum(s**2 for s in sd)
    inside, width = 0, []
    for _ in range(samples):
        y = sd[0] * rng.normal(size=(19, 1)) + sd[1] * rng.normal(size=8) + sd[2] * rng.normal(size=(19, 8))
        found = components(y, draws=600)
        inside += found.low <= truth <= found.high
        width.append(found.high - found.low)
    error = np.sqrt(0.95 * 0.05 / samples)
    assert 0.95 - 3 * error <= inside / samples <= 0.99
    assert np.mean(width) < 0.6  # covering by saying nothing does not count


def test_tests_of_level_five_percent_err_that_often():
    rng, samples = np.random.default_rng(6), 2_000
    wrong = np.mean([t_test(rng.normal(size=8), above=0.0).wanted <= LEVEL for _ in range(samples)])
    assert abs(wrong - LEVEL) < 4 * np.sqrt(LEVEL * (1 - LEVEL) / samples)
