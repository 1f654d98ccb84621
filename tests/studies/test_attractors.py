"""Where iterations end: maps whose ends are known, iterated images, clusters and distances by naive ways."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lib import noise
from lib.model import Autoencoder, Ensemble
from lib.protocol import NOISE_SETS, Protocol
from lib.store import Store
from lib.studies import attractors, claims, iteration
from lib.studies.claims import JUDGES
from lib.studies.evidence import Evidence
from lib.studies.iteration import iterate
from lib.training import untrained


class Map(nn.Module):
    """A map of codes in place of a round trip: the decoder is the identity."""

    def __init__(self, f):
        super().__init__()
        self.encoder, self.decoder = f, nn.Identity()


def affine(a: torch.Tensor, b: torch.Tensor) -> Map:
    layer = nn.Linear(*a.shape, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(a)
        layer.bias.copy_(b)
    return Map(layer.requires_grad_(False))


class Turn(nn.Module):
    """A turn of the plane by a p-th of a circle, with the radius drawn to one."""

    def __init__(self, p: int):
        super().__init__()
        t = 2 * torch.pi * torch.tensor(1 / p, dtype=torch.float64)
        self.register_buffer(
            "turn", torch.stack([torch.stack([t.cos(), -t.sin()]), torch.stack([t.sin(), t.cos()])])
        )

    def forward(self, z):
        return z @ self.turn.T / z.norm(dim=-1, keepdim=True) ** 0.5


@pytest.fixture(scope="module")
def z():
    return torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_contraction_ends_at_its_fixed_point(z):
    a, b = torch.tensor([[0.5, 0.3], [0.0, -0.8]]).double(), torch.tensor([1.0, 2.0]).double()
    net = affine(a, b)
    found = iterate(net, z)
    assert (found.period == 1).all()
    torch.testing.assert_close(
        found.z, torch.linalg.solve(torch.eye(2) - a, b).expand(9, 2), rtol=1e-6, atol=0
    )
    torch.testing.assert_close(iteration.radius(net, found.z), torch.full((9,), 0.8).double())
    torch.testing.assert_close(iteration.radius(net, found.z, 3), torch.full((9,), 0.8**3).double())
    # |last step| ∝ .8^t falls below 1e-8: known in advance
    assert abs(found.steps.mean() - np.log(1e-8) / np.log(0.8)) < 25


@pytest.mark.parametrize("p", [2, 3, 5, 12])
def test_a_cycle_is_found_with_its_length_and_one_name(z, p):
    found = iterate(Map(Turn(p)), z[:1] * torch.tensor([[1.0], [3.0]]), steps=1_200)
    assert (found.period == p).all()
    torch.testing.assert_close(found.z[0], found.z[1], atol=1e-6, rtol=0)
    orbit = [found.z[:1]]
    for _ in range(p):
        orbit.append(Turn(p)(orbit[-1]))
    assert min(float(v[0, 0]) for v in orbit) == pytest.approx(float(found.z[0, 0]))


def test_a_slow_contraction_is_slow_and_what_runs_away_is_open(z):
    slow = affine(0.9999 * torch.eye(2).double(), torch.tensor([1e-4, 1e-4]).double())
    found = iterate(slow, 0.95 + 0 * z, steps=60)
    assert (found.period == 0).all() and (found.steps == 60).all()
    torch.testing.assert_close(found.z, torch.ones(9, 2).double())
    found = iterate(affine(1.5 * torch.eye(2).double(), torch.zeros(2).double()), z, steps=60)
    assert (found.period == -1).all()
    # an unstable fixed point nearby is no end
    apart = affine(torch.diag(torch.tensor([-1.01, 0.5])).double(), torch.zeros(2).double())
    assert (iterate(apart, 1e-9 * z + torch.tensor([0.0, 1e-9]), steps=20).period == -1).all()


def test_codes_go_where_images_go():
    net = Autoencoder(5, torch.Generator().manual_seed(1)).double().requires_grad_(False)
    x = noise.sample("uniform", 0, 6)
    found = iterate(net, net.encoder(x))
    assert (found.period == 1).all()
    y = x
    for _ in range(300):
        y = net(y)[1]
    torch.testing.assert_close(net.decoder(found.z), y, atol=1e-7, rtol=0)
    again = iterate(net, found.z)
    torch.testing.assert_close(again.z, found.z, rtol=1e-7, atol=1e-12)


def test_the_batch_changes_nothing(z):
    net = affine(torch.tensor([[0.5, 0.3], [0.0, -0.8]]).double(), torch.tensor([1.0, 2.0]).double())
    whole, parts = iterate(net, z), [iterate(net, part) for part in z.split(4)]
    torch.testing.assert_close(torch.cat([p.z for p in parts]), whole.z)
    assert np.concatenate([p.period for p in parts]).tolist() == whole.period.tolist()


def test_clusters_are_those_of_a_naive_search():
    rng = np.random.default_rng(0)
    z = rng.integers(0, 8, (60, 2)) + 0.02 * rng.standard_normal((60, 2))
    z[30:40] = z[:10]
    period = rng.integers(0, 3, 60)
    found = iteration.merged(z, period, 0.5)
    label = np.arange(60)
    kind = np.maximum(period, 1)
    for _ in range(60):
        for i in range(60):
            near = (np.linalg.norm(z - z[i], axis=1) <= 0.5) & (kind == kind[i])
            label[near] = label[near].min()
    assert ((found[:, None] == found[None]) == (label[:, None] == label[None])).all()
    chain = np.column_stack([np.arange(5) * 0.4, np.zeros(5)])
    assert len(set(iteration.merged(chain, np.ones(5, int), 0.5))) == 1


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = Protocol(
        training_set="digits",
        dims=(2, 5),
        seeds=(0, 1),
        epochs=1,
        points=20,
        sets=("uniform", "bernoulli_0.13"),
    )
    networks, store = untrained(run), Store(tmp_path_factory.mktemp("attractors"))
    return run, networks, attractors.table(networks, run, store, starts=12, progress=False), store


def test_basins_hold_all_starts_that_end_and_ends_are_stable(made):
    run, networks, (cells, ends, images), store = made
    assert len(cells) == 2 * 2 * 3 and set(cells.set) == {"uniform", "bernoulli_0.13", "test"}
    np.testing.assert_allclose(cells.fixed + cells.cycle, cells.settled)
    np.testing.assert_allclose(cells.settled + cells.slow + cells.open, 1)
    for row in cells.itertuples():
        mine = ends[(ends.seed == row.seed) & (ends.d == row.d)]
        assert mine[row.set].sum() == round((1 - row.open) * row.points)
        assert row.ends == (mine[row.set] > 0).sum() and len(images[row.seed, row.d]) == len(mine)
        assert (mine.radius <= 1).all()
    for e in networks:
        for d in e.dims:
            y = images[e.seed, d].double()
            torch.testing.assert_close(e.member(d).double()(y)[1], y, atol=1e-5, rtol=0)
    again = attractors.table(networks, run, store, starts=12, progress=False)
    pd.testing.assert_frame_equal(again[0], cells)


def test_a_network_overlaps_wholly_with_itself(made):
    run, networks, (_, ends, images), _ = made
    twin = [networks[0], Ensemble([networks[0].member(d) for d in run.dims], 1)]
    of_twin = pd.concat([ends[ends.seed == 0], ends[ends.seed == 0].assign(seed=1)])
    pairs = attractors.overlap(twin, run, of_twin, {(s, d): images[0, d] for s in (0, 1) for d in run.dims})
    same = pairs[pairs.d == pairs.other_d]
    assert len(pairs) == 8 and len(same) == 4
    assert (same.nearest < 1e-3).all() and (pairs.chance > 0).all()
    apart = pairs[(pairs.seed == 0) & (pairs.d == 2) & (pairs.other_seed == 0)].iloc[0]
    weight = (ends[(ends.seed == 0) & (ends.d == 2)][list(run.sets)].sum(axis=1)).to_numpy()
    naive = [min(float((a - b).norm()) / 28 for b in images[0, 5]) for a in images[0, 2]]
    assert apart.nearest == pytest.approx(np.average(naive, weights=weight), abs=1e-5)


def test_what_the_statements_ask_is_in_the_table(made):
    run, networks, (cells, ends, images), _ = made
    pairs = attractors.overlap(networks, run, ends, images)
    whole = attractors.evidence(cells.assign(epochs=1), pairs)
    for name in (
        "dims_nearest",
        "dims_chance",
        "seeds_nearest",
        "seeds_chance",
        "moved",
        "network_effective",
        "shared",
        "settled",
    ):
        assert whole[name]["uniform"].notna().all()


def table(value: float, seeds) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns = ("settled", "network_effective", "moved", "shared", "dims_nearest", "seeds_nearest")
    return pd.DataFrame([
        {"seed": s, "d": d, "set": n, "points": 500, "dims_chance": 1.0, "seeds_chance": 1.0}
        | {c: value * (1 + 0.002 * rng.standard_normal()) for c in columns}
        for s in seeds for d in attractors.DIMS for n in NOISE_SETS
    ])  # fmt: skip


@pytest.mark.parametrize("number", range(len(attractors.STATEMENTS)))
def test_a_statement_holds_where_it_should_and_is_refuted_where_it_should(number):
    part = attractors.STATEMENTS[number]
    verdicts = [
        claims.judge(part.estimates(Evidence(table(v, JUDGES))))
        for v in ((0.2, 0.99) if part.scale == "logit" else (0.2, 5.0))
    ]
    assert set(verdicts) == {"holds", "refuted"}
    assert claims.judge(part.estimates(Evidence(table(0.2, (0, 1))))) == "open"
