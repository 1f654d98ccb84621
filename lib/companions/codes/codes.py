"""The measurements of the chapter: classes in latent space, their controls, and where noise lands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from tqdm import tqdm

from ... import data, noise
from ...protocol import Protocol
from ...store import Store
from ...training import train, training_fields, untrained
from . import VERSION, Settings
from .transport import bracket, wasserstein

__all__ = [
    "spaces", "halves", "principal", "separation", "class_distances", "cluster_scores", "brackets",
    "noise_landing", "class_laws", "far_table",
]  # fmt: skip


def _networks(protocol: Protocol, store: Store | None, trained: bool = True):
    """(d, seed, network in float64 on the CPU) of a protocol."""
    for ensemble in train(protocol, store) if trained else untrained(protocol):
        for d in ensemble.dims:
            yield d, ensemble.seed, ensemble.member(d).double().cpu()


def spaces(
    protocol: Protocol, store: Store | None = None
) -> Iterator[tuple[str, int, int, Callable[[Tensor], Tensor]]]:
    """(name, d, seed, map): ``pixels`` as they are (d = 784), ``pca`` at each d, and the encoders,
    ``untrained`` and ``trained``.

    PCA is fitted to the images that the networks are trained on; where there is no seed, it is −1.
    """
    yield "pixels", 784, -1, lambda x: x
    linear = principal(data.load(protocol.training_set).train)
    for d in protocol.dims:
        yield "pca", d, -1, lambda x, d=d: linear(x, d)
    for name in ("untrained", "trained"):
        for d, seed, net in _networks(protocol, store, name == "trained"):
            yield name, d, seed, net.encoder


def principal(x: Tensor) -> Callable[[Tensor, int], Tensor]:
    """PCA fitted to ``x (n, p)``: a map from points and d to their first d principal components."""
    mean = x.mean(0)
    axes = torch.linalg.eigh((x - mean).T @ (x - mean)).eigenvectors.flip(1)
    return lambda x, d: (x - mean) @ axes[:, :d]


def halves(images: data.Images, half: int) -> list[tuple[Tensor, Tensor]]:
    """Two disjoint samples of each class, of `half` images where it has so many, drawn from all images."""
    generator, out = torch.Generator().manual_seed(23), []
    for label in range(10):
        members = images.x[images.labels == label]
        order = torch.randperm(len(members), generator=generator)[: 2 * half]
        first, second = members[order].chunk(2)
        out.append((first, second))
    return out


def _halves(protocol: Protocol, settings: Settings) -> list[tuple[Tensor, Tensor]]:
    return halves(data.load(protocol.training_set), settings.half)


def _between(z: list[tuple[Tensor, Tensor]]) -> list[tuple[int, int, float]]:
    """(a, b, W₁) for all pairs of classes, and for each class and itself, from two samples of each."""
    rows = []
    for a in range(10):
        rows.append((a, a, wasserstein(*z[a])))
        for b in range(a):
            across = wasserstein(z[a][0], z[b][1]), wasserstein(z[a][1], z[b][0])
            rows.append((a, b, sum(across) / 2))
    return rows


def _scores(
    encode: Callable[[Tensor], Tensor], images: data.Images, between: pd.DataFrame, neighbours: int
) -> dict[str, float]:
    """The columns of `separation`, from the distances between classes with columns ``a, b, distance``."""
    fitted = slice(0, min(images.trained, 10_000))
    asked = slice(images.trained, images.trained + 2_000)
    z, held = encode(images.x[fitted]).numpy(), encode(images.x[asked]).numpy()
    near = KNeighborsClassifier(neighbours).fit(z, images.labels[fitted])
    knn = near.score(held, images.labels[asked])
    silhouette = silhouette_score(z[:2_000], images.labels[fitted][:2_000])
    own = between[between.a == between.b].set_index("a").distance
    pairs = between[between.a != between.b]
    ratio = pairs.distance.to_numpy() / ((own[pairs.a].to_numpy() + own[pairs.b].to_numpy()) / 2)
    return {"silhouette": silhouette, "knn": knn, "ratio": ratio.mean(), "ratio_min": ratio.min()}


def separation(
    encode: Callable[[Tensor], Tensor],
    images: data.Images,
    parts: list[tuple[Tensor, Tensor]],
    neighbours: int,
) -> dict[str, float]:
    """How far the classes are clusters after a map: ``silhouette``, ``knn``,
    ``ratio`` and ``ratio_min`` of `cluster_scores`.

    Parameters
    ----------
    encode : points ``(n, p) -> (n, d)``, float64
    parts : `halves` of the images
    """
    z = [(encode(a), encode(b)) for a, b in parts]
    return _scores(encode, images, pd.DataFrame(_between(z), columns=["a", "b", "distance"]), neighbours)


def _fields(experiment: str, protocol: Protocol, settings: Settings) -> dict[str, Any]:
    networks = [training_fields(protocol, seed) for seed in protocol.seeds]
    return {"experiment": experiment, "version": VERSION, "networks": networks, "half": settings.half}


@torch.no_grad()
def class_distances(protocol: Protocol, settings: Settings, store: Store | None = None) -> pd.DataFrame:
    """W₁ between the codes of all pairs of classes, in every space.

    Every distance is between samples of ``settings.half`` points: for two classes the mean of
    two such distances, for a class and itself (``a == b``) that of its two halves, which is the
    distance that sampling alone produces.

    Columns ``space, d, seed, a, b, distance``.
    """

    def compute() -> pd.DataFrame:
        parts, rows = _halves(protocol, settings), []
        shown = list(spaces(protocol, store))
        for name, d, seed, encode in tqdm(shown, desc="between classes", unit="space", leave=False):
            rows += [(name, d, seed, *row) for row in _between([(encode(a), encode(b)) for a, b in parts])]
        return pd.DataFrame(rows, columns=["space", "d", "seed", "a", "b", "distance"])

    fields = _fields("class distances", protocol, settings)
    return (store or Store()).table("codes", fields, compute, "companions/codes-class-distances")


@torch.no_grad()
def cluster_scores(protocol: Protocol, settings: Settings, store: Store | None = None) -> pd.DataFrame:
    """How far the classes are clusters, one row a space.

    Columns ``space, d, seed``; ``silhouette`` of the labels; ``knn``, accuracy on held-out images
    of the k-NN classifier fitted to the training images; ``ratio`` and ``ratio_min``, mean and least
    over pairs of W₁(a, b) over the mean of the two split-half distances.
    """

    def compute() -> pd.DataFrame:
        images, rows = data.load(protocol.training_set), []
        table = class_distances(protocol, settings, store).set_index(["space", "d", "seed"])
        shown = list(spaces(protocol, store))
        for name, d, seed, encode in tqdm(shown, desc="cluster scores", unit="space", leave=False):
            found = _scores(encode, images, table.loc[(name, d, seed)], settings.neighbours)
            rows.append({"space": name, "d": d, "seed": seed} | found)
        return pd.DataFrame(rows)

    fields = _fields("cluster scores", protocol, settings) | {"neighbours": settings.neighbours}
    return (store or Store()).table("codes", fields, compute, "companions/codes-cluster-scores")


@torch.no_grad()
def brackets(protocol: Protocol, settings: Settings, store: Store | None = None) -> pd.DataFrame:
    """The two-sided bound for all pairs of classes and all trained networks:
    the columns of `transport.Bracket`, with ``d, seed, a, b, lower, sharp, upper``."""

    def compute() -> pd.DataFrame:
        parts, rows = _halves(protocol, settings), []
        nets = list(_networks(protocol, store))
        for d, seed, net in tqdm(nets, desc="bounds", unit="network", leave=False):
            trips = [(x, net.encoder(x), net.decoder(net.encoder(x))) for x, _ in parts]
            for a in range(10):
                for b in range(a):
                    found = bracket(*zip(trips[a], trips[b]))
                    bounds = {k: getattr(found, k) for k in ("lower", "sharp", "upper")}
                    rows.append({"d": d, "seed": seed, "a": a, "b": b} | vars(found) | bounds)
        return pd.DataFrame(rows)

    fields = _fields("brackets", protocol, settings)
    return (store or Store()).table("codes", fields, compute, "companions/codes-brackets")


@torch.no_grad()
def noise_landing(protocol: Protocol, settings: Settings, store: Store | None = None) -> pd.DataFrame:
    """Where each noise set lands, among codes and among reconstructions.

    One row for each trained network and data set. ``set`` is a noise set, ``held_out``
    (images not trained on), ``half`` (another sample of the training images: what sampling alone produces) or
    ``class_0`` … ``class_9``. Columns: ``law``, W₁ of its codes to those of a sample of training images;
    ``recon``, W₁ of its reconstructions to those images' reconstructions; ``to_0`` … ``to_9``, W₁ of its
    codes to each class's; ``outside``, the share of its codes that are farther from their nearest training
    code than 99 % of the held-out codes are.
    """

    def compute() -> pd.DataFrame:
        images, generator = data.load(protocol.training_set), torch.Generator().manual_seed(29)
        order = torch.randperm(images.trained, generator=generator)
        n = settings.law
        sample, other = images.x[order[:n]], images.x[order[n : 2 * n]]
        held = images.test[torch.randperm(len(images.test), generator=generator)[:n]]
        classes = [a for a, _ in _halves(protocol, settings)]
        sets = {"half": other, "held_out": held} | {name: noise.sample(name, 0, n) for name in protocol.sets}
        sets |= {f"class_{c}": x for c, x in enumerate(classes)}
        nets, rows = list(_networks(protocol, store)), []
        for d, seed, net in tqdm(nets, desc="where noise lands", unit="network", leave=False):
            law = net.encoder(sample)
            recon = net.decoder(law)
            digits = [net.encoder(x) for x in classes]
            near = torch.cat([net.encoder(x) for x in images.train[:20_000].split(5_000)])
            limit = torch.cdist(net.encoder(held), near).amin(1).quantile(0.99)
            for name, x in sets.items():
                z = net.encoder(x)
                row = {"d": d, "seed": seed, "set": name, "law": wasserstein(z, law)}
                row["recon"] = wasserstein(net.decoder(z), recon)
                row |= {f"to_{c}": wasserstein(z[: settings.half], other) for c, other in enumerate(digits)}
                rows.append(row | {"outside": (torch.cdist(z, near).amin(1) > limit).double().mean().item()})
        return pd.DataFrame(rows)

    fields = _fields("noise landing", protocol, settings) | {"law": settings.law}
    fields |= {"sets": protocol.sets, "noise": noise.VERSION}
    return (store or Store()).table("codes", fields, compute, "companions/codes-noise-landing")


@torch.no_grad()
def class_laws(protocol: Protocol, settings: Settings, store: Store | None = None) -> pd.DataFrame:
    """The rows ``class_0`` … ``class_9`` of `noise_landing` with as many images a class as any other set has.

    Columns ``d, seed, set, law, recon``. Where a class has fewer training images, all of them are taken.
    """

    def compute() -> pd.DataFrame:
        images, n = data.load(protocol.training_set), settings.law
        sample = images.x[torch.randperm(images.trained, generator=torch.Generator().manual_seed(29))[:n]]
        generator, classes, rows = torch.Generator().manual_seed(41), [], []
        for label in range(10):
            members = images.train[images.labels[: images.trained] == label]
            classes.append(members[torch.randperm(len(members), generator=generator)[:n]])
        nets = list(_networks(protocol, store))
        for d, seed, net in tqdm(nets, desc="classes", unit="network", leave=False):
            law = net.encoder(sample)
            recon = net.decoder(law)
            for label, x in enumerate(classes):
                z = net.encoder(x)
                found = wasserstein(z, law), wasserstein(net.decoder(z), recon)
                rows.append((d, seed, f"class_{label}", *found))
        return pd.DataFrame(rows, columns=["d", "seed", "set", "law", "recon"])

    fields = _fields("class laws", protocol, settings) | {"law": settings.law}
    del fields["half"]
    return (store or Store()).table("codes", fields, compute, "companions/codes-class-laws")


def far_table(landing: pd.DataFrame, laws: pd.DataFrame | None = None) -> pd.DataFrame:
    """`noise_landing` in units of the digits: one row for each network and noise set;
    the units from `class_laws` where given.

    ``codes``: W₁ of the codes to the training law over the median of that distance over the ten
    digit classes; ``farthest``: over its largest value; ``recon``: the same as ``codes`` for reconstructions;
    ``floor``: the sampling distance in the same unit; ``nearest_class``: the digit whose codes are nearest.
    """
    rows, units = [], dict(iter((landing if laws is None else laws).groupby(["d", "seed"])))
    for (d, seed), part in landing.groupby(["d", "seed"]):
        part, digits = (table.set_index("set") for table in (part, units[d, seed]))
        digits = digits[digits.index.str.startswith("class_")]
        for name, row in part[~part.index.str.startswith("class_")].iterrows():
            nearest = int(np.argmin([row[f"to_{c}"] for c in range(10)]))
            unit, farthest = digits.law.median(), digits.law.max()
            scales = {"codes": row.law / unit, "farthest": row.law / farthest}
            scales |= {"recon": row.recon / digits.recon.median(), "floor": part.law["half"] / unit}
            scales |= {"outside": row.outside, "nearest_class": nearest}
            rows.append({"d": d, "seed": seed, "set": name} | scales)
    return pd.DataFrame(rows)
