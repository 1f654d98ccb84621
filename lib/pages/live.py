"""The networks that run in the reader's browser: float16 weights as classic scripts,
and the same rounded networks here.

Eight bits a weight are too few: they flip the orientation on a fifth of the noise points. Sixteen
are a file under 1 MB a network. The page computes in double precision *from the rounded weights*,
so that its numbers can be compared with this library's on `rounded` networks.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from .. import data, jacobian, noise, paths, published, spectrum
from ..figures.detection import SAID
from ..figures.sets import chosen
from ..figures.style import LABELS, WIDTH, plane, styled
from ..model import Autoencoder, Ensemble
from ..protocol import REPRESENTATIVES, Protocol
from ..studies import detection, detection_data, detection_quantiles
from ..training import train
from . import page

__all__ = [
    "networks",
    "dimensions",
    "foreign",
    "chosen",
    "rounded",
    "rounding",
    "knows_mnist",
    "usual_table",
    "export",
    "export_images",
    "export_plane",
    "code_plane",
    "usual",
    "files",
    "links",
    "samples",
    "framed",
    "as_known",
    "block",
    "still",
    "NAMES",
]

#: The training sets in words.
NAMES = {"mnist": "MNIST", "digits": "the handwritten digits inside scikit-learn"}
#: Held-out images offered as inputs, two of each class.
SAMPLES = 20
#: Seeds whose networks are offered: two, which can be held against one another. A network is 0.6 MB.
SEEDS = 2
#: Points on a side of the coloured plane of codes.
SIDE = 96
#: Held-out images at most over which a build's own networks are scored.
USUAL_POINTS = 200


def networks(protocol: Protocol, seeds: int | None = SEEDS) -> tuple[list[Ensemble], str]:
    """Ensembles of the first seeds, or of all (None), published if there are any and else of this build,
    and a phrase that says which."""
    found = published.ensembles()
    which = "published networks (MNIST, the paper's protocol)"
    if not found:
        found = train(protocol)
        which = f"networks of this build ({NAMES[protocol.training_set]}, {protocol.epochs} epochs)"
    return found[:seeds], which


def dimensions(ensemble: Ensemble) -> list[int]:
    """The latent dimensions offered: those that the detection study scores, or a few evenly spread."""
    return (
        [d for d in detection.DIMS if d in ensemble.dims]
        if published.part("protocol")
        else chosen(ensemble.dims, 6)
    )


def foreign(protocol: Protocol) -> bool:
    """Whether the networks shown were trained on other images than this build has: published ones,
    in a build on the digits."""
    theirs = published.part("protocol")
    return theirs is not None and theirs["training_set"] != protocol.training_set


def knows_mnist(protocol: Protocol) -> bool:
    """Whether the networks shown were trained on MNIST,
    so that what is to be a digit to them is framed as MNIST's are."""
    theirs = published.part("protocol")
    return (theirs["training_set"] if theirs else protocol.training_set).startswith("mnist")


def rounded(net: Autoencoder) -> Autoencoder:
    """The network whose weights are those of `net` rounded to float16, in float64: what the browser has."""
    copy = Autoencoder(
        net.d, widths=[m.in_features for m in net.encoder if isinstance(m, torch.nn.Linear)]
    ).double()
    copy.load_state_dict({name: t.half().double() for name, t in net.state_dict().items()})
    return copy.requires_grad_(False)


def in_steps(net: Autoencoder, bits: int) -> Autoencoder:
    """The network with every weight row rounded to 2^bits − 1 equal steps between ∓ its
    largest entry, in float64."""
    copy = rounded(net)
    for layer, exact in zip(copy.linears(), net.linears()):
        for t, e in ((layer.weight, exact.weight), (layer.bias, exact.bias)):
            step = e.double().abs().amax(-1, keepdim=True).clamp_min(1e-300) / (2 ** (bits - 1) - 1)
            t.copy_((e / step).round() * step)
    return copy


