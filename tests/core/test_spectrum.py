"""Eigenvalues, their order, orientation, and one cell's row."""

import numpy as np
import pytest
import torch
from test_jacobian import distance, hidden, network, points, silence

from lib import jacobian, spectrum
from lib.spectrum import Cell, eigenvalues


def random(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("d", [1, 2, 3, 8, 20, 32])
def test_eigenvalues_are_lapacks(d):
    k = random(50, d)
    for lam, reference, m in zip(eigenvalues(k), torch.linalg.eigvals(k), k):
        assert distance(lam, reference) < 1e-10 * torch.linalg.matrix_norm(m, 2)


@pytest.mark.parametrize("d", [2, 5, 20])
def test_trace_and_determinant_are_sum_and_product(d):
    k = random(40, d)
    lam = eigenvalues(k)
    torch.testing.assert_close(lam.sum(1).real, k.diagonal(dim1=1, dim2=2).sum(1), rtol=1e-10, atol=1e-10)
    sign, log = torch.linalg.slogdet(k)
    torch.testing.assert_close(lam.abs().log().sum(1), log, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(lam.prod(1).real.sign(), sign)


def test_order_is_falling_modulus_and_pairs_start_above_the_real_axis():
    lam = eigenvalues(random(200, 9))
    assert (lam.abs().diff(dim=1) <= 1e-12).all()
    for row in lam:
        i = 0
        while i < len(row):
            if row[i].imag != 0:
                assert row[i].imag > 0 and row[i + 1] == row[i].conj()
                i += 1
            i += 1


def test_permuting_points_permutes_rows_and_no_points_give_no_rows():
    k = random(300, 7)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(eigenvalues(k)[order], eigenvalues(k[order]), rtol=1e-12, atol=1e-12)
    assert eigenvalues(k[:0]).shape == (0, 7)


def signs(net, x):
    """(computed orientation, rank) of K_I and of K_L."""
    trip = jacobian.round_trip(net, x)
    for k, at in zip(jacobian.matrices(net, trip), (trip.at_x, trip.at_y)):
        r = jacobian.rank(trip, at)
        yield k, spectrum.orientation(net, trip, at, k, r), r


def product_of_largest(lam: torch.Tensor, r: int) -> float:
    top = lam[lam.abs().argsort(descending=True)][:r]
    return float(top.prod().real.sign()) if r else 1.0


@pytest.mark.parametrize("layer", range(6))
@pytest.mark.parametrize("alive", [0, 2, 4])
def test_orientation_of_deficient_points_is_the_sign_of_the_r_largest_eigenvalues(layer, alive):
    """The rule: r = min(d, active units); the sign of the product of the r nonzero eigenvalues."""
    net, x = network(5), points(40)
    silence(hidden(net)[layer], slice(alive, None))
    hidden(net)[layer].bias[:alive] += 3
    j_i, j_l = jacobian.reference(net, x)
    for (_, sign, r), j in zip(signs(net, x), (j_i, j_l)):
        assert (r < 5).all()
        expected = [product_of_largest(torch.linalg.eigvals(m), int(n)) for m, n in zip(j, r)]
        assert sign.tolist() == expected


def test_orientation_of_full_rank_points_is_the_sign_of_the_determinant():
    net, x = network(3), points(100)
    for k, sign, r in signs(net, x):
        full = r == 3
        assert full.any() and set(sign[full].tolist()) == {-1.0, 1.0}
        assert torch.equal(sign[full], torch.linalg.slogdet(k[full]).sign)


def test_orientation_is_blind_to_the_rest_of_the_batch():
    """A batch that mixes full-rank and deficient points gives each what it gets alone."""
    net, x = network(9, gain=3.0), points(60)
    for j, (_, sign, r) in enumerate(signs(net, x)):
        assert (r < 9).any()
        alone = [list(signs(net, x[i : i + 1]))[j][1].item() for i in range(len(x))]
        assert sign.tolist() == alone


def filled(net, x, *cuts) -> Cell:
    cell = Cell(net)
    for block in x.tensor_split(cuts):
        cell.add(block)
    return cell


def test_a_row_does_not_depend_on_how_points_are_blocked():
    net, x = network(4), points(150)
    one, many = filled(net, x).row(), filled(net, x, 1, 64, 100).row()
    assert one.keys() == many.keys()
    for name, value in one.items():
        if isinstance(value, str):
            assert value == many[name]
        else:
            np.testing.assert_allclose(value, many[name], rtol=1e-6, atol=1e-12, err_msg=name)


def test_a_rows_numbers_are_those_of_the_spectra():
    net, x = network(4), points(120)
    row = filled(net, x).row()
    for name, (k, sign, r) in zip("IL", signs(net, x)):
        lam = eigenvalues(k)
        kept = torch.cat([v[:n] for v, n in zip(lam, r)])
        log = kept.abs().log()
        expected = {
            "mean": kept.abs().mean(),
            "trace": k.diagonal(dim1=1, dim2=2).mean(),
            "geometric": log.mean().exp(),
            "sd_log": log.std(correction=0),
            "zeros": 1 - len(kept) / lam.numel(),
            "deficient": (r < 4).double().mean(),
            "reversed": (sign < 0).double().mean(),
            "nonreal": (kept.imag != 0).double().mean(),
            "arg_mean": kept.angle().abs().mean(),
            "log_q1": log.quantile(0.25),
            "log_median": log.quantile(0.5),
            "log_q3": log.quantile(0.75),
            "arg_median": kept.angle().abs().quantile(0.5),
        }
        for column, value in expected.items():
            assert row[f"{name}_{column}"] == pytest.approx(float(value), rel=1e-9, abs=1e-6), column
        for histogram, edges in (("log_hist", spectrum.LOG_BINS), ("arg_hist", spectrum.ARG_BINS)):
            counts = list(map(int, row[f"{name}_{histogram}"].split()))
            assert len(counts) == len(edges) - 1 and sum(counts) == len(kept)
    both = [eigenvalues(k) for k, _, _ in signs(net, x)]
    distance_i_l = (both[0] - both[1]).abs().square().sum(1) / 4
    assert row["distance_mean"] == pytest.approx(float(distance_i_l.mean()), rel=1e-9)
    assert row["distance_median"] == pytest.approx(float(distance_i_l.quantile(0.5)), rel=1e-6)


def test_the_best_matching_is_never_worse_than_the_order():
    row = filled(network(5), points(80)).row()
    assert 0 <= row["matched_median"] <= row["ordered_median"]


def test_a_dead_network_gives_zeros_and_no_numbers_where_there_are_none():
    net = network(3)
    silence(hidden(net)[0], slice(None))
    row = filled(net, points(10)).row()
    assert row["I_zeros"] == row["L_zeros"] == row["I_deficient"] == 1.0
    assert np.isnan(row["I_geometric"]) and np.isnan(row["I_reversed_full"])
    assert row["I_reversed"] == 0.0
