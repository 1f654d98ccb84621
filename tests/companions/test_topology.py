"""What the page on topology claims: geometry of its manifolds, and the bound that no network escapes."""

import math

import numpy as np
import pytest
import torch

from lib.companions.networks import Stack
from lib.companions.topology import Settings, analysis, dimension
from lib.companions.topology.manifolds import MANIFOLDS, isometry
from lib.companions.topology.training import Trained, placement, train
from lib.protocol import Protocol
from lib.store import Store


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def untrained(manifold, d, seed, width=16, gain=3.0, ambient=6):
    """A random network; the gain makes it far from linear."""
    space = MANIFOLDS[manifold]
    encoder = Stack([(ambient, width, width, d)], (2 * seed,), dtype=torch.float64)
    decoder = Stack([(d, width, width, ambient)], (2 * seed + 1,), dtype=torch.float64)
    for p in encoder.parameters + decoder.parameters:
        p *= gain
    return Trained(manifold, d, width, seed, 0, encoder, decoder, placement(space, ambient))


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    settings = Settings(width=16, widths=(8,), seeds=(0, 1), steps=250, batch=96, snapshots=3)
    return settings, train(Protocol(), settings, Store(tmp_path_factory.mktemp("store")))


# --- manifolds ---------------------------------------------------------------------------------


def test_isometries_keep_all_distances():
    q = isometry(3, 9, gen())
    assert torch.allclose(q.T @ q, torch.eye(3, dtype=torch.float64), atol=1e-14)


def test_distance_on_the_torus_is_a_metric_no_shorter_than_the_chord():
    space = MANIFOLDS["torus"]
    a, b, c = (space.sample(8, gen(s)) for s in range(3))
    ab, bc, ac = space.distance(a, b), space.distance(b, c), space.distance(a, c)
    assert torch.allclose(ab, space.distance(b, a), rtol=1e-6)
    assert (space.distance(a, a).abs() < 1e-7).all()
    assert (ac <= ab + bc + 1e-3).all()
    assert (ab >= (space.points(a) - space.points(b)).norm(dim=1) - 1e-9).all()


def test_distance_on_the_torus_is_the_chord_in_the_small():
    space = MANIFOLDS["torus"]
    a = space.sample(8, gen())
    step = torch.zeros_like(a)
    step[:, 0] = 1e-3
    chord = (space.points(a) - space.points(a + step)).norm(dim=1)
    assert torch.allclose(space.distance(a, a + step), chord, rtol=1e-4, atol=1e-7)


def test_torus_geodesics_that_are_known():
    torus = MANIFOLDS["torus"]
    p = torch.tensor([[0, 0], [0, math.pi], [0, 0.3], [0, 0]], dtype=torch.float64)
    q = torch.tensor([[1, 0], [2.5, math.pi], [0, 2.3], [3.0, 0]], dtype=torch.float64)
    outer, inner, meridian, far = torus.distance(p, q).tolist()
    assert outer == pytest.approx(3, abs=1e-6)  # R + r times the angle, before the conjugate point
    assert inner == pytest.approx(2.5, abs=1e-3)  # (R − r) times the angle
    assert meridian == pytest.approx(2, abs=1e-6)
    assert far < 3 * 3.0 - 0.5  # beyond it, paths over the top are shorter than the equator


@pytest.mark.parametrize("name", MANIFOLDS)
def test_samples_and_grids_are_uniform_in_the_intrinsic_measure(name):
    """Boxes in coordinates hold the share that the area element gives them."""
    space = MANIFOLDS[name]
    for q, tolerance in ((space.sample(40_000, gen()), 0.01), (space.grid(4_000), 0.002)):
        if name == "torus":
            share = (q[:, 1].cos() > 0).double().mean()  # the outer half
            assert share == pytest.approx(0.5 + space.small / (math.pi * space.big), abs=tolerance)
        elif name == "sphere":
            assert (q[:, 0] > 0.5).double().mean() == pytest.approx(0.25, abs=tolerance)
        else:
            span = getattr(space, "span", 2 * math.pi)
            assert (q[:, 0] < span / 3).double().mean() == pytest.approx(1 / 3, abs=tolerance)
        assert q.shape[1] == space.cube


