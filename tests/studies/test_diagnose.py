"""The general diagnostics agree with the explicit chain, with whole Jacobians, and with themselves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lib import jacobian, noise, spectrum
from lib.model import Autoencoder
from lib.studies.diagnose import compare, diagnose


@pytest.fixture(scope="module")
def net() -> Autoencoder:
    return Autoencoder(5, torch.Generator().manual_seed(0)).double().requires_grad_(False)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return noise.sample("uniform", 0, 12)


def convolutional(d_channels: int = 2) -> tuple[nn.Module, nn.Module]:
    """A code of shape (2, 2, 2): eight numbers that are no vector."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.SiLU(), nn.Conv2d(4, d_channels, 3, 2, 1)
        )
        decoder = nn.Sequential(
            nn.ConvTranspose2d(d_channels, 4, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(4, 1, 4, 2, 1)
        )
    return encoder.double().eval(), decoder.double().eval()


@pytest.mark.parametrize("batch", [None, 1, 5])
def test_on_the_papers_networks_it_is_the_explicit_chain(net, x, batch):
    trip = jacobian.round_trip(net, x)
    found = diagnose(net.encoder, net.decoder, x, batch=batch)
    for j, k, at in zip("IL", jacobian.matrices(net, trip), (trip.at_x, trip.at_y)):
        assert torch.allclose(found.k[j], k, rtol=0, atol=1e-13 * k.abs().max().item())
        assert torch.equal(found.rank[j], jacobian.rank(trip, at))
        assert torch.equal(found.orientation[j], spectrum.orientation(net, trip, at, k, found.rank[j]))
    assert torch.allclose(found.y, trip.y) and torch.allclose(found.z, trip.z)


def test_eigenvalues_are_those_of_the_whole_jacobian_of_a_convolutional_autoencoder():
    encoder, decoder = convolutional()
    x = torch.rand(3, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = diagnose(encoder, decoder, x)
    for i in range(len(x)):
        whole = torch.autograd.functional.jacobian(lambda v: decoder(encoder(v[None]))[0], x[i]).reshape(
            64, 64
        )
        lam = spectrum.eigenvalues(whole[None])[0, :8]
        assert (lam[:, None] - found.lam["I"][i]).abs().amin(0).max() < 1e-9 * torch.linalg.matrix_norm(
            whole, 2
        )
    assert found.z.shape == (3, 8) and found.y.shape == x.shape


def test_a_linear_projection_is_kept_as_it_is():
    """Of an orthogonal projection onto a plane both matrices are the identity, and both sets look alike."""
    q, _ = torch.linalg.qr(torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))
    encoder, decoder = nn.Linear(9, 2, bias=False).double(), nn.Linear(2, 9, bias=False).double()
    with torch.no_grad():
        encoder.weight.copy_(q.T)
        decoder.weight.copy_(q)
    x = torch.randn(20, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    found = diagnose(encoder, decoder, x)
    assert torch.allclose(found.lam["I"], torch.ones(20, 2, dtype=torch.complex128))
    assert found.distance.max() < 1e-20
    table = compare({"once": found, "twice": diagnose(encoder, decoder, 2 * x)})
    assert table["I: mean"].tolist() == pytest.approx([1, 1]) and table["L: reversed"].tolist() == [0, 0]
    assert table["codes"][1] == pytest.approx(2 * table["codes"][0], rel=0.3)


def test_a_mirrored_code_reverses_the_orientation_and_a_dead_one_has_none():
    def linear(*diagonal):
        layer = nn.Linear(2, 2, bias=False).double()
        layer.weight.data = torch.tensor(diagonal, dtype=torch.float64).diag()
        return layer

    x = torch.ones(1, 2, dtype=torch.float64)
    assert diagnose(linear(1, 1), linear(1, -1), x).orientation["I"].tolist() == [-1]
    dead = diagnose(linear(1, 1), linear(1, 0), x)
    assert dead.orientation["I"].tolist() == [0] and dead.rank["I"].tolist() == [1]


@pytest.mark.parametrize("change, told", [
    (dict(batch=0), "batch: expected a whole number"),
    (dict(rtol=-1), "rtol: expected a number"),
    (dict(x=torch.empty(0, 784, dtype=torch.float64)), "at least one input"),
    (dict(decoder=nn.Linear(5, 3).double()), "shape"),
    (dict(encoder=nn.Sequential(nn.Dropout(), nn.Linear(784, 5)).double()), "evaluation mode"),
])  # fmt: skip
def test_what_cannot_be_done_is_said(net, x, change, told):
    with pytest.raises(ValueError, match=told):
        diagnose(**(dict(encoder=net.encoder, decoder=net.decoder, x=x) | change))
