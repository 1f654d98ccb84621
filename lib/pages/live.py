"""The networks that run in the reader's browser: float16 weights as classic scripts, and the same rounded networks here.

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
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from .. import data, jacobian, noise, paths, published, spectrum
from ..figures.sets import NETWORKS, chosen
from ..figures.style import LABELS, WIDTH, plane, styled
from ..model import Autoencoder, Ensemble
from ..protocol import Protocol
from ..training import train
from . import page

__all__ = [
    "networks",
    "foreign",
    "chosen",
    "rounded",
    "flipped",
    "export",
    "export_samples",
    "samples",
    "framed",
    "as_known",
    "block",
    "still",
    "NETWORKS",
    "NAMES",
]

#: The training sets in words.
NAMES = {"mnist": "MNIST", "digits": "the handwritten digits inside scikit-learn"}
#: Held-out images offered as inputs, two of each class.
SAMPLES = 20


def networks(protocol: Protocol) -> tuple[Ensemble, str]:
    """The first seed's ensemble, published if there is one and else of this build, and a phrase that says which."""
    found = published.ensembles()
    if found:
        return found[0], f"published networks (MNIST, the paper's protocol), seed {found[0].seed}"
    ensemble = train(protocol)[0]
    return (
        ensemble,
        f"networks of this build ({NAMES[protocol.training_set]}, {protocol.epochs} epochs), seed {ensemble.seed}",
    )


def foreign(protocol: Protocol) -> bool:
    """Whether the networks shown were trained on other images than this build has: published ones, in a build on the digits."""
    theirs = published.part("protocol")
    return theirs is not None and theirs["training_set"] != protocol.training_set


def rounded(net: Autoencoder) -> Autoencoder:
    """The network whose weights are those of `net` rounded to float16, in float64: what the browser computes with."""
    copy = Autoencoder(
        net.d, widths=[m.in_features for m in net.encoder if isinstance(m, torch.nn.Linear)]
    ).double()
    copy.load_state_dict({name: t.half().double() for name, t in net.state_dict().items()})
    return copy.requires_grad_(False)


def eight_bits(net: Autoencoder) -> Autoencoder:
    """The network with every weight row rounded to 255 equal steps between ∓ its largest entry, in float64."""
    copy = rounded(net)
    for layer, exact in zip(copy.linears(), net.linears()):
        for t, e in ((layer.weight, exact.weight), (layer.bias, exact.bias)):
            step = e.double().abs().amax(-1, keepdim=True).clamp_min(1e-300) / 127
            t.copy_((e / step).round() * step)
    return copy


@torch.no_grad()
def flipped(net: Autoencoder, x: Tensor) -> dict[str, float]:
    """Share of the points ``x (n, 784)`` at which rounding the weights changes the orientation of K_I, by precision."""
    signs = []
    for other in (net.double(), rounded(net), eight_bits(net)):
        trip = jacobian.round_trip(other, x)
        k = jacobian.matrices(other, trip)[0]
        signs.append(spectrum.orientation(other, trip, trip.at_x, k, jacobian.rank(trip, trip.at_x)))
    return {
        name: (s != signs[0]).double().mean().item()
        for name, s in zip(("sixteen bits", "eight bits"), signs[1:])
    }


def export(net: Autoencoder, path: Path) -> Path:
    """Write a network as a classic script that hands its weights to the page.

    ``liveNetwork.receive({sizes, weights})``: layer widths from input to output, and base64 of
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
    return _script(path, "receive", {"sizes": sizes, "weights": _base64(flat.numpy().astype("<f2"))})


def export_samples(protocol: Protocol, path: Path) -> Path:
    """Write `samples` as a classic script: one byte a pixel."""
    x, labels = samples(protocol)
    return _script(
        path,
        "receiveSamples",
        {"labels": labels.tolist(), "pixels": _base64((x * 255).round().to(torch.uint8).numpy())},
    )


def framed(x: Tensor) -> Tensor:
    """Images ``(n, 784)`` framed as MNIST's are: the ink's box scaled to fit 20×20, its centre of mass in the middle of 28×28.

    The aspect ratio is kept, scaling is bilinear, the shift is by whole pixels; an empty image stays empty.
    """
    out = torch.zeros(len(x), 28, 28, dtype=x.dtype)
    for image, canvas in zip(x.reshape(-1, 28, 28), out):
        rows, columns = ((image > 0.1).any(k).nonzero()[:, 0] for k in (1, 0))
        if not len(rows):
            continue
        ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        size = [max(1, round(20 * n / max(ink.shape))) for n in ink.shape]
        ink = functional.interpolate(ink[None, None], size, mode="bilinear", antialias=True)[0, 0].clamp(0, 1)
        corner = []
        for k, n in enumerate(ink.shape):
            mass = ink.sum(1 - k)
            centre = float((mass * torch.arange(n)).sum() / mass.sum())
            corner.append(min(max(round(13.5 - centre), 0), 28 - n))
        canvas[corner[0] : corner[0] + ink.shape[0], corner[1] : corner[1] + ink.shape[1]] = ink
    return out.reshape(-1, 784)


def as_known(protocol: Protocol, x: Tensor) -> Tensor:
    """Images as the networks shown know them: framed like MNIST's where these were trained on MNIST and the images are others."""
    return framed(x) if foreign(protocol) else x


def samples(protocol: Protocol) -> tuple[Tensor, Tensor]:
    """Held-out images of the protocol's training set, ``(20, 784)``, and their labels: 0 … 9, and again; `as_known` to the networks."""
    images = data.load(protocol.training_set)
    labels = images.labels[images.trained :]
    rows = [(labels == c).nonzero().squeeze(1)[i].item() for i in range(SAMPLES // 10) for c in range(10)]
    return as_known(protocol, images.test[rows]), labels[rows]


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _script(path: Path, receiver: str, content: dict) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"liveNetwork.{receiver}({json.dumps(content, separators=(',', ':'))});\n", encoding="ascii"
    )
    return path


def block(protocol: Protocol) -> page.Block:
    """The place of the live network on a page, and links to the files it loads, which are downloads at the same time."""
    ensemble, _ = networks(protocol)
    folder = paths.pictures() or Path(page.PICTURES)
    files = [("held-out images", export_samples(protocol, folder / "live-images.js"))]
    files += [
        (f"d = {d}", export(ensemble.member(d), folder / f"live-d{d:02d}.js")) for d in chosen(ensemble.dims)
    ]
    links = " · ".join(f"{{download}}`{name} <{path.as_posix()}>`" for name, path in files)
    myst = "\n".join([
        "```{raw} html",
        '<div id="live-network"><p>Here a network runs in your browser; it needs JavaScript. The figure below shows the same without it.</p></div>',
        '<script src="_static/live/live.js"></script>',
        "```",
        "",
        ":::{container} live-weights",
        f"The files behind it: {links}",
        ":::",
    ])  # fmt: skip
    return page.Block(
        myst,
        "<p>The live network is on the page of the finished book; <code>lib.pages.explorer</code> has its like for notebooks.</p>",
    )


@styled
@torch.no_grad()
def still(ensemble: Ensemble, d: int, images: Tensor, name: str = "beta_5_0.8") -> Figure:
    """What the live network shows, as a picture: a held-out image and a noise image, each with reconstructions and spectra."""
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