def test_the_area_element_of_the_torus_is_the_one_that_it_is_filled_by():
    torus = MANIFOLDS["torus"]
    q = torch.rand(1, 2, generator=gen(), dtype=torch.float64).requires_grad_(True)
    jac = torch.autograd.functional.jacobian(lambda a: torus.points(a), q)[0, :, 0]
    element = torch.linalg.det(jac.T @ jac).sqrt()
    assert element.item() == pytest.approx((torus.small * (torus.big + torus.small * q[0, 1].cos())).item())


def test_every_point_of_one_linked_circle_is_at_distance_one_from_the_other():
    space = MANIFOLDS["linked"]
    x = space.points(space.grid(800))
    gap = torch.cdist(x[:400], x[400:])
    assert torch.allclose(gap.amin(0), torch.ones(400, dtype=torch.float64), atol=1e-3)


# --- the bound -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("manifold", ["circle", "linked", "sphere"])
def test_no_random_network_escapes_the_bound(manifold, seed):
    net = untrained(manifold, MANIFOLDS[manifold].dim, seed)
    pairs = analysis.exhibits(net)
    assert (pairs.gap < 1e-8).all()
    assert (pairs.first + pairs.second >= 2 - 1e-6).all()
    assert (pairs.groupby("component").largest.max() >= 1 - 1e-6).all()


def test_a_pair_is_found_on_the_sphere_however_steep_the_code():
    """A code that turns within a thousandth around an axis: no grid point is near; winding numbers lead."""
    axis = torch.nn.functional.normalize(torch.tensor([0.31, -0.5, 0.8], dtype=torch.float64), dim=0)
    frame = torch.linalg.svd(axis[None]).Vh[1:]

    def encoder(x):
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            code = torch.tanh(1_000 * x @ frame.T)
            rows = [torch.autograd.grad(code[:, i].sum(), x, retain_graph=True)[0] for i in (0, 1)]
        return code.detach(), torch.stack(rows, 1)

    found = analysis.antipodal_sphere(encoder, torch.eye(3, dtype=torch.float64))
    assert (found @ axis).abs().max() > 1 - 1e-12
    centres = analysis._enclosed(lambda u: encoder(u)[0] - encoder(-u)[0])
    assert centres and all(abs(float(c @ axis)) > 1 - 1e-9 for c in centres)


def test_no_trained_network_escapes_the_bound(nets):
    settings, trained = nets
    for net in trained:
        if net.d == net.space.dim and net.manifold in ("circle", "linked", "sphere"):
            assert (analysis.exhibits(net).largest >= 1 - 1e-6).all()
        if net.d == net.space.dim:  # the bound is seen on a grid up to its fineness
            assert net.error(net.space.grid(2_000)).max() >= net.space.bound - 0.05


def test_decoding_to_the_centre_attains_the_bound():
    for name in ("circle", "sphere"):
        space = MANIFOLDS[name]
        assert torch.allclose(space.points(space.grid(100)).norm(dim=1), torch.ones(100, dtype=torch.float64))
    torus = MANIFOLDS["torus"]
    q = torus.grid(100)
    core = torus.big * torch.stack([q[:, 0].cos(), q[:, 0].sin(), torch.zeros(100, dtype=torch.float64)], 1)
    assert torch.allclose(
        (torus.points(q) - core).norm(dim=1), torch.full((100,), torus.bound, dtype=torch.float64)
    )


def test_a_circle_network_exact_off_a_short_arc_errs_by_almost_two_on_it():
    """The sharper bound, on a network that is a formula: code θ off the cut, straight back across it."""
    w, epsilon = 0.4, 1e-9

    class Cut(Trained):
        def error(self, q):
            t = q[:, 0] % (2 * math.pi)
            code = torch.where(t < w, (1 - t / w) * (2 * math.pi - w) + w, t)
            return 2 * ((code - t) / 2).sin().abs()

    net = Cut("circle", 1, 0, 0, 0, None, None, torch.eye(2, dtype=torch.float64))
    middle, length, least = analysis.cut(net, epsilon)
    assert middle == pytest.approx(w / 2, abs=1e-3) and length == pytest.approx(w, abs=2e-3)
    assert float(net.error(net.space.grid(20_000)).max()) >= least > 1.97


