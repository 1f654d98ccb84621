"""Pictures drawn beforehand that a reader switches without a kernel, and what is shown so as d grows.

The pictures are SVGs put together by hand: dozens of them travel inside one page.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

import ipywidgets as widgets
import numpy as np
import pandas as pd
from ipywidgets.widgets.widget_string import HTMLStyle
from torch import Tensor

from ..figures import style
from ..figures.paper import PANELS
from ..protocol import REPRESENTATIVES
from ..spectrum import ARG_BINS, LOG_BINS
from . import page

__all__ = [
    "album",
    "shown",
    "text",
    "picture",
    "svg",
    "reconstructions",
    "distributions",
    "INK",
    "GREEN",
    "BLUE",
    "RED",
]

#: The page's own ink, and the figures' colours; book.css gives them their counterparts on a dark page.
INK = "currentColor"
GREEN, BLUE, RED = (
    f"var(--fig-{name}, {color})"
    for name, color in (("green", style.GREEN), ("blue", style.BLUE), ("red", style.RED))
)
#: The data sets of Figures 1, 3 and 6 in words.
WORDS = {"train": "training data"} | {name: f"{group} noise" for group, name in REPRESENTATIVES.items()}


def album(
    frames: Mapping[tuple[str, ...], str], labels: Sequence[str], alt: str, width: int = 720
) -> widgets.Widget:
    """Pictures drawn beforehand, switched in the browser: the last key by a slider, the others by lists.

    Parameters
    ----------
    frames : SVG pictures by key, for every combination of the keys' values.
    labels : what the keys are called.
    alt : what the pictures show; the key is put behind it.
    width : of a picture at most, in pixels.
    """
    values = [list(dict.fromkeys(column)) for column in zip(*frames)]
    *lists, last = values
    style = {"description_width": "initial"}
    chooses = [widgets.Dropdown(options=v, description=label, style=style) for v, label in zip(lists, labels)]
    slider = widgets.SelectionSlider(
        options=last,
        description=labels[-1],
        style=style,
        continuous_update=True,
        layout={"width": "100%", "max_width": "520px"},
    )
    links = []
    # one look for all: each is kept in the page
    wide = widgets.Layout(width="100%", max_width=f"{width}px")
    full, plain = widgets.Layout(width="100%"), HTMLStyle()

    def stack(key: tuple[str, ...]) -> widgets.Widget:
        depth = len(key)
        if depth == len(values):
            told = f"{alt}: {', '.join(f'{n} {v}' for n, v in zip(labels, key))}"
            return widgets.HTML(shown(frames[key], told), layout=wide, style=plain)
        chooser = [*chooses, slider][depth]
        made = widgets.Stack([stack((*key, v)) for v in values[depth]], selected_index=0, layout=full)
        links.append(widgets.jslink((chooser, "index"), (made, "selected_index")))
        return made

    pictures = stack(())
    choice = [c for c in chooses if len(c.options) > 1]
    box = widgets.VBox(
        [widgets.HBox(choice, layout={"flex_flow": "row wrap"}), slider, pictures], layout={"width": "100%"}
    )
    box.links = links  # else they are collected as garbage and never reach the page
    return box


def shown(picture: str, alt: str) -> str:
    """A drawing with its description; widgets' own images cannot have one."""
    return f'<div role="img" aria-label="{html.escape(alt)}">{picture}</div>'


def text(x: float, y: float, words: str, anchor: str = "middle", color: str = INK) -> str:
    """Words in an SVG; ``K_I`` has its index."""
    words = re.sub(
        r"([KJ])_([IL])",
        r'\1<tspan dy="3" font-size="9">\2</tspan><tspan dy="-3">&#8203;</tspan>',
        html.escape(words),
    )
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{words}</text>'


def picture(x: float, y: float, width: float, height: float, images: Tensor) -> str:
    """Grey images ``(m, 784)`` side by side in an SVG."""
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    source = page.inline(page.png(images), "png")
    return f'<image {place} style="image-rendering:pixelated" href="{source}"/>'


def svg(width: int, height: int, body: str) -> str:
    """A drawing that takes the page's ink and shrinks with it."""
    style = (
        "font-family:'Source Sans 3',system-ui,sans-serif;font-size:12px;"
        f"width:{width}px;max-width:100%;height:auto;display:block"
    )
    head = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" style="{style}"'
    return f'<svg {head} aria-hidden="true">{body}</svg>'


