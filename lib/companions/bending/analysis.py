"""How the trained embeddings distort and bend, what dimension they use, and where straight lines lead."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...protocol import Protocol
from ...store import Store
from .. import shown as kept
from . import VERSION, Settings
from .functional import terms
from .geometry import Cap, Ellipses, Rotations, rotation_matrix
from .render import SPACES, draw
from .training import Trained, train

__all__ = [
    "shown", "pair_table", "quality", "references", "principal", "harmonics", "embedded", "colouring",
    "far_pairs", "strips",
    "interpolation", "binned", "medians",
]  # fmt: skip

#: Raise when what `shown` makes of the same networks changes.
SHOWN = 1

#: An encoder with the loss on bending and a decoder after it, and a plain autoencoder.
KINDS = ("bending", "plain")
#: Shares of the way at which interpolations are compared.
STEPS = (0.25, 0.5, 0.75)
#: Distances of pairs that are called far in pictures.
FAR = {"sundial": (1.7, 2.2), "solid": (2.0, 2.6), "ellipse": (2.2, 3.2)}


def pair_table(nets: Mapping[tuple[str, str], Trained], settings: Settings) -> pd.DataFrame:
    """Fresh pairs with d ≤ ε, a row each: manifold, kind, ``quotient`` = ‖φ(y) − φ(x)‖/d,
    ``second`` = ‖8(½(φ(x) + φ(y)) − φ(av))/d²‖."""
    parts = []
    for manifold, space in SPACES.items():
        p, q = space.pairs(settings.held_out, settings.epsilon, torch.Generator().manual_seed(5))
        d = space.distance(p, q)
        images = [draw(manifold, v, settings.pixels) for v in (p, q, space.average(p, q))]
        for kind in KINDS:
            x, y, a = (nets[manifold, kind].codes(i) for i in images)
            stretch, bending = terms(x, y, a, d)
            columns = {"quotient": (y - x).norm(dim=1) / d, "second": bending.sqrt()}
            columns |= {"stretch": stretch, "bending": bending}
            head = {"manifold": manifold, "kind": kind}
            parts.append(pd.DataFrame(head | {name: t.numpy() for name, t in columns.items()}))
    return pd.concat(parts, ignore_index=True)


def quality(nets: Mapping[tuple[str, str], Trained], pairs: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """A row for each autoencoder: both terms, their weighted sum, quantiles of the quotient,
    root mean square pixel error."""
    rows = []
    for net in nets.values():
        part = pairs[(pairs.manifold == net.manifold) & (pairs.kind == net.kind)]
        p = net.space.sample(settings.held_out, torch.Generator().manual_seed(6))
        error = (net.decode(net.encode(p)) - net.image(p)).square().mean().sqrt()
        low, high = part.quotient.quantile([0.05, 0.95])
        rows.append({
            "manifold": net.manifold, "kind": net.kind, "stretch": part.stretch.mean(),
            "bending": part.bending.mean(),
            "sum": part.stretch.mean() + settings.lam * part.bending.mean(), "5%": low, "95%": high,
            "pixel error": float(error),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _flat(p: Tensor, length: Tensor) -> Tensor:
    """Polar coordinates around the centre laid out flat: angle kept, distance from the centre kept."""
    return p / p.norm(dim=1, keepdim=True).clamp_min(1e-300) * length[:, None]


#: Embeddings in closed form to hold the trained ones against: manifold, name, map.
CLOSED_FORMS = (
    ("sundial", "as a piece of the sphere in R³", lambda p: p),
    ("sundial", "laid flat, distances from the zenith kept",
     lambda p: _flat(p[:, :2], Cap().distance(p, torch.tensor([[0.0, 0, 1]]).to(p)))),
    ("solid", "rotation matrices over √2, in R⁹", lambda p: rotation_matrix(p).flatten(1) / math.sqrt(2)),
    ("ellipse", "laid flat, distances from the circle kept",
     lambda p: _flat(p[:, 1:], Ellipses().distance(p, torch.tensor([[1.0, 0, 0]]).to(p)))),
    ("ellipse", "the matrix P, in R³", lambda p: p),
)  # fmt: skip


def references(settings: Settings) -> pd.DataFrame:
    """Both terms for embeddings in closed form, each at its best scale, on the pairs of `pair_table`."""
    rows = []
    for manifold, name, phi in CLOSED_FORMS:
        space = SPACES[manifold]
        p, q = space.pairs(settings.held_out, settings.epsilon, torch.Generator().manual_seed(5))
        d, codes = space.distance(p, q), [phi(v) for v in (p, q, space.average(p, q))]
        square = ((codes[1] - codes[0]).norm(dim=1) / d).square()
        # A s² + B/s² + λ C s⁴⁻² is least at s⁴ = B/(A + λC)
        s = ((1 / square).mean() / (square.mean() + settings.lam * terms(*codes, d)[1].mean())) ** 0.25
        stretch, bending = (t.mean().item() for t in terms(*(s * c for c in codes), d))
        row = {"manifold": manifold, "embedding": name, "stretch": stretch, "bending": bending}
        rows.append(row | {"sum": stretch + settings.lam * bending})
    return pd.DataFrame(rows)


def principal(net: Trained, points: int) -> np.ndarray:
    """Shares of the codes' variance by principal component, falling, ``(d,)``."""
    z = net.encode(net.space.sample(points, torch.Generator().manual_seed(7)))
    s = torch.linalg.svdvals(z - z.mean(0)).square()
    return (s / s.sum()).numpy()


