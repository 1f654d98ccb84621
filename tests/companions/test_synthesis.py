"""Regularised variants of the paper's networks."""

import math

import pandas as pd
import pytest
import torch

from lib import data
from lib.companions.synthesis import REGULARISERS, Settings
from lib.companions.synthesis.measure import (
    SIGNS,
    _ratio,
    asymmetry,
    cells,
    every_statistic,
    instability,
    label,
    verdicts,
)
from lib.companions.synthesis.variants import losses, neighbours, split, stack, variants
from lib.jacobian import reference
from lib.model import Autoencoder, Ensemble
from lib.protocol import Protocol
from lib.store import Store
from lib.training import Trainer


def images(n=32):
    return data.load("digits").x[:n]


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_a_stack_is_split_into_the_networks_it_was_made_of():
    joint = stack((2, 5), (0.0, 1.0, 2.0), seed=3)
    parts = split(joint, (2, 5))
    plain = Ensemble.initial((2, 5), 3)
    assert [p.dims for p in parts] == [(2, 5)] * 3
    assert all(torch.equal(p.theta, plain.theta) for p in parts)


def test_strength_zero_takes_the_plain_networks_step():
    """The denoising loss at σ = 0, by automatic differentiation, steps as the hand-written step does."""
    x, dims = images(), (2, 6)
    joint = stack(dims, (0.0, 0.5), 0, torch.float64)
    theta = joint.theta.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([theta], lr=1e-3)
    trainer = Trainer(Ensemble.initial(dims, 0, torch.float64), Protocol(training_set="digits", dims=dims))
    strength = torch.tensor([0.0, 0.0, 0.5, 0.5]).double()[:, None, None]
    for step in range(5):
        joint.bind(theta)
        mse, penalty = losses(joint, "denoising", strength, x, normal(*x.shape, seed=step))
        theta.grad = None
        (mse + penalty).sum().backward()
        optimiser.step()
        assert torch.allclose(trainer.step(x) / x.numel(), mse.detach()[:2], rtol=1e-9)
    joint.bind(theta.detach())
    assert torch.allclose(split(joint, dims)[0].theta, trainer.theta.detach(), rtol=1e-7, atol=1e-10)


def test_the_contractive_penalty_is_the_squared_frobenius_norm_on_average():
    x = images(4)
    joint = stack((3,), (0.5,), 0, torch.float64)
    strength = torch.full((1, 1, 1), 0.5, dtype=torch.float64)
    draws = [
        losses(joint, "contractive", strength, x, normal(*x.shape, seed=s))[1].item() for s in range(600)
    ]
    exact = 0.25 * reference(joint.member(3), x)[0].square().sum((1, 2)).mean().item() / 784
    error = torch.tensor(draws).std().item() / math.sqrt(len(draws))
    assert abs(sum(draws) / len(draws) - exact) < 4 * error
    assert error < 0.2 * exact


