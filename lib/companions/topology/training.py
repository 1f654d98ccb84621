"""The chapter's autoencoders: every manifold, latent dimension, width and seed in a few stacked programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...protocol import Protocol
from ...store import Store
from ..networks import Stack, fit
from . import VERSION, Settings
from .manifolds import MANIFOLDS, Manifold, isometry

__all__ = ["Trained", "train", "group", "snapshot_steps", "placement"]


@dataclass(frozen=True)
class Trained:
    """One network at one time of its training, in float64.

    Attributes
    ----------
    manifold : key in `MANIFOLDS`
    d, width, seed, step : latent dimension, hidden width, seed, optimiser steps done
    encoder, decoder : stacks of one member, R^n → R^d → R^n
    place : Tensor, shape (n, m), the isometry into the ambient space
    """

    manifold: str
    d: int
    width: int
    seed: int
    step: int
    encoder: Stack
    decoder: Stack
    place: Tensor

    @property
    def space(self) -> Manifold:
        return MANIFOLDS[self.manifold]

    def points(self, q: Tensor) -> Tensor:
        """Intrinsic coordinates to points of the ambient space, ``(b, n)``."""
        return self.space.points(q) @ self.place.T

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)[0]

    def error(self, q: Tensor) -> Tensor:
        """‖f_dec(f_enc(x)) − x‖ at the points with coordinates q, ``(b,)``."""
        x = self.points(q)
        return (self.decode(self.encode(x)) - x).norm(dim=1)

    def matrices(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """K_I(x) = E(x) G(z) and K_L(z) = E(y) G(z), each ``(b, d, d)``."""
        z, at_x = self.encoder.jacobian(self.points(q))
        y, g = self.decoder.jacobian(z)
        _, at_y = self.encoder.jacobian(y)
        return (at_x @ g)[0], (at_y @ g)[0]


def placement(space: Manifold, ambient: int) -> Tensor:
    """The isometry that a manifold is placed with, ``(ambient, m)``: one for each manifold,
    the same for every network."""
    return isometry(space.m, ambient, torch.Generator().manual_seed(sum(space.name.encode())))


def snapshot_steps(settings: Settings) -> list[int]:
    """Training times that are kept, even in their logarithm from about 20 steps on, the last included."""
    first = min(20, settings.steps)
    return sorted({int(round(s)) for s in np.geomspace(first, settings.steps, settings.snapshots)})


def _groups(settings: Settings) -> dict[int, list[tuple[str, int]]]:
    """Hidden width -> the (manifold, d) trained with it, for every seed."""
    every = [(name, space.dim + more) for name, space in MANIFOLDS.items() for more in (0, 1)]
    return {settings.width: every} | {w: [("circle", 1)] for w in settings.widths if w != settings.width}


def train(protocol: Protocol, settings: Settings, store: Store | None = None) -> list[Trained]:
    """Every network of the chapter after its training, and those of the circle at every kept step:
    loaded if stored, else trained. The protocol plays no part."""
    return [
        net
        for width, nets in _groups(settings).items()
        for net in group(settings, width, nets, store, f"companions/topology-width-{width}")
    ]


def group(
    settings: Settings, width: int, nets: list[tuple[str, int]], store: Store | None, name: str | None = None
) -> Iterator[Trained]:
    """Networks of one width for every (manifold, d) of `nets` and every seed: loaded if stored,
    or published under `name`, else trained."""
    members = [(name, d, seed) for name, d in nets for seed in settings.seeds]
    n = settings.ambient
    sizes = [(n, width, width, d) for _, d, _ in members]
    encoder = Stack(sizes, [2 * seed for _, _, seed in members])
    decoder = Stack([s[::-1] for s in sizes], [2 * seed + 1 for _, _, seed in members])
    followed = [i for i, member in enumerate(members) if member[:2] == ("circle", 1)]
    early = snapshot_steps(settings)[:-1] if followed and width == settings.width else []
    kept = dict.fromkeys(early, followed) | {settings.steps: list(range(len(members)))}
    fields = settings.only("ambient", "seeds", "steps", "batch", "rate") | {"width": width, "nets": nets}
    fields |= {"kept": {str(step): rows for step, rows in kept.items()}, "version": VERSION}
    compute = lambda: _train(settings, members, encoder, decoder, kept, f"autoencoders of width {width}")
    tensors = (store or Store()).tensors("topology", fields, compute, name)
    for step, rows in kept.items():
        stacks = [
            s.load(tensors, f"{step}.{half}.", rows).to(torch.float64)
            for s, half in ((encoder, "encoder"), (decoder, "decoder"))
        ]
        for i, (manifold, d, seed) in enumerate(members[row] for row in rows):
            halves = (stack.member(i) for stack in stacks)
            yield Trained(manifold, d, width, seed, step, *halves, placement(MANIFOLDS[manifold], n))


def _train(
    settings: Settings, members: list, encoder: Stack, decoder: Stack, keep: dict[int, list[int]], label: str
) -> dict[str, Tensor]:
    """Mean squared distance on fresh points; every network on the same manifold sees the same points.
    Kept are the members in ``keep[step]``."""
    names = list(dict.fromkeys(name for name, _, _ in members))
    which = torch.tensor([names.index(name) for name, _, _ in members])
    places = {name: placement(MANIFOLDS[name], settings.ambient).float() for name in names}
    generator = torch.Generator().manual_seed(1)
    kept: dict[str, Tensor] = {}

    def loss(_: int) -> Tensor:
        spaces = {n: MANIFOLDS[n] for n in names}
        drawn = {n: s.points(s.sample(settings.batch, generator)) for n, s in spaces.items()}
        x = torch.stack([x.float() @ places[n].T for n, x in drawn.items()])[which]  # (k, b, ambient)
        return (decoder(encoder(x)) - x).square().sum(2).mean(1).sum()

    def after(step: int) -> None:
        if step in keep:
            for half, stack in (("encoder", encoder), ("decoder", decoder)):
                kept.update(stack.tensors(f"{step}.{half}.", keep[step]))

    threads = 1 if settings.batch <= 256 else None
    fit([encoder, decoder], loss, settings.steps, settings.rate, after=after, label=label, threads=threads)
    return kept
