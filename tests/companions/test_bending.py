"""What the page on bending claims: exact distances and averages, the loss, its limit, training's gain."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import logm, sqrtm

from lib.companions.bending import Settings, analysis, functional, limit, render
from lib.companions.bending.geometry import Cap, Ellipses, Flat, Rotations, multiply, rotation_matrix
from lib.companions.bending.training import train, training_curves
from lib.protocol import Protocol
from lib.store import Store

SPACES = {**render.SPACES, "sphere": Cap(), "interval": Flat(1, 1), "square": Flat(2, 2)}


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def matrix(p):
    """The positive definite matrix of a point of `Ellipses`."""
    return torch.stack([p[:, 0] + p[:, 1], p[:, 2], p[:, 2], p[:, 0] - p[:, 1]], 1).view(-1, 2, 2)


def test_shapes_are_apart_up_to_rigid_motions_alone():
    a, b = (torch.randn(50, 4, dtype=torch.float64, generator=gen(s)) for s in range(2))
    q = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=gen(2))).Q
    assert limit.apart(a @ q + 3, a) == pytest.approx(0, abs=1e-12)
    assert limit.apart(1.5 * a @ q, a) == pytest.approx(0.5)
    turns = [torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=gen(s))).Q for s in range(200)]
    centred, whole = a - a.mean(0), b - b.mean(0)
    assert limit.apart(a, b) <= min(float((centred @ t - whole).norm() / whole.norm()) for t in turns)


def test_encoders_of_points_approach_the_limit_and_none_beats_it_where_it_was_not_asked_to(tmp_path):
    settings = Settings.preset("default")
    table = limit.minimisers(Protocol(), settings, Store(tmp_path))
    assert len(table) == len(limit.NAMES) * len(limit.EPSILONS) * len(limit.LAMBDAS) * limit.SEEDS
    assert np.allclose(table.own, table.stretch + table.lam * table.bending)
    mean = table.groupby(["manifold", "lam", "epsilon"])[["own", "limit", "reference"]].mean()
    for _, t in mean.groupby(level=[0, 1]):
        t = t.droplevel([0, 1])
        gap = (t.limit - t.own).abs()
        assert gap[0.1] < gap[0.8]  # the functionals agree as ε falls
        assert t.limit[0.1] < t.limit[0.8]  # and who trains for a smaller ε is better for the limit
    # an isometric copy of the cap, the sphere itself, has stretch near 0 and bending near 1:
    # the trained ones are cheaper
    assert (table[(table.manifold == "sundial") & (table.lam == 1.0)].limit < 1).all()
    reference = table.loc[table[table.epsilon == 0.1].groupby(["manifold", "lam"]).limit.idxmin()]
    assert (reference.reference < 1e-6).all()


# --- distances and averages ----------------------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
def test_pairs_are_near_inside_and_have_their_average_in_the_middle(name):
    space = SPACES[name]
    p, q = space.pairs(500, 0.6, gen())
    d, m = space.distance(p, q), space.average(p, q)
    assert len(p) == len(q) == 500 and (d <= 0.6 + 1e-12).all() and (d > 0).all()
    assert space.inside(p).all() and space.inside(q).all()
    for end in (p, q):
        assert torch.allclose(space.distance(end, m), d / 2, atol=1e-12)


@pytest.mark.parametrize("name", SPACES)
def test_geodesics_have_constant_speed(name):
    space = SPACES[name]
    p, q = space.sample(100, gen(1)), space.sample(100, gen(2))
    d = space.distance(p, q)
    for t in (0.0, 0.2, 0.9, 1.0):
        x = space.geodesic(p, q, t)
        # a distance below √eps is lost where a point is recovered from its square
        assert torch.allclose(space.distance(p, x), t * d, atol=1e-7) and torch.allclose(
            space.distance(x, q), (1 - t) * d, atol=1e-7
        )


@pytest.mark.parametrize("name", SPACES)
def test_triangle_inequality(name):
    space = SPACES[name]
    a, b, c = (space.sample(300, gen(s)) for s in range(3))
    assert (space.distance(a, c) <= space.distance(a, b) + space.distance(b, c) + 1e-9).all()
    assert torch.allclose(space.distance(a, b), space.distance(b, a))


def test_distance_of_rotations_is_the_angle_of_the_quotient():
    space = Rotations()
    p, q = space.sample(200, gen(1)), space.sample(200, gen(2))
    turn = rotation_matrix(p).mT @ rotation_matrix(q)
    trace = turn.diagonal(dim1=1, dim2=2).sum(1)
    assert torch.allclose(space.distance(p, q), ((trace - 1) / 2).clamp(-1, 1).acos(), atol=1e-6)
    assert torch.allclose(space.distance(p, -q), space.distance(p, q))
    assert torch.allclose(torch.linalg.det(turn), torch.ones(200, dtype=torch.float64))
    assert torch.allclose(rotation_matrix(multiply(p, q)), rotation_matrix(p) @ rotation_matrix(q))


def test_average_of_rotations_takes_half_the_turn():
    space = Rotations()
    p, q = space.pairs(100, 2.0, gen(3))
    r, half = rotation_matrix(p), rotation_matrix(space.average(p, q))
    assert torch.allclose(half @ r.mT @ half, rotation_matrix(q), atol=1e-9)  # the same half-turn twice


def test_distance_of_ellipses_is_fisher_rao():
    """½‖log A^(−½) B A^(−½)‖², the closed form for centred normal distributions; no linear map changes it."""
    space = Ellipses()
    p, q = space.sample(12, gen(1)), space.sample(12, gen(2))
    a, b = matrix(p), matrix(q)
    assert torch.allclose(torch.linalg.det(a), torch.ones(12, dtype=torch.float64))
    for i, d in enumerate(space.distance(p, q)):
        root = np.linalg.inv(np.real(sqrtm(a[i].numpy())))
        assert float(d) == pytest.approx(
            np.linalg.norm(np.real(logm(root @ b[i].numpy() @ root))) / math.sqrt(2), abs=1e-9
        )
    g = torch.tensor([[1.3, 0.4], [-0.2, 0.9]], dtype=torch.float64)
    g = g / torch.linalg.det(g).sqrt()
    back = lambda m: torch.stack(
        [(m[:, 0, 0] + m[:, 1, 1]) / 2, (m[:, 0, 0] - m[:, 1, 1]) / 2, m[:, 0, 1]], 1
    )  # noqa: E731
    assert torch.allclose(
        space.distance(back(g @ a @ g.T), back(g @ b @ g.T)), space.distance(p, q), atol=1e-9
    )


@pytest.mark.parametrize("name, share", [
    ("sphere", (1 - math.cos(0.3)) / (1 - math.cos(0.6))),
    ("ellipse", (math.cosh(0.3) - 1) / (math.cosh(0.6) - 1)),
    ("solid", (0.3 - math.sin(0.3)) / (0.6 - math.sin(0.6))), ("interval", 0.5),
])  # fmt: skip
def test_partners_are_uniform_in_the_ball(name, share):
    """The inner ball of half the radius holds its share of the volume, and all directions are alike."""
    space = SPACES[name]
    p = space.sample(1, gen()).expand(20_000, -1)
    if name == "ellipse":
        p = torch.tensor([[math.cosh(0.7), math.sinh(0.7), 0]], dtype=torch.float64).expand(20_000, -1)
    u = torch.rand(20_000, space.dim, generator=gen(4), dtype=torch.float64)
    q = space.step(p, u, 0.6)
    assert (space.distance(p, q) <= 0.3).double().mean() == pytest.approx(share, abs=0.012)
    mean = q.mean(0, keepdim=True)  # symmetric around p, hence along p up to scale
    cosine = torch.nn.functional.cosine_similarity(mean, p[:1]) if name != "interval" else torch.ones(1)
    assert float(cosine) > 0.9999


def test_samples_are_uniform():
    for space, total in ((Cap(), 0.5), (Rotations(), 0.5)):
        q = space.sample(20_000, gen())
        assert (q[:, -1] > 0).double().mean() == pytest.approx(total, abs=0.012)
    assert torch.allclose(
        rotation_matrix(Rotations().sample(20_000, gen())).mean(0),
        torch.zeros(3, 3, dtype=torch.float64),
        atol=0.015,
    )
    area = lambda r: math.cosh(r) - 1  # noqa: E731
    q = Ellipses().sample(20_000, gen())
    assert (q[:, 0] < math.cosh(0.8)).double().mean() == pytest.approx(area(0.8) / area(1.6), abs=0.012)


# --- images ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", render.IMAGES)
def test_images_tell_points_apart_and_change_smoothly(name):
    space, draw = render.SPACES[name], render.IMAGES[name]
    p, q = space.pairs(200, 0.3, gen())
    d, step = space.distance(p, q), (draw(p, 12) - draw(q, 12)).norm(dim=1)
    assert draw(p, 12).shape == (200, 144) and 0 <= draw(p, 12).min() and draw(p, 12).max() <= 1
    assert (step > 0.02 * d).all() and (step < 40 * d).all()


def test_the_solid_does_not_care_about_the_sign_of_a_quaternion_and_has_no_symmetry():
    p = Rotations().sample(400, gen())
    images = render.solid(p, 12)
    assert torch.allclose(images, render.solid(-p, 12))
    one = torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64)
    far = Rotations().distance(p, one.expand(400, -1)) > 0.5
    assert ((images - render.solid(one, 12)).norm(dim=1)[far] > 0.5).all()


def test_an_ellipse_turned_is_the_picture_turned():
    p = Ellipses().sample(5, gen())
    turned = p * torch.tensor([1.0, -1, -1], dtype=torch.float64)  # a quarter turn exchanges the axes
    image = render.ellipse(p, 10).view(5, 10, 10)
    assert torch.allclose(render.ellipse(turned, 10).view(5, 10, 10), image.rot90(1, (1, 2)), atol=1e-9)


# --- the loss and its limit ------------------------------------------------------------------------


def test_gamma_is_least_at_one_and_grows_at_both_ends():
    s = torch.logspace(-6, 6, 2_001, dtype=torch.float64)
    g = functional.gamma(s)
    assert float(functional.gamma(torch.ones(1))) == 0 and (g[(s - 1).abs() > 1e-9] > 0).all()
    assert (g[s < 1].diff() < 0).all() and (g[s > 1].diff() > 0).all()
    assert g[0] > 1e11 and g[-1] > 1e11
    assert torch.allclose(functional.gamma(1 / s), g)
    assert float(g[1_000 + 1] / (s[1_001] - 1) ** 2) == pytest.approx(4, rel=0.02)  # γ'' (1) = 8


def test_the_factor_eight_makes_the_second_difference_the_second_derivative():
    """On a curve of degree two exactly; in general up to O(d²)."""
    t = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    for d in (0.5, 1e-2):
        h = torch.full((9,), d, dtype=torch.float64)
        quadratic = lambda s: torch.cat([s, 1.7 / 2 * s**2], 1)  # noqa: E731
        _, second = functional.terms(quadratic(t - d / 2), quadratic(t + d / 2), quadratic(t), h)
        assert torch.allclose(second, torch.full_like(second, 1.7**2), rtol=1e-8)
    wave = lambda s: torch.cat([s.sin(), (2 * s).cos()], 1)  # noqa: E731
    exact = t[:, 0].sin() ** 2 + (4 * (2 * t[:, 0]).cos()) ** 2
    gaps = []
    for d in (0.2, 0.1):
        _, second = functional.terms(
            wave(t - d / 2), wave(t + d / 2), wave(t), torch.full((9,), d, dtype=torch.float64)
        )
        gaps.append((second - exact).abs().max())
    assert float(gaps[0] / gaps[1]) == pytest.approx(4, rel=0.02)


def test_an_isometric_flat_map_costs_nothing():
    square = Flat(2, 2)
    turn = torch.linalg.qr(torch.randn(5, 2, generator=gen(), dtype=torch.float64))[0]
    u = torch.rand(500, 4, generator=gen(), dtype=torch.float64)
    stretch, bending = functional.monte_carlo(lambda x: x @ turn.T, square, u, 0.3)
    assert stretch.max() < 1e-20 and bending.max() < 1e-12


@pytest.mark.parametrize("example", functional.EXAMPLES, ids=lambda e: e.name)
def test_the_loss_tends_to_its_limit_at_the_stated_rate(example):
    table = functional.by_epsilon(np.array([0.1, 0.2, 0.4]), 14)
    part = table[table.example == example.name]
    for column in ("stretch", "bending"):
        assert functional.slope(part.epsilon.to_numpy(), part[column].to_numpy()) == pytest.approx(
            example.order, abs=0.25
        )


@pytest.mark.parametrize("example", functional.EXAMPLES, ids=lambda e: e.name)
def test_limits_are_those_of_automatic_differentiation(example):
    """Mean over points and unit tangents of γ(|Dφ v|) and |D²φ(v, v)|², along geodesics."""
    n, space = 4_000, example.space
    p = space.sample(n, gen(1))
    q = space.step(
        p, torch.cat([torch.ones(n, 1), torch.rand(n, space.dim - 1, generator=gen(2))], 1).double(), 1e-3
    )  # the direction, on the ball's surface
    if space.dim == 1:
        q = p + 1e-3
    h = 1e-3

    def along(s):  # the geodesic from p towards q, at unit speed, extended backwards by the same formula
        return example.phi(
            space.geodesic(p, q, s / h)
            if not isinstance(space, Cap)
            else (p * math.cos(s) + (q - p * math.cos(h)) / math.sin(h) * math.sin(s))
        )

    step = 1e-2
    first = (along(step) - along(-step)) / (2 * step)
    second = (along(step) + along(-step) - 2 * along(0.0)) / step**2
    assert functional.gamma(first.norm(dim=1)).mean() == pytest.approx(example.stretch, rel=0.05, abs=2e-4)
    assert second.square().sum(1).mean() == pytest.approx(example.bending, rel=0.05)


def test_sampling_error_falls_as_the_root_of_the_pairs():
    table = functional.by_pairs(0.4, (6, 8, 10), 48, 0.1, 14)
    for _, part in table.groupby("example"):
        assert functional.slope(part.pairs.to_numpy(), part.error.to_numpy()) == pytest.approx(-0.5, abs=0.2)


def test_minimisers_converge_to_the_minimiser_of_the_limit():
    table = functional.best_scales(np.array([0.1, 0.2, 0.4]), 0.5, 12)
    gap = (table.best - table.limit).abs().to_numpy()
    assert table.limit[0] == pytest.approx(1.5**-0.25)
    assert functional.slope(table.epsilon.to_numpy(), gap) == pytest.approx(2, abs=0.05)


def test_rotation_matrices_over_root_two_are_an_isometry_whose_geodesics_are_unit_circles():
    space = Rotations()
    u = torch.rand(400, 6, generator=gen(), dtype=torch.float64)
    stretch, bending = functional.monte_carlo(
        lambda p: rotation_matrix(p).flatten(1) / math.sqrt(2), space, u, 0.05
    )
    assert stretch.max() < 1e-6 and torch.allclose(bending, torch.ones_like(bending), atol=1e-3)


# --- training ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    settings = Settings(
        pixels=10,
        widths=(48, 24),
        d=6,
        pool=800,
        pairs=48,
        encoder_steps=300,
        decoder_steps=100,
        plain_steps=300,
        held_out=300,
    )
    run = Protocol(), settings, Store(tmp_path_factory.mktemp("store"))
    return settings, train(*run), training_curves(*run)


def test_training_lowers_both_terms_against_a_plain_autoencoder(trained):
    settings, nets, curves = trained
    quality = analysis.quality(nets, analysis.pair_table(nets, settings), settings).set_index(
        ["manifold", "kind"]
    )
    for name in render.SPACES:
        ours, plain = quality.loc[name, "bending"], quality.loc[name, "plain"]
        assert ours["sum"] < plain["sum"]
    assert (curves["stretch"][-20:].mean(0) < curves["stretch"][:20].mean(0)).all()
    assert (
        curves["decoder"].shape == (settings.decoder_steps, 3)
        and (curves["decoder"][-1] < curves["decoder"][0]).all()
    )


def test_scaling_a_plain_code_sets_its_median_quotient_to_one(trained):
    settings, nets, _ = trained
    pairs = analysis.pair_table(nets, settings)
    for _, part in pairs[pairs.kind == "plain"].groupby("manifold"):
        assert part.quotient.median() == pytest.approx(1, abs=0.1)


def test_ways_begin_and_end_where_they_should(trained):
    _, nets, _ = trained
    p, q = analysis.far_pairs("ellipse", 1, 1.0, 2.0, seed=1)
    rows = analysis.strips({"net": nets["ellipse", "bending"]}, p, q, steps=5)
    assert np.allclose(rows["geodesic"][[0, -1]], rows["blend of pixels"][[0, -1]])
    net = nets["ellipse", "bending"]
    assert np.allclose(rows["net"][0].ravel(), net.decode(net.encode(p))[0])


def test_bins_leave_no_pair_twice(trained):
    settings, nets, _ = trained
    table = analysis.interpolation(nets, settings)
    binned = analysis.binned(table)
    assert (binned.error_25 <= binned.error).all() and (binned.error <= binned.error_75).all()
    assert set(binned.kind) == {"bending", "plain", "pixels"}


def test_far_pairs_that_do_not_exist_are_an_error():
    with pytest.raises(ValueError, match="widen the range"):
        analysis.far_pairs("sundial", 1, 3.0, 3.1, seed=0)
