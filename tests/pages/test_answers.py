"""Every figure answers: with its numbers, the function and the notebook behind it, and a slider for d."""

from __future__ import annotations

import base64
import functools
import io
import json
import re
import time
from pathlib import Path
from urllib.parse import unquote

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib import published, results
from lib.figures import paper, studies, tables
from lib.pages import albums, page
from lib.press.texts import pages
from lib.protocol import REPRESENTATIVES, Protocol
from lib.training import train

PROTOCOL = Protocol(training_set="digits", dims=(2, 8), seeds=(0, 1), epochs=1, points=8)
FIGURES = [getattr(paper, f"figure{i}") for i in range(1, 7)]


@pytest.fixture(scope="module")
def table(own_results) -> pd.DataFrame:
    return results.cells(train(PROTOCOL, progress=False), PROTOCOL, progress=False)


def read(file) -> pd.DataFrame:
    return pd.read_csv(file, float_precision="round_trip")


# --- the numbers -------------------------------------------------------------------------------


#: The numbers that the chapter shows below each figure.
NUMBERS = {
    paper.figure1: ["distance_median", "distance_q1", "distance_q3", "distance_mean"],
    paper.figure2: ["I_mean", "L_mean", "I_geometric", "L_geometric"],
    paper.figure3: functools.partial(tables.boxes, what="log"),
    paper.figure4: ["I_sd_log", "L_sd_log"],
    paper.figure5: ["I_reversed", "L_reversed"],
    paper.figure6: functools.partial(tables.boxes, what="arg"),
}


def shown(draw, table, tmp_path, monkeypatch) -> pd.DataFrame:
    """The numbers behind a figure, from the file that the page offers."""
    monkeypatch.setenv("BOOK_PICTURES", str(tmp_path))
    block = page.figure("fig", draw, table, numbers=NUMBERS[draw], caption="Caption.", alt="Alt.")
    assert f"<lib.figures.paper.{draw.__name__}>" in block.myst
    (path,) = re.findall(r"\{download\}`[^`]*<([^`<>]*-cells-[^`<>]*\.csv)>`", block.myst)
    assert path in block.lab
    return read(path)


@pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: draw.__name__)
def test_below_a_figure_stand_cells_of_the_results_table_to_the_last_bit(draw, table, tmp_path, monkeypatch):
    cells = shown(draw, table, tmp_path, monkeypatch)
    same = cells[["set", "seed", "d"]].merge(table, how="left")[list(cells.columns)]
    pd.testing.assert_frame_equal(cells, same, check_exact=True)
    assert len(cells.columns) > 3 and len(cells) == len(table)


@pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: draw.__name__)
def test_what_is_drawn_is_among_the_numbers(draw, table, tmp_path, monkeypatch):
    """Lines by their points, boxes by their medians: nothing is shown that is not in the file."""
    fig = draw(table)
    numbers = shown(draw, table, tmp_path, monkeypatch).select_dtypes("number").to_numpy().ravel()
    drawn = [
        line.get_ydata()
        for ax in fig.axes
        for line in ax.lines
        if len(line.get_xdata()) == 2 and set(line.get_xdata()) == {2, 8} and line.get_label() != "median"
    ]
    medians = [
        line.get_ydata()[:1]
        for ax in fig.axes
        for line in ax.lines
        if line.get_linewidth() == 1.6 and draw in (paper.figure3, paper.figure6)
    ]
    values = np.concatenate(drawn + medians)
    assert len(values) >= 16
    assert np.isin(values[np.isfinite(values)], numbers).all()


@pytest.mark.parametrize("what", ["log", "arg"])
def test_the_histograms_count_every_nonzero_eigenvalue(what, table):
    counts = tables.histograms(table, what).groupby(["set", "seed", "d", "jacobian"])["count"].sum()
    for _, row in table.iterrows():
        for j in "IL":
            assert counts.get((row.set, row.seed, row.d, j), 0) == round(
                row.points * row.d * (1 - row[f"{j}_zeros"])
            )


def test_a_caption_that_would_break_the_page_is_refused():
    with pytest.raises(ValueError, match="table tab: expected a caption without backticks"):
        page.table("tab", pd.DataFrame({"x": [1.0]}), "Times of `torch.func`.")


def test_other_numbers_have_another_name(table, tmp_path, monkeypatch):
    monkeypatch.setenv("BOOK_PICTURES", str(tmp_path))
    for part in (table, table[table.d == 2]):
        page.figure(
            "fig", paper.figure2, part, numbers=NUMBERS[paper.figure2], caption="Caption.", alt="Alt."
        )
    assert len(list(tmp_path.glob("*.csv"))) == 2


