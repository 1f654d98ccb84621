"""What regularised autoencoders learn, as laws."""

import math

import numpy as np
import pytest
import torch

from lib.companions.score import Settings, optimum, sampling, second
from lib.companions.score.chains import image_chains, plane_chains
from lib.companions.score.denoiser import Residual, train_residual
from lib.companions.score.optimum import DOUBLE_WELL, Energy, Mixture, cloud, ring, spiral
from lib.companions.score.plane import ray_crossings, zeros
from lib.protocol import Protocol
from lib.store import Store


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_gaussian_data_make_both_optima_the_same_straight_line(tau, sigma):
    gauss = Energy((0.0, 0.0, 0.5 / tau**2), 9.0 * tau)
    x = gauss.grid(20_001)
    inner = np.abs(x) < 2 * tau  # the contractive problem has a boundary layer at the ends of its interval
    slope = tau**2 / (tau**2 + sigma**2)
    g, r = optimum.contractive(gauss, sigma, len(x))
    assert np.abs(x + g - slope * x)[inner].max() < 1e-6
    assert np.abs(r - slope)[inner[1:]].max() < 1e-5
    g, r = optimum.denoising(gauss, sigma, x[inner][::100])
    assert np.abs(x[inner][::100] + g - slope * x[inner][::100]).max() < 1e-12
    assert np.abs(r - slope).max() < 1e-12


def test_score_error_falls_with_the_square_of_sigma():
    sigmas = np.geomspace(0.005, 0.3, 6)
    errors = optimum.optimum_errors(DOUBLE_WELL, sigmas, 10_001)
    for _, part in errors[errors.target == "score"].groupby(["optimum", "order"]):
        assert (np.diff(part.sort_values("sigma").error) > 0).all()
    assert optimum.slopes(errors).slope.between(1.9, 2.05).all()
    assert (
        errors[errors.target == "smoothed"].error.max() < 1e-10
    )  # the denoising optimum is exact for the smoothed density


def test_the_contractive_and_denoising_expansions_have_the_derived_second_terms():
    """(r − x)/σ² = s + σ²(s s′ + c s″) + O(σ⁴) with c = 1 and c = ½."""
    sigma, nodes = 0.02, 40_001
    x = DOUBLE_WELL.grid(nodes)
    pick = np.flatnonzero(np.abs(x) < 1.2)[::200]
    s, ds, dds = (DOUBLE_WELL.score(x[pick], k) for k in (1, 2, 3))
    for g, c in (
        (optimum.contractive(DOUBLE_WELL, sigma, nodes)[0][pick], 1.0),
        (optimum.denoising(DOUBLE_WELL, sigma, x[pick])[0], 0.5),
    ):
        second = (g / sigma**2 - s) / sigma**2
        assert np.abs(second - (s * ds + c * dds)).max() < 0.1 * np.abs(s * ds + c * dds).max()


def test_both_optima_increase_in_one_dimension():
    for sigma in (0.1, 0.5, 2.0):
        assert optimum.contractive(DOUBLE_WELL, sigma, 10_001)[1].min() > 0
        assert optimum.denoising(DOUBLE_WELL, sigma, DOUBLE_WELL.grid(301))[1].min() > 0


@pytest.mark.parametrize("law", [ring(), cloud(10)], ids=["ring", "cloud"])
def test_mixture_score_is_the_gradient_of_its_log_density_and_the_hessian_its_slope(law):
    x = law.sample(6, torch.Generator().manual_seed(0), 0.3).requires_grad_()
    (gradient,) = torch.autograd.grad(law.log_density(x, 0.3).sum(), x)
    assert torch.allclose(law.score(x, 0.3), gradient, rtol=1e-9, atol=1e-9)
    hessian = torch.func.vmap(torch.func.jacrev(lambda v: law.score(v[None], 0.3)[0]))(x.detach())
    assert torch.allclose(law.hessian(x.detach(), 0.3), hessian, rtol=1e-8, atol=1e-8)