@torch.no_grad()
def rounding(net: Autoencoder, x: Tensor) -> pd.DataFrame:
    """What rounding the weights does to K_I at the points ``x (n, 784)``, by bits a weight:
    16 (float16), 12 and 8 (equal steps).

    Returns
    -------
    DataFrame with the share of points whose orientation changes, and median and 95th percentile of
    ||λ'₁| − |λ₁|| / |λ₁|, λ₁ the eigenvalue of largest modulus.
    """

    def seen(other: Autoencoder) -> tuple[Tensor, Tensor]:
        trip = jacobian.round_trip(other, x)
        k = jacobian.matrices(other, trip)[0]
        sign = spectrum.orientation(other, trip, trip.at_x, k, jacobian.rank(trip, trip.at_x))
        return sign, spectrum.eigenvalues(k)[:, 0].abs()

    sign, largest = seen(net.double())
    rows = {}
    for bits, other in ((16, rounded(net)), (12, in_steps(net, 12)), (8, in_steps(net, 8))):
        changed, moved = seen(other)
        relative = (moved - largest).abs() / largest.clamp_min(1e-300)
        rows[bits] = {
            "orientation changes": (changed != sign).double().mean().item(),
            "median change": relative.median().item(),
            "95th percentile": relative.quantile(0.95).item(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("bits")


def export(net: Autoencoder, path: Path) -> Path:
    """Write a network as a classic script that hands its weights to the page.

    ``liveNetwork.receive({sizes, weights})`` gets layer widths from input to output, and base64 of
    little-endian float16, for each layer its weight (out × in, row by row) and its bias.

    Raises
    ------
    OverflowError
        If a weight is beyond the range of float16 (65,504).
    """
    layers = list(net.linears())
    flat = torch.cat([t.detach().half().flatten() for m in layers for t in (m.weight, m.bias)])
    if not flat.isfinite().all():
        raise OverflowError(
            f"d={net.d}: expected weights of at most 65504, got one beyond; it has no float16"
        )
    sizes = [layers[0].in_features, *(m.out_features for m in layers)]
    return _script(path, {"sizes": sizes, "weights": _base64(flat.numpy().astype("<f2"))})


def export_images(protocol: Protocol, path: Path) -> Path:
    """Write `samples` as a classic script, one byte a pixel, with what is `usual` for these networks."""
    x, labels = samples(protocol)
    pixels = _base64((x * 255).round().to(torch.uint8).numpy())
    content = {"labels": labels.tolist(), "pixels": pixels, "framed": knows_mnist(protocol)}
    return _script(path, content | {"usual": usual(protocol)})


def usual(protocol: Protocol) -> dict:
    """Quantiles of scores over held-out images, and medians of two seeds' difference on noise, by network.

    ``{"levels": […], "inside": {"0.8": {score: […]}}, "noise": {"0.8": {score: {"bright": …}}}}``,
    a network being called seed.d.
    """
    levels = [f"q{round(100 * q):02d}" for q in detection_quantiles.LEVELS]
    groups = {name: group for group, name in REPRESENTATIVES.items()}
    found: dict = {"levels": detection_quantiles.LEVELS, "inside": {}, "noise": {}}
    for row in _quantiles(protocol).to_dict("records"):
        network = f"{row['seed']}.{row['d']}"
        if row["set"] == detection_quantiles.INSIDE:
            found["inside"].setdefault(network, {})[row["score"]] = [row[q] for q in levels]
        elif row["score"] == detection_quantiles.DIFFERENCE:
            medians = found["noise"].setdefault(network, {}).setdefault(row["score"], {})
            medians[groups[row["set"]]] = row["q50"]
    return found


def usual_table(protocol: Protocol) -> pd.DataFrame:
    """The medians of `usual` over the networks offered: a row a set, a column a score."""
    table = _quantiles(protocol)
    wide = table.pivot_table(index="set", columns="score", values="q50", aggfunc="median", sort=False)
    return wide.rename(index=LABELS, columns=SAID).rename_axis(index="data set", columns=None).reset_index()


def _quantiles(protocol: Protocol) -> pd.DataFrame:
    """`lib.studies.detection_quantiles.quantiles` of the networks offered:
    published where they are, else computed."""
    ensembles, _ = networks(protocol)
    table, dims = published.table("detection-quantiles"), dimensions(ensembles[0])
    if table is None:
        return detection_quantiles.quantiles(ensembles, protocol.training_set, dims, USUAL_POINTS)
    return table[table.seed.isin([e.seed for e in ensembles]) & table.d.isin(dims)]


@torch.no_grad()
def code_plane(net: Autoencoder, z: Tensor) -> tuple[Tensor, Tensor]:
    """Orientation sign det K_L(z) = sign det D(f_enc ∘ f_dec)(z)
    and retraction defect ‖f_enc(f_dec(z)) − z‖ of codes ``z (n, 2)``.

    Returns
    -------
    two Tensors, shape (n,): int with 0 where K_L has no full rank, and float64.
    """
    trip = jacobian.at_codes(net, z)
    k = jacobian.matrices(net, trip)[1]
    full = jacobian.rank(trip, trip.at_y) == net.d
    return torch.linalg.slogdet(k).sign * full, (net.encoder(trip.y) - z).norm(dim=1)


def export_plane(net: Autoencoder, images: Tensor, labels: Tensor, path: Path) -> Path:
    """Write the colours of the plane of codes of a network with d = 2 as a classic script,
    and where ``images (n, 784)`` lie in it.

    The plane is a square around their codes. Rows run from above to below; orientation is a byte
    (0 reversed, 1 no full rank, 2 kept), and so is the logarithm of the retraction defect, from ``low`` to
    ``high``, its 1st and 99th percentile.
    """
    net = rounded(net)
    codes = net.encoder(images)
    centre, half = (codes.amax(0) + codes.amin(0)) / 2, 0.6 * (codes.amax(0) - codes.amin(0)).max()
    steps = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE * 2 - 1
    grid = torch.cartesian_prod(-steps, steps).flip(1) * half + centre
    sign, defect = code_plane(net, grid)
    log = defect.clamp_min(1e-12).log10()
    low, high = log.quantile(torch.tensor([0.01, 0.99], dtype=log.dtype)).tolist()
    return _script(
        path,
        {
            "side": SIDE,
            "frame": [v for c in centre.tolist() for v in (c - float(half), c + float(half))],
            "orientation": _base64((sign + 1).to(torch.uint8).numpy()),
            "defect": _base64(
                ((log - low) / max(high - low, 1e-9) * 255).clamp(0, 255).round().to(torch.uint8).numpy()
            ),
            "low": low,
            "high": high,
            "codes": [
                [round(a, 4), round(b, 4), int(c)] for (a, b), c in zip(codes.tolist(), labels.tolist())
            ],
        },
    )


def framed(x: Tensor) -> Tensor:
    """Images ``(n, 784)`` framed as MNIST's are: the ink's box scaled to fit 20×20,
    its centre of mass in the middle of 28×28.

    The aspect ratio is kept, scaling is bilinear, the shift is by whole pixels; an empty image stays empty.
    """
    out = torch.zeros(len(x), 28, 28, dtype=x.dtype)
    for i, image in enumerate(x.reshape(-1, 28, 28)):
        rows, columns = ((image > 0.1).any(k).nonzero()[:, 0] for k in (1, 0))
        if not len(rows):
            continue
        ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        size = [max(1, round(20 * n / max(ink.shape))) for n in ink.shape]
        ink = functional.interpolate(ink[None, None], size, mode="bilinear", antialias=True)[0, 0]
        out[i] = detection_data.centred(ink.clamp(0, 1))
    return out.reshape(-1, 784)


def as_known(protocol: Protocol, x: Tensor) -> Tensor:
    """Images as the networks shown know them:
    framed like MNIST's where these were trained on MNIST and the images are others."""
    return framed(x) if foreign(protocol) else x


def samples(protocol: Protocol) -> tuple[Tensor, Tensor]:
    """Held-out images of the protocol's training set, ``(20, 784)``, and their labels: 0 … 9, and again;
    `as_known` to the networks."""
    images = data.load(protocol.training_set)
    labels = images.labels[images.trained :]
    rows = [(labels == c).nonzero().squeeze(1)[i].item() for i in range(SAMPLES // 10) for c in range(10)]
    return as_known(protocol, images.test[rows]), labels[rows]


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _script(path: Path, content: dict) -> Path:
    """A file that hands `content` to the page: from ``file://`` a browser loads scripts and nothing else."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    path.write_text(f"liveNetwork.receive({text});\n", encoding="ascii")
    return path


def files(protocol: Protocol, folder: Path) -> dict[str, Path]:
    """Write everything that the page loads on demand: the images, each network,
    the plane of codes of each with d = 2."""
    ensembles, _ = networks(protocol)
    found = {"held-out images": export_images(protocol, folder / "live-images.js")}
    for ensemble in ensembles:
        stem = f"live-seed{ensemble.seed}"
        for d in dimensions(ensemble):
            found[f"seed {ensemble.seed}, d\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{d}"] = export(
                ensemble.member(d), folder / f"{stem}-d{d:02d}.js"
            )
        if 2 in ensemble.dims:
            path = folder / f"{stem}-plane.js"
            found[f"seed {ensemble.seed}, plane of codes"] = export_plane(
                ensemble.member(2), *samples(protocol), path
            )
    return found


def block() -> page.Block:
    """The place of the live network on a page."""
    return page.Block(
        """```{raw} html
<div id="live-network">
<p>Here a network runs in your browser; it needs JavaScript. A figure below shows the same without it.</p>
</div>
<script src="_static/live/live.js"></script>
```""",
        "<p>The live network is on the page of the finished book; "
        "<code>lib.pages.explorer</code> has its like for notebooks.</p>",
    )


def links(protocol: Protocol) -> page.Block:
    """Links to the files that the live network loads, which it finds by them;
    they are downloads at the same time."""
    found = files(protocol, paths.pictures() or Path(page.PICTURES))
    links = " · ".join(f"{{download}}`{name} <{path.as_posix()}>`" for name, path in found.items())
    return page.Block(f":::{{container}} live-weights\nThe files behind it: {links}\n:::", "")


@styled
@torch.no_grad()
def still(ensemble: Ensemble, d: int, images: Tensor, name: str = "beta_5_0.8") -> Figure:
    """What the live network shows, as a picture: a held-out image and a noise image,
    each with reconstructions and spectra."""
    net = rounded(ensemble.member(d))
    inputs = {"a held-out image": images[0], LABELS[name]: noise.sample(name, 0, 1)[0]}
    fig, axes = plt.subplots(
        len(inputs), 4, figsize=(WIDTH, 3.9), gridspec_kw={"width_ratios": [1, 1, 1, 1.35]}
    )
    for row, (label, x) in zip(axes, inputs.items()):
        trip = jacobian.round_trip(net, x[None])
        again = trip.y
        for _ in range(31):
            again = net(again)[1]
        for ax, title, image in zip(
            row, (label, "reconstruction", "applied 32 times"), (x, trip.y[0], again[0])
        ):
            ax.imshow(image.reshape(28, 28), cmap="gray", vmin=0, vmax=1)
            ax.set(title=title, xticks=[], yticks=[])
            ax.grid(False)
        plane(row[3], *(spectrum.eigenvalues(k)[0] for k in jacobian.matrices(net, trip)))
        row[3].set_title("eigenvalues")
    fig.legend(*axes[0, 3].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return fig
