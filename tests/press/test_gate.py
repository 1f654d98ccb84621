"""The gate lets a whole site through and names what is wrong with another."""

from __future__ import annotations

import hashlib

import pytest

from lib.press import gate

PAGE = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><link rel="icon" href="data:,"></head><body><main>{body}</main></body></html>'
FIGURE = 'A picture.\n\n```{code-cell} ipython3\npage.figure(\n    "fig-one", fig, "caption", "alt")\n```\n'


@pytest.fixture
def site(tmp_path):
    """A site of two pages and the book it was made from."""
    root, html = tmp_path / "root", tmp_path / "html"
    (root / "book").mkdir(parents=True)
    html.mkdir()
    (root / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters:\n- file: numbers\n")
    (root / "book" / "numbers.md").write_text(FIGURE)
    (html / "dot.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>'
    )
    write(html, "index", '<h1>Start</h1><p><a href="numbers.html#fig-one">numbers</a></p>')
    write(html, "intro", "<h1>Start</h1>")
    write(html, "numbers", '<h1>Numbers</h1><img id="fig-one" src="dot.svg" alt="a dot">')
    return root, html


def write(html, name: str, body: str) -> None:
    (html / f"{name}.html").write_text(PAGE.format(title=name, body=body))


def test_a_whole_site_passes_and_its_size_is_told(site):
    root, html = site
    report = gate.inspect(html, root)
    assert report.findings == [] and report.pages == 3
    assert report.size == sum(p.stat().st_size for p in html.iterdir())
    assert report.largest[1] == max(p.stat().st_size for p in html.glob("*.html"))
    assert "NOT opened" in str(report)


@pytest.mark.parametrize("body, told", [
    ('<h1>Numbers</h1>', "no figure or table fig-one"),
    ('<p id="fig-one"><a href="gone.html">x</a></p>', "numbers.html: gone.html"),
    ('<p id="fig-one"><a href="intro.html#gone">x</a></p>', "no such place"),
    ('<img id="fig-one" src="gone.png" alt="">', "gone.png"),
    ('<p id="fig-one"></p><script src="https://example.org/x.js"></script>', "loads https://example.org/x.js"),
])  # fmt: skip
def test_what_is_wrong_is_named(site, body, told):
    root, html = site
    write(html, "numbers", body)
    assert any(told in finding for finding in gate.inspect(html, root).findings)


def test_a_missing_page_is_named(site):
    root, html = site
    (html / "intro.html").unlink()
    assert gate.inspect(html, root).findings == ["intro.html: no such page"]


def test_a_browser_finds_what_files_do_not_show(site, browser):
    root, html = site
    assert gate.inspect(html, root, browser).findings == []
    (html / "dot.svg").write_text("no picture")
    write(
        html,
        "intro",
        '<h1>Start</h1><script>console.error("oh")</script><p style="color:#ccc;background:#fff">pale</p><button></button>',
    )
    found = "\n".join(gate.inspect(html, root, browser).findings)
    for word in ("console: oh", "picture does not show", "color-contrast", "button-name"):
        assert word in found


def test_checksums_are_those_of_the_files(site):
    _, html = site
    lines = gate.checksums(html).read_text().splitlines()
    assert len(lines) == 4
    digest, name = next(line for line in lines if "dot.svg" in line).split("  ")
    assert digest == hashlib.sha256((html / name).read_bytes()).hexdigest()