def test_the_sharper_bound_holds_for_trained_circles(nets):
    _, trained = nets
    for net in trained:
        if (net.manifold, net.d) == ("circle", 1):
            _, _, least = analysis.cut(net, 0.3)
            assert float(net.error(net.space.grid(20_000)).max()) >= least - 1e-3


def test_the_control_and_the_wider_latent_space_are_not_obstructed(nets):
    settings, trained = nets
    last = [n for n in trained if n.step == settings.steps and n.width == settings.width]
    largest = {(n.manifold, n.d, n.seed): float(n.error(n.space.grid(1_000)).max()) for n in last}
    for seed in settings.seeds:
        assert largest["arc", 1, seed] < 0.5 < 1 <= largest["circle", 1, seed]
        assert largest["circle", 2, seed] < 0.1


def test_up_to_the_intrinsic_dimension_no_closed_manifold_is_returned_whole(tmp_path):
    settings = Settings(width=16, widths=(8,), seeds=(0, 1), steps=500, batch=96, snapshots=3, points=1_000)
    table = dimension.by_dimension(Protocol(), settings, Store(tmp_path))
    assert len(table) == len(MANIFOLDS) * (1 + len(dimension.DIMS) * 2)
    obstructed = [0 < d <= MANIFOLDS[n].dim for n, d in zip(table.manifold, table.d)]
    bound = table.manifold.map(lambda n: MANIFOLDS[n].bound)
    assert (table.largest >= bound - 0.05)[obstructed].all()
    nothing = table[table.d == 0].set_index("manifold")
    for name in ("circle", "sphere"):  # all points are at distance 1 from their mean
        assert nothing["mean"][name] == pytest.approx(1, abs=1e-6)
        assert nothing.largest[name] == pytest.approx(1, abs=1e-3)
    assert (table[table.d > 0].groupby(["manifold", "seed"]).size() == len(dimension.DIMS)).all()
    assert set(dimension.recognised(table).d) <= set(dimension.DIMS)


# --- derivatives and spectra ---------------------------------------------------------------------


def test_derivatives_of_stacks_are_those_of_autograd():
    net = Stack([(5, 7, 2), (5, 4, 3)], (0, 1), dtype=torch.float64)
    x = torch.randn(6, 5, generator=gen(), dtype=torch.float64)
    value, jac = net.jacobian(x)
    assert torch.allclose(value, net(x))
    for i in range(2):
        auto = torch.func.vmap(torch.func.jacrev(lambda v: net(v[None])[i, 0]))(x)
        assert torch.allclose(jac[i], auto)


def test_members_of_a_stack_are_the_networks_alone():
    both, one = Stack([(5, 7, 2), (5, 4, 3)], (0, 1)), Stack([(5, 4, 3)], (1,))
    x = torch.randn(6, 5, generator=gen())
    assert torch.allclose(both(x)[1], one(x)[0], atol=1e-6)
    assert torch.equal(both.member(1)(x), one(x))


def test_along_a_curve_the_derivative_is_the_difference_quotient():
    net = untrained("circle", 1, 0, gain=1.5)
    line = analysis.along(net, 20_000)
    code = np.gradient(line.code, line.q)
    y = net.decode(net.encode(net.points(torch.tensor(line.q.to_numpy())[:, None])))
    speed = np.linalg.norm(np.gradient(y.numpy(), line.q, axis=0), axis=1)
    assert np.allclose(speed[1:-1], line.speed[1:-1], atol=1e-5)
    assert np.isfinite(code).all() and (line.tangential.abs() <= line.speed + 1e-12).all()


def test_at_d_one_the_spectrum_is_the_number(nets):
    _, trained = nets
    net = next(n for n in trained if (n.manifold, n.d) == ("circle", 1))
    table, line = analysis.spectra(net, 300), analysis.along(net, 300)
    assert np.allclose(table.mean_i, line.k_i.abs()) and np.allclose(
        table.distance, (line.k_i - line.k_l) ** 2
    )


def test_presets_grow():
    smoke, default, full = map(Settings.preset, ("smoke", "default", "full"))
    assert smoke.steps < default.steps < full.steps and max(smoke.widths) < max(default.widths) < max(
        full.widths
    )
