"""The ten noise sets: their laws, and that a point is the same however it is asked for."""

import numpy as np
import pytest
import torch
from scipy import stats

from lib import noise
from lib.protocol import NOISE_SETS, ProtocolError

COUNT = 600  # points: 470,400 pixels


@pytest.mark.parametrize("name", NOISE_SETS)
def test_moments_are_those_of_the_law(name):
    x, law = noise.sample(name, 0, COUNT).numpy(), noise.distribution(name)
    n = x.size
    mean, variance, _, kurtosis = (float(v) for v in law.stats("mvsk"))
    assert abs(x.mean() - mean) < 5 * np.sqrt(variance / n)
    # the second term is the error of the mean, squared: all there is for a fair coin
    assert abs(x.var() - variance) < 5 * variance * np.sqrt((kurtosis + 2) / n) + 25 * variance / n
    assert x.min() >= 0 and x.max() <= 1 and x.dtype == np.float64


@pytest.mark.parametrize("name", [n for n in NOISE_SETS if not n.startswith("bernoulli")])
def test_pixels_follow_the_law(name):
    x = noise.sample(name, 0, 60).numpy().ravel()
    assert stats.kstest(x, noise.distribution(name).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", [n for n in NOISE_SETS if n.startswith("bernoulli")])
def test_bernoulli_pixels_are_black_or_white(name):
    assert set(np.unique(noise.sample(name, 0, 5).numpy())) == {0.0, 1.0}


@pytest.mark.parametrize("name", NOISE_SETS)
def test_pixels_and_points_are_uncorrelated(name):
    x = noise.sample(name, 0, COUNT).numpy()
    x = (x - x.mean()) / x.std()
    for a, b in ((x[:, :-1], x[:, 1:]), (x[:-1], x[1:]), (x[: -noise.BLOCK], x[noise.BLOCK :])):
        assert abs((a * b).mean()) < 5 / np.sqrt(a.size)


@pytest.mark.parametrize("name", NOISE_SETS)
def test_a_point_does_not_depend_on_chunks_or_order(name):
    stop = noise.BLOCK + 30
    whole = noise.sample(name, 0, stop)
    pieces = [noise.sample(name, a, b) for a, b in ((0, 1), (1, 17), (17, noise.BLOCK), (noise.BLOCK, stop))]
    assert torch.equal(torch.cat(pieces), whole)
    backwards = [noise.sample(name, i, i + 1) for i in (stop - 1, noise.BLOCK, noise.BLOCK - 1, 3)]
    assert torch.equal(torch.cat(backwards), whole[[stop - 1, noise.BLOCK, noise.BLOCK - 1, 3]])


def test_sets_seeds_and_points_differ():
    drawn = [
        noise.sample(name, 0, 2, seed)[i] for name in ("uniform", "normal") for seed in (0, 1) for i in (0, 1)
    ]
    assert len({tuple(v.tolist()) for v in drawn}) == len(drawn)


def test_drawing_leaves_the_global_generators_alone():
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    noise.sample("beta_0.8_5", 0, 3)
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(numpy_before, np.random.get_state()[1])


def test_no_points():
    assert noise.sample("uniform", 7, 7).shape == (0, 784)


def test_the_papers_truncated_normal_is_nearly_uniform():
    assert float(noise.distribution("normal").std()) == pytest.approx(0.2839, abs=5e-5)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gamma_2",
        "bernoulli",
        "bernoulli_1.5",
        "bernoulli_x",
        "beta_1",
        "beta_0_1",
        "uniform_2",
        "normal_0_-1",
        "normal_0",
        "field_0.5_0.1_2",
        "field_0.5_0.26_2_0",
        "field_0.5_0.1_-1_0",
        "field_0.5_0.1_2_0.5",
    ],
)
def test_an_unknown_law_is_one_clear_line(name):
    with pytest.raises(ProtocolError) as error:
        noise.sample(name, 0, 1)
    message = str(error.value)
    assert (
        repr(name) in message and "expected" in message and "for instance" in message and "\n" not in message
    )


@pytest.mark.parametrize("start, stop", [(-1, 3), (5, 2)])
def test_an_impossible_range_is_one_clear_line(start, stop):
    with pytest.raises(ProtocolError, match="expected 0 ≤ start ≤ stop"):
        noise.sample("uniform", start, stop)


FIELDS = ["field_0.3_0.05_2_0.2", "field_0.7_0.1_0.8_0", "field_0.1_0.05_4_0.5"]


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_has_the_wanted_mean_variance_and_share_of_zeros(name):
    x, law = noise.sample(name, 0, noise.BLOCK).numpy(), noise.distribution(name)
    mean, variance, length, zeros = map(float, name.split("_")[1:])
    assert law.mean() == pytest.approx(mean) and law.var() == pytest.approx(variance)
    assert law.cdf(1e-300) == pytest.approx(zeros, abs=1e-12)
    # each point's own mean is one independent number: its spread over points gives the error
    for values, wanted in ((x, mean), ((x - mean) ** 2, variance), (x == 0, zeros)):
        own = values.mean(1)
        assert abs(own.mean() - wanted) < 5 * own.std() / np.sqrt(len(own)) + 1e-12


@pytest.mark.parametrize("length", [0.3, 0.8, 2.0, 4.0])
def test_a_field_is_correlated_as_the_kernel_says(length):
    name = f"field_0.6_0.04_{length}_0"
    # without zeros the pixels' ranks give the Gaussian field back
    g = stats.norm.ppf(noise.distribution(name).cdf(noise.sample(name, 0, noise.BLOCK).numpy())).reshape(
        -1, 28, 28
    )
    for down, right in ((0, 1), (1, 0), (2, 3), (0, 5), (9, 9)):
        product = (g[:, : 28 - down, : 28 - right] * g[:, down:, right:]).mean((1, 2))
        wanted = np.exp(-(down**2 + right**2) / (2 * length**2))
        assert abs(product.mean() - wanted) < 5 * product.std() / np.sqrt(len(product))


@pytest.mark.parametrize("length", [0.0, 0.3, 2.0, 5.0])
def test_the_fast_field_has_the_covariance_of_the_whole_kernel(length):
    at = np.stack(np.meshgrid(np.arange(28), np.arange(28), indexing="ij"), -1).reshape(-1, 2)
    square = ((at[:, None] - at[None]) ** 2).sum(-1)
    whole = np.exp(-square / (2 * length**2)) if length else np.eye(784)
    root = noise._root(length)
    assert np.abs(np.kron(root, root) @ np.kron(root, root).T - whole).max() < 1e-12


def test_a_point_of_a_field_does_not_depend_on_chunks():
    whole = noise.sample(FIELDS[0], 0, noise.BLOCK + 3)
    assert torch.equal(whole[noise.BLOCK - 1 :], noise.sample(FIELDS[0], noise.BLOCK - 1, noise.BLOCK + 3))


@pytest.mark.parametrize(
    "name", [*FIELDS, "field_0.5_0.238_0_0", "field_0.6_0.002_0_0", "field_0.2_0.152_0_0.3"]
)
def test_fast_quantiles_are_those_of_the_law(name):
    law, g = noise.distribution(name), np.random.default_rng(0).standard_normal(5_000)
    exact = law.ppf(stats.norm.cdf(g))
    assert np.abs(noise._quantiles(g, *law.args) - exact).max() < 1e-4
    assert (noise._quantiles(g, *law.args)[stats.norm.cdf(g) <= law.args[0]] == 0).all()
