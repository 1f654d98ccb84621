"""One input under the glass: what a network makes of it, in widgets.

With a kernel, `Explorer` answers every choice at once. In the finished page there is none; there an album
(`lib.pages.albums`) switches pictures drawn beforehand. Both show the drawing made by `drawing` of a `Look`.
"""

from __future__ import annotations

import functools
import html
import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from .. import data, jacobian, noise, paths, spectrum
from ..figures.style import plane, styled
from ..model import Autoencoder
from ..protocol import REPRESENTATIVES, Protocol
from ..studies.orientation_cell import halves
from ..training import untrained
from . import live
from .albums import BLUE, GREEN, INK, RED, album, picture, shown, svg, text

__all__ = ["Look", "look", "Codes", "drawing", "frames", "still", "Explorer", "show"]

#: How often the autoencoder has been applied in the drawing.
TIMES = (1, 4, 64)
#: The data sets in words a list of choices can show.
NAMES = {"test": "held out", "train": "training data"}
#: Training codes shown around a code.
CODES = 200


@dataclass(frozen=True)
class Look:
    """One input and what the network makes of it.

    Attributes
    ----------
    x : Tensor, shape (784,)
    times : dict from n to Tensor, shape (784,): the autoencoder applied n times.
    z : Tensor, shape (d,)
    lam : dict of complex Tensor, shape (d,): the eigenvalues of K_I and K_L, by falling modulus.
    singular : Tensor, shape (d,)
        Singular values of J_I(x) = G(z)E(x), the others being zero.
    rank, orientation : dict of int
    """

    x: Tensor
    times: dict[int, Tensor]
    z: Tensor
    lam: dict[str, Tensor]
    singular: Tensor
    rank: dict[str, int]
    orientation: dict[str, int]


@torch.no_grad()
def look(net: Autoencoder, x: Tensor) -> Look:
    """Everything the explorer shows of the input ``x (784,)``, in the dtype of `net`."""
    trip = jacobian.round_trip(net, x[None])
    times, again = {}, trip.y
    for n in range(1, max(TIMES) + 1):
        if n in TIMES:
            times[n] = again[0]
        again = net(again)[1]
    lam, rank, orientation = {}, {}, {}
    for j, k, at in zip("IL", jacobian.matrices(net, trip), (trip.at_x, trip.at_y)):
        r = jacobian.rank(trip, at)
        lam[j], rank[j] = spectrum.eigenvalues(k)[0], int(r)
        orientation[j] = int(spectrum.orientation(net, trip, at, k, r))
    # σ(GE) = σ(R_G R_Eᵀ) with G = Q_G R_G and Eᵀ = Q_E R_E: d×d instead of 784×784
    g, e = (torch.linalg.qr(half[0].T).R for half in halves(net, trip))
    return Look(x, times, trip.z[0], lam, torch.linalg.svdvals(g @ e.T), rank, orientation)


