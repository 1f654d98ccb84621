"""t-SNE pictures of the codes, and what such pictures distort."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist, pdist
from scipy.stats import spearmanr
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from torch import Tensor
from tqdm import tqdm

from ... import data
from ...protocol import Protocol
from ...store import Store
from ...training import train, training_fields
from . import VERSION, Settings

__all__ = ["tsne_pictures", "distortion", "agreement", "PICTURES"]

#: Pictures: codes of the widest network, the same at another perplexity, pixels, and a
#: Gaussian with the mean and the covariance of the codes, which has no classes at all.
PICTURES = ("codes", "finer", "pixels", "gaussian")
PERPLEXITY = {"finer": 8}


@torch.no_grad()
def tsne_pictures(protocol: Protocol, settings: Settings, store: Store | None = None) -> dict[str, Tensor]:
    """Sources and t-SNE coordinates: ``<name>.source (n, ·)``,
    ``<name>.picture (n, 2)`` for each of `PICTURES`, and ``labels``."""
    fields = {"experiment": "t-SNE", "version": VERSION, "perplexity": PERPLEXITY}
    fields |= {"networks": training_fields(protocol, protocol.seeds[0]), "pictured": settings.pictured}

    def compute() -> dict[str, Tensor]:
        images = data.load(protocol.training_set)
        net = train(protocol, store)[0].member(protocol.dims[-1]).double().cpu()
        x = images.x[: settings.pictured]
        z = net.encoder(x)
        generator = torch.Generator().manual_seed(31)
        root = torch.linalg.cholesky(torch.cov(z.T) + 1e-9 * torch.eye(z.shape[1]))
        plain = z.mean(0) + torch.randn(z.shape, dtype=torch.float64, generator=generator) @ root.T
        sources = dict(zip(PICTURES, (z, z, x, plain)))
        out = {"labels": images.labels[: settings.pictured]}
        for name, source in tqdm(sources.items(), desc="t-SNE", unit="picture", leave=False):
            tsne = TSNE(perplexity=PERPLEXITY.get(name, 30), init="random", random_state=0, n_jobs=1)
            picture = tsne.fit_transform(source.numpy())
            out |= {f"{name}.source": source.clone(), f"{name}.picture": torch.from_numpy(picture)}
        return out

    return (store or Store()).tensors("codes", fields, compute)


def distortion(pictures: dict[str, Tensor], neighbours: int = 10) -> pd.DataFrame:
    """What each picture keeps of its source, and what it adds.

    Columns: ``neighbours_kept``, the share of the ten nearest neighbours that stay such; ``distances``,
    rank correlation of all pairwise distances; ``between``, the same for distances between class means;
    ``within``, rank correlation of the ten classes' spreads; ``silhouette`` of the labels and ``clumps``,
    silhouette of a ten-means partition found without labels, each in the source and in the picture.
    """
    labels = pictures["labels"].numpy()
    rows = []
    for name in PICTURES:
        source, picture = (pictures[f"{name}.{k}"].numpy().astype(float) for k in ("source", "picture"))
        near = [np.argsort(cdist(p, p), 1)[:, 1 : neighbours + 1] for p in (source, picture)]
        kept = np.mean([len(set(a) & set(b)) / neighbours for a, b in zip(*near)])
        row = {"picture": name, "neighbours_kept": kept}
        row["distances"] = spearmanr(pdist(source), pdist(picture)).statistic
        if name == "gaussian":
            row |= {"between": np.nan, "within": np.nan, "silhouette": np.nan, "silhouette_shown": np.nan}
        else:
            spread = [[pdist(p[labels == c]).mean() for c in range(10)] for p in (source, picture)]
            row |= {"between": _between(labels, source, picture), "within": spearmanr(*spread).statistic}
            row["silhouette"] = silhouette_score(source, labels)
            row["silhouette_shown"] = silhouette_score(picture, labels)
        means = KMeans(10, n_init=3, random_state=0)
        clumps = [silhouette_score(p, means.fit_predict(p)) for p in (source, picture)]
        rows.append(row | {"clumps": clumps[0], "clumps_shown": clumps[1]})
    return pd.DataFrame(rows)


def agreement(pictures: dict[str, Tensor]) -> float:
    """Rank correlation of the distances between class means in two pictures of the same codes."""
    shown = (pictures[f"{name}.picture"].numpy() for name in ("codes", "finer"))
    return float(_between(pictures["labels"].numpy(), *shown))


def _between(labels: np.ndarray, *points: np.ndarray) -> float:
    """Rank correlation of the distances between class means in two sets of points ``(n, ·)``."""
    means = (np.stack([p[labels == c].mean(0) for c in range(10)]) for p in points)
    return spearmanr(*map(pdist, means)).statistic
