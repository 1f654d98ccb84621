"""K_I and K_L against automatic differentiation and the chain rule's own laws."""

import pytest
import torch
from torch import Tensor

from lib import jacobian, noise
from lib.model import Autoencoder

WIDTHS = (40, 24, 16, 10)  # small, so that the reference is quick


def network(d: int, seed: int = 0, widths=WIDTHS, gain: float = 2.0) -> Autoencoder:
    """An untrained network in float64, its weights scaled so that eigenvalues are not tiny."""
    net = Autoencoder(d, torch.Generator().manual_seed(seed), widths).double().requires_grad_(False)
    for layer in net.linears():
        layer.weight *= gain
    return net


def points(n: int, width: int = WIDTHS[0], seed: int = 1) -> Tensor:
    return torch.rand(n, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def silence(layer: torch.nn.Linear, units) -> None:
    """Make `units` of a hidden layer inactive at every point."""
    layer.bias[units] = -1e3


def hidden(net: Autoencoder) -> list[torch.nn.Linear]:
    """The six layers whose outputs pass through a ReLU: the encoder's, then the decoder's."""
    linears = list(net.linears())
    return linears[:3] + linears[4:7]


def nonzero(lam: Tensor, r: int) -> Tensor:
    return lam[lam.abs().argsort(descending=True)][:r]


def distance(a: Tensor, b: Tensor) -> float:
    """Of two multisets of numbers, matched greedily."""
    b, worst = b.clone(), 0.0
    for v in a:
        i = (b - v).abs().argmin()
        worst, b = max(worst, float((b[i] - v).abs())), torch.cat([b[:i], b[i + 1 :]])
    return worst


@pytest.mark.parametrize("d", [2, 5, 9])
def test_matrices_are_those_of_automatic_differentiation(d):
    net, x = network(d), points(7)
    k_i, k_l = jacobian.matrices(net, jacobian.round_trip(net, x))
    j_i, j_l = jacobian.reference(net, x)
    torch.testing.assert_close(k_l, j_l, rtol=1e-11, atol=1e-13)
    for k, j in zip(k_i, j_i):
        scale = torch.linalg.matrix_norm(j, 2)
        assert distance(torch.linalg.eigvals(k), nonzero(torch.linalg.eigvals(j), d)) < 1e-9 * scale


def test_nonzero_spectrum_of_the_full_jacobian_at_the_papers_widths():
    net = network(6, widths=(784, 128, 64, 32))
    x = noise.sample("bernoulli_0.25", 0, 2)
    k_i, _ = jacobian.matrices(net, jacobian.round_trip(net, x))
    j_i, _ = jacobian.reference(net, x)
    for k, j in zip(k_i, j_i):
        lam = torch.linalg.eigvals(j)  # of a 784×784 matrix
        assert distance(torch.linalg.eigvals(k), nonzero(lam, 6)) < 1e-9 * torch.linalg.matrix_norm(j, 2)
        assert lam.abs().sort().values[:-6].max() < 1e-9 * torch.linalg.matrix_norm(j, 2)  # the rest is zero


def test_trace_of_the_small_matrix_is_that_of_the_large_one():
    net, x = network(4), points(9)
    k_i, _ = jacobian.matrices(net, jacobian.round_trip(net, x))
    j_i, _ = jacobian.reference(net, x)
    torch.testing.assert_close(*(m.diagonal(dim1=1, dim2=2).sum(1) for m in (k_i, j_i)))


def test_equal_patterns_give_equal_matrices():
    """K_I and K_L differ only through the encoder's pattern: λ_I = λ_L in one linear region."""
    net, x = network(3), points(5)
    trip = jacobian.round_trip(net, x)
    same = jacobian.RoundTrip(trip.z, trip.y, trip.slope, trip.at_y, trip.at_z, trip.at_y)
    assert torch.equal(*jacobian.matrices(net, same))


@pytest.mark.parametrize("n", [1, 2, 63, 517])
def test_a_batch_is_its_points_one_by_one(n):
    net, x = network(3), points(n)
    whole = jacobian.matrices(net, jacobian.round_trip(net, x))
    rows = torch.arange(0, n, max(1, n // 7))
    for i in rows.tolist():
        single = jacobian.matrices(net, jacobian.round_trip(net, x[i : i + 1]))
        for a, b in zip(whole, single):
            torch.testing.assert_close(a[i], b[0], rtol=1e-12, atol=1e-14)


def test_permuting_points_permutes_matrices():
    net, x = network(4), points(200)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(3))
    straight = jacobian.matrices(net, jacobian.round_trip(net, x))
    permuted = jacobian.matrices(net, jacobian.round_trip(net, x[order]))
    for a, b in zip(straight, permuted):
        torch.testing.assert_close(a[order], b, rtol=1e-12, atol=1e-14)


def test_no_points_give_no_matrices():
    net = network(3)
    trip = jacobian.round_trip(net, points(0))
    for k in jacobian.matrices(net, trip):
        assert k.shape == (0, 3, 3)
    assert jacobian.rank(trip, trip.at_x).shape == (0,)


@pytest.mark.parametrize("layer", range(6))
def test_a_dead_layer_gives_the_zero_matrix_and_rank_zero(layer):
    net, x = network(3), points(4)
    silence(hidden(net)[layer], slice(None))
    trip = jacobian.round_trip(net, x)
    k_i, k_l = jacobian.matrices(net, trip)
    assert not k_i.any() and not k_l.any()
    assert not jacobian.rank(trip, trip.at_x).any() and not jacobian.rank(trip, trip.at_y).any()


@pytest.mark.parametrize("layer", range(6))
@pytest.mark.parametrize("alive", [1, 3])
def test_rank_is_the_narrowest_layers_count(layer, alive):
    net, x = network(5), points(6)
    silence(hidden(net)[layer], slice(alive, None))
    hidden(net)[layer].bias[:alive] = 1e2  # these are active everywhere
    trip = jacobian.round_trip(net, x)
    for k, at in zip(jacobian.matrices(net, trip), (trip.at_x, trip.at_y)):
        r = jacobian.rank(trip, at)
        assert (r <= alive).all()
        singular = torch.linalg.svdvals(k)
        for s, rank in zip(singular, r):
            assert (s[rank:] < 1e-12 * s[0]).all() and (s[:rank] > 1e-12 * s[0]).all()


def test_saturated_tanh_neither_overflows_nor_loses_its_digits():
    net, x = network(3), points(4)
    last = list(net.linears())[-1]
    last.bias += torch.linspace(-300, 300, len(last.bias), dtype=torch.float64)
    trip = jacobian.round_trip(net, x)
    assert (trip.slope > 0).all() and (trip.slope <= 1).all()
    assert all(k.isfinite().all() for k in jacobian.matrices(net, trip))
    assert jacobian.sech2(torch.tensor([1e5, -1e5, float("inf")])).tolist() == [0.0, 0.0, 0.0]


def test_sech2_keeps_its_relative_precision():
    mpmath = pytest.importorskip("mpmath")
    a = torch.linspace(-340, 340, 137, dtype=torch.float64)
    with mpmath.workdps(400):
        exact = [float(mpmath.sech(mpmath.mpf(float(v))) ** 2) for v in a]
    torch.testing.assert_close(
        jacobian.sech2(a), torch.tensor(exact, dtype=torch.float64), rtol=1e-13, atol=0
    )


def test_small_eigenvalues_have_the_accuracy_the_book_states():
    """Float64 chain against the same chain in extended precision, at the paper's widths."""
    mpmath = pytest.importorskip("mpmath")
    net, x = network(4, gain=1.0), points(2)
    k_i, _ = jacobian.matrices(net, jacobian.round_trip(net, x))
    weights = [(m.weight.tolist(), m.bias.tolist()) for m in net.linears()]
    with mpmath.workdps(40):
        for point, k in zip(x.tolist(), k_i):
            h, product, jac = mpmath.matrix(point), None, {}
            for place, (w, b) in enumerate(weights):
                w, a = mpmath.matrix(w), mpmath.matrix(w) * h + mpmath.matrix(b)
                factor = w if product is None else w * product
                if place == 3:
                    jac["E"], product, h = factor, None, a
                    continue
                slopes = [mpmath.sech(v) ** 2 for v in a] if place == 7 else [mpmath.mpf(v > 0) for v in a]
                h = mpmath.matrix([mpmath.tanh(v) if place == 7 else max(v, 0) for v in a])
                product = mpmath.diag(slopes) * factor
            exact = jac["E"] * product
            lam = [complex(v) for v in mpmath.eig(exact, left=False, right=False)]
            found = torch.linalg.eigvals(k)
            assert distance(
                found, torch.tensor(lam, dtype=torch.complex128)
            ) < 1e-13 * torch.linalg.matrix_norm(k, 2)
