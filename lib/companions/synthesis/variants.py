"""Training the regularised variants: all strengths and all d of one regulariser in one stacked program.

With the mean over the batch, the 784 pixels of the squared error, and r the round trip:

    denoising     ‖r(x + σξ) − x‖²/784
    contractive   (‖r(x) − x‖² + σ²‖∂r(x)/∂x · v‖²)/784, v ~ N(0, I), whose mean is the squared Frobenius norm
    bending       ‖r(x) − x‖²/784 + w (γ(s) + δ²‖8(½(φ(x) + φ(x′)) − φ(½(x + x′)))/t²‖²)

where φ is the encoder, x′ one of the five nearest images of x, t = ‖x − x′‖, s = ‖φ(x) − φ(x′)‖/t,
γ(s) = s² + s⁻² − 2, and δ² the mean of t². Pixel distance and the pixel midpoint stand in for the
distance and the average on the data manifold, which nobody knows for these images.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ... import data
from ...model import Autoencoder, Ensemble
from ...protocol import Protocol
from ...store import Store
from ...training import batch_order, torch_device
from ..networks import fit
from . import VERSION, Settings

__all__ = ["variants", "stack", "losses", "neighbours", "split"]

#: Nearest images among which x′ is drawn.
NEIGHBOURS = 5


def stack(
    dims: tuple[int, ...], strengths: tuple[float, ...], seed: int, dtype: torch.dtype = torch.float32
) -> Ensemble:
    """One ensemble with every d at every strength, strength by strength,
    all drawn from `seed` as the plain networks are."""
    return Ensemble(
        [Autoencoder(d, torch.Generator().manual_seed(seed)).to(dtype) for _ in strengths for d in dims], seed
    )


def split(joint: Ensemble, dims: tuple[int, ...]) -> list[Ensemble]:
    """The inverse of `stack`: one ensemble for each strength, with its share of the curves."""
    found = []
    for start in range(0, len(joint), len(dims)):
        rows = range(start, start + len(dims))
        curves = {name: c[:, rows.start : rows.stop] for name, c in joint.curves.items()}
        found.append(Ensemble([joint.network(i) for i in rows], joint.seed, curves))
    return found


def losses(
    joint: Ensemble,
    regulariser: str,
    strength: Tensor,
    x: Tensor,
    draw: Tensor,
    other: Tensor | None = None,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Mean squared pixel error and penalty of every network on one batch, each ``(k,)``.

    Parameters
    ----------
    strength : Tensor, shape (k, 1, 1)
    x, draw : Tensor, shape (b, 784); `draw` is standard normal
    other : Tensor, shape (b, 784), a neighbour of each image, for ``bending``
    scale : δ², for ``bending``
    """
    zero, code = x.new_zeros(len(joint)), joint.waist + 1
    if regulariser == "denoising":
        return (joint(x + strength * draw) - x).square().mean((1, 2)), zero
    if regulariser == "contractive":
        y, t = joint.push(x, draw[:, None].expand(len(joint), -1, -1, -1))
        return (y - x).square().mean((1, 2)), (strength * t[:, :, 0]).square().mean((1, 2))
    z = joint(torch.cat([x, other, (x + other) / 2]), stop=code)
    y = joint(z[:, : len(x)], start=code)
    a, b, middle = z.chunk(3, 1)
    gap = (x - other).square().sum(1)  # t², (b,)
    s2 = (a - b).square().sum(2) / gap
    bend = ((a + b) / 2 - middle).square().sum(2) * 64 / gap**2
    penalty = s2 + 1 / (s2 + 1e-6) - 2 + scale * bend
    return (y - x).square().mean((1, 2)), strength[:, 0, 0] * penalty.mean(1)


def neighbours(x: Tensor, count: int = NEIGHBOURS) -> Tensor:
    """Indices of the `count` nearest other rows of ``x (n, 784)``, nearest first, ``(n, count)``."""
    out = []
    for i, block in enumerate(x.split(1_000)):
        distance = torch.cdist(block, x)
        rows = torch.arange(len(block), device=x.device)
        distance[rows, i * 1_000 + rows] = torch.inf
        out.append(distance.topk(count, largest=False).indices)
    return torch.cat(out)


