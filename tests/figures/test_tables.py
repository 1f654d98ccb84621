"""Numbers in tables and sentences are written as they are read; no cell becomes a quotation or a list."""

from __future__ import annotations

import pandas as pd
import pytest
from docutils.core import publish_doctree

from lib.figures.tables import plain, readable, typeset, written
from lib.pages import page


@pytest.mark.parametrize(
    "text", ["> 0", ">0", "- 1", "+ 2", "* 3", "# 4", "5.", "6)", "7. 8"], ids=lambda text: text
)
def test_a_cell_is_text_whatever_it_begins_with(text):
    from myst_parser.parsers.docutils_ import Parser

    (line,) = page._rows([[text]])
    tree = publish_doctree(line.removeprefix("* - "), parser=Parser(), settings_overrides={"report_level": 5})
    assert [node.tagname for node in tree.children] == ["paragraph"]
    assert tree.astext() == text


@pytest.mark.parametrize("value, text", [
    (8e3, "8,000"), (-0.25, "−0.25"), (5e-5, r"$5\cdot10^{-5}$"), (1e-9, "$10^{-9}$"),
    (2e7, r"$2\cdot10^{7}$"), (float("inf"), "∞"),
])  # fmt: skip
def test_numbers_are_written_as_they_are_read(value, text):
    assert written(value) == text


def test_a_thousand_has_its_comma_in_every_table():
    frame = pd.DataFrame({"a": [1234], "b": [1234.0], "c": [0.1234]})
    assert all(f"<td>{text}</td>" in readable(frame) for text in ("1,234", "0.1234"))
    assert page.table("t", frame, "caption", "{:.0f}").myst.count("1,234") == 2
    assert written(-123456.7, "{:.1f}") == "−123,456.7" and written(0.12345, "{:.5f}") == "0.12345"


def test_columns_of_numbers_and_no_others_are_aligned_as_such(root, monkeypatch):
    from docutils import nodes
    from myst_parser.parsers.docutils_ import Parser

    monkeypatch.syspath_prepend(root / "book" / "_ext")
    import offline

    rows = ["name | d | share | range | mixed", "- | - | - | - | -", "a | 2 | −5% | 0.1 (0.05 … 1.2) | 3"]
    tree = publish_doctree("\n".join([*rows, r"b | 1,000 | – | $1.2\cdot10^{-16}$ | none"]), parser=Parser())
    offline.with_numbers_on_the_right(None, tree, "")
    for row in tree.findall(nodes.row):
        assert ["number" in entry["classes"] for entry in row] == [False, True, True, True, False]


def test_code_formulas_and_hyphens_stay():
    text = "see `a-1e-5`, $x-1$, 784-128 units, 2022-01-30 and {ref}`claim-9`"
    assert typeset(text) == text


def test_columns_and_data_sets_have_words():
    html = readable(pd.DataFrame({"set": ["bernoulli_0.87"], "I_mean": [-1e-7], "L_reversed": [0.5]}))
    assert "<th>mean |λ<sub>I</sub>|</th>" in html and "<th>reversed, K<sub>L</sub></th>" in html
    assert '<td class="word">𝒟<sub>.87</sub></td>' in html and "<td>−10<sup>−7</sup></td>" in html
    assert "<th>𝒟<sub>.87</sub></th>" in readable(pd.DataFrame({"bernoulli_0.87": [0.5]}))
    assert plain("$d$") == "d"