def test_the_penalty_of_an_isometric_flat_encoder_is_zero_and_of_a_stretched_one_is_gamma():
    """An encoder that copies d of the pixels, on images that vary in those alone."""
    net = Autoencoder(2, torch.Generator().manual_seed(0)).double()
    joint = Ensemble([net], 0)
    for w, b in zip(joint.weights[:4], joint.biases[:4]):
        w.zero_()[0, :2, :2] = torch.eye(2)
        b.zero_()
    x, y = torch.rand(2, 20, 784, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y[:, 2:] = x[:, 2:]
    one = torch.ones(1, 1, 1, dtype=torch.float64)

    def penalty():
        return losses(joint, "bending", one, x, x, y, scale=3.0)[1].item()

    assert abs(penalty()) < 1e-5
    joint.weights[3].mul_(2)
    assert penalty() == pytest.approx(4 + 1 / 4 - 2, rel=1e-5)


def test_neighbours_are_the_nearest_other_images():
    x = images(50)
    near = neighbours(x, 3)
    distance = torch.cdist(x, x).fill_diagonal_(torch.inf)
    assert torch.equal(near, distance.argsort(1)[:, :3])


def test_the_raw_ratio_is_that_of_the_full_jacobian():
    net, x = Autoencoder(3, torch.Generator().manual_seed(0)).double(), images(3)
    j = reference(net, x)[0]
    expected = (j - j.transpose(1, 2)).norm(dim=(1, 2)) / (2 * j.norm(dim=(1, 2)))
    assert torch.allclose(_ratio(net, x), expected, rtol=1e-9)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    protocol = Protocol.from_profile("smoke", "sets=uniform,bernoulli_0.13")
    return protocol, Settings.preset("smoke"), Store(tmp_path_factory.mktemp("results"))


def test_every_variant_goes_through_the_whole_protocol(smoke):
    protocol, settings, store = smoke
    table = cells(protocol, settings, store)
    networks = (
        4 + len(settings.noise) * 2 + len(settings.bending)
    )  # untrained, plain, two twins, and the variants
    assert len(table) == networks * len(settings.dims) * len(settings.seeds) * 4
    assert not table[[c for c in table if c.startswith(("I_", "L_"))]].isna().all().any()
    assert cells(protocol, settings, store).equals(table)
    summary = instability(table).set_index("network")
    assert summary.cost["plain"] == 1 and summary.worse.between(0, 1).all()
    assert len(every_statistic(table)) == networks * 4


def test_variants_are_trained_once_and_differ(smoke):
    protocol, settings, store = smoke
    found = {
        label(r, s): e[0] for r in REGULARISERS for s, e in variants(protocol, settings, r, store).items()
    }
    again = variants(protocol, settings, "denoising", store)[0.0][0]
    assert torch.equal(again.theta, found["plain"].theta)
    thetas = [e.theta for name, e in found.items() if not name.startswith("twin")]
    assert len(found) - len(thetas) == 2
    assert all((a - b).abs().max() > 1e-4 for i, a in enumerate(thetas) for b in thetas[:i])
    assert asymmetry(protocol, settings, points=5, store=store).ratio.between(0, 1).all()


def _table(noise: dict[str, float], error: float) -> pd.DataFrame:
    """Plain networks with a gap of 1 in every sign, and one variant with the gaps and the error given."""
    rows = []
    for regulariser, strength, gaps, e in (
        ("denoising", 0.0, dict.fromkeys(SIGNS, 1.0), 1.0),
        ("denoising", 1.0, noise, error),
    ):
        for name, share in (("train", 0.0), ("test", 0.0), ("uniform", 1.0)):
            head = {
                "regulariser": regulariser,
                "strength": strength,
                "d": 2,
                "seed": 0,
                "set": name,
                "error": e,
            }
            rows.append(head | {sign: 0.1 + share * gaps[sign] for sign in SIGNS})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("gap", "error", "verdict"),
    [
        (0.05, 1.05, "cures"),
        (0.05, 1.5, "eases"),
        (0.4, 1.0, "eases"),
        (0.9, 1.0, "does not cure"),
        (2.0, 1.0, "does not cure"),
    ],
)
def test_the_verdict_follows_the_rule_the_page_states(gap, error, verdict):
    assert verdicts(_table(dict.fromkeys(SIGNS, gap), error)).verdict.tolist() == [verdict]


def test_a_sign_within_chance_is_neither_eased_nor_worse():
    """A twin ten times further off than the plain network widens the range in which a gap says nothing."""
    table = _table(dict.fromkeys(SIGNS, 5.0), 1.0)
    twin = table[table.strength == 1.0].assign(strength=1e-6)
    twin.loc[twin.set == "uniform", list(SIGNS)] = 10.1
    words = verdicts(pd.concat([table, twin])).iloc[0][list(SIGNS.values())]
    assert words.str.startswith("stays").all()
    assert verdicts(table).iloc[0][list(SIGNS.values())].str.startswith("worse").all()
