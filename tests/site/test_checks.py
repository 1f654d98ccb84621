"""The checks let a whole site through and name what is wrong with another."""

from __future__ import annotations

import subprocess

import checks
import pytest

from lib.press import checksums

PAGE = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><link rel="icon" href="data:,"></head><body><main>{body}</main></body></html>'
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
    ('<p id="fig-one"></p><script src="https://example.org/x.js"></script>', "loads https://example.org/x.js"),
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
        '<h1>Start</h1><script>console.error("oh")</script><p style="color:#ccc;background:#fff">pale</p><button></button>',
    )
    word = '<span class="k" style="color:{}">word</span> '
    listing = 20 * word.format("#000") + word.format("#ddd") + 20 * word.format("#ddd")
    write(
        html,
        "numbers",
        f'<img id="fig-one" src="dot.svg" alt="a dot"><div class="highlight" style="background:#fff"><pre>{listing}</pre></div>',
    )
    told = "\n".join(found(root, html, browser))
    for word in ("console: oh", "picture does not show", "intro.html: color-contrast", "button-name"):
        assert word in told
    (pale,) = [line for line in told.splitlines() if line.startswith("numbers.html: color-contrast")]
    assert pale.count("span") == 1  # of the words that look alike one was looked at


def test_checksums_are_those_of_the_files(whole):
    _, html = whole
    lines = checksums.write(html).read_text().splitlines()
    assert len(lines) == 4 and checksums.write(html).read_text().splitlines() == lines  # not its own
    done = subprocess.run(["sha256sum", "--check", "--quiet", checksums.NAME], cwd=html, capture_output=True)
    assert done.returncode == 0
    (html / "dot.svg").write_text("another")
    done = subprocess.run(["sha256sum", "--check", "--quiet", checksums.NAME], cwd=html, capture_output=True)
    assert done.returncode == 1
