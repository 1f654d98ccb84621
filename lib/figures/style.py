"""The one look of every figure: type, ink, and a colour for each data set, on white and on dark pages."""

from __future__ import annotations

import base64
import functools
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image
from torch import Tensor

from ..protocol import LABELS

__all__ = [
    "styled", "picture", "plane", "shades", "plain_ticks", "log_axis",
    "STYLE", "WIDTH", "INK", "FAINT", "BLUE", "RED", "GREEN", "ORANGE", "PURPLE", "LINES", "DARK", "COLORS",
    "LABELS", "ORDERED",
]  # fmt: skip

STYLE = Path(__file__).with_name("book.mplstyle")
#: Source Sans 3, the pages' own type, at one weight: Latin and Greek,
#: made of the fonts in book/_assets/thirdparty.
FONT = Path(__file__).with_name("book-sans.ttf")
font_manager.fontManager.addfont(FONT)

#: Inches across: beside a column of text, and on a telephone, letters of 11.5 points can be read.
WIDTH = 6.4
#: Words and marks; lines that guide.
INK, FAINT = "#4b5563", "#6b7280"
#: Figures 3 and 6 of the paper draw J_I in blue and J_L in red.
BLUE, RED, GREEN, ORANGE, PURPLE = "#0072b2", "#c24a00", "#00806a", "#a06e00", "#a8428e"
#: Seeds are told apart by the line.
LINES = ("-", "--", ":", "-.")

#: The same colour for the same data set on every page: dark sets in blues, middle ones in greens,
#: bright ones in warm tones, the training data in a neutral that stands out from all by its width.
COLORS = {
    "train": "#6a717f", "test": "#858d9b",
    "bernoulli_0.13": "#1f4e9c", "beta_0.8_5": "#2b7bd6", "bernoulli_0.25": "#1c8db8",
    "bernoulli_0.5": "#006d5b", "normal": "#00936b", "uniform": "#3f9a4b", "beta_0.5_0.5": "#6e9212",
    "bernoulli_0.75": "#b07b00", "bernoulli_0.87": "#c24a00", "beta_5_0.8": "#c2387a",
}  # fmt: skip

#: What stands for a colour on a dark page. No one colour has a contrast of 4.5 on both;
#: a picture takes these by itself.
DARK = {
    INK: "#c3cad4", FAINT: "#959eac", BLUE: "#58ace4", RED: "#f0894f", GREEN: "#35b597",
    ORANGE: "#e0a52a", PURPLE: "#da8cc4",
    "#7458a8": "#a893dc", "#6a717f": "#b0b7c2", "#858d9b": "#838b99",
    "#1f4e9c": "#7fa6ec", "#2b7bd6": "#4c9bf0", "#1c8db8": "#56c0e8",
    "#006d5b": "#2fa78f", "#00936b": "#2fc08f", "#3f9a4b": "#7fcb86", "#6e9212": "#a9cf4a",
    "#b07b00": "#e6a71e", "#c2387a": "#ee79b0",
}  # fmt: skip

#: For an ordered quantity: every tone has a contrast of three on white and on dark.
ORDERED = LinearSegmentedColormap.from_list(
    "ordered", ["#3c69d8", "#8a5bd0", "#c04a92", "#c2602a", "#9a7a00"]
)

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under the book's style sheet, and leave no global state and no open figure behind."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with plt.style.context(STYLE):
            fig = draw(*args, **kwargs)
        plt.close(fig)
        return fig

    return wrapper


def picture(fig: Figure) -> bytes:
    """A figure as an SVG file, without date and the same for the same figure.

    It takes the colours of `DARK` where the page around it, by its ``color-scheme``, is dark.
    """
    buffer = io.BytesIO()
    with plt.style.context(STYLE):  # ticks are made, and identifiers salted, when a figure is saved
        # laid out and measured once: `savefig` would do so again, and draws twice what has a layout engine
        FigureCanvasSVG(fig)
        for axis in (axis for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)):
            if (
                axis.get_scale() == "log" and axis.isDefault_majloc
            ):  # of itself it labels 2, 3, 4 and 6 × 10¹, one over the other
                log_axis(axis, axis.get_view_interval())
        fig.set_dpi(72)
        if engine := fig.get_layout_engine():
            engine.execute(fig)
            with plt.rc_context({"figure.constrained_layout.use": False}):
                fig.set_layout_engine(None)
        box = fig.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
        fig.savefig(buffer, format="svg", bbox_inches=box, metadata={"Date": None})
    return compact(twofold(buffer.getvalue().decode())).encode()


def twofold(svg: str) -> str:
    """Every colour of `DARK` made a variable, which dark surroundings change; rasters take it too."""
    svg = RASTER.sub(_inked, svg)
    names = sorted(set(re.findall(r'class="ink(\w+)"', svg)))
    used = [light for light in DARK if light in svg or light[1:] in names]
    svg = re.sub("|".join(used) or "(?!)", lambda found: f"var(--c{found[0][1:]})", svg)
    lit, dark = (
        "".join(f"--c{light[1:]}:{color};" for light, color in pairs)
        for pairs in (zip(used, used), ((light, DARK[light]) for light in used))
    )
    dark = f":root{{{dark}}}" + "".join(f".ink{name}{{filter:url(#ink{name})}}" for name in names)
    rule = f"<style>:root{{{lit}}}@media (prefers-color-scheme: dark){{{dark}}}</style>"
    for name in names:
        flood = f'<feFlood style="flood-color:var(--c{name})"/><feComposite in2="SourceAlpha" operator="in"/>'
        rule += f'<filter id="ink{name}" color-interpolation-filters="sRGB">{flood}</filter>'
    return re.sub(r"(<svg[^>]*>)", rf"\1\n{rule}", svg, count=1)


