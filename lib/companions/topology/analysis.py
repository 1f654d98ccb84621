"""What networks do on their manifolds: errors and their measure, antipodal pairs, spectra along curves."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
import torch
from scipy.optimize import brentq, root
from torch import Tensor

from ...protocol import Protocol
from ...spectrum import eigenvalues
from ...store import Store
from .. import shown as kept
from . import VERSION, Settings
from .manifolds import MANIFOLDS, LinkedCircles, Manifold, Sphere
from .training import Trained, train

#: Raise when what `shown` makes of the same networks changes.
SHOWN = 1

__all__ = [
    "shown", "select", "first", "cloud", "errors", "by_width_and_step", "survival", "antipodal_circle",
    "antipodal_sphere", "exhibits", "exhibit_table", "along", "thinned", "cut", "cut_bounds", "around_cut",
    "spectra", "at_cuts", "nearest_codes",
]  # fmt: skip

Encoder = Callable[[Tensor], Tensor]


def select(nets: Iterable[Trained], **fields) -> list[Trained]:
    """The networks whose attributes have the given values."""
    return [net for net in nets if all(getattr(net, name) == value for name, value in fields.items())]


def first(nets: Iterable[Trained], settings: Settings) -> dict[str, Trained]:
    """For each manifold the network that examples are taken from: trained to the end, d = k,
    the main width, the first seed."""
    own = {"width": settings.width, "seed": settings.seeds[0], "step": settings.steps}
    return {name: select(nets, manifold=name, d=s.dim, **own)[0] for name, s in MANIFOLDS.items()}


def cloud(space: Manifold, points: int) -> tuple[Tensor, np.ndarray]:
    """Coordinates ``(n, cube)`` that cover a manifold evenly for a picture, and its points in space:
    curves ``(n, 3)``, surfaces ``(a, b, 3)``."""
    if space.dim == 1:
        q, shape = space.grid(points), (points // space.cube * space.cube,)
    else:
        b = 2 * math.isqrt(points)
        u = torch.linspace(0, 1, b, dtype=torch.float64)
        heights = -(math.pi * torch.linspace(0, 1, b // 2, dtype=torch.float64)).cos()
        first = heights if isinstance(space, Sphere) else u * 2 * math.pi
        q, shape = torch.cartesian_prod(first, u * 2 * math.pi), (len(first), b)
    x = space.points(q)
    return q, torch.nn.functional.pad(x, (0, 3 - x.shape[1])).view(*shape, 3).numpy()


#: Errors at which the share of the measure beyond is kept: of the networks for the circle,
#: and of all of one width.
DELTAS = {
    name: np.array([float(f"{d:.4g}") for d in np.geomspace(*ends)])
    for name, ends in {"circle": (3e-3, 2.2, 200), "dimensions": (3e-4, 2.4, 250)}.items()
}


def errors(nets: Iterable[Trained], points: int, deltas: np.ndarray, limit: float = 0.1) -> pd.DataFrame:
    """Reconstruction errors on a grid of equal measures, a row for each network: their mean, the largest,
    the share above `limit`, and in the columns named by `deltas` the share above each."""
    rows = []
    for net in nets:
        e = net.error(net.space.grid(points)).sort().values.numpy()
        row = {k: getattr(net, k) for k in ("manifold", "d", "width", "seed", "step")}
        row |= {"mean": e.mean(), "share": float(survival(e, np.array(limit))), "largest": e[-1]}
        rows.append(row | {f"{d:g}": s for d, s in zip(deltas, survival(e, deltas))})
    return pd.DataFrame(rows)


def by_width_and_step(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of `errors` for the circle by ``width`` after the whole training,
    and by ``step`` at the width that is followed."""
    followed = table.width[table.step < table.step.max()].unique()
    return {"width": table[table.step == table.step.max()], "step": table[table.width.isin(followed)]}


