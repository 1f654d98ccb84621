"""What orientation means: parities, signs, layers in every order, sums over units, against naive ways."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from lib import jacobian, noise, spectrum
from lib.model import Autoencoder, Ensemble
from lib.protocol import NOISE_SETS, Protocol
from lib.store import Store
from lib.studies import claims, orientation, orientation_cell
from lib.studies.claims import JUDGES
from lib.studies.evidence import Evidence
from lib.training import untrained


@pytest.fixture(scope="module")
def net():
    return Autoencoder(6, torch.Generator().manual_seed(0)).double().requires_grad_(False)


@pytest.fixture(scope="module")
def x():
    return noise.sample("uniform", 0, 60)


@pytest.fixture(scope="module")
def trip(net, x):
    return jacobian.round_trip(net, x)


@pytest.fixture(scope="module")
def cell(net, x):
    made = orientation_cell.Cell(net, orientation_cell.idle_units(net, noise.sample("bernoulli_0.13", 0, 40)))
    made.add(x)
    return made


def masked(net, patterns, v):
    """The encoder with its ReLUs replaced by 0 and 1: linear between the given patterns."""
    layers = [m for m in net.encoder if isinstance(m, torch.nn.Linear)]
    for layer, on in zip(layers, patterns):
        v = layer(v) * on
    return layers[-1](v)


def test_every_set_of_layers_by_automatic_differentiation(net, x, trip):
    found = orientation_cell.by_layers(net, trip, orientation_cell.halves(net, trip)[0])
    assert set(found) == set(orientation_cell.subsets()) and len(found) == 8
    z = trip.z[7]
    for s, (k, sign) in found.items():
        patterns = [(trip.at_y if i in s else trip.at_x)[i - 1][7] for i in (1, 2, 3)]
        g = torch.autograd.functional.jacobian(net.decoder, z)
        e = torch.autograd.functional.jacobian(lambda v, p=patterns: masked(net, p, v), x[7])
        torch.testing.assert_close(k[7], e @ g)
        full = jacobian.rank(trip, orientation_cell.mixed(trip, s)) == net.d
        torch.testing.assert_close(sign[full], torch.linalg.det(k[full]).sign())


def test_all_layers_replaced_is_k_l_and_none_is_k_i(net, trip):
    found, matrices = (
        orientation_cell.by_layers(net, trip, orientation_cell.halves(net, trip)[0]),
        jacobian.matrices(net, trip),
    )
    for s, k, at in zip(((), (1, 2, 3)), matrices, (trip.at_x, trip.at_y)):
        torch.testing.assert_close(found[s][0], k, rtol=1e-10, atol=1e-14)
        sign = spectrum.orientation(net, trip, at, k, jacobian.rank(trip, at))
        assert torch.equal(found[s][1], sign)
    assert not torch.allclose(*matrices)


def test_parts_of_the_layers_sum_and_are_those_of_every_order():
    rng = np.random.default_rng(0)
    v = {s: rng.random() for s in orientation_cell.subsets()}
    found = orientation_cell.parts(v)
    assert found.sum() == pytest.approx(v[1, 2, 3] - v[()])
    orders = list(itertools.permutations((1, 2, 3)))
    for layer in (1, 2, 3):
        before = [o[: o.index(layer)] for o in orders]
        gains = [v[tuple(sorted({*b, layer}))] - v[tuple(sorted(b))] for b in before]
        assert found[layer - 1] == pytest.approx(np.mean(gains))
    swapped = {tuple(sorted({1: 3, 3: 1}.get(i, i) for i in s)): share for s, share in v.items()}
    np.testing.assert_allclose(orientation_cell.parts(swapped), found[::-1])


def test_independent_signs_are_the_binomials_odd_half():
    for q, r in itertools.product((0.0, 0.03, 0.3, 1.0), (1, 5, 20)):
        odd = stats.binom.pmf(np.arange(1, r + 1, 2), r, q).sum()
        assert orientation_cell.independent(q, np.array([r])) == pytest.approx(odd, abs=1e-12)
        assert orientation_cell.binomial_counts(r, q).sum() == pytest.approx(1)
    # a mixture of points that differ in q is reversed no more often than their mean q says
    q = np.array([0.01, 0.2])
    apart = np.mean([orientation_cell.independent(p, np.array([15])) for p in q])
    assert apart < orientation_cell.independent(q.mean(), np.array([15]))


def test_signs_by_rank_are_a_poisson_binomial_number():
    rng = np.random.default_rng(0)
    p = np.array([0.7, 0.2, 0.05, 0.0])
    small = rng.random((200_000, 4)) < p
    odd = (small.sum(1) % 2).mean()
    assert orientation_cell.by_rank(small, np.full(200_000, 4)) == pytest.approx(odd, abs=0.004)
    # the mean share alone reverses fewer, and gives a count that varies more
    assert orientation_cell.independent(p.mean(), np.array([4])) < odd - 0.03
    assert small.sum(1).var() < 4 * p.mean() * (1 - p.mean()) - 0.1
    lam = np.array([[3.0, -2.0, -1.0, 0.0], [3.0, 2.0, 1.0, -0.5]]) + 0j
    found = orientation_cell._counts(lam, np.array([3, 4]))
    assert found["small"].tolist() == [[True, True, False, False], [True, False, False, False]]
    assert found["count"].tolist() == [2, 1]


def test_the_parity_of_the_counts_is_the_orientation(cell):
    a, row = cell.arrays(), cell.row()
    for j in "IL":
        odd = a[f"{j}_count"] % 2 == 1
        assert (odd == (a[f"{j}_sign"] < 0)).all() and row[f"{j}_unlike"] == 0
        assert (odd == (a[f"{j}_left"] % 2 == 1)).all()
        counts = np.array(row[f"{j}_counts"].split(), float)
        assert counts.sum() == row["points"] and counts[1::2].sum() / counts.sum() == row[f"{j}_reversed"]
    assert row["v"] == row["I_reversed"] and row["v123"] == row["L_reversed"]


def test_nothing_changes_where_no_unit_switches(cell):
    a, row = cell.arrays(), cell.row()
    equal = a["hamming"] == 0
    assert (a["I_sign"][equal] == a["L_sign"][equal]).all()
    points = np.array(row["hamming_points"].split(), int)
    assert points.sum() == row["points"] and points[0] == equal.sum()
    assert int(row["hamming_changed"].split()[0]) == 0


def test_contributions_of_the_units_sum_to_the_eigenvalue_in_every_layer(net, trip):
    k = jacobian.matrices(net, trip)[0]
    lam, right = torch.linalg.eig(k)
    left = torch.linalg.inv(right)
    at, i = (lam.imag == 0).nonzero().T
    b, a = right[at, :, i].real, left[at, i].real
    told = orientation_cell.contributions(net, trip, at, b, a)
    assert [c.shape[1] for c in told] == [32, 64, 128, 128, 64, 32] and len(at) > 20
    for c in told:
        torch.testing.assert_close(c.sum(1), lam[at, i].real)
    for c, active in zip(told, (*trip.at_z, *trip.at_x)):
        assert not c[~active[at]].any()


def test_eigenvectors_have_the_place_that_the_whole_jacobian_gives_them(net, x, trip, cell):
    g, e = orientation_cell.halves(net, trip)
    eig, n = pd.concat(cell.close), 0
    for p in range(2):
        j_i, _ = jacobian.reference(net, x[p : p + 1])
        torch.testing.assert_close(g[p].T @ e[p], j_i[0])
        u = torch.linalg.svd(j_i[0]).U[:, : net.d]
        lam, v = torch.linalg.eig(j_i[0])
        order = lam.abs().argsort(descending=True)[: net.d]
        for rank, i in enumerate(order):
            if abs(lam[i].imag) < 1e-12:
                weight = (u.T @ v[:, i].real).square()
                row = eig.iloc[n]
                assert row.value == pytest.approx(float(lam[i].real), abs=1e-10)
                assert row["rank"] == pytest.approx(rank / (net.d - 1))
                assert row.place == pytest.approx(float(weight @ torch.arange(net.d).double() / (net.d - 1)))
                n += 1
    assert n > 2


def test_an_eigenvalue_hangs_on_what_it_cannot_do_without():
    told = [torch.tensor([[-3.0, 1.0], [-3.0, 1.0]])]
    group = [torch.tensor([[True, False], [False, True]])]
    assert orientation_cell._hangs(told, group, np.array([-2.0, -2.0])).tolist() == [True, False]


def test_a_row_does_not_depend_on_the_batches(net, x, cell):
    parts = orientation_cell.Cell(net, cell.idle)
    for some in (x[:7], x[7:40], x[40:]):
        parts.add(some)
    assert pd.Series(parts.row()).equals(pd.Series(cell.row())) or all(
        a == pytest.approx(b) for a, b in zip(parts.row().values(), cell.row().values())
    )


RUN = Protocol(training_set="digits", dims=(2, 5), seeds=(0,), epochs=1, points=20, sets=("uniform",))


def test_a_table_is_computed_once_and_has_a_row_a_cell(tmp_path):
    store = Store(tmp_path)
    found = orientation.table(untrained(RUN), RUN, store, points=30, progress=False)
    assert list(zip(found.set, found.d)) == [(s, d) for s in ("train", "uniform") for d in (2, 5)]
    assert (found.points == 30).all() and (found.epochs == 0).all()
    again = orientation.table([Ensemble.initial((2, 5), 0)], RUN, store, points=30, progress=False)
    pd.testing.assert_frame_equal(found, again)


def test_training_is_followed_from_checkpoint_to_checkpoint(tmp_path):
    found = orientation.trained_along(RUN, (2, 1), Store(tmp_path))
    assert sorted(found.epochs.unique()) == [1, 2] and len(found) == 8


def test_counts_along_training_are_shares_times_nonzero_eigenvalues():
    row = {"choice": "length", "seed": 0, "d": 14, "epochs": 10, "set": "uniform"}
    row |= {"I_negative_real": 0.1, "I_zeros": 0.5, "I_reversed": 0.3}
    found = orientation.along(pd.DataFrame([row, row | {"choice": "loss"}, row | {"d": 3}]))
    assert len(found) == 1 and found["count"][0] == pytest.approx(0.7) and found.reversed[0] == 0.3


def made(value: dict[str, float], seeds, dims=orientation.DIMS) -> pd.DataFrame:
    """A table in which every statistic has one value, but for a little that the seeds differ by."""
    rng = np.random.default_rng(0)
    rows = []
    for s, d, n in itertools.product(seeds, dims, ("train", *NOISE_SETS)):
        near = {k: v * (1 + 0.01 * rng.standard_normal()) for k, v in value.items()}
        rows.append({"seed": s, "d": d, "set": n, "points": 2_000} | near)
    return pd.DataFrame(rows)


@pytest.mark.parametrize("number", range(len(orientation.STATEMENTS)))
def test_a_statement_holds_where_it_should_and_is_refuted_where_it_should(number):
    part = orientation.STATEMENTS[number]
    columns = (
        "I_dispersion", "I_excess", "I_count", "I_ranked_excess", "share_1", "share_2", "share_3",
        "far_less_near", "rank_negative", "place_negative", "switched_negative", "idle_negative",
    )  # fmt: skip
    low, high = ({c: v for c in columns} for v in (0.01, 3.0 if part.scale == "log" else 0.9))
    null = made({"I_count": 0.2}, JUDGES)
    verdicts = set()
    for value in (low, {c: -0.9 for c in columns} if "plain" == part.scale else low, high):
        evidence = Evidence(made(value, JUDGES), null)
        verdicts.add(claims.judge(part.estimates(evidence)))
    assert verdicts == {"holds", "refuted"}
    few = Evidence(made(high, (0, 1)), null)
    assert claims.judge(part.estimates(few)) == "open"


def test_a_statement_is_asked_of_the_judging_seeds_and_of_them_alone():
    value = {"I_dispersion": 0.5}
    null = made({"I_count": 0.2}, (0,))
    first = claims.asked(orientation.STATEMENTS[:1], Evidence(made(value, (0, 1)), null))
    assert first.verdict.tolist() == ["not judged yet"] and first["seed 0"][0] == pytest.approx(0.5, abs=0.02)
    whole = claims.asked(orientation.STATEMENTS[:1], Evidence(made(value, (0, 1, *JUDGES)), null))
    assert whole.verdict.tolist() == ["holds"] and "…" in whole["95 % interval"][0]
    assert [c for c in whole if c.startswith("seed")] == ["seed 0", "seed 1"]


def test_the_summary_is_of_large_d_and_of_untrained_networks_of_full_rank():
    same = {"seed": 0, "points": 10, "I_reversed": 0.25, "I_counts": "5 3 2", "I_binomial": "4 2 4"}
    found = pd.DataFrame([
        same | {"d": d, "set": s, "I_deficient": float(d > 8), "I_count": d / 10}
        for d in (8, 14, 20) for s in ("train", "uniform")
    ])  # fmt: skip
    n = orientation.summary(found, found.assign(I_count=2.0))
    assert (
        n["noise_I_count"] == pytest.approx(1.7)
        and n["low_count"] == pytest.approx(0.8)
        and n["null_count"] == 2
    )
    assert n["noise_two"] == pytest.approx(0.2) and n["noise_two_expected"] == pytest.approx(0.4)
    told = orientation.fit(found.assign(I_independent=0.05))
    assert told["root mean square difference"].tolist() == pytest.approx([0.2, 0.2])
