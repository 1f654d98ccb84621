"""Figures 1 to 6 answer pointer and keyboard, from a file, lead to the explorer, remain without scripts."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from ipywidgets.embed import embed_minimal_html

from lib import published
from lib.pages import albums, answers
from lib.pages import page as paper_page
from lib.protocol import LABELS, SETS

DIMS, SEEDS = (2, 5, 8), (0, 1)
WORDS = {"training data": "train", "normal, μ = .5, σ = 1, truncated": "normal"}


@pytest.fixture(scope="module")
def table():
    whole = published.cells()
    return whole[whole.d.isin(DIMS) & whole.seed.isin(SEEDS)].copy()


@pytest.fixture(scope="module")
def page(table, browser, root, tmp_path_factory):
    """A page with three of the figures, and the explorer's album beside it."""
    folder = tmp_path_factory.mktemp("figures")
    assets = (root / "book" / "_assets").as_uri()
    head = (
        '<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>t</title>'
        f'<link rel="stylesheet" href="{assets}/book.css">'
        f'<link rel="stylesheet" href="{assets}/live/live.css">'
        f'<script src="{assets}/access.js"></script>'
    )
    empty = "data:image/svg+xml,%3Csvg xmlns=%27http://www.w3.org/2000/svg%27/%3E"
    figures = "".join(
        f'<figure><img alt="figure {n}" src="{empty}"></figure>'
        + answers.script(getattr(answers, f"figure{n}")(table))
        for n in (1, 5, 6)
    )
    (folder / "figures.html").write_text(f'{head}<body style="max-width:736px">{figures}</body></html>')
    names = ["held out", *(name.replace("_", " ") for name in SETS)]
    frames = {(name, str(s), str(d)): albums.svg(9, 9, "") for name in names for s in SEEDS for d in DIMS}
    album = albums.album(frames, ("data set", "seed", "d"), "Shown")
    embed = f"{assets}/thirdparty/html-manager/embed.js"
    embed_minimal_html(folder / "explorer.html", views=[album], title="e", embed_url=embed, requirejs=False)
    text = (folder / "explorer.html").read_text().replace('crossorigin="anonymous"', "")
    (folder / "explorer.html").write_text(
        text.replace("<body>", f'<body><script src="{assets}/access.js"></script>')
    )
    assert browser.visit(folder / "figures.html") == []
    browser.page.wait_for_function(
        "window.answeringFigures?.length === 3 && document.querySelector('.u-over')"
    )
    return browser.page


def test_every_number_that_is_drawn_is_the_tables(table):
    """Also that of a cell which the table lacks: nothing."""
    for n in range(1, 7):
        about = getattr(answers, f"figure{n}")(table)
        assert about["x"] == list(DIMS) and about["panels"] and "NaN" not in answers.script(about)
    for j, panels in zip("IL", (answers.figure5(table)["panels"][:3], answers.figure5(table)["panels"][3:])):
        rows = table.set_index(["set", "seed", "d"])[f"{j}_reversed"]
        found = [one for panel in panels for one in panel["series"] if one["seed"] is not None]
        assert {one["set"] for one in found} == {"train", *SETS}
        for one in found:
            assert one["values"] == pytest.approx([rows[one["set"], one["seed"], d] for d in DIMS], rel=1e-3)
        middle = panels[0]["series"][-2]  # the median of the dark sets
        dark = [name for name in SETS if SETS[name][0] == "dark"]
        assert middle["values"][0] == pytest.approx(
            table[table.set.isin(dark) & (table.d == 2)][f"{j}_reversed"].median(), rel=1e-3
        )
    few = answers.figure5(table[(table.d != 5) | (table.seed != 1) | (table.set != "uniform")])
    gap = next(o for p in few["panels"] for o in p["series"] if (o["set"], o["seed"]) == ("uniform", 1))
    assert gap["values"][1] is None


