"""What the pages of section I say about spectra and projections."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from lib import jacobian
from lib.model import Autoencoder
from lib.studies import theory


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=gen(seed), dtype=torch.float64)


def symmetric(n, d, seed):
    a = gaussian(n, d, d, seed=seed)
    return (a + a.mT) / 2


def normal(n, d, seed):
    """Real normal matrices, neither symmetric nor skew: an orthogonal basis, rotation-scaling blocks."""
    g = gaussian(n, d, d, seed=seed)
    q = torch.linalg.qr(g).Q
    block = torch.zeros(n, d, d, dtype=torch.float64)
    values = gaussian(n, d, seed=seed + 1)
    for i in range(0, d - 1, 2):
        a, b = values[:, i], values[:, i + 1]
        block[:, i, i] = block[:, i + 1, i + 1] = a
        block[:, i, i + 1], block[:, i + 1, i] = b, -b
    if d % 2:
        block[:, -1, -1] = values[:, -1]
    return q @ block @ q.mT


@pytest.mark.parametrize("epsilon", [1e-1, 1e-3, 1e-6])
def test_nilpotent_pair_has_eigenvalues_2eps_apart_and_matrices_eps_squared_apart(epsilon):
    a, b = theory.nilpotent_pair(epsilon)
    for best in (False, True):
        assert theory.eigenvalue_gap(a, b, best).item() == pytest.approx(2 * epsilon, rel=1e-12)
    assert theory.frobenius_gap(a, b).item() == pytest.approx(epsilon**2, rel=1e-12)
    assert theory.singular_gap(a, b) <= theory.frobenius_gap(a, b)


def test_crossing_pair_breaks_the_inequality_for_symmetric_matrices_by_the_order_alone():
    a, b = theory.crossing_pair(1e-3)
    assert theory.frobenius_gap(a, b).item() == pytest.approx(2e-6, rel=1e-9)
    assert theory.eigenvalue_gap(a, b).item() == pytest.approx(2.002**2 + 2**2, rel=1e-12)  # 8.008…
    assert theory.eigenvalue_gap(a, b, best=True).item() == pytest.approx(2e-6, rel=1e-9)


@pytest.mark.parametrize("d", [1, 2, 5, 6])
def test_mirsky(d):
    a, b = gaussian(200, d, d, seed=1), gaussian(200, d, d, seed=2)
    for scale in (1.0, 1e-4):
        near = a + scale * b
        assert (theory.singular_gap(a, near) <= theory.frobenius_gap(a, near) * (1 + 1e-9)).all()


@pytest.mark.parametrize("make", [symmetric, normal])
@pytest.mark.parametrize("d", [2, 5])
def test_hoffman_wielandt_on_normal_matrices_needs_the_matching(make, d):
    a, b = make(100, d, 3), make(100, d, 7)
    assert torch.allclose(a @ a.mT, a.mT @ a)
    assert (theory.eigenvalue_gap(a, b, best=True) <= theory.frobenius_gap(a, b) * (1 + 1e-9)).all()


def test_hoffman_wielandt_fails_by_modulus_somewhere_and_off_the_normal_matrices():
    a, b = symmetric(500, 4, 3), symmetric(500, 4, 7)
    near = a + 0.1 * b
    assert (theory.eigenvalue_gap(a, near) > theory.frobenius_gap(a, near)).any()
    a, b = theory.nilpotent_pair(1e-2)
    assert theory.eigenvalue_gap(a, b, best=True) > theory.frobenius_gap(a, b)


def test_best_matching_is_the_least_over_all_permutations():
    a, b = gaussian(20, 4, 4, seed=5), gaussian(20, 4, 4, seed=6)
    lam, mu = torch.linalg.eigvals(a), torch.linalg.eigvals(b)
    least = torch.stack(
        [(lam - mu[:, list(p)]).abs().square().sum(1) for p in itertools.permutations(range(4))]
    ).amin(0)
    assert torch.allclose(theory.eigenvalue_gap(a, b, best=True), least)
    assert (least <= theory.eigenvalue_gap(a, b) + 1e-12).all()


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_bauer_fike_and_the_corrected_theorem(scale):
    a = gaussian(300, 5, 5, seed=8)
    b = a + scale * gaussian(300, 5, 5, seed=9)
    farthest, bound = theory.bauer_fike(a, b)
    assert (farthest <= bound * (1 + 1e-9)).all()
    kappa = theory.eigenvector_condition(a) * theory.eigenvector_condition(b)
    assert (
        theory.eigenvalue_gap(a, b, best=True) <= (kappa**2 * theory.frobenius_gap(a, b)) * (1 + 1e-9)
    ).all()


def test_eigenvector_condition_is_one_exactly_for_normal_matrices():
    assert torch.allclose(
        theory.eigenvector_condition(normal(20, 5, 11)), torch.ones(20, dtype=torch.float64)
    )
    assert (theory.eigenvector_condition(gaussian(20, 5, 5, seed=11)) > 1.01).all()


def net(d=3):
    return Autoencoder(d, gen(0)).double().requires_grad_(False)


def test_latent_jacobian_is_the_K_L_of_the_chain():
    n, x = net(), torch.rand(6, 784, generator=gen(1), dtype=torch.float64)
    trip = jacobian.round_trip(n, x)
    _, k_l = jacobian.matrices(n, trip)
    assert torch.allclose(theory.latent_jacobian(n, trip.z), k_l, rtol=1e-10, atol=1e-14)


def test_within_a_linear_region_the_squared_gap_falls_like_t_squared_not_t_to_the_fourth():
    n = net()
    steps = torch.logspace(-6, -4, 9, dtype=torch.float64)
    for p in n.parameters():
        p.mul_(2)  # the tanh of an untrained network hardly bends
    table = theory.ray(
        n, n.encoder(torch.rand(784, generator=gen(2), dtype=torch.float64)), gaussian(3), steps
    )
    inside, outside = table[table.switched == 0], table[table.switched > 0]
    assert len(inside) > 3 and len(outside)
    constant = (inside.matrices / inside.t**2).to_numpy()
    assert constant == pytest.approx(constant[0], rel=0.05)
    assert outside.matrices.min() > 1e6 * inside.matrices.max()  # a jump, not a Taylor term


def test_the_lipschitz_constant_bounds_the_change_of_J_L_within_a_region():
    n = net()
    for p in n.parameters():
        p.mul_(2)
    z = n.encoder(torch.rand(200, 784, generator=gen(2), dtype=torch.float64))
    for t in (1e-7, 1e-5, 1e-3):
        moved = z + t * gaussian(200, 3, seed=5)
        here, there = (jacobian.at_codes(n, v) for v in (z, moved))
        pairs = zip([*here.at_z, *here.at_y], [*there.at_z, *there.at_y])
        same = torch.stack([(a == b).all(1) for a, b in pairs]).all(0)
        change = theory.frobenius_gap(theory.latent_jacobian(n, z), theory.latent_jacobian(n, moved)).sqrt()
        bound = theory.lipschitz(n, z) * (z - moved).norm(dim=1)
        assert same.any() and (change[same] <= bound[same]).all()
    assert not same.all()


def test_a_point_is_at_distance_zero_from_a_kink_exactly_when_an_input_vanishes():
    n, x = net(), torch.rand(4, 784, generator=gen(1), dtype=torch.float64)
    assert (theory.kink_distance(n, x) > 0).all()
    first = n.encoder[0]
    first.bias[0] -= first(x)[2, 0]
    assert theory.kink_distance(n, x)[2] < 1e-15


def test_where_the_patterns_agree_the_spectra_are_identical():
    table = theory.iterates(net(), torch.rand(5, 784, generator=gen(3), dtype=torch.float64), 12)
    same = table[table.hamming == 0]
    assert len(same) and (same.distance == 0).all()
    assert (same[same.step < 3].error > 0).all()
    assert (table[table.hamming > 0].distance > 0).all()


@pytest.mark.parametrize("dim", [2, 3, 6])
def test_projection_onto_the_sphere_has_eigenvalues_one_over_r_and_zero(dim):
    x = gaussian(20, dim, seed=4)
    j = theory.projection_jacobian(theory.project_sphere, x)
    lam = torch.linalg.eigvalsh((j + j.mT) / 2)
    assert torch.allclose(j, j.mT, atol=1e-8)
    assert lam[:, 0].abs().max() < 1e-8
    assert torch.allclose(lam[:, 1:], (1 / x.norm(dim=1))[:, None].expand(-1, dim - 1), rtol=1e-7)


def test_projection_onto_an_ellipse_has_eigenvalue_one_over_one_minus_kappa_t():
    axes = (2.0, 1.0)
    x = 2 * gaussian(60, 2, seed=6)
    x = x[x[:, 1].abs() > 0.1]  # off the medial axis, which lies on the long axis
    j = theory.projection_jacobian(lambda p: theory.project_ellipse(p, axes), x)
    lam = torch.linalg.eigvalsh((j + j.mT) / 2)
    assert torch.allclose(j, j.mT, atol=1e-7)
    assert lam[:, 0].abs().max() < 1e-7
    assert torch.allclose(lam[:, 1], theory.ellipse_factor(x, axes), rtol=1e-6)
    assert (lam[:, 1] > 0).all()


def test_nearest_point_of_the_ellipse_is_nearest():
    axes = (2.0, 1.0)
    x = 2 * gaussian(50, 2, seed=10)
    u = torch.linspace(0, 2 * torch.pi, 20_001, dtype=torch.float64)
    curve = torch.stack([axes[0] * u.cos(), axes[1] * u.sin()], 1)
    found = (x - theory.project_ellipse(x, axes)).norm(dim=1)
    assert (found <= torch.cdist(x, curve).amin(1) + 1e-12).all()


def test_code_pairs_take_the_nearest_code_and_satisfy_every_theorem():
    n = net()
    x = torch.rand(30, 784, generator=gen(1), dtype=torch.float64)
    codes = n.encoder(torch.rand(50, 784, generator=gen(2), dtype=torch.float64))
    pairs = theory.code_pairs(n, x, codes)
    assert pairs.distance.to_numpy() == pytest.approx(torch.cdist(n.encoder(x), codes).amin(1).numpy())
    slack = 1 + 1e-6
    assert (pairs.singular <= pairs.matrices * slack).all()
    assert (pairs.bauer_fike <= pairs.bauer_fike_bound * slack).all()
    assert (pairs.matched <= pairs.kappa**2 * pairs.matrices * slack).all()
    assert (pairs.matched <= pairs.eigenvalues * slack).all()


def test_the_inference_is_tested_by_ranks_over_networks():
    """Distances of codes that rise with the gap of the means, then ones that fall."""
    rows = []
    for d in range(2, 7):
        sets = {"train": (1.0, 1.0), "with": (np.exp(-d), 2.0 + d), "against": (np.exp(d), 2.0 - d)}
        for name, (mean, far) in sets.items():
            rows.append({"seed": 0, "d": d, "set": name, "L_mean": mean, "mahalanobis_median": far})
    found = theory.inference(pd.DataFrame(rows)).set_index("set")
    assert found.rho["with"] == pytest.approx(1) and found.rho["against"] == pytest.approx(-1)
    assert (
        found.means["with"] == pytest.approx(4)
        and found.means["against"] == pytest.approx(4)
        and (found.own == 1).all()
        and found.codes["with"] == 6
    )