def survival(sorted_errors: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """Share of the measure where the error exceeds δ, from sorted errors.

    >>> survival(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.5, 2.0]))
    array([0.75, 0.25])
    """
    return 1 - np.searchsorted(sorted_errors, delta, side="right") / len(sorted_errors)


def antipodal_circle(code: Encoder, points: Callable[[Tensor], Tensor], grid: int = 512) -> np.ndarray:
    """Every angle θ in [0, π) that a grid separates with f(x(θ)) = f(x(θ + π)), for f into R.

    g(θ) = f(x(θ)) − f(x(θ + π)) has g(π) = −g(0), so there is at least one root. Each change
    of sign between neighbours on the grid is followed to machine precision by bracketing.

    Parameters
    ----------
    code : points ``(b, n) -> (b, 1)``, float64
    points : angles ``(b,) -> (b, n)``, float64
    """

    def gap(theta: float | np.ndarray) -> np.ndarray:
        t = torch.as_tensor(np.atleast_1d(theta), dtype=torch.float64)
        return (code(points(t)) - code(points(t + math.pi)))[:, 0].numpy()

    theta = np.linspace(0, math.pi, grid + 1)
    g = gap(theta)
    g[-1] = -g[0]  # true by symmetry, so that rounding cannot hide the change of sign
    if g[0] == 0:
        return np.array([0.0])
    change = np.flatnonzero(np.sign(g[:-1]) != np.sign(g[1:]))
    inside = [i for i in change if i < grid - 1 or gap(theta[-1])[0] * g[-2] < 0]
    found = [brentq(lambda t: gap(t)[0], theta[i], theta[i + 1], xtol=1e-15) for i in inside]
    return np.array(found or [math.pi]) % math.pi


def _enclosed(
    gap: Callable[[Tensor], Tensor], levels: int = 20, samples: int = 128, most: int = 16_384
) -> list[Tensor]:
    """Centres of small triangles on the sphere around which an odd map into R² winds.

    An odd map turns an odd number of times around 0 along the equator, so it winds around one of the four
    faces of the octahedron above it, and around one of the four parts of such a face, and so on: bisection in
    two dimensions. Edges are sampled the more finely the larger the turn between two samples.

    Parameters
    ----------
    gap : unit vectors ``(b, 3) -> (b, 2)``, float64
    """

    def winding(corners: Tensor) -> int:
        n = samples
        while True:
            t = torch.arange(n, dtype=torch.float64)[:, None] / n
            edges = torch.cat([a + t * (b - a) for a, b in zip(corners, corners.roll(-1, 0))])
            w = torch.view_as_complex(gap(torch.nn.functional.normalize(edges, dim=1)).contiguous())
            turn = (w.roll(-1) / w).angle()
            if turn.abs().max() < 2 or n >= most:
                return round(float(turn.sum()) / (2 * math.pi))
            n *= 4

    x, y, z = torch.eye(3, dtype=torch.float64)
    found = []
    for face in (torch.stack([z, a, b]) for a, b in ((x, y), (y, -x), (-x, -y), (-y, x))):
        if not winding(face):
            continue
        for _ in range(levels):
            a, b, c = face
            ab, bc, ca = (torch.nn.functional.normalize(p + q, dim=0) for p, q in ((a, b), (b, c), (c, a)))
            parts = map(torch.stack, ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)))
            smaller = next((part for part in parts if winding(part)), None)
            if smaller is None:
                break
            face = smaller
        else:
            found.append(torch.nn.functional.normalize(face.mean(0), dim=0))
    return found


