"""The checks let a whole site through and name what is wrong with another."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import checks
import figures
import links
import matplotlib.pyplot as plt
import pytest

from lib.figures import style
from lib.press import checksums

PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<link rel="icon" href="data:,"></head><body><main>{body}</main></body></html>'
)
FIGURE = 'A picture.\n\n```{code-cell} ipython3\npage.figure(\n    "fig-one", fig, "caption", "alt")\n```\n'


@pytest.fixture
def whole(tmp_path):
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


def found(root, html, browser=None) -> list[str]:
    opened = (
        [checks.opened(browser, p) + checks.inaccessible(browser, p.name) for p in checks.html_pages(html)]
        if browser
        else []
    )
    return checks.absent(html, root) + checks.broken(html) + sum(opened, [])


def test_a_whole_site_passes(whole):
    assert found(*whole) == []


@pytest.mark.parametrize("body, told", [
    ('<h1>Numbers</h1>', "no figure or table fig-one"),
    ('<p id="fig-one"><a href="gone.html">x</a></p>', "numbers.html: gone.html"),
    ('<p id="fig-one"><a href="intro.html#gone">x</a></p>', "no such place"),
    ('<img id="fig-one" src="gone.png" alt="">', "gone.png"),
    ('<p id="fig-one"></p><script src="https://example.org/x.js"></script>',
     "loads https://example.org/x.js"),
])  # fmt: skip
def test_what_is_wrong_is_named(whole, body, told):
    root, html = whole
    write(html, "numbers", body)
    assert any(told in finding for finding in found(root, html))


def test_a_missing_page_is_named(whole):
    root, html = whole
    (html / "intro.html").unlink()
    assert found(root, html) == ["intro.html: no such page"]


def test_a_browser_finds_what_files_do_not_show(whole, browser):
    root, html = whole
    assert found(root, html, browser) == []
    (html / "dot.svg").write_text("no picture")
    write(
        html,
        "intro",
        '<h1>Start</h1><script>console.error("oh")</script>'
        '<p style="color:#ccc;background:#fff">pale</p><button></button>',
    )
    word = '<span class="k" style="color:{}">word</span> '
    listing = 20 * word.format("#000") + word.format("#ddd") + 20 * word.format("#ddd")
    write(
        html,
        "numbers",
        '<img id="fig-one" src="dot.svg" alt="a dot">'
        f'<div class="highlight" style="background:#fff"><pre>{listing}</pre></div>'
        '<div class="bd-article">'
        + "".join(
            f'<div class="{cue}" style="overflow: auto"><p style="width: 3000px">wide</p></div>'
            for cue in ("plain", "more-right")
        )
        + "</div>",
    )
    told = "\n".join(found(root, html, browser))
    for word in (
        "console: oh",
        "picture does not show",
        "intro.html: color-contrast",
        "button-name",
        "unseen: div.plain",
    ):
        assert word in told
    assert "more-right" not in told
    (pale,) = [line for line in told.splitlines() if line.startswith("numbers.html: color-contrast")]
    assert pale.count("span") == 1  # of the words that look alike one was looked at


DRAWN = {  # what is drawn → what is told
    "clean": None,
    "legend": "legend on the data: a line",
    "small": "letters of 5",
    "raw": "raw: beta_0.8_5",
    "minus": "raw: slope -0.5",
    "overlap": "'one label' and 'another label' overlap",
}


@pytest.mark.parametrize("fault, told", DRAWN.items())
def test_a_figure_that_cannot_be_read_is_told(tmp_path, browser, fault, told):
    @style.styled
    def draw():
        fig, ax = plt.subplots(figsize=(style.WIDTH, 3))
        ax.plot([0, 1], [0, 1], label="a line")
        ax.set_title(
            {"raw": "beta_0.8_5", "minus": "slope -0.5"}.get(fault, r"$\mathcal{D}_{.8,5}$, slope −0.5")
        )
        fig.legend(loc="outside upper center")
        if fault == "legend":
            ax.legend(loc="center")
        if fault in ("small", "overlap"):
            ax.text(0.1, 0.8, "one label", size=4 if fault == "small" else None)
        if fault == "overlap":
            ax.text(0.12, 0.8, "another label")
        return fig

    (tmp_path / "figure.svg").write_bytes(style.picture(draw()))
    write(tmp_path, "blank", "")
    browser.visit(tmp_path / "blank.html")
    found = figures.illegible(browser, tmp_path / "figure.svg")
    assert found == [] if told is None else any(told in finding for finding in found), found


@pytest.mark.parametrize("word, is_raw", [
    ("bernoulli_0.13", True), ("2.1e-06", True), ("from -0.5", True), (r"|\lambda|", True), ("K_I", True),
    ("at 5 %", True),
    ("−0.5 of 2 to 3, 2·10⁻⁶, half-way, 2011-02-15, 5%", False),
])  # fmt: skip
def test_names_and_numbers_of_the_code_are_told_from_words(whole, browser, word, is_raw):
    root, html = whole
    write(html, "words", f"<h1>Words</h1><p>{word}</p><p><code>K_I 1e-3</code></p>")
    browser.visit(html / "words.html")
    assert bool(checks.raw(browser, "words.html")) == is_raw


def test_a_table_that_says_nothing_is_told(whole, browser):
    root, html = whole
    rows = lambda cells: "".join(f"<tr><td>{i}</td>{cells}</tr>" for i in range(3))  # noqa: E731
    table = "<h1>T</h1><article><table><tr><th>d</th><th>a</th><th>b</th></tr>{}</table></article>"
    for cells, told in (
        ("<td>1</td><td>0</td>", ""),
        ("<td>1</td><td>–</td>", "the column 'b'"),
        ("<td>0</td><td>0.0</td>", "every number"),
        ("<td>1</td><td><mjx-container><mjx-math></mjx-math></mjx-container></td>", ""),
    ):
        write(html, "table", table.format(rows(cells)))
        browser.visit(html / "table.html")
        found = "".join(checks.empty(browser, "table.html"))
        assert told in found and bool(told) == bool(found)


def test_checksums_are_those_of_the_files(whole):
    _, html = whole
    lines = checksums.write(html).read_text().splitlines()
    assert len(lines) == 4 and checksums.write(html).read_text().splitlines() == lines  # not its own
    done = subprocess.run(["sha256sum", "--check", "--quiet", checksums.NAME], cwd=html, capture_output=True)
    assert done.returncode == 0
    (html / "dot.svg").write_text("another")
    done = subprocess.run(["sha256sum", "--check", "--quiet", checksums.NAME], cwd=html, capture_output=True)
    assert done.returncode == 1


@pytest.fixture
def elsewhere():
    """A server that answers with the number that its address ends with."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(int(self.path[1:4]))
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_links_outside_that_lead_nowhere_are_named(whole, elsewhere, monkeypatch):
    """Not those to whoever refuses programs, nor links inside."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    _, html = whole
    nobody = "http://127.0.0.1:9/"
    addresses = [f"{elsewhere}/{code}#place" for code in (200, 403, 404, 410, 503)] + [nobody]
    write(html, "numbers", "".join(f'<a href="{a}">x</a>' for a in addresses) + '<a href="intro.html">y</a>')
    assert len(links.outside(html)) == 6
    told = {line.split(": ")[1] for line in links.gone(html)}
    assert told == {nobody, f"{elsewhere}/404", f"{elsewhere}/410"}