def test_the_slope_of_a_denoising_optimum_is_symmetric_and_positive():
    law, sigma = cloud(10), 0.4
    x = 3 * torch.randn(50, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slope = torch.eye(10, dtype=torch.float64) + sigma**2 * law.hessian(x, sigma)
    assert torch.allclose(slope, slope.transpose(1, 2), atol=1e-12)
    assert torch.linalg.eigvalsh(slope).min() > -1e-12


def test_the_cheap_score_of_equal_components_is_the_general_one():
    law = spiral(nodes=60)
    x = law.sample(20, torch.Generator().manual_seed(0), 0.2)
    assert torch.allclose(law.kernel_score(0.1)(x), law.score(x, 0.1), rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="expected equal weights"):
        ring().kernel_score(0.1)


def test_a_trained_denoiser_of_gaussian_data_has_the_known_slope():
    law = Mixture(torch.ones(1).double(), torch.zeros(1, 2).double(), 4 * torch.eye(2).double()[None])
    net = Residual(2, 32, [1.0], generator := torch.Generator().manual_seed(0))
    train_residual(net, law.sample, 600, 256, generator)
    x = torch.randn(200, 2, dtype=torch.float64, generator=generator)
    assert (net.slope(0, x).mean(0) - 0.8 * torch.eye(2)).abs().max() < 0.05
    assert (net.field(0)(x) + 0.2 * x).abs().mean() < 0.05


def test_the_slopes_of_a_stack_are_those_of_automatic_differentiation():
    net = Residual(3, 8, [0.5, 1.0], torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for i, sigma in enumerate(net.sigmas):
        expected = torch.func.vmap(torch.func.jacrev(lambda v: v + sigma**2 * net.field(i)(v[None])[0]))(x)
        assert torch.allclose(net.slope(i, x), expected, atol=1e-12)


@pytest.mark.parametrize("step", [0.1, 0.5])
def test_langevin_leaves_the_gaussian_of_its_discretisation_invariant(step):
    tau, generator = 1.5, torch.Generator().manual_seed(0)
    variance = tau**2 / (1 - step / (2 * tau**2))
    x = math.sqrt(variance) * torch.randn(20_000, 1, dtype=torch.float64, generator=generator)
    chain = sampling.langevin(lambda v: -v / tau**2, x, 50, step, generator)
    error = variance * math.sqrt(2 / len(x))  # one standard error of a variance
    assert abs(chain.last.var().item() - variance) < 4 * error


@pytest.mark.parametrize("drift", [False, True])
def test_metropolis_leaves_the_gaussian_itself_invariant_at_any_step(drift):
    tau, generator = 1.5, torch.Generator().manual_seed(0)
    x = tau * torch.randn(20_000, 1, dtype=torch.float64, generator=generator)
    chain = sampling.metropolis(lambda v: -v / tau**2, x, 50, 1.0, generator, drift=drift)
    assert abs(chain.last.var().item() - tau**2) < 4 * tau**2 * math.sqrt(2 / len(x))
    assert 0.1 < chain.acceptance < 1


def test_the_line_integral_of_a_true_score_is_the_difference_of_log_densities():
    law, generator = ring(), torch.Generator().manual_seed(0)
    x = law.sample(50, generator, 0.3)
    y = x + 0.3 * torch.randn(50, 2, dtype=torch.float64, generator=generator)
    estimate = sampling.energy_difference(lambda v: law.score(v, 0.3), x, y)
    assert torch.allclose(estimate, law.log_density(y, 0.3) - law.log_density(x, 0.3), atol=1e-3)


def test_distances_between_samples_vanish_on_equal_laws_and_grow_with_a_shift():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 800, 2, dtype=torch.float64, generator=generator)
    for distance in (sampling.energy_distance, lambda a, b: sampling.mmd(a, b, 1.0)):
        values = [distance(x, y + shift) for shift in (0.0, 0.5, 1.0)]
        assert abs(values[0]) < 0.02 and values[0] < values[1] < values[2]


@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_effective_sample_size_of_an_autoregression_is_the_known_one(phi):
    generator, x, rows = torch.Generator().manual_seed(0), torch.zeros(50), []
    for _ in range(4_000):
        x = phi * x + math.sqrt(1 - phi**2) * torch.randn(50, generator=generator)
        rows.append(x)
    expected = 4_000 * (1 - phi) / (1 + phi)
    assert sampling.effective_sample_size(torch.stack(rows)) == pytest.approx(expected, rel=0.15)


def test_zeros_of_a_field_are_found_and_classified():
    """U = (x² − 1)²/4 + y²/2 has two wells at (±1, 0) and a saddle between them."""
    field = lambda p: torch.stack([p[:, 0] - p[:, 0] ** 3, -p[:, 1]], 1)
    slope = lambda p: torch.diag_embed(torch.stack([1 - 3 * p[:, 0] ** 2, -torch.ones(len(p)).double()], 1))
    found = zeros(field, slope, starts=8).sort_values("x")
    assert found.kind.tolist() == ["maximum", "saddle", "maximum"]
    assert np.allclose(found.x, [-1, 0, 1], atol=1e-6)


def test_along_a_ray_maxima_attract_and_minima_repel():
    """A ring of radius 1 inside one of radius 1.5: between them lies one minimum."""
    r0, r1 = 1.0, 1.5

    def field(p):
        r = p.norm(dim=1, keepdim=True)
        return -(r - r0) * (r - (r0 + r1) / 2) * (r - r1) * p / r

    found = ray_crossings(field, angles=5)
    assert found.kind.tolist() == ["attracting", "repelling", "attracting"] * 5
    assert np.allclose(found.radius.to_numpy().reshape(5, 3), [1.0, 1.25, 1.5], atol=1e-3)


def test_chains_of_the_smallest_settings_are_stored_and_loaded(tmp_path):
    store, settings = Store(tmp_path), Settings.preset("smoke")
    table, samples = plane_chains(Protocol.from_profile("smoke"), settings, store)
    again, _ = plane_chains(Protocol.from_profile("smoke"), settings, store)
    assert table.equals(again) and len(table) == 10
    assert table.acceptance.between(0, 1).all() and samples["spiral.denoising.langevin"].shape == (
        settings.chains,
        2,
    )
    images, frames = image_chains(Protocol.from_profile("smoke"), settings, store)
    assert (images.classes >= 1).all() and frames["denoiser.adjusted"].shape == (9, 8, 784)


def test_settings_come_in_three_sizes_and_no_other():
    assert Settings.preset("smoke") != Settings.preset("default") != Settings.preset("full")
    with pytest.raises(KeyError):
        Settings.preset("huge")


def test_moments_in_a_ball_are_those_of_the_expansion_as_it_shrinks():
    law = ring()
    x = law.sample(20, torch.Generator().manual_seed(0), 0.2)
    s, h = law.score(x, 0.2), law.hessian(x, 0.2)
    gaps = []
    for radius in (0.04, 0.02):
        mean, covariance = second.ball_moments(lambda v: law.log_density(v, 0.2), x, radius)
        m, c = second.expanded_moments(s, h, radius)
        gaps.append((float((m - mean).norm()), float((c - covariance).norm())))
    # the next terms are of order δ⁴ and δ⁶
    assert 12 < gaps[0][0] / gaps[1][0] < 20 and 45 < gaps[0][1] / gaps[1][1] < 80


def test_on_the_mixtures_the_exact_field_has_no_error_and_longer_training_has_less(tmp_path):
    settings = Settings(sigmas=(0.2, 0.8), mixture_steps=1_600, hidden=32, batch=128)
    table = second.mixture_orders(Protocol(), settings, Store(tmp_path))
    exact, late = table[table.step == 0], table[table.step == 400].set_index(["n", "sigma"])
    early = table[table.step == 100].set_index(["n", "sigma"])
    assert (exact[["score", "hessian", "asymmetry"]] < 1e-9).all(None) and (exact.negative == 0).all()
    assert (exact.integral > 0.999).all() and (exact.error < exact.integral).all()
    assert exact.error.min() < 0.9  # a false energy even then, where there are troughs
    assert exact["mean"][exact.n == 2].max() < 0.1 and exact["mean"][exact.n == 10].isna().all()
    assert (late.score < early.score).all() and (late.hessian < early.hessian).all()
    assert (late.hessian > late.score).mean() > 0.5  # a loss on values holds the slope less


def test_the_exact_field_passes_every_test_of_the_second_order():
    settings = Settings.preset("smoke")
    net = Residual(2, 8, [settings.spiral_sigma] * 2, torch.Generator().manual_seed(0))
    table = second.second_order(settings, net).set_index("field")
    assert table.hessian["exact"] == 0 and table.asymmetry["exact"] < 1e-12 and table.negative["exact"] == 0
    assert table.loc["exact", ["mean", "covariance"]].max() < 0.1
    assert (table.hessian[["denoising", "contractive"]] > 0.5).all()  # not trained
    energy = second.energy_table(second.energies(settings, net)).set_index("field")
    assert energy.integral["exact"] > 0.999 and energy.off["exact"] < 1e-3
    assert energy.error["exact"] < 0.95  # a false energy even then