def harmonics(net: Trained, highest: int = 6) -> np.ndarray:
    """Shares of the codes' variation by angular harmonic m = 1 … highest, for the sundial and the ellipses.

    Codes are taken on circles around the centre, at ¼, ½, ¾ and all of the largest radius,
    and the energy of cos mφ and sin mφ in them is summed over circles and latent coordinates.
    """
    space, angles = net.space, 64
    phi = torch.arange(angles, dtype=torch.float64) / angles * 2 * math.pi
    energy = torch.zeros(highest, dtype=torch.float64)
    for share in (0.25, 0.5, 0.75, 1.0):
        if isinstance(space, Ellipses):
            h, rho = math.cosh(share * space.reach), math.sinh(share * space.reach)
            p = torch.stack([torch.full_like(phi, h), rho * phi.cos(), rho * phi.sin()], 1)
        else:
            h, rho = math.cos(share * space.polar), math.sin(share * space.polar)
            p = torch.stack([rho * phi.cos(), rho * phi.sin(), torch.full_like(phi, h)], 1)
        energy += torch.fft.rfft(net.encode(p), dim=0).abs().square().sum(1)[1 : highest + 1]
    return (energy / energy.sum()).numpy()


def colouring(manifold: str, p: Tensor) -> Tensor:
    """A coordinate that neighbours share: distance from the zenith, turn from the first rotation,
    elongation of the ellipse."""
    space = SPACES[manifold]
    centre = {Cap: [0.0, 0, 1], Rotations: [1.0, 0, 0, 0], Ellipses: [1.0, 0, 0]}[type(space)]
    return space.distance(p, torch.tensor([centre], dtype=p.dtype).expand_as(p))