def few(x: Tensor) -> Tensor:
    """`CODES` evenly spaced ones of the images ``x (n, 784)``, or all if there are fewer."""
    count = min(CODES, len(x))
    return x[torch.arange(count) * len(x) // count]


class Codes:
    """Some training codes of a network, for the place of another among them.

    Parameters
    ----------
    net : Autoencoder
    x : Tensor, shape (n, 784)
        Training images; `CODES` evenly spaced ones are used.
    of : str
        What they are codes of, if not of the network's own training images.
    """

    def __init__(self, net: Autoencoder, x: Tensor, of: str = "training"):
        self.of = of
        z = net.encoder(few(x))
        self.mean = z.mean(0)
        variances, axes = torch.linalg.eigh(torch.cov(z.T))
        self.precision = (axes / variances.clamp_min(1e-12 * variances[-1])) @ axes.T
        self.axes = axes[:, -2:].flip(1)
        self.points = self.place(z)

    def place(self, z: Tensor) -> Tensor:
        """Coordinates ``(…, 2)`` along the two principal axes of the training codes."""
        return (z - self.mean) @ self.axes

    def far(self, z: Tensor) -> float:
        """√(Mahalanobis distance²/d), about 1 for a training code."""
        c = z - self.mean
        return float((c @ self.precision @ c / len(z)).clamp_min(0).sqrt())


# --- the drawing, an SVG put together by hand: a plotting library would be too slow to follow a slider ------


def drawing(seen: Look, codes: Codes | None = None) -> str:
    """Input, reconstructions, eigenvalues, singular values and the code's place, as an SVG 720 × 440."""
    cells = [("input", seen.x), *((f"{n} time{'s' * (n > 1)} through", y) for n, y in seen.times.items())]
    parts = [
        text(97.5 + 175 * i, 15, title) + picture(20 + 175 * i, 22, 155, 155, x)
        for i, (title, x) in enumerate(cells)
    ]
    parts += [
        _plane(20, 208, 195, seen),
        _bars(275, 208, 195, seen.singular),
        _place(505, 208, 195, codes, seen.z) if codes else "",
    ]
    words = {1: "kept", -1: "reversed", 0: "none"}
    facts = (
        f"K_{j}: rank {seen.rank[j]} of {len(seen.z)}, orientation {words[seen.orientation[j]]}" for j in "IL"
    )
    parts += [text(20 + 255 * i, 436, fact, "start") for i, fact in enumerate(facts)]
    return svg(720, 440, "".join(parts))


def _plane(x: float, y: float, size: float, seen: Look) -> str:
    largest = max(lam.abs().max().item() for lam in seen.lam.values())
    reach = next(
        (r for r in (1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 1e3, 1e4, 1e6) if r >= 1.05 * largest), largest
    )
    half = size / 2
    cx, cy, scale = x + half, y + half, half / reach
    out = [
        text(cx, y - 7, "eigenvalues"),
        f'<g stroke="{INK}" fill="none"><path d="M{x} {cy}h{size}M{cx} {y}v{size}" stroke-width=".6"/>',
    ]
    out.append(f'<circle cx="{cx}" cy="{cy}" r="{scale:.2f}" stroke-dasharray="4 3"/></g>')
    for j, color in (("I", BLUE), ("L", RED)):
        points = [(cx + v.real * scale, cy - v.imag * scale) for v in seen.lam[j].tolist()]
        out.append(f'<g stroke="{color}" fill="none" stroke-width="1.7">')
        if j == "I":
            out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4"/>' for a, b in points]
        else:
            strokes = "".join(f"M{a - 3.5:.1f} {b - 3.5:.1f}l7 7m0-7l-7 7" for a, b in points)
            out.append(f'<path d="{strokes}"/>')
        out.append("</g>")
    legend = text(x, y + size + 14, "○ K_I", "start", BLUE) + text(
        x + 55, y + size + 14, "× K_L", "start", RED
    )
    return "".join(out) + legend + text(x + size, y + size + 14, f"frame: ±{reach:g}", "end")


def _bars(x: float, y: float, size: float, singular: Tensor) -> str:
    """Singular values of J_I on a logarithmic scale, the line at one."""
    low, high = -3.0, 2.0
    height = lambda v: size * (min(max(np.log10(max(v, 1e-300)), low), high) - low) / (high - low)
    wide = size / len(singular)
    bars = "".join(
        f"M{x + (i + 0.15) * wide:.1f} {y + size}v{-height(v):.1f}h{0.7 * wide:.1f}v{height(v):.1f}"
        for i, v in enumerate(singular.tolist())
    )
    one = y + size - height(1.0)
    ticks = "".join(text(x - 4, y + size - height(10.0**e) + 4, f"{10.0**e:g}", "end") for e in (-2, 0, 2))
    lines = f"M{x} {one:.1f}h{size}M{x} {y}v{size}h{size}"
    return (
        text(x + size / 2, y - 7, "singular values of J_I")
        + f'<path fill="{BLUE}" fill-opacity=".75" d="{bars}"/>'
        + f'<path d="{lines}" stroke="{INK}" stroke-width=".6" fill="none"/>{ticks}'
    )


def _place(x: float, y: float, size: float, codes: Codes, z: Tensor) -> str:
    """The code among training codes, along their two principal axes; one beyond the frame at its edge."""
    reach = 1.15 * codes.points.abs().max().item()
    at = lambda p: (x + size / 2 * (1 + p[0] / reach), y + size / 2 * (1 - p[1] / reach))
    dots = "".join(f"M{a:.0f} {b:.0f}h0" for a, b in map(at, codes.points.tolist()))
    place = codes.place(z)
    a, b = at(place.clamp(-reach, reach).tolist())
    beyond = " (beyond)" if place.abs().max() > reach else ""
    return (
        text(x + size / 2, y - 7, f"code among {codes.of} codes")
        + f'<rect x="{x}" y="{y}" width="{size}" height="{size}" fill="none" '
        + f'stroke="{INK}" stroke-width=".6"/>'
        + f'<path d="{dots}" stroke="{INK}" stroke-opacity=".55" stroke-width="3" stroke-linecap="round"/>'
        + f'<circle cx="{a:.1f}" cy="{b:.1f}" r="5.5" fill="{GREEN}"/>'
        + text(x + size, y + size + 14, f"distance {codes.far(z):.3g} sd{beyond}", "end")
    )


# --- without a kernel -----------------------------------------------------------------------------


def _named(protocol: Protocol) -> dict[str, str]:
    """What the sets of images are called: to published networks the small digits are neither
    held out nor training data."""
    return (
        {"test": "small digits", "codes": "small digits'"}
        if live.foreign(protocol)
        else {**NAMES, "codes": "training"}
    )


def points(protocol: Protocol, sets: Mapping[str, str] | None = None) -> dict[str, Tensor]:
    """A held-out image and one point of each of `sets` (name → what it is called; default:
    all of the protocol), by name."""
    called = {name: name.replace("_", " ") for name in protocol.sets} if sets is None else sets
    image = live.as_known(protocol, data.load(protocol.training_set).test[:1])[0]
    return {_named(protocol)["test"]: image} | {
        word: noise.sample(name, 0, 1)[0] for name, word in called.items()
    }


def frames(protocol: Protocol) -> dict[tuple[str, str, str], str]:
    """Drawings of `points` for all networks shown, by (data set, seed, d)."""
    images, inputs = data.load(protocol.training_set), points(protocol)
    shown_codes = live.as_known(protocol, few(images.train))
    out = {}
    for ensemble in live.networks(protocol, None)[0]:
        for d in live.chosen(ensemble.dims):
            net = ensemble.member(d).double()
            codes = Codes(net, shown_codes, _named(protocol)["codes"])
            out |= {
                (name, str(ensemble.seed), str(d)): drawing(look(net, x), codes) for name, x in inputs.items()
            }
    order = itertools.product(inputs, *(list(dict.fromkeys(key[i] for key in out)) for i in (1, 2)))
    return {key: out[key] for key in order}


@styled
def still(protocol: Protocol) -> Figure:
    """A held-out image, the paper's three representatives and the first ensemble as one picture:
    reconstructions, and spectra below them, for growing d."""
    groups = {name: f"{group} noise" for group, name in REPRESENTATIVES.items()}
    ensemble, inputs = live.networks(protocol)[0][0], points(protocol, groups)
    dims = live.chosen(ensemble.dims)
    fig, axes = plt.subplots(
        2 * len(inputs),
        1 + len(dims),
        figsize=(min(6.4, 1.3 * (1 + len(dims))), 1.75 * len(inputs)),
        squeeze=False,
    )
    for (name, x), upper, lower in zip(inputs.items(), axes[0::2], axes[1::2]):
        cells = [x] + [look(ensemble.member(d).double(), x) for d in dims]
        for ax, cell in zip(upper, cells):
            image = cell if isinstance(cell, Tensor) else cell.times[1]
            ax.imshow(image.reshape(28, 28), vmin=0, vmax=1, interpolation="nearest")
        upper[0].set_ylabel(name)
        lower[0].axis("off")
        for ax, cell in zip(lower[1:], cells[1:]):
            plane(ax, cell.lam["I"], cell.lam["L"], size=3.5)
    for ax, title in zip(axes[0], ["input", *(f"$d={d}$" for d in dims)]):
        ax.set_title(title)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    return fig


# --- with a kernel --------------------------------------------------------------------------------


class Explorer:
    """The explorer for a notebook with a kernel; its widget is ``explorer.widget``.

    Choose a network, a data set and a point, mix it with a point of another, or paint; every
    change is answered at once.

    Parameters
    ----------
    protocol : Protocol
        Whose networks are shown where none are published, and whose images.
    """

    def __init__(self, protocol: Protocol):
        self.protocol, self.images, self.names = protocol, data.load(protocol.training_set), _named(protocol)
        self.around = live.as_known(protocol, few(self.images.train))
        ensembles, which = live.networks(protocol, None)
        self.nets: dict[tuple, Autoencoder] = {}
        self.all_codes: dict[tuple, Codes] = {}
        start = untrained(protocol.replace(dims=ensembles[0].dims, seeds=tuple(e.seed for e in ensembles)))
        self.ensembles = {
            (e.seed, trained): e for trained, es in ((True, ensembles), (False, start)) for e in es
        }
        self.seen: Look | None = None
        self.painted = torch.zeros(784, dtype=torch.float64)
        sets = [
            (self.names.get(name, name.replace("_", " ")), name)
            for name in ("test", "train", *protocol.sets)
            if name != "train" or name in self.names
        ]
        sets.append(("painted by hand", "painted"))

        wide = {"style": {"description_width": "initial"}, "layout": {"width": "320px"}}
        self.d = widgets.SelectionSlider(options=list(ensembles[0].dims), description="d", **wide)
        self.seed = widgets.Dropdown(options=[e.seed for e in ensembles], description="seed", **wide)
        self.trained = widgets.Checkbox(value=True, description="trained", **wide)
        self.set = widgets.Dropdown(options=sets, description="data set", **wide)
        self.index = widgets.BoundedIntText(value=0, min=0, max=499, description="point", **wide)
        self.other = widgets.Dropdown(options=sets, value=protocol.sets[0], description="mix with", **wide)
        share = {"value": 0.0, "min": 0.0, "max": 1.0, "step": 0.01}
        self.mix = widgets.FloatSlider(**share, description="share of the second", **wide)
        self.picture = widgets.HTML(layout={"width": "720px", "max_width": "100%"})
        self.canvas = self._canvas()
        for control in (self.d, self.seed, self.trained, self.set, self.index, self.other, self.mix):
            control.observe(lambda change: self.update(), "value")
        left = widgets.VBox([self.d, self.seed, self.trained])
        right = widgets.VBox([self.set, self.index, self.other, self.mix])
        paint = widgets.Accordion(
            [self.canvas], titles=("Paint: two by two pixels a field",), selected_index=None
        )
        told = widgets.HTML(
            html.escape(f"{which[0].upper()}{which[1:]}; images from {live.NAMES[protocol.training_set]}.")
        )
        self.widget = widgets.VBox(
            [told, widgets.HBox([left, right], layout={"flex_flow": "row wrap"}), self.picture, paint]
        )
        self.update()

    @property
    def input(self) -> Tensor:
        """The picture that is shown to the network, shape (784,), float64."""
        return torch.lerp(self._point(self.set.value), self._point(self.other.value), self.mix.value)

    def update(self) -> None:
        """Look again and draw."""
        key = (self.seed.value, self.trained.value, self.d.value)
        if key not in self.nets:
            self.nets[key] = self.ensembles[key[:2]].member(key[2]).double()
            self.all_codes[key] = Codes(self.nets[key], self.around, self.names["codes"])
        self.seen = look(self.nets[key], self.input)
        alt = (
            f"d = {self.d.value}: input, reconstructions, eigenvalues, singular values and code; "
            f"rank {self.seen.rank['I']}, orientation {self.seen.orientation['I']}"
        )
        self.picture.value = shown(drawing(self.seen, self.all_codes[key]), alt)

    def _point(self, name: str) -> Tensor:
        if name == "painted":
            return self.painted
        if name in ("train", "test"):
            x = self.images.train if name == "train" else self.images.test
            i = self.index.value % len(x)  # the digits have fewer than 500 held-out images
            return live.as_known(self.protocol, x[i : i + 1])[0]
        return _drawn(name)[self.index.value]

    def _canvas(self) -> widgets.Widget:
        """A field of 14 × 14 buttons; a press turns ink on or off and makes the painting the input."""

        def press(button: widgets.Button, field: Tensor) -> None:
            field.copy_(1 - field)
            button.style.button_color = "#ffffff" if field[0, 0] else "#000000"
            if self.set.value == "painted":
                self.update()
            else:
                self.set.value = "painted"

        buttons, square = [], {"width": "22px", "height": "22px", "margin": "0"}
        for i, j in itertools.product(range(14), repeat=2):
            button = widgets.Button(tooltip=f"row {i + 1}, column {j + 1}", layout=square)
            button.style.button_color = "#000000"
            button.on_click(functools.partial(press, field=self.painted.view(14, 2, 14, 2)[i, :, j]))
            buttons.append(button)
        return widgets.GridBox(buttons, layout={"grid_template_columns": "repeat(14, 23px)"})


@functools.cache
def _drawn(name: str) -> Tensor:
    """The first block of a noise set, drawn once: a Beta set takes seconds."""
    return noise.sample(name, 0, noise.BLOCK)


def show(protocol: Protocol) -> widgets.Widget:
    """The explorer: the live one in a notebook, the album in the book, whose pages have no kernel."""
    if paths.pictures():
        return album(frames(protocol), ("data set", "seed", "d"), "Input, reconstructions and spectra")
    return Explorer(protocol).widget