def variants(
    protocol: Protocol, settings: Settings, regulariser: str, store: Store | None = None
) -> dict[float, list[Ensemble]]:
    """The trained variants of one regulariser: strength → an ensemble for each seed.

    Batches, their order and the initial weights are those of the plain networks of the same
    seed; optimiser, rate and batch size are the protocol's.
    """
    strengths = settings.strengths(regulariser)
    out: dict[float, list[Ensemble]] = {s: [] for s in strengths}
    for seed in settings.seeds:
        compute = lambda: _train(protocol, settings, regulariser, seed)
        fields = _fields(protocol, settings, regulariser, seed)
        stored = (store or Store()).tensors("variants", fields, compute)
        for j, s in enumerate(strengths):
            own = {n.partition("/")[2]: t for n, t in sorted(stored.items()) if n.startswith(f"{j}/")}
            out[s].append(Ensemble.from_tensors(own, seed))
    return out


def _fields(protocol: Protocol, settings: Settings, regulariser: str, seed: int) -> dict[str, Any]:
    fields = {"regulariser": regulariser, "strengths": settings.strengths(regulariser), "seed": seed}
    fields |= settings.only("dims", "epochs")
    fields |= {name: getattr(protocol, name) for name in ("batch_size", "learning_rate")}
    return fields | {"images": data.digest(protocol.training_set), "version": VERSION}


def _train(protocol: Protocol, settings: Settings, regulariser: str, seed: int) -> dict[str, Tensor]:
    images, device = data.load(protocol.training_set), torch_device()
    x, held_out = (t.to(device, torch.float32) for t in (images.train, images.test))
    strengths = settings.strengths(regulariser)
    joint = stack(settings.dims, strengths, seed)
    joint.bind(joint.theta.to(device))
    strength = torch.tensor(strengths, device=device).repeat_interleave(len(settings.dims))[:, None, None]
    generator = torch.Generator().manual_seed(seed)
    near, scale = None, 1.0
    if regulariser == "bending":
        near = neighbours(x)
        taken = near if len(x) < 5_000 else near[:, 2:3]
        scale = (x[:, None] - x[taken]).square().sum(2).mean().item()
    curves: dict[str, list[Tensor]] = {"train": [], "test": []}
    batches = -(-len(x) // protocol.batch_size)
    error = torch.zeros(len(joint), device=device)

    def loss(step: int) -> Tensor:
        epoch, i = divmod(step - 1, batches)
        if i == 0:
            order[:] = batch_order(seed, epoch, len(x)).to(device).split(protocol.batch_size)
            error.zero_()
        batch = x[order[i]]
        draw, other = torch.randn(batch.shape, generator=generator).to(device), None
        if near is not None:
            pick = torch.randint(NEIGHBOURS, (len(batch),), generator=generator).to(device)
            other = x[near[order[i], pick]]
        mse, penalty = losses(joint, regulariser, strength, batch, draw, other, scale)
        error.add_(mse.detach() * len(batch))
        return (mse + penalty).sum()

    def after(step: int) -> None:
        if step % batches == 0:
            blocks = [(joint(b) - b).square().mean(2).sum(1) for b in held_out.split(1_000)]
            curves["train"].append((error / len(x)).double().cpu())
            curves["test"].append((sum(blocks) / len(held_out)).double().cpu())

    order: list[Tensor] = []
    how = {"fall": 1.0, "threads": None, "label": f"{regulariser}, {len(joint)} networks, seed {seed}"}
    fit([joint], loss, settings.epochs * batches, protocol.learning_rate, after=after, **how)
    joint.bind(joint.theta.cpu())
    joint.curves = {name: torch.stack(rows) for name, rows in curves.items()}
    parts = enumerate(split(joint, settings.dims))
    return {f"{j}/{name}": t for j, e in parts for name, t in e.tensors().items()}