def embedded(net: Trained, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes of random points in three principal components ``(n, 3)``, and `colouring` of each ``(n,)``."""
    p = net.space.sample(points, torch.Generator().manual_seed(7))
    z = net.encode(p)
    z = z - z.mean(0)
    return (z @ torch.linalg.svd(z, full_matrices=False).Vh[:3].T).numpy(), colouring(net.manifold, p).numpy()


def far_pairs(manifold: str, count: int, low: float, high: float, seed: int) -> tuple[Tensor, Tensor]:
    """Pairs of independent uniform points whose distance lies between `low` and `high`."""
    space, generator = SPACES[manifold], torch.Generator().manual_seed(seed)
    found: list[tuple[Tensor, Tensor]] = []
    for _ in range(500):
        p, q = space.sample(count + 8, generator), space.sample(count + 8, generator)
        keep = (space.distance(p, q) >= low) & (space.distance(p, q) <= high)
        found.append((p[keep], q[keep]))
        if sum(len(a) for a, _ in found) >= count:
            break
    else:
        raise ValueError(
            f"far_pairs: no {count} pairs of {manifold} with a distance in [{low}, {high}]; widen the range"
        )
    p, q = (torch.cat(column)[:count] for column in zip(*found))
    return p, q


def strips(nets: Mapping[str, Trained], p: Tensor, q: Tensor, steps: int = 7) -> dict[str, np.ndarray]:
    """Images on the way from one point to another, ``(steps, pixels, pixels)``: the geodesic,
    each network's decoded segment, and the blend of pixels.

    Parameters
    ----------
    nets : row label -> network, of one manifold
    p, q : Tensors, shape (1, m)
    """
    net = next(iter(nets.values()))
    shares = np.linspace(0, 1, steps)
    rows = {"geodesic": [net.image(net.space.geodesic(p, q, t)) for t in shares]}
    for label, one in nets.items():
        a, b = one.encode(p), one.encode(q)
        rows[label] = [one.decode((1 - t) * a + t * b) for t in shares]
    rows["blend of pixels"] = [(1 - t) * net.image(p) + t * net.image(q) for t in shares]
    return {label: torch.cat(row).view(steps, net.pixels, net.pixels).numpy() for label, row in rows.items()}


def interpolation(nets: Mapping[tuple[str, str], Trained], settings: Settings) -> pd.DataFrame:
    """Root mean square pixel error of interpolations against the geodesic's, for independent uniform pairs.

    Columns: manifold, kind (``bending``, ``plain``, ``pixels`` for the blend of the two images),
    ``distance``, ``error`` (over t = ¼, ½, ¾), and ``detour``, the largest distance of the segment from the
    codes of the geodesic, divided by its length.
    """
    parts = []
    for manifold, space in SPACES.items():
        generator = torch.Generator().manual_seed(8)
        half = settings.held_out // 2
        p, q = space.sample(half, generator), space.sample(half, generator)
        near = space.pairs(half, settings.epsilon, generator)
        p, q = torch.cat([p, near[0]]), torch.cat([q, near[1]])
        d = space.distance(p, q)
        truth = [space.geodesic(p, q, t) for t in STEPS]
        images = [draw(manifold, v, settings.pixels) for v in truth]
        first, last = (draw(manifold, v, settings.pixels) for v in (p, q))
        for kind in (*KINDS, "pixels"):
            if kind == "pixels":
                made, detour = [(1 - t) * first + t * last for t in STEPS], torch.full_like(d, torch.nan)
            else:
                net = nets[manifold, kind]
                a, b = net.codes(first), net.codes(last)
                codes = [(1 - t) * a + t * b for t in STEPS]
                made = [net.decode(z) for z in codes]
                off = torch.stack([(net.codes(i) - z).norm(dim=1) for i, z in zip(images, codes)])
                detour = off.amax(0) / (b - a).norm(dim=1)
            error = torch.stack([(m - i).square().mean(1) for m, i in zip(made, images)]).mean(0).sqrt()
            columns = {"distance": d.numpy(), "error": error.numpy(), "detour": detour.numpy()}
            parts.append(pd.DataFrame({"manifold": manifold, "kind": kind} | columns))
    return pd.concat(parts, ignore_index=True)


def binned(table: pd.DataFrame, bins: int = 9) -> pd.DataFrame:
    """Medians and quartiles of ``error`` and ``detour`` by distance, bins with under five pairs left out."""
    rows = []
    for (manifold, kind), part in table.groupby(["manifold", "kind"], sort=False):
        edges = np.linspace(0, part.distance.max(), bins + 1)
        for low, high in zip(edges, edges[1:]):
            inside = part[(part.distance > low) & (part.distance <= high)]
            if len(inside) >= 5:
                row = {"manifold": manifold, "kind": kind, "distance": (low + high) / 2}
                for column in ("error", "detour"):
                    names = (f"{column}_25", column, f"{column}_75")
                    row |= dict(zip(names, inside[column].quantile([0.25, 0.5, 0.75])))
                rows.append(row)
    return pd.DataFrame(rows)


def medians(table: pd.DataFrame, epsilon: float) -> pd.DataFrame:
    """Medians of ``error`` and ``detour`` of `interpolation`, over near pairs (d ≤ ε) and far (d > 2ε)."""
    pairs = {"near": table[table.distance <= epsilon], "far": table[table.distance > 2 * epsilon]}
    found = {name: t.groupby(["manifold", "kind"])[["error", "detour"]].median() for name, t in pairs.items()}
    return pd.concat(found, names=["pairs"]).reset_index()


def shown(
    protocol: Protocol, settings: Settings, store: Store | None = None
) -> dict[str, pd.DataFrame | dict[str, Tensor]]:
    """What the page shows, by name: loaded if stored or published, else taken from the networks.

    ``quality``, ``shares`` (`principal`, a column a network), ``harmonics``
    (of the ellipses' encoder of low bending), ``distance`` and ``medians`` (of `interpolation`), and
    ``points``: of `pair_table`, sorted, ``quotient.<network>`` and ``second.<network>``; `embedded` codes
    with their colour, ``cloud.<network>``; pictures of `strips` with 256 grey values,
    ``way.<manifold>.<near or far>.<row>``, and the distance of the ends, ``ends.<manifold>.<near or far>``.
    """

    @functools.cache
    def nets() -> dict[tuple[str, str], Trained]:
        return train(protocol, settings, store)

    @functools.cache
    def pairs() -> pd.DataFrame:
        return pair_table(nets(), settings)

    @functools.cache
    def ways() -> pd.DataFrame:
        return interpolation(nets(), settings)

    def points() -> dict[str, Tensor]:
        out: dict[str, Tensor] = {}
        for (manifold, kind), net in nets().items():
            part = pairs()[(pairs().manifold == manifold) & (pairs().kind == kind)]
            for name in ("quotient", "second"):
                out[f"{name}.{manifold}.{kind}"] = torch.tensor(np.sort(part[name])).float()
            x, colour = embedded(net, settings.held_out)
            out[f"cloud.{manifold}.{kind}"] = torch.tensor(np.column_stack([x, colour])).float()
        for manifold, space in SPACES.items():
            for name, (low, high) in {"near": (0.5, settings.epsilon), "far": FAR[manifold]}.items():
                ends = far_pairs(manifold, 1, low, high, seed=4)
                out[f"ends.{manifold}.{name}"] = space.distance(*ends)
                rows = strips({kind: nets()[manifold, kind] for kind in KINDS}, *ends, steps=5)
                for row, images in rows.items():
                    grey = torch.tensor(images).clamp(0, 1) * 255
                    out[f"way.{manifold}.{name}.{row}"] = grey.round().byte()
        return out

    def shares() -> pd.DataFrame:
        return pd.DataFrame({" ".join(k): principal(n, settings.held_out) for k, n in nets().items()})

    fields = asdict(settings) | {"version": VERSION, "shown": SHOWN}
    tables = {
        "quality": lambda: quality(nets(), pairs(), settings),
        "shares": shares,
        "harmonics": lambda: pd.DataFrame({"share": harmonics(nets()["ellipse", "bending"])}),
        "distance": lambda: binned(ways()),
        "medians": lambda: medians(ways(), settings.epsilon),
    }
    return kept("bending", fields, tables, store, points=points)