def antipodal_sphere(
    encoder: Callable[[Tensor], tuple[Tensor, Tensor]], place: Tensor, starts: int = 8, grid: int = 4_000
) -> Tensor:
    """Unit vectors u with f(Qu) = f(−Qu), for f from the sphere into R², as far as they are found.

    Borsuk–Ulam promises one. Newton's method starts from small triangles around which the gap of the codes
    winds, and from the points of a grid where the codes of antipodes are nearest.

    Parameters
    ----------
    encoder : points ``(b, n)`` -> codes ``(b, 2)`` and derivatives ``(b, 2, n)``, float64
    place : the isometry Q, ``(n, 3)``

    Returns
    -------
    Tensor, shape (roots, 3), the residual below 1e-9 in each; raises `ArithmeticError` when none is found.
    """

    def gap(u: Tensor) -> Tensor:
        return encoder(u @ place.T)[0] - encoder(-u @ place.T)[0]

    u = MANIFOLDS["sphere"].points(MANIFOLDS["sphere"].grid(grid))
    picked = _enclosed(gap)
    for v in u[gap(u).norm(dim=1).argsort()]:  # starts that are not neighbours, nor neighbours of antipodes
        if all(abs(float(v @ w)) < 0.95 for w in picked):
            picked.append(v)
        if len(picked) >= starts:
            break

    def system(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        w = torch.from_numpy(v)[None]
        (a, da), (b, db) = encoder(w @ place.T), encoder(-w @ place.T)
        jac = torch.cat([(da + db)[0] @ place, 2 * w])
        return np.r_[(a - b)[0].numpy(), float(w.square().sum()) - 1], jac.numpy()

    found: list[Tensor] = []
    for start in picked:
        answer = root(system, start.numpy(), jac=True, tol=1e-14)
        v = torch.from_numpy(answer.x)
        if np.abs(system(answer.x)[0]).max() < 1e-9 and all(abs(float(v @ w)) < 1 - 1e-9 for w in found):
            found.append(v)
    if not found:
        raise ArithmeticError("no antipodal pair with equal codes was found; try a finer grid or more starts")
    return torch.stack(found)


def exhibits(net: Trained) -> pd.DataFrame:
    """Antipodal pairs that the encoder cannot tell apart, a row each, with the error at both points.

    Columns: component, ``q`` (first coordinate of the first point), ``gap`` = ‖f_enc(x) − f_enc(x')‖,
    ``first``, ``second`` (errors at x and at x'), ``largest``. On the circles and the sphere the two errors
    sum to at least 2 less what a gap above 0 lets the decoder do.
    """
    space = net.space
    if net.d != space.dim or space.bound == 0 or space.name == "torus":
        raise ValueError(
            f"exhibits: expected a circle, linked circles or a sphere with d = {space.dim}, "
            f"got {space.name} with d = {net.d}"
        )
    pairs: list[tuple[str, Tensor, Tensor]] = []
    if isinstance(space, Sphere):
        for v in antipodal_sphere(lambda x: tuple(t[0] for t in net.encoder.jacobian(x)), net.place):
            both = torch.stack([v, -v])
            q = torch.stack([both[:, 2].clamp(-1, 1), torch.atan2(both[:, 1], both[:, 0])], 1)
            pairs.append(("sphere", q[:1], q[1:]))
    else:
        for label, b in (("A", 0.0), ("B", 1.0)) if isinstance(space, LinkedCircles) else (("circle", None),):

            def coords(t: Tensor, b=b) -> Tensor:
                return t[:, None] if b is None else torch.stack([t, torch.full_like(t, b)], 1)

            for theta in antipodal_circle(net.encode, lambda t: net.points(coords(t))):
                t = torch.tensor([theta], dtype=torch.float64)
                pairs.append((label, coords(t), coords(t + math.pi)))
    rows = []
    for label, p, q in pairs:
        gap = (net.encode(net.points(p)) - net.encode(net.points(q))).norm()
        first, second = net.error(p)[0], net.error(q)[0]
        rows.append({
            "manifold": net.manifold, "width": net.width, "seed": net.seed, "component": label,
            "q": float(p[0, 0]),
            "gap": float(gap), "first": float(first), "second": float(second),
            "largest": float(max(first, second)),
        })  # fmt: skip
    return pd.DataFrame(rows)


def exhibit_table(nets: Sequence[Trained]) -> pd.DataFrame:
    """For every network the pair of `exhibits` with the largest error,
    and the least ``largest`` that any network got away with last."""
    pairs = pd.concat([exhibits(net) for net in nets], ignore_index=True)
    best = pairs.loc[pairs.groupby(["manifold", "width", "seed", "component"]).largest.idxmax()]
    return best.sort_values("largest", ascending=False).reset_index(drop=True)


def along(net: Trained, points: int = 20_000, component: float = 0.0, start: float = 0.0) -> pd.DataFrame:
    """One network with d = 1 along its curve.

    Columns: ``q`` (arc length), ``code``, ``error``, ``speed`` = ‖Dy·t‖, ``tangential`` = ⟨Dy·t,
    t⟩ with the unit tangent t, and the two 1×1 matrices ``k_i`` and ``k_l``.
    """
    span = getattr(net.space, "span", 2 * math.pi)
    q = start + (torch.arange(points, dtype=torch.float64) + 0.5) / points * span
    q = torch.stack([q, torch.full_like(q, component)], 1)[:, : net.space.cube]
    tangent = net.space.tangent(q) @ net.place.T  # (b, n)
    z, e = net.encoder.jacobian(net.points(q))
    y, g = net.decoder.jacobian(z)
    step = (g[0] @ (e[0] @ tangent[:, :, None]))[:, :, 0]
    k_i, k_l = net.matrices(q)
    columns = {
        "q": q[:, 0], "code": z[0, :, 0], "error": (y[0] - net.points(q)).norm(dim=1),
        "speed": step.norm(dim=1),
        "tangential": (step * tangent).sum(1), "k_i": k_i[:, 0, 0], "k_l": k_l[:, 0, 0],
    }  # fmt: skip
    return pd.DataFrame({name: t.numpy() for name, t in columns.items()})


def cut(net: Trained, epsilon: float, points: int = 20_000) -> tuple[float, float, float]:
    """The smallest arc of the circle outside of which the error is at most ε: (its middle, its length w,
    the least largest error).

    The last is 2 cos(w'/4) − ε with w' = max(w, 2 arcsin ε),
    or the general bound 1 where that is more or w' > 2π/3.
    """
    q = net.space.grid(points)
    bad = q[net.error(q) > epsilon, 0].numpy()
    if not len(bad):
        return math.nan, 0.0, 1.0
    gaps = np.diff(np.r_[bad, bad[0] + 2 * math.pi])
    i = int(gaps.argmax())
    w = 2 * math.pi - gaps[i] + 2 * math.pi / points
    start = bad[(i + 1) % len(bad)]
    wide = max(w, 2 * math.asin(min(epsilon, 1)))  # the proposition takes any arc that holds the bad points
    least = 2 * math.cos(wide / 4) - epsilon if wide <= 2 * math.pi / 3 else 1.0
    return (start + w / 2 - math.pi / points) % (2 * math.pi), w, max(least, 1.0)


def around_cut(net: Trained) -> pd.DataFrame:
    """`along` the whole circle, and in a second ``part``, `close`, finely within two widths of its cut.

    There ``q`` is the distance from the cut's middle, that of the smallest arc with all errors above 0.3.
    """
    middle, width, _ = cut(net, 0.3)
    close = along(net, 40_000, start=middle - math.pi)
    close["q"] -= middle
    parts = {"whole": along(net), "close": close[close.q.abs() < 2 * width]}
    drawn = {part: thinned(line, ["k_i", "k_l"]) for part, line in parts.items()}
    return pd.concat(drawn, names=["part"]).reset_index("part").reset_index(drop=True)


def thinned(line: pd.DataFrame, columns: Sequence[str], points: int = 2_000) -> pd.DataFrame:
    """The rows of a finely sampled line that its picture needs, to seven digits.

    They are evenly spaced along the way that ``q`` and the `columns` go in the picture,
    where each has its whole range for a height; large values are drawn logarithmically.
    """
    drawn = [np.arcsinh(line[c].to_numpy()) for c in columns] + [line.q.to_numpy()]
    way = np.concatenate([[0], sum(np.abs(np.diff(v)) / max(np.ptp(v), 1e-12) for v in drawn).cumsum()])
    rows = np.unique(np.searchsorted(way, np.linspace(0, way[-1], points)).clip(max=len(line) - 1))
    return line.iloc[rows].map(lambda v: float(f"{v:.7g}"))


def spectra(net: Trained, points: int) -> pd.DataFrame:
    """Error, orientation and spectra of K_I and K_L at points of equal measure.

    Columns: ``error``, ``reversed`` (det K_I < 0), ``mean_i`` and ``mean_l`` (mean |λ|),
    ``distance`` = ‖λ_I − λ_L‖²/d in the order of falling modulus, the statistic of the
    main paper's first figure.
    """
    q = net.space.grid(points)
    k_i, k_l = net.matrices(q)
    lam_i, lam_l = eigenvalues(k_i), eigenvalues(k_l)
    columns = {
        "error": net.error(q), "reversed": torch.linalg.det(k_i) < 0, "mean_i": lam_i.abs().mean(1),
        "mean_l": lam_l.abs().mean(1),
        "distance": (lam_i - lam_l).abs().square().mean(1),
    }  # fmt: skip
    return pd.DataFrame({name: t.numpy() for name, t in columns.items()})


def nearest_codes(net: Trained, points: int) -> tuple[float, float]:
    """Among points that lie at least 1 apart on the torus, the pair with the nearest codes:
    (gap of the codes, intrinsic distance).

    The gap is in units of the root mean square distance of the codes from their mean.
    """
    q = net.space.grid(points)
    z = net.encode(net.points(q))
    z = (z - z.mean(0)) / (z - z.mean(0)).square().sum(1).mean().sqrt()
    x = net.space.points(q)
    gap = torch.cdist(z, z)
    gap[torch.cdist(x, x) < 1] = torch.inf  # a chord of 1 is a path of at least 1
    i, j = divmod(int(gap.argmin()), len(q))
    return float(gap[i, j]), float(net.space.distance(q[i : i + 1], q[j : j + 1])[0])


def at_cuts(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of `spectra` away from the cuts and at them: share of the manifold,
    of it the share reversed, and medians."""
    rows = []
    for name, t in found.items():
        for where, part in (("error below 0.1", t[t.error < 0.1]), ("error above 0.5", t[t.error > 0.5])):
            if len(part):
                row = {"manifold": MANIFOLDS[name].name, "where": where, "share": len(part) / len(t)}
                row |= {"reversed": part.reversed.mean(), "mean |λ_I|": part.mean_i.median()}
                rows.append(row | {"mean |λ_L|": part.mean_l.median(), "distance": part.distance.median()})
    return pd.DataFrame(rows)


def cut_bounds(nets: Iterable[Trained]) -> pd.DataFrame:
    """For networks of the circle with d = 1: ``least``, the best bound of `cut` over five ε, and ``largest``,
    the largest error seen."""
    rows = []
    for net in nets:
        least = max(cut(net, eps)[2] for eps in (0.03, 0.05, 0.1, 0.2, 0.3))
        seen = max(float(net.error(net.space.grid(20_000)).max()), exhibits(net).largest.max())
        rows.append({"width": net.width, "seed": net.seed, "least": least, "largest": seen})
    return pd.DataFrame(rows)


def shown(
    protocol: Protocol, settings: Settings, store: Store | None = None
) -> dict[str, pd.DataFrame | dict[str, Tensor]]:
    """What the page shows, by name: loaded if stored or published, else taken from the networks.

    ``pairs`` (`exhibit_table`), ``cuts`` (`cut_bounds`), ``circle`` and ``dimensions`` (`errors`), ``curves``
    (`along` of the first network on each curve), ``cut`` (`around_cut`), ``spectra`` (`at_cuts`), ``angles``
    (of the first circle network's pairs), ``torus`` (`nearest_codes`), and ``points``, float32: errors
    ``cloud.<manifold>`` on the points of `cloud`, and of `spectra` ``error.<manifold>``,
    ``distance.<manifold>``, ``reversed.<manifold>``.
    """

    @functools.cache
    def nets() -> list[Trained]:
        return train(protocol, settings, store)

    def last(**fields) -> list[Trained]:
        return select(nets(), step=settings.steps, **fields)

    @functools.cache
    def found() -> dict[str, pd.DataFrame]:
        closed = {name: net for name, net in first(nets(), settings).items() if name != "arc"}
        return {name: spectra(net, settings.points) for name, net in closed.items()}

    def curves() -> pd.DataFrame:
        one = first(nets(), settings)
        lines = {(n, n): along(one[n]) for n in ("arc", "circle")}
        lines |= {("linked", c): along(one["linked"], component=float(c == "B")) for c in "AB"}
        drawn = ["code", "error", "tangential"]
        lines = {place: thinned(t, drawn)[["q", *drawn]] for place, t in lines.items()}
        parts = [t.assign(manifold=m, component=c) for (m, c), t in lines.items()]
        return pd.concat(parts, ignore_index=True)

    def points() -> dict[str, Tensor]:
        out = {}
        for name, table in found().items():
            net = first(nets(), settings)[name]
            out[f"cloud.{name}"] = net.error(cloud(net.space, settings.points)[0])
            for k in ("error", "distance", "reversed"):
                out[f"{k}.{name}"] = torch.tensor(table[k].to_numpy())
        return {name: t.float() for name, t in out.items()}

    def pairs() -> pd.DataFrame:
        names = ("circle", "linked", "sphere")
        return exhibit_table([n for n in last() if n.manifold in names and n.d == n.space.dim])

    def torus() -> pd.DataFrame:
        gap, far = nearest_codes(first(nets(), settings)["torus"], 1_500)
        return pd.DataFrame({"gap": [gap], "distance": [far]})

    size = settings.points
    fields = asdict(settings) | {"version": VERSION, "shown": SHOWN}
    tables = {
        "pairs": pairs,
        "cuts": lambda: cut_bounds(last(manifold="circle", d=1)),
        "circle": lambda: errors(select(nets(), manifold="circle", d=1), size, DELTAS["circle"]),
        "dimensions": lambda: errors(last(width=settings.width), size, DELTAS["dimensions"]),
        "curves": curves,
        "cut": lambda: around_cut(first(nets(), settings)["circle"]),
        "spectra": lambda: at_cuts(found()),
        "angles": lambda: exhibits(first(nets(), settings)["circle"])[["q"]],
        "torus": torus,
    }
    return kept("topology", fields, tables, store, points=points)
