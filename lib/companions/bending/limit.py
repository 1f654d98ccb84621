"""The limit of small ε seen in minimisers: encoders of points trained at several ε and λ,
their functionals and their shapes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pandas as pd
import torch
from torch import Tensor

from ...protocol import Protocol
from ...store import Store
from ..networks import Stack, fit
from . import VERSION, Settings
from .functional import terms
from .render import SPACES
from .training import unit_scale

__all__ = ["EPSILONS", "LAMBDAS", "NAMES", "apart", "steps", "minimisers"]

#: Largest distances of a training pair, weights of the bending term,
#: manifolds (each a surface of points in R³), number of seeds.
EPSILONS, LAMBDAS, NAMES, SEEDS = (0.1, 0.2, 0.4, 0.8), (0.1, 1.0), ("sundial", "ellipse"), 3
#: Layers of an encoder; the ε whose functional stands for the limit; points at which shapes are compared.
LAYERS, NEAR, POINTS = (3, 32, 32, 4), 0.02, 400


def apart(a: Tensor, b: Tensor) -> float:
    """Root mean square distance of two shapes ``(n, d)`` after the best rigid motion,
    over the root mean square size of `b`.

    min over orthogonal Q and shifts of √(Σ‖Q a_i + c − b_i‖²/Σ‖b_i − b̄‖²).

    >>> square = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    >>> round(apart(square.flip(1) + 3, square), 6), round(apart(2 * square, square), 6)
    (0.0, 1.0)
    """
    a, b = a - a.mean(0), b - b.mean(0)
    u, _, v = torch.linalg.svd(a.T @ b)
    return float((a @ u @ v - b).norm() / b.norm())


def steps(settings: Settings) -> int:
    """Of the optimiser: a third of the chapter's and at most 1,000, for time alone,
    fixed before any result at full size."""
    return max(1, min(1_000, settings.encoder_steps // 3))


def minimisers(protocol: Protocol, settings: Settings, store: Store | None = None) -> pd.DataFrame:
    """What the functional at ε, and its limit, are at encoders trained at ε, a row an encoder;
    the protocol plays no part.

    Encoders map points of the manifold, not images of them: the functional is one of maps of the manifold,
    and needs no picture. All work is in float64. Columns ``manifold, epsilon, lam, seed``; ``own``,
    stretch + λ·bending on fresh pairs with d ≤ ε, and its parts ``stretch`` and ``bending``; ``limit``, the
    same on pairs with d ≤ `NEAR`; ``reference`` and ``seeds``, how far `apart` the codes of fixed points are
    from the reference, which is the encoder of least ``limit`` among those of the smallest ε and this λ, and
    from those of the other seeds (mean).
    """

    def compute() -> pd.DataFrame:
        members = list(itertools.product(NAMES, EPSILONS, LAMBDAS, range(SEEDS)))
        encoder = _trained(settings, members)
        shapes, rows = [], []
        with torch.no_grad():
            for i, (name, epsilon, lam, seed) in enumerate(members):
                space, phi = SPACES[name], encoder.member(i)
                row = {"manifold": name, "epsilon": epsilon, "lam": lam, "seed": seed}
                for column, near in (("own", epsilon), ("limit", NEAR)):
                    p, q = space.pairs(settings.held_out, near, torch.Generator().manual_seed(5))
                    codes = (phi(v)[0] for v in (p, q, space.average(p, q)))
                    stretch, bending = (t.mean().item() for t in terms(*codes, space.distance(p, q)))
                    row[column] = stretch + lam * bending
                    if column == "own":
                        row |= {"stretch": stretch, "bending": bending}
                shapes.append(phi(space.sample(POINTS, torch.Generator().manual_seed(7)))[0])
                rows.append(row)
        table = pd.DataFrame(rows)
        for _, part in table.groupby(["manifold", "lam"]):
            first = part[part.epsilon == min(EPSILONS)]
            best = shapes[first.limit.idxmin()]
            table.loc[part.index, "reference"] = [apart(shapes[i], best) for i in part.index]
            for _, same in part.groupby("epsilon"):
                gaps = [[apart(shapes[i], shapes[j]) for j in same.index if j != i] for i in same.index]
                table.loc[same.index, "seeds"] = [sum(g) / len(g) for g in gaps]
        return table

    fields = {"experiment": "limit", "version": VERSION, "layers": LAYERS, "names": NAMES, "seeds": SEEDS}
    fields |= {"epsilons": EPSILONS, "lambdas": LAMBDAS, "near": NEAR, "points": POINTS}
    fields |= {"steps": steps(settings)} | settings.only("pool", "pairs", "held_out")
    return (store or Store()).table("bending", fields, compute, "companions/bending-limit")


def _trained(settings: Settings, members: list[tuple[str, float, float, int]]) -> Stack:
    """Encoders for ``(manifold, ε, λ, seed)``, each on batches of its own manifold's pairs at its ε;
    `steps` of the optimiser."""
    encoder = Stack([LAYERS] * len(members), [seed for *_, seed in members], dtype=torch.float64)
    cases = list(itertools.product(NAMES, EPSILONS))
    which = torch.tensor([cases.index((name, epsilon)) for name, epsilon, *_ in members])
    weights = torch.tensor([lam for *_, lam, _ in members], dtype=torch.float64)
    parts = list(_pools(settings, cases))
    points, distances = (torch.stack(column) for column in zip(*parts))
    generator = torch.Generator().manual_seed(11)

    def batch() -> tuple[Tensor, Tensor]:
        rows = torch.randint(settings.pool, (2 * settings.pairs,), generator=generator)
        return points[:, rows].transpose(1, 2).flatten(1, 2)[which], distances[:, rows][which]

    def loss(_: int) -> Tensor:
        x, distance = batch()
        stretch, bending = (t.mean(1) for t in terms(*encoder(x).chunk(3, 1), distance))
        return (stretch + weights * bending).sum()

    unit_scale(encoder, *batch())
    fit([encoder], loss, steps(settings), rate=5e-3, fall=1_000, label="encoders of points")
    return encoder


def _pools(settings: Settings, cases: list[tuple[str, float]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Points ``(pool, 3, 3)``, a pair and its average, and distances ``(pool,)`` of each manifold and ε."""
    for name, epsilon in cases:
        space = SPACES[name]
        p, q = space.pairs(settings.pool, epsilon, torch.Generator().manual_seed(13))
        yield torch.stack([p, q, space.average(p, q)], 1), space.distance(p, q)