def test_pointing_picking_and_clicking(page, table):
    first, second, third = (page.locator(".answering").nth(i) for i in range(3))
    assert page.locator("img.still").first.is_hidden() and first.locator(".panel").count() == 4

    # point at the first panel: what is read is in the table
    over = first.locator(".u-over").first
    over.hover()
    told = first.locator(".readout").inner_text()
    d, name, seed, what, value = re.match(
        r"d = (\d+), (.*), seed (\d): (median|mean) (\S+?)[.,] ", told
    ).groups()
    row = table[(table.set == WORDS[name]) & (table.seed == int(seed)) & (table.d == int(d))].iloc[0]
    assert float(value.replace("−", "-")) == pytest.approx(row[f"distance_{what}"], rel=6e-3)

    # pick one data set in the legend: only its panel is left; let it go: all are back
    pick = second.get_by_role("button", name="training data")
    assert second.locator(".panel:visible").count() == 6
    uniform = second.get_by_role("button", name="Dunif", exact=True)
    uniform.click()
    assert uniform.get_attribute("aria-pressed") == "true" and second.locator(".panel:visible").count() == 2
    pick.click()
    assert second.locator(".panel:visible").count() == 6
    pick.click()

    # with the keyboard, to the right is the next d
    chart = second.get_by_role("application").filter(visible=True).first
    chart.focus()
    for _ in DIMS:
        page.keyboard.press("ArrowRight")
    share = table[(table.set == "uniform") & (table.d == 8)].set_index("seed").I_reversed
    told = second.locator(".readout").inner_text()
    found = re.match(r"d = 8, uniform, seed (\d).*: (\S+)\. Open", told)
    assert found, told
    seed, value = found.groups()
    assert float(value) == pytest.approx(share[int(seed)], rel=6e-3)

    # the explorer has not every d: the link says which it opens
    page.evaluate("answeringFigures[1].about.open.d = [2]")
    page.keyboard.press("ArrowLeft")
    assert "Open d = 2 in the explorer" in second.locator(".readout").inner_text()
    page.evaluate(f"answeringFigures[1].about.open.d = {list(DIMS)}")

    # boxes say their quartiles; a dark page takes other colours; a narrow one has one column
    third.locator(".u-over").first.hover()
    assert "quartiles" in third.locator(".readout").inner_text()
    colour = "document.querySelector('.answering .legend i').style.background"
    before = page.evaluate(colour)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(f"{colour} !== {before!r}")
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("document.querySelector('.answering').style.getPropertyValue('--columns') === '1'")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.emulate_media(media="print")
    assert page.locator("img.still").first.is_visible() and first.is_hidden()
    page.emulate_media(media="screen")

    # a click opens the cell in the explorer
    second.locator(".u-over").filter(visible=True).first.click()
    page.wait_for_url("**/explorer.html#*")
    shown = (
        "[...document.querySelectorAll('[role=img]')]"
        ".filter(i => i.getClientRects().length).map(i => i.ariaLabel)"
    )
    wanted = re.search(r"data\+set=(\w+)&seed=(\d)&d=(\d+)", page.url).groups()
    assert wanted[0] == "uniform"
    page.wait_for_function(f"({shown})[0] === 'Shown: data set uniform, seed {wanted[1]}, d {wanted[2]}'")


def test_labels_are_the_papers(table):
    about = answers.figure2(table)
    assert {name: LABELS[name] for name in SETS} == {
        name: rf"$\mathcal{{D}}_{{{about['sets'][name]['label']}}}$" for name in SETS
    }


@pytest.mark.parametrize(
    "verdict, word", [("● Holds", "holds"), ("✕ Refuted", "refuted"), ("◇ Open", "open")]
)
def test_a_claims_box_has_the_class_of_its_verdict(verdict, word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paper_page, "_write", lambda name, raw, suffix: f"{name}.{suffix}")
    block = paper_page.claim(
        1, "It holds.", "So.", verdict, {"hold": 1}, plt.figure(), pd.DataFrame({"measured": ["x"]}), "fig-1"
    )
    assert f":class: verdict {word}\n" in block._repr_mimebundle_()["text/markdown"]
