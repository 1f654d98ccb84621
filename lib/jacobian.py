"""Jacobians of the round trip as d×d matrices, from the chain rule written out.

With E(x) = D f_enc(x) (d×784), G(z) = D f_dec(z) (784×d), z = f_enc(x), y = f_dec(z):

    J_I(x) = G(z) E(x)   784×784, rank ≤ d, whose nonzero eigenvalues are those of
    K_I(x) = E(x) G(z)   d×d, because XY and YX share their nonzero spectrum, and
    K_L(z) = E(y) G(z)   d×d, the paper's J_L.

No 784×784 matrix is formed outside `reference`, which tests and benchmarks call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .model import Autoencoder

__all__ = ["RoundTrip", "round_trip", "matrices", "rank", "reduced", "reference", "sech2"]


@dataclass(frozen=True)
class RoundTrip:
    """A batch sent through the autoencoder and once more through the encoder.

    Attributes
    ----------
    z : Tensor, shape (n, d)
    y : Tensor, shape (n, 784)
    slope : Tensor, shape (n, 784)
        Derivative of the final tanh, sech² of its pre-activation.
    at_x, at_z, at_y : lists of bool Tensors, shape (n, width)
        Active units of the encoder's hidden layers at x, the decoder's at z, the encoder's at y.
    """

    z: Tensor
    y: Tensor
    slope: Tensor
    at_x: list[Tensor]
    at_z: list[Tensor]
    at_y: list[Tensor]

    def take(self, rows: Tensor) -> RoundTrip:
        """The same for the points `rows` alone."""
        return RoundTrip(*(v[rows] if isinstance(v, Tensor) else [m[rows] for m in v] for v in vars(self).values()))


def sech2(a: Tensor) -> Tensor:
    """1 − tanh²(a) = 4e^{−2|a|}/(1 + e^{−2|a|})²: no overflow and no cancellation for large |a|.

    >>> float(sech2(torch.tensor(300.0, dtype=torch.float64))) > 0
    True
    """
    t = torch.exp(-2 * a.abs())
    return 4 * t / (1 + t).square()


def round_trip(net: Autoencoder, x: Tensor) -> RoundTrip:
    """Values, slopes and activation patterns of ``x (n, 784)``, in the dtype of `net`."""
    z, at_x = _through(net.encoder, x)
    a, at_z = _through(net.decoder, z)  # the last pre-activation, (n, 784)
    y = a.tanh()
    _, at_y = _through(net.encoder, y)
    return RoundTrip(z, y, sech2(a), at_x, at_z, at_y)


def _through(half: torch.nn.Sequential, h: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The last affine output of one half, and the active units before it."""
    patterns = []
    layers = [m for m in half if isinstance(m, torch.nn.Linear)]
    for layer in layers[:-1]:
        a = layer(h)
        patterns.append(a > 0)
        h = a.relu()
    return layers[-1](h), patterns


def matrices(net: Autoencoder, trip: RoundTrip) -> tuple[Tensor, Tensor]:
    """K_I(x) = E(x)G(z) and K_L(z) = E(y)G(z), each ``(n, d, d)``.

    The d columns of G are carried down the decoder and through the encoder's first layer
    once; only behind that layer do the activation patterns at x and at y part.
    """
    n, d = trip.z.shape
    columns = torch.eye(d, dtype=trip.z.dtype, device=trip.z.device).expand(n, d, d)
    shared = _carry(net, trip, trip.at_x, columns, 0, 4)  # (n, d, 128): row j is column j of W_1 G
    k_i = _carry(net, trip, trip.at_x, shared, 4, 7)
    k_l = _carry(net, trip, trip.at_y, shared, 4, 7)
    return k_i.transpose(1, 2), k_l.transpose(1, 2)


def _carry(net: Autoencoder, trip: RoundTrip, at: list[Tensor], h: Tensor, start: int, stop: int) -> Tensor:
    """Row vectors ``h (n, m, width)`` along the cycle of layers, from place `start` to place `stop`.

    Place 0 is the latent layer, 1…3 are the decoder's hidden layers, 4…6 the encoder's, 7 is
    the latent layer again, and so on around. Leaving a hidden place drops its inactive units.
    """
    enc = [m.weight for m in net.encoder if isinstance(m, torch.nn.Linear)]
    dec = [m.weight for m in net.decoder if isinstance(m, torch.nn.Linear)]
    patterns = [None, *trip.at_z, *at]
    for place in range(start, stop):
        place %= 7
        if place:
            h = h * patterns[place][:, None]
        if place < 4:
            h = h @ dec[place].T
        if place == 3:
            h = h.mul_(trip.slope[:, None]) @ enc[0].T
        if place > 3:
            h = h @ enc[place - 3].T
    return h


def rank(trip: RoundTrip, at: list[Tensor]) -> Tensor:
    """r = min(d, active units in each of the six hidden layers on the path), ``(n,)`` int64.

    An upper bound of rank K that generic weights attain. `at` is ``trip.at_x`` for K_I and
    ``trip.at_y`` for K_L.
    """
    counts = [m.sum(1) for m in (*trip.at_z, *at)]
    return torch.stack(counts).amin(0).clamp_max(trip.z.shape[1])


def reduced(net: Autoencoder, trip: RoundTrip, at: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """The cyclic chain cut at its narrowest hidden layer.

    K is a product around a cycle of layers. Cut at a layer with r active units, the same
    product is an r×r matrix on those units, and carries the nonzero spectrum.

    Yields
    ------
    rows : Tensor, shape (m,)
        The points whose narrowest layer is the same one, of w units.
    cut : Tensor, shape (m, w, w)
        The r×r block with unit rows for the inactive units: its determinant is the block's.
    """
    patterns = [*trip.at_z, *at]
    narrowest = torch.stack([m.sum(1) for m in patterns]).argmin(0)
    for p in narrowest.unique().tolist():
        rows = (narrowest == p).nonzero().squeeze(1)
        mask = torch.diag_embed(patterns[p][rows].to(trip.z.dtype))
        chain = _carry(net, trip.take(rows), [m[rows] for m in at], mask, p + 1, p + 8)
        yield rows, chain + torch.eye(mask.shape[1], dtype=mask.dtype, device=mask.device) - mask


def reference(net: Autoencoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """J_I(x) ``(n, 784, 784)`` and J_L(z) ``(n, d, d)`` by automatic differentiation: slow, for comparison."""
    j_i = torch.func.vmap(torch.func.jacrev(lambda v: net.decoder(net.encoder(v))))(x)
    j_l = torch.func.vmap(torch.func.jacrev(lambda v: net.encoder(net.decoder(v))))(net.encoder(x))
    return j_i, j_l
