"""The design of noise sets and its models: feasible, exact where known, judged by the judging seeds alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from lib import noise, results
from lib.model import Ensemble
from lib.protocol import NOISE_SETS, Protocol, ProtocolError
from lib.store import Store
from lib.studies import noise_design as design
from lib.studies.claims import JUDGES


@pytest.fixture(scope="module")
def f():
    return design.factors(design.names())


def made(f, of, seeds=JUDGES, dims=(5, 14, 20), spread=0.1):
    """Responses that are `of` the factors, and noise."""
    rng, z = np.random.default_rng(0), (f - f.mean()) / f.std(ddof=0)
    columns = pd.MultiIndex.from_product([design.RESPONSES, seeds, dims], names=["response", "seed", "d"])
    values = of(z).to_numpy()[:, None] + spread * rng.standard_normal((len(f), len(columns)))
    return pd.DataFrame(values, index=f.index, columns=columns)


def test_every_distribution_of_the_design_is_feasible_and_another(f):
    sets = design.names()
    assert len(set(sets)) == len(sets) == design.COUNT >= 64
    assert design.names(32) == sets[:32]
    assert (f.variance <= f["mean"] * (1 - f["mean"])).all() and (f.variance > 0).all()
    for name in sets:
        mean, variance, _, zeros = map(float, name.split("_")[1:])
        assert f["mean"][name] == pytest.approx(mean) and f.variance[name] == pytest.approx(variance)
        assert zeros <= f.black[name] < 1
    with pytest.raises(ProtocolError, match="noise design: expected at most"):
        design.names(100_000)


def test_the_factors_of_independent_pixels_are_exact():
    found = design.factors(["bernoulli_0.25", "uniform"])
    assert found.loc["bernoulli_0.25", ["mean", "variance", "black"]].tolist() == [0.25, 0.1875, 0.75]
    assert found.loc["uniform"].tolist() == pytest.approx([0.5, 1 / 12, np.log(0.3), 1 / 510])


def test_held_out_error_is_that_of_a_library(f):
    y = np.random.default_rng(1).standard_normal((len(f), 3)) + f[["mean"]].to_numpy()
    x, fold = design.terms(f), np.arange(len(f)) % design.FOLDS
    model, split = LinearRegression(fit_intercept=False), PredefinedSplit(fold)
    left = ((y - cross_val_predict(model, x, y, cv=split)) ** 2).sum(0)
    whole = ((y - cross_val_predict(model, np.ones((len(x), 1)), y, cv=split)) ** 2).sum(0)
    assert design.held_out(x, y) == pytest.approx(1 - left / whole, abs=1e-10)


def test_effects_are_the_coefficients_of_standardised_responses(f):
    y = made(f, lambda z: 3 * z["mean"] - 4 * z.length, spread=0)
    found = design.effects(f, y).groupby("factor").effect
    size = float((3 * f["mean"] / f["mean"].std(ddof=0) - 4 * f.length / f.length.std(ddof=0)).std(ddof=0))
    for factor, wanted in {"mean": 3, "length": -4, "variance": 0, "black": 0}.items():
        assert found.get_group(factor).to_numpy() == pytest.approx(wanted / size, abs=1e-9)


def test_the_answer_is_the_difference_of_the_shares(f):
    y = made(f, lambda z: z["mean"] * z.variance + z.variance, seeds=(0, 1), spread=1.0)
    found, by_seed = design.answer(f, y, draws=3), design.differences(design.predictive(f, y))
    assert found.difference.to_numpy() == pytest.approx(by_seed[found.response].mean().to_numpy(), abs=1e-10)


@pytest.mark.parametrize(
    "of, wanted",
    [
        (lambda z: z["mean"] + z["mean"] ** 2, "brightness"),
        (lambda z: z.variance, "variance"),
        (lambda z: z.length, "neither"),
    ],
)
def test_the_answer_is_the_factor_that_made_the_responses(f, of, wanted):
    found = design.answer(f, made(f, of, spread=0.5), draws=20).set_index("response")
    assert found.verdict["all"] == wanted
    sign = {"brightness": 1, "variance": -1, "neither": 0}[wanted]
    assert not sign or np.sign([found.low["all"], found.high["all"]]).tolist() == [sign, sign]
    assert (found.low <= found.high).all() and set(found.index) == {"all", *design.RESPONSES}


def test_seeds_that_explore_do_not_judge(f):
    found = design.answer(f, made(f, lambda z: z["mean"], seeds=(0, 1)), draws=5)
    assert set(found.verdict) == {"not judged yet"} and found[["t_low", "t_high"]].isna().all(axis=None)


def test_partial_dependence_of_a_straight_line_is_that_line(f):
    y = made(f, lambda z: 2 * z.variance + z["mean"], seeds=(0,), dims=(5,), spread=0)
    found = design.dependence(f, y)
    line = found[(found.factor == "variance") & (found.response == "arg")]
    slope = np.diff(line.predicted) / np.diff(line.value)
    assert slope == pytest.approx(2 / f.variance.std(ddof=0), rel=1e-8)
    assert np.ptp(found[found.factor == "black"].predicted) < 1e-8


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    protocol = Protocol(training_set="digits", dims=(2, 5), seeds=(0,), epochs=1, points=60)
    ensemble = Ensemble.initial(protocol.dims, 0)
    return ensemble, protocol, Store(tmp_path_factory.mktemp("store"))


def test_rows_are_those_of_the_results_table_and_are_stored(small):
    e, protocol, store = small
    sets = design.names(2)
    found = design.table([e], protocol, store, sets, points=20)
    laws = results.training_codes([e], protocol.replace(points=20))
    wanted = results.evaluate([e], protocol.replace(points=20), sets[1], False, laws)[0]
    own = found[found.set == sets[1]].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, wanted[design.KEPT], check_exact=False, rtol=1e-9)
    assert design.table([e], protocol, store, sets, points=20).equals(found)


def test_a_path_begins_at_the_images_and_ends_at_the_noise(small):
    e, protocol, store = small
    found = design.paths([e], protocol, store, images=30, ends=("uniform", "pixels shuffled"))
    few = protocol.replace(points=30)
    x = torch.cat(list(results.blocks(few, "test")))
    laws = results.training_codes([e], protocol)
    first, last = (
        results.evaluate([e], few, name, False, laws)[0].set_index("d") for name in ("test", "uniform")
    )
    path = found[found.end == "uniform"].set_index(["t", "d"])
    for column in (c for c, _, _ in design.RESPONSES.values()):
        for d in e.dims:
            assert path[column][0.0, d] == pytest.approx(first[column][d], rel=1e-9)
            assert path[column][1.0, d] == pytest.approx(last[column][d], rel=1e-9)
    # another order of the pixels changes neither mean nor variance
    shuffled = found[(found.end == "pixels shuffled") & (found.t == 1)]
    assert shuffled["mean"].to_numpy() == pytest.approx(float(x.mean()))
    assert shuffled.variance.to_numpy() == pytest.approx(float(x.var(correction=0)))


def test_the_papers_sets_are_predicted_exactly_where_the_model_is_true(f):
    def cells(sets):
        at = design.factors(sets)
        value = np.exp(-2 + at["mean"] + 3 * at.variance * at["mean"]).to_numpy()
        share = 1 / (1 + np.exp(-(at["mean"] - 0.4).to_numpy()))
        columns = {c: value for c, _, _ in design.RESPONSES.values()} | {"I_reversed": share}
        return pd.DataFrame({"seed": 0, "d": 5, "set": sets, "points": 10**9, **columns})

    y = design.responses(cells(list(f.index)), list(f.index))
    found = design.placed(f, y, cells(list(NOISE_SETS)))
    assert len(found) == len(NOISE_SETS) * len(design.RESPONSES)
    assert found.predicted.to_numpy() == pytest.approx(found.seen.to_numpy(), abs=1e-6)
    assert set(found.set) == set(NOISE_SETS) and (found.leverage > 0).all()
    assert noise.distribution("uniform").mean() == found[found.set == "uniform"]["mean"].iloc[0]
