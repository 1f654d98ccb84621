"""Why classes cluster: the same on Gaussian data with the images' moments, and with labels that mean less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pandas as pd
import torch
from sklearn.cluster import KMeans
from torch import Tensor
from tqdm import tqdm

from ... import data
from ...data import Images
from ...model import Ensemble
from ...protocol import Protocol
from ...store import Store
from ...training import VERSION as TRAINING
from ...training import Trainer, subnormals_flushed, torch_device
from . import VERSION, Settings
from .codes import halves, principal, separation

__all__ = ["SOURCES", "surrogate", "relabelled", "sources"]

#: Data that networks are trained on: the images, a Gaussian for each class, one Gaussian for all.
SOURCES = ("images", "gaussian", "single")
#: Clusters of pixels within which labels are permuted: as many as there are classes.
CLUSTERS = 10


def surrogate(images: Images, kind: str, seed: int = 31) -> Images:
    """Gaussian vectors in the place of images, with the same labels and split; ``images`` stay as they are.

    ``gaussian``: x ~ N(m_y, C_y) with the mean and the covariance of the training images with its label y.
    ``single``: x ~ N(m, C) with those of all training images, whatever the label. Pixels may leave [0, 1].
    """
    if kind not in SOURCES:
        raise ValueError(f"surrogate: expected one of {', '.join(SOURCES)}, got {kind!r}")
    if kind == "images":
        return images
    labels = images.labels if kind == "gaussian" else torch.zeros_like(images.labels)
    generator, x = torch.Generator().manual_seed(seed), torch.empty_like(images.x)
    for label in labels.unique():
        members = labels == label
        known = images.train[members[: images.trained]]
        mean = known.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov(known.T, correction=0))
        root = vectors * values.clamp_min(0).sqrt()
        draws = torch.randn(int(members.sum()), len(mean), dtype=x.dtype, generator=generator)
        x[members] = mean + draws @ root.T
    return replace(images, name=f"{images.name}, {kind}", x=x)


def relabelled(images: Images, kind: str, seed: int = 37) -> Images:
    """The same images with ``permuted`` labels, or with labels permuted ``in clusters`` alone: among the
    images of each of `CLUSTERS` clusters that k-means finds in the pixels of the first 10,000. ``true``
    labels are left as they are."""
    if kind == "true":
        return images
    groups = torch.zeros_like(images.labels)
    if kind == "in clusters":
        fit = KMeans(CLUSTERS, n_init=2, random_state=seed).fit(images.train[:10_000].numpy())
        groups = torch.from_numpy(fit.predict(images.x.numpy())).long()
    generator, labels = torch.Generator().manual_seed(seed), images.labels.clone()
    for group in groups.unique():
        rows = (groups == group).nonzero()[:, 0]
        labels[rows] = images.labels[rows[torch.randperm(len(rows), generator=generator)]]
    return replace(images, labels=labels)


def _trained(protocol: Protocol, settings: Settings, images: Images, seed: int) -> Ensemble:
    """Networks of the paper's widths, trained as its own are on `images`, for ``source_epochs``."""
    ensemble, device = Ensemble.initial(settings.source_dims, seed), torch_device()
    trainer = Trainer(ensemble, protocol, device)
    x, held = (t.to(device, torch.float32) for t in (images.train, images.test[:1_000]))
    with subnormals_flushed():
        for _ in range(settings.source_epochs):
            trainer.run_epoch(x, held)
    return ensemble


@torch.no_grad()
def sources(protocol: Protocol, settings: Settings, store: Store | None = None) -> pd.DataFrame:
    """`separation` of the classes where what could cause it is taken away, a row a case.

    Columns ``measured``, the data that are encoded (``images`` or ``gaussian``, `surrogate`); ``labels``
    (`relabelled`); ``space`` (``pixels``, ``pca`` of the measured data, ``untrained``, ``trained``);
    ``source``, what the networks were trained on, or ``nothing``; ``d``, ``seed``; those of
    `separation`; and for trained networks ``error``, the mean squared pixel error on the held-out part
    of the measured data over its variance.
    """

    seeds = protocol.seeds[: settings.source_seeds]

    def plain(images: Images) -> list:
        linear = principal(images.train)
        pca = [("pca", "nothing", d, -1, lambda x, d=d: linear(x, d), None) for d in settings.source_dims]
        return [("pixels", "nothing", 784, -1, lambda x: x, None), *pca]

    def cases(made: dict[str, Images]) -> Iterator[tuple[str, str, Images, list]]:
        nets: list[tuple[str, str, int, int, Callable[[Tensor], Tensor], object]] = []
        for seed in seeds:
            start = Ensemble.initial(settings.source_dims, seed)
            stacks = {("untrained", "nothing"): start}
            stacks |= {
                ("trained", s): _trained(protocol, settings, x, seed)
                for s, x in tqdm(made.items(), desc=f"training, seed {seed}", unit="source", leave=False)
            }
            for (space, source), stack in stacks.items():
                for d in settings.source_dims:
                    net = stack.member(d).double().cpu()
                    nets.append((space, source, d, seed, net.encoder, net))
        for name in ("images", "gaussian"):
            yield name, "true", made[name], plain(made[name]) + nets
        own = plain(made["images"]) + [net for net in nets if net[1] == "images"]
        for labels in ("permuted", "in clusters"):
            yield "images", labels, relabelled(made["images"], labels), own

    def compute() -> pd.DataFrame:
        images = data.load(protocol.training_set)
        made, rows = {kind: surrogate(images, kind) for kind in SOURCES}, []
        for measured, labels, known, spaces in cases(made):
            parts, held = halves(known, settings.half), known.test[:2_000]
            spread = held.var(0, correction=0).mean()
            for space, source, d, seed, encode, net in tqdm(
                spaces, desc=f"{measured}, {labels}", leave=False
            ):
                row = {"measured": measured, "labels": labels, "space": space, "source": source}
                row |= {"d": d, "seed": seed} | separation(encode, known, parts, settings.neighbours)
                if space == "trained":
                    row["error"] = float((net.decoder(net.encoder(held)) - held).square().mean() / spread)
                rows.append(row)
        return pd.DataFrame(rows)

    fields = {"experiment": "sources", "version": VERSION, "training": TRAINING}
    fields |= {"images": data.digest(protocol.training_set), "seeds": seeds}
    fields |= {name: getattr(protocol, name) for name in ("batch_size", "optimizer", "learning_rate", "loss")}
    fields |= settings.only("half", "neighbours", "source_dims", "source_epochs")
    return (store or Store()).table("codes", fields, compute, "companions/codes-sources")