def test_with_published_results_each_tab_has_its_own_numbers(table, tmp_path, monkeypatch):
    monkeypatch.setenv("BOOK_PICTURES", str(tmp_path))
    block = page.figure(
        "fig",
        paper.figure4,
        table,
        table[table.seed == 1],
        numbers=["I_sd_log"],
        caption="Caption.",
        alt="Alt.",
    )
    paths = re.findall(r"<([^`<>]*\.csv)>`", block.myst)
    assert [len(read(p)) for p in paths] == [(table.seed == 1).sum(), len(table)]
    assert block.myst.count("lib.figures.paper.figure4") == 1


def test_few_numbers_are_shown_and_very_many_are_not_offered(tmp_path, monkeypatch):
    monkeypatch.setenv("BOOK_PICTURES", str(tmp_path))
    numbers = {
        n: pd.DataFrame({"value": np.arange(n) / 7}) for n in (page.FEW, page.FEW + 1, page.MANY // 10)
    }
    rows = {"a": np.zeros((1, 784))}
    texts = {
        n: page.figure(
            "fig", studies.image_rows, rows, numbers={"values": t}, caption="Caption.", alt="Alt."
        ).myst
        for n, t in numbers.items()
    }
    assert ["<table" in t for t in texts.values()] == [True, False, False]
    assert [".csv" in t for t in texts.values()] == [True, True, False]


def test_a_summary_leads_to_the_networks_it_sums_up(table, tmp_path, monkeypatch):
    monkeypatch.setenv("BOOK_PICTURES", str(tmp_path))
    block = page.table("tab", tables.spread(table, {"I_mean": "mean modulus"}), "Caption.")
    (path,) = re.findall(r"<([^`<>]*\.csv)>`", block.myst)
    pd.testing.assert_frame_equal(read(path), table[["set", "seed", "d", "I_mean"]], check_exact=True)


# --- the sliders -------------------------------------------------------------------------------


def pictures(widget) -> dict[str, str]:
    """Description → drawing, of every picture in an album."""
    html = [w.value for w in walk(widget) if hasattr(w, "value") and "role=" in str(w.value)]
    return dict(
        re.fullmatch(r'<div role="img" aria-label="([^"]*)">(.*)</div>', text, re.S).groups() for text in html
    )


def walk(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


def test_the_slider_over_d_shows_the_reconstructions_themselves(own_results):
    samples = results.reconstructions(train(PROTOCOL, progress=False))
    shown = pictures(albums.reconstructions(samples))
    assert [re.search(r"seed \d, d \d", alt)[0] for alt in shown] == [
        "seed 0, d 2",
        "seed 0, d 8",
        "seed 1, d 2",
        "seed 1, d 8",
    ]
    strips = re.findall(r"base64,([^\"]*)", shown[next(a for a in shown if a.endswith("seed 1, d 8"))])
    for name, strip in zip(REPRESENTATIVES.values(), strips, strict=True):
        pixels = plt.imread(io.BytesIO(base64.b64decode(strip)))  # grey: one number a pixel
        expected = samples[1, 8, name].reshape(6, 28, 28).permute(1, 0, 2).reshape(28, 168).clamp(0, 1)
        assert pixels.shape == expected.shape
        assert np.abs(pixels - expected.numpy()).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("what", ["log", "arg"])
def test_the_slider_over_d_shows_the_histograms_in_proportion(what, table):
    shown = pictures(albums.distributions(table, what))
    assert len(shown) == 4
    drawing = shown[next(a for a in shown if a.endswith("seed 1, d 8"))]
    paths = [d for d in re.findall(r' d="M0 0([^"]*)V0"', drawing)]
    expected = [
        table[(table.set == name) & (table.seed == 1) & (table.d == 8)].iloc[0] for name in paper.PANELS
    ]
    for row, pair in zip(expected, zip(paths[::2], paths[1::2]), strict=True):
        heights = [
            np.cumsum([-int(step or 0) for step in re.findall(r"(?:v(-?\d+))?h1", path)]) for path in pair
        ]
        counts = [np.array(row[f"{j}_{what}_hist"].split(), int) for j in "IL"]
        shares = [c[c > 0] / c.sum() for c in counts]
        top = max(s.max() for s in shares)
        for height, share in zip(heights, shares):
            assert height.max() <= 100 and set(height[height > 0]) <= set(
                np.round(100 * share / top).astype(int)
            )
        assert max(h.max() for h in heights) == 100


# --- the smoke book in a browser ---------------------------------------------------------------


def file_of(address: str) -> Path:
    return Path(unquote(address.removeprefix("file://").partition("#")[0]))


def wait(browser, expression: str, expected) -> None:
    for _ in range(200):
        if browser.evaluate(expression) == expected:
            return
        time.sleep(0.05)
    assert browser.evaluate(expression) == expected


@pytest.mark.parametrize(
    "name, what", [("reconstructions", "Six reconstructions"), ("eigenvalues", "Histograms of log")]
)
def test_the_arrow_keys_lead_through_d(book, browser, name, what):
    assert browser.visit(book[0] / "html" / f"{name}.html") == []
    seen = (
        f"[...document.querySelectorAll('[role=img][aria-label^=\"{what}\"]')]"
        ".filter(i => i.getClientRects().length).map(i => i.ariaLabel.slice(-3))"
    )
    first, second = ((published.manifest() or {}).get("protocol") or vars(Protocol.from_profile("smoke")))[
        "dims"
    ][:2]
    wait(browser, seen, [f"d {first}"])
    browser.evaluate("document.querySelector('.noUi-handle').focus()")
    for key, expected in (("ArrowRight", f"d {second}"), ("ArrowLeft", f"d {first}")):
        browser.page.keyboard.press(key)
        wait(browser, seen, [expected])


@pytest.fixture(scope="module")
def links(book, browser) -> dict[str, list[str]]:
    """Where the numbers and the makers of a chapter's figures are, as the browser resolves the addresses."""
    browser.visit(book[0] / "html" / "eigenvalues.html")
    chosen = {"numbers": "details.numbers a[download]", "made": ".made a"}
    return {
        k: browser.evaluate(f"[...document.querySelectorAll('{css}')].map(a => a.href)")
        for k, css in chosen.items()
    }


def test_the_link_below_figure_1_leads_to_its_numbers(book, links, monkeypatch):
    (link,) = [x for x in links["numbers"] if re.search(r"/fig-1(-build)?-cells-[0-9a-f]{8}\.csv$", x)]
    monkeypatch.setenv("BOOK_RESULTS", str(book[0] / "results"))
    cells = results.run(Protocol.from_profile("smoke"), progress=False).table
    expected = cells[["set", "seed", "d", *NUMBERS[paper.figure1]]]
    pd.testing.assert_frame_equal(read(file_of(link)), expected, check_exact=True)


def test_every_figure_leads_to_the_code_that_drew_it_and_to_its_notebook(links, browser, root):
    links = links["made"]
    assert (
        file_of(next(x for x in links if x.endswith("eigenvalues.md"))).read_text()
        == (root / "book" / "eigenvalues.md").read_text()
    )
    places = {x.partition("#")[2] for x in links if "#" in x}
    assert places == {f"lib.figures.paper.{draw.__name__}" for draw in FIGURES}
    browser.visit(file_of(next(x for x in links if "#" in x)))
    names = browser.evaluate(
        f"{sorted(places)}.map(id => document.getElementById(id)?.querySelector('.descname').textContent)"
    )
    assert names == sorted(p.rpartition(".")[2] for p in places)


# --- in JupyterLab -----------------------------------------------------------------------------


def test_jupyterlab_lists_all_pages_in_order_and_renders_computed_sentences_itself(root):
    shown = page.contents(root / "_toc.yml")
    assert re.findall(r'href="([^"]*)\.md"', shown.lab) == pages(root / "_toc.yml")[1:]
    assert re.findall(r'start="(\d+)"', shown.lab)[:2] == [
        "1",
        str(1 + shown.lab.partition("</ol>")[0].count("<li>")),
    ]
    assert shown.myst == ""  # the book's sidebar has them
    assert "text/html" not in page.markdown("*x* $y$")._repr_mimebundle_()


def test_make_lab_opens_the_first_page_and_asks_nothing(root):
    """The settings of the folder that `make lab` names are those of plugins this JupyterLab has."""
    import jupyterlab

    makefile = (root / "Makefile").read_text()
    folder, first = re.search(
        r"JUPYTER_CONFIG_PATH=(\S+) .*jupyter lab book .*/lab/tree/(\S+)\.md", makefile
    ).groups()
    settings = json.loads((root / folder / "labconfig" / "default_setting_overrides.json").read_text())
    schemas = Path(jupyterlab.__file__).parents[4] / "share" / "jupyter" / "lab" / "schemas"
    for plugin, values in settings.items():
        package, _, name = plugin.partition(":")
        schema = json.loads((schemas / package / f"{name}.json").read_text())
        assert set(values) <= set(schema["properties"]), plugin
    assert settings["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    assert first == pages(root / "_toc.yml")[0]
