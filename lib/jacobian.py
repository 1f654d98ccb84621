"""Jacobians of the round trip as d×d matrices, from the chain rule written out.

With E(x) = D f_enc(x) (d×784), G(z) = D f_dec(z) (784×d), z = f_enc(x), y = f_dec(z):

    J_I(x) = G(z) E(x)   784×784, rank ≤ d, whose nonzero eigenvalues are those of
    K_I(x) = E(x) G(z)   d×d, because XY and YX share their nonzero spectrum, and
    K_L(z) = E(y) G(z)   d×d, the paper's J_L.

No 784×784 matrix is formed outside `reference`, which tests and benchmarks call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .model import Autoencoder

__all__ = [
    "RoundTrip", "round_trip", "at_codes", "matrices", "weights", "rank", "reduced", "reference",
    "derivative", "sech2",
]  # fmt: skip

#: Columns carried at once. 784 numbers each, about 12 MB: they stay in the last-level cache.
COLUMNS = 1920


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

    def take(self, rows: Tensor | slice) -> RoundTrip:
        """The same for the points `rows` alone."""
        return RoundTrip(
            *(v[rows] if isinstance(v, Tensor) else [m[rows] for m in v] for v in vars(self).values())
        )


def sech2(a: Tensor) -> Tensor:
    """1 − tanh²(a) = 4e^{−2|a|}/(1 + e^{−2|a|})²: no overflow and no cancellation for large |a|.

    >>> float(sech2(torch.tensor(300.0, dtype=torch.float64))) > 0
    True
    """
    t = a.abs().mul_(-2).exp_()
    return (1 + t).square_().reciprocal_().mul_(t).mul_(4)


def round_trip(net: Autoencoder, x: Tensor) -> RoundTrip:
    """Values, slopes and activation patterns of ``x (n, 784)``, in the dtype of `net`."""
    z, at_x = _through(net.encoder, x)
    return replace(at_codes(net, z), at_x=at_x)


def at_codes(net: Autoencoder, z: Tensor) -> RoundTrip:
    """The trip that begins at codes ``z (n, d)`` with the decoder; with no x, K_L stands for K_I too."""
    a, at_z = _through(net.decoder, z)  # the last pre-activation, (n, 784)
    slope = sech2(a)
    y = a.tanh_()
    _, at_y = _through(net.encoder, y)
    return RoundTrip(z, y, slope, at_y, at_z, at_y)


def _through(half: torch.nn.Sequential, h: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The last affine output of one half, and the active units before it."""
    patterns = []
    layers = [m for m in half if isinstance(m, torch.nn.Linear)]
    for layer in layers[:-1]:
        a = layer(h)
        patterns.append(a > 0)
        h = a.relu_()
    return layers[-1](h), patterns


def matrices(net: Autoencoder, trip: RoundTrip) -> tuple[Tensor, Tensor]:
    """K_I(x) = E(x)G(z) and K_L(z) = E(y)G(z), each ``(n, d, d)``.

    K is a product around a cycle of layers, latent → decoder → image → encoder → latent.
    The d columns of the identity are carried around it. K_I and K_L part only behind the
    encoder's first layer, where the activation patterns at x and at y begin to differ; what
    comes before is nearly all of the work and is done once. Some points go at a time, so that
    what is carried stays in the cache, and units that none of them activates are left out.
    """
    n, d = trip.z.shape
    enc, dec = weights(net.encoder), weights(net.decoder)
    dec[-1] = dec[-1].T.contiguous().T  # its columns are what is picked from it
    k = trip.z.new_empty(2, n, d, d)
    step = max(1, round(COLUMNS / d / 24)) * 24  # matrix products like a multiple of 24 columns
    for start in range(0, n, step):
        part = trip.take(slice(start, start + step))
        live_z = [_live(m) for m in part.at_z]
        live_xy = [_live(x | y) for x, y in zip(part.at_x, part.at_y)]
        into, outof = _restrict(dec, live_z), _restrict(enc, live_xy)

        h = into[0][:, :, None]  # the columns of the identity, one layer on
        for w, m, live in zip(into[1:], part.at_z, live_z):
            h = _apply(w, h * _slopes(m, live, h))
        h = _apply(outof[0], h.mul_(part.slope.T.contiguous()[:, None]))  # (live units, d, points): W₁G
        for at, out in zip((part.at_x, part.at_y), k):
            g = h
            for w, m, live in zip(outof[1:], at, live_xy):
                g = _apply(w, g * _slopes(m, live, h))
            out[start : start + step] = g.permute(2, 0, 1)
    return k[0], k[1]


