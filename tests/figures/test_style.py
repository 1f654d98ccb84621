"""Figures can be read: on white and on dark pages, in the pages' type, and on a telephone."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from lib.figures import style
from lib.figures.sets import by_group
from lib.protocol import GROUPS, NOISE_SETS

WHITE, NIGHT = "#ffffff", "#14171b"


def luminance(color: str) -> float:
    """Relative luminance of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("color", [style.INK, style.FAINT, style.BLUE, style.RED, style.GREEN, style.PURPLE])
def test_what_words_are_written_in_has_a_contrast_of_four_and_a_half(color):
    assert contrast(color, WHITE) >= 4.5 and contrast(style.DARK[color], NIGHT) >= 4.5


@pytest.mark.parametrize("color", [*style.COLORS.values(), style.ORANGE, *style.shades(9)])
def test_every_line_has_a_contrast_of_three(color):
    assert contrast(color, WHITE) >= 3 and contrast(style.DARK.get(color, color), NIGHT) >= 3


def test_data_sets_have_colours_of_their_own():
    assert len(set(style.COLORS.values())) == len(style.COLORS)
    assert len({style.DARK[c] for c in style.COLORS.values()}) == len(style.COLORS)


@style.styled
def small() -> plt.Figure:
    fig, ax = plt.subplots()
    ax.plot([1, 2], [-1, 1], color=style.BLUE)
    ax.set(title="a title", xlabel=r"$\lambda_{\mathcal{I}}$")
    return fig


def test_a_picture_changes_its_ink_with_the_page_around_it():
    svg = style.picture(small()).decode()
    assert f"stroke:var(--c{style.BLUE[1:]})" in svg
    assert f"--c{style.BLUE[1:]}:{style.BLUE};" in re.search(r"<style>:root\{([^}]*)\}", svg)[1]
    rule = re.search(r"prefers-color-scheme: dark\)\{:root\{([^}]*)\}", svg)[1]
    assert f"--c{style.BLUE[1:]}:{style.DARK[style.BLUE]};" in rule
    used = set(re.findall(r"var\(--c(\w+)", svg))
    assert used == set(re.findall(r"--c(\w+):", rule))
    assert style.picture(small()).decode() == svg


def test_a_raster_in_one_ink_changes_it_with_the_page_and_a_picture_stays(tmp_path, browser):
    """Seen in Chromium: the cloud has the dark page's colour there, grey pixels are what they were."""

    @style.styled
    def cloud() -> plt.Figure:
        fig, ax = plt.subplots(figsize=(2, 2))
        ax.plot(
            np.linspace(0.3, 0.7, 99), np.full(99, 0.5), "s", ms=40, mew=0, color="#1f4e9c", rasterized=True
        )
        ax.imshow([[0.5]], cmap="gray", vmin=0, vmax=1, extent=(0, 1, 0, 0.2))
        ax.set(xlim=(0, 1), ylim=(0, 1))
        return fig

    (tmp_path / "cloud.svg").write_bytes(style.picture(cloud()))
    image = '<img src="cloud.svg" width="200" height="200">'
    (tmp_path / "page.html").write_text(
        f'<html style="color-scheme:light dark"><body style="margin:0">{image}'
    )
    for dark, ink in ((False, "#1f4e9c"), (True, style.DARK["#1f4e9c"])):
        assert not browser.visit(tmp_path / "page.html", dark)
        seen = np.asarray(Image.open(io.BytesIO(browser.page.screenshot())).convert("RGB"))[:200, :200]
        colours = {to_hex(c / 255) for c in np.unique(seen.reshape(-1, 3), axis=0)}
        assert ink in colours and "#808080" in colours


def test_figures_are_set_in_the_pages_type_and_large_enough_for_a_telephone():
    with plt.style.context(style.STYLE):
        first = plt.rcParams["font.family"][0]
        assert Path(font_manager.findfont(first, fallback_to_default=False)) == style.FONT
        sizes = {
            plt.rcParams[k] for k in ("font.size", "axes.labelsize", "xtick.labelsize", "legend.fontsize")
        }
        assert min(sizes) / 72 * (358 / style.WIDTH) >= 8.9  # pixels, in a column of 358 of a screen of 390


def test_the_pages_and_the_figures_have_one_palette(root):
    css = (root / "book" / "_assets" / "book.css").read_text()
    for (name, color), theme in itertools.product(
        (("blue", style.BLUE), ("red", style.RED), ("green", style.GREEN)), ("light", "dark")
    ):
        rule = re.search(rf'html\[data-theme="{theme}"\] \{{([^}}]*)\}}', css)[1]
        assert f"color-scheme: {theme};" in rule
        assert f"--fig-{name}: {color if theme == 'light' else style.DARK[color]};" in rule


def test_a_figure_of_all_sets_shows_every_network_and_their_medians_group_by_group():
    """Ten seeds as well as two: no line is dropped for want of a line style."""
    seeds, dims = range(10), (2, 8)
    rng = np.random.default_rng(0)
    rows = [(name, s, d, rng.random()) for name in ("train", *NOISE_SETS) for s in seeds for d in dims]
    table = pd.DataFrame(rows, columns=["set", "seed", "d", "value"])
    fig = style.styled(by_group)(table, {"value": "a value"})
    assert len(fig.axes) == len(GROUPS)
    for ax, names in zip(fig.axes, GROUPS.values()):
        thin = [line for line in ax.lines if line.get_label() != "median"]
        noise, known = (line.get_ydata() for line in ax.lines if line.get_label() == "median")
        assert len(thin) == len(names) * len(seeds)
        assert np.allclose(noise, table[table.set.isin(names)].groupby("d").value.median())
        assert np.allclose(known, table[table.set == "train"].groupby("d").value.median())


def test_a_compact_picture_is_the_same_picture():
    """Lengths to a hundredth of a point, looks as classes, names that refer to the same things."""
    buffer = io.BytesIO()
    with plt.style.context(style.STYLE):
        fig = small()
        fig.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    whole, short = buffer.getvalue().decode(), style.picture(small()).decode()
    numbers = lambda svg: [
        float(n) for d in re.findall(r' d="([^"]*)"', svg) for n in re.findall(r"-?[\d.]+", d)
    ]
    assert len(short) < 0.75 * len(whole)
    assert np.abs(np.subtract(numbers(whole), numbers(short))).max() <= 0.005 + 1e-9
    for tag in ("<path", "<use", "<g", "clip-path"):
        assert whole.count(tag) >= short.count(tag) > 0
    assert whole.count("<path") == short.count("<path") and whole.count("<use") == short.count("<use")
    names = set(re.findall(r'(?<!<g) id="([^"]+)"', short))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', short))
    assert used and used <= names
    classes = set(re.findall(r'class="(\w+)"', short))
    assert classes and classes == set(re.findall(r"\.(\w+)\{", short))