RASTER = re.compile(r'<image(?= [^>]*?base64,([^"]+)")')


def _inked(image: re.Match) -> str:
    """A raster in one colour of `DARK`, more or less opaque, is marked with it."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(image[1]))).convert("RGBA")).reshape(-1, 4)
    colours = {to_hex(c / 255) for c in np.unique(pixels[pixels[:, 3] > 0, :3], axis=0)[:2]}
    return (
        f'<image class="ink{colours.pop()[1:]}"' if len(colours) == 1 and colours <= DARK.keys() else "<image"
    )


#: Where an SVG has lengths in points, how it repeats how something looks, and names of groups that nothing
#: refers to: those of texts, legends and axes tests/site/figures.py finds them by.
LENGTHS = re.compile(r' (?:d|x|y|points)="[^"]*"|translate\([^)]*\)')
LOOKS = re.compile(r'(?: clip-path="([^"]*)")? style="([^"]*)"')
GROUPS = re.compile(r'<g id="(?:figure|line2d|[xy]tick|\w+Collection)_\d+">')


def compact(svg: str) -> str:
    """The same picture in half the bytes: lengths to a hundredth of a point, each look a class,
    short names for glyphs and marks."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<!DOCTYPE.*?>", "<!-- matplotlib -->", svg, count=1, flags=re.S)
    svg = LENGTHS.sub(lambda found: re.sub(r"\s*\n\s*", " ", DIGITS.sub(_hundredths, found[0])), svg)
    names = {
        name: f"s{i:x}"
        for i, name in enumerate(dict.fromkeys(re.findall(r'<(?:path|clipPath) id="([^"]+)"', svg)))
    }
    svg = re.sub(r'(id="|"#|url\(#)([^")]+)', lambda found: found[1] + names.get(found[2], found[2]), svg)
    looks: dict[str, str] = {}

    def look(found: re.Match) -> str:
        rule = (f"clip-path:{found[1]};" if found[1] else "") + found[2].replace(": ", ":").replace("; ", ";")
        return f' class="{looks.setdefault(rule, f"c{len(looks):x}")}"'

    svg = LOOKS.sub(look, GROUPS.sub("<g>", svg))
    rules = "".join(f".{name}{{{rule}}}" for rule, name in looks.items())
    return re.sub(r"\s*\n\s*", "\n", svg.replace("</style>", f"{rules}</style>", 1))


DIGITS = re.compile(r"-?\d+\.\d{3,}")


def _hundredths(number: re.Match) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def shades(count: int) -> list[str]:
    """`count` colours in order, of `ORDERED`.

    >>> shades(2)
    ['#3c69d8', '#9a7a00']
    """
    return [to_hex(c) for c in ORDERED(np.linspace(0, 1, count))]


def plane(
    ax: Axes, lam_i: Tensor, lam_l: Tensor, reach: float | None = None, size: float = 5, **look
) -> float:
    """Eigenvalues of K_I (circles) and K_L (crosses), complex of any shape, with the unit circle.

    Parameters
    ----------
    reach : half the side of the square shown; default:
        so that every eigenvalue and the unit circle are in it.
    size : of the marks, in points.
    look : further properties of the marks.

    Returns
    -------
    float, the half side.
    """
    reach = reach or 1.1 * max(1.1, float(lam_i.abs().max()), float(lam_l.abs().max()))
    ax.add_patch(plt.Circle((0, 0), 1, fill=False, ls="--", lw=0.9, ec=FAINT))
    for j, lam, mark, color in (("I", lam_i, "o", BLUE), ("L", lam_l, "x", RED)):
        lam, label = lam.flatten(), rf"$K_{{\mathcal{{{j}}}}}$"
        ax.plot(lam.real, lam.imag, mark, mfc="none", color=color, ms=size, ls="", label=label, **look)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    return reach


def log_axis(axis: Axis, values: np.ndarray) -> None:
    """A logarithmic axis for these positive values, with 0.2 instead of 2 × 10⁻¹: at whole decades, or at 1,
    2, 5 where there are few."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values) & (values > 0)]
    low, high = (values.min(), values.max()) if len(values) else (1, 10)
    decades = np.log10(high / low)
    axis._set_axes_scale("log")
    axis.set_major_locator(LogLocator(subs=(1,) if decades > 2.2 else (1, 3) if decades > 1.2 else (1, 2, 5)))
    if 1e-3 <= low and high < 1e6:
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.6g}"))
    axis.set_minor_formatter(NullFormatter())


def plain_ticks(axis: Axis, at: Sequence[float]) -> None:
    """Ticks `at` these values and nowhere else, written out: 8,000 and not 8e+03."""
    axis.set_ticks(list(at), [f"{v:,g}".replace("-", "−") if abs(v) < 1e6 else f"{v:g}" for v in at])
    axis.set_ticks([], minor=True)