def weights(half: torch.nn.Sequential) -> list[Tensor]:
    """The matrices of one half of an autoencoder, ``(out, in)`` each, in order."""
    return [m.weight for m in half if isinstance(m, torch.nn.Linear)]


def _live(pattern: Tensor) -> Tensor:
    """Indices of the units that at least one point activates."""
    return pattern.any(0).nonzero().squeeze(1)


def _restrict(layers: list[Tensor], live: list[Tensor]) -> list[Tensor]:
    """The layers of one half without the hidden units that are not in `live`."""
    narrowed = [w[units] for w, units in zip(layers, live)] + layers[-1:]
    return narrowed[:1] + [w.T[units].T for w, units in zip(narrowed[1:], live)]


def _slopes(pattern: Tensor, live: Tensor, like: Tensor) -> Tensor:
    """Derivatives of the ReLUs in the units `live`, ``(units, 1, n)``, in the dtype of `like`."""
    return pattern.T[live].to(like)[:, None]


def _apply(w: Tensor, h: Tensor) -> Tensor:
    """``w (out, in)`` applied to columns ``h (in, m, n)``."""
    return (w @ h.flatten(1)).unflatten(1, h.shape[1:])


def rank(trip: RoundTrip, at: list[Tensor]) -> Tensor:
    """r = min(d, active units in each of the six hidden layers on the path), ``(n,)`` int64.

    An upper bound of rank K that generic weights attain. `at` is ``trip.at_x`` for K_I and
    ``trip.at_y`` for K_L.
    """
    counts = [m.sum(1) for m in (*trip.at_z, *at)]
    return torch.stack(counts).amin(0).clamp_max(trip.z.shape[1])


def reduced(net: Autoencoder, trip: RoundTrip, at: list[Tensor], k: Tensor) -> Tensor:
    """K compressed to its r-dimensional range: a matrix with the nonzero spectrum of K, ``(n, d, d)``.

    Cut at its narrowest layer, K = BA with B d×r and A r×d. Where that layer is in the
    encoder let Q be an orthonormal basis of the range of B; the nonzero spectrum of K is
    that of the r×r matrix QᵀKQ. Where it is in the decoder Q is one of the row space of A,
    and the same holds. Either factor is a product of a few small matrices. The r×r matrix
    is bordered by an identity: the determinant is the product of the nonzero eigenvalues.

    Parameters
    ----------
    at, k
        ``trip.at_x`` and K_I, or ``trip.at_y`` and K_L.
    """
    d = k.shape[1]
    down = [(w.T, m) for w, m in zip(weights(net.decoder), trip.at_z)]
    back = [(w, m) for w, m in zip(weights(net.encoder)[::-1], at[::-1])]
    # from the latent layer to each hidden one
    paths = [half[: i + 1] for half in (down, back) for i in range(len(half))]
    narrowest = torch.stack([path[-1][1].sum(1) for path in paths]).argmin(0)
    out = torch.empty_like(k)
    for i in narrowest.unique().tolist():
        rows = (narrowest == i).nonzero().squeeze(1)
        factor = torch.eye(d, dtype=k.dtype, device=k.device)
        for w, m in paths[i]:
            factor = (factor @ w) * m[rows, None].to(k.dtype)  # Aᵀ or B, (n, d, units)
        # the r active units come first; the columns of the others are zero
        pattern = paths[i][-1][1][rows].to(k.dtype)
        active, units = (t[:, :d] for t in pattern.sort(dim=1, descending=True, stable=True))
        q, _ = torch.linalg.qr(factor.gather(2, units[:, None].expand(-1, d, -1)))
        block = q.transpose(1, 2) @ k[rows] @ q
        out[rows] = block * active[:, :, None] * active[:, None, :] + torch.diag_embed(1 - active)
    return out


def reference(net: Autoencoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """J_I(x) ``(n, 784, 784)`` and J_L(z) ``(n, d, d)`` by automatic differentiation: slow, to compare."""
    there = derivative(lambda v: net.decoder(net.encoder(v)), x)
    return there, derivative(lambda v: net.encoder(net.decoder(v)), net.encoder(x))


def derivative(f: Callable[[Tensor], Tensor], x: Tensor, forward: bool = False) -> Tensor:
    """Df at every row of ``x (n, p)``, shape (n, q, p), by automatic differentiation reverse or `forward`."""
    return torch.func.vmap((torch.func.jacfwd if forward else torch.func.jacrev)(f))(x)