def reconstructions(samples: Mapping[tuple[int, int, str], Tensor]) -> widgets.Widget:
    """Tables I and II with a slider over d, from `lib.results.reconstructions`."""
    frames: dict[tuple[str, str], str] = {}
    for seed, d in sorted({key[:2] for key in samples}):
        strips = ""
        for i, name in enumerate(REPRESENTATIVES.values()):
            strips += text(0, 13 + 104 * i, WORDS[name], "start") + picture(
                0, 19 + 104 * i, 480, 80, samples[seed, d, name]
            )
        frames[str(seed), str(d)] = svg(480, 104 * len(REPRESENTATIVES), strips)
    return album(frames, ("seed", "d"), "Six reconstructions each of bright, middle and dark noise", 480)


#: Edges of the bins, symbol and ticks of what `distributions` shows.
HISTOGRAMS = {
    "log": (LOG_BINS, "log |λ|", {-12: "−12", -8: "−8", -4: "−4", 0: "0", 4: "4"}),
    "arg": (ARG_BINS, "|Arg λ|", {0: "0", np.pi / 2: "π/2", np.pi: "π"}),
}


def distributions(table: pd.DataFrame, what: str) -> widgets.Widget:
    """The distributions that Figures 3 (``log``) and 6 (``arg``) sum up as boxes, with a slider over d."""
    edges, symbol, ticks = HISTOGRAMS[what]
    names = [name for name in PANELS if (table.set == name).any()]
    table = table[table.set.isin(names)]
    shares = {}
    for j in "IL":
        for seed, d, name, column in table[["seed", "d", "set", f"{j}_{what}_hist"]].itertuples(index=False):
            counts = np.array(column.split(), int)
            shares[seed, d, name, j] = counts / max(counts.sum(), 1)
    used = np.flatnonzero(np.max(list(shares.values()), axis=0) > 0.002)
    zero = int(np.searchsorted(edges, 0))  # |λ| = 1, or Arg λ = 0, is always in sight
    bins = slice(min(used[0], zero), max(used[-1], zero) + 1)
    frames = {}
    for seed, d in sorted({key[:2] for key in shares}):
        body = (
            text(8, 312, "J_I", "start", BLUE)
            + text(32, 312, "J_L", "start", RED)
            + text(472, 312, symbol, "end")
        )
        for i, name in enumerate(names):
            pair = {j: shares[seed, d, name, j][bins] for j in "IL"}
            place, inner = (8 + 240 * (i % 2), 20 + 150 * (i // 2)), edges[bins.start : bins.stop + 1]
            body += _panel(*place, WORDS[name], pair, inner, ticks)
        frames[str(seed), str(d)] = svg(480, 318, body)
    told = f"Histograms of {symbol} of both Jacobians on training data and three noise sets"
    return album(frames, ("seed", "d"), told, 480)


def _panel(
    x: float,
    y: float,
    title: str,
    shares: Mapping[str, np.ndarray],
    edges: np.ndarray,
    ticks: Mapping[float, str],
) -> str:
    """Two histograms over one another, 224 × 100; the highest bar reaches the top."""
    count, top = len(edges) - 1, max(float(s.max()) for s in shares.values()) or 1.0
    at = lambda value: 224 * (value - edges[0]) / (edges[-1] - edges[0])
    parts = [f'<path d="M0 100h224" stroke="{INK}" stroke-width=".8"/>', text(112, -6, title)]
    filled = f'fill="{BLUE}" fill-opacity=".4" stroke="{BLUE}"'
    for share, look in zip(shares.values(), (filled, f'fill="none" stroke="{RED}" stroke-width="1.6"')):
        heights = np.round(100 * share / top).astype(int)
        steps = "".join(f"v{-step:d}h1" if step else "h1" for step in np.diff(heights, prepend=0))
        size = f'transform="translate(0 100) scale({224 / count:.4g} 1)" vector-effect="non-scaling-stroke"'
        parts.append(f'<path {size} {look} d="M0 0{steps}V0"/>')
    marks = [(at(value), word) for value, word in ticks.items() if edges[0] <= value <= edges[-1]]
    parts += [
        f'<path d="M{a:.1f} 100v4" stroke="{INK}" stroke-width=".8"/>' + text(a, 116, word)
        for a, word in marks
    ]
    if edges[0] < 0:  # the unit circle
        parts.append(
            f'<path d="M{at(0):.1f} 0v100" stroke="{INK}" stroke-width=".6" stroke-dasharray="3 3"/>'
        )
    return f'<g transform="translate({x} {y})">{"".join(parts)}</g>'
