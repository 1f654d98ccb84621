"""The book as one PDF: the articles of its finished pages in one document, printed once by headless Chromium.

How it looks on paper is said in ``book/_assets/book.css``, for a reader's own browser as well. The one
document has what the pages lack: a title page, contents with page numbers, headings that make the outline,
and links that lead from one page's article to another's.
"""

from __future__ import annotations

import contextlib
import datetime
import html as markup
import io
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from ..paths import ROOT
from ..store import write_atomically
from . import checksums
from .build import BuildError
from .texts import pages, parts

__all__ = ["write", "assemble", "chromium", "CHROMIUM", "NAME", "MARK"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Seconds in which Chromium loads, typesets or prints: many, for machines that are busy with other work.
PATIENCE = 600
NAME = "book.pdf"
#: Where a finished page names the book in other formats, once they are there; written by
#: ``book/_ext/offline.py``.
MARK = "<!-- formats -->"
#: The width of the text on paper, 162 mm.
PAPER = 612

#: One document of many: ids begin with the page's number, links between pages become links inside, and links
#: to files that are not printed lose their address. Headings keep their look; `aria-level` says their place
#: under the parts. The library's docstrings stay behind.
ASSEMBLE = """({base, title, front, pages}) => {
    const parse = text => new DOMParser().parseFromString(text, "text/html");
    const address = name => new URL(name + ".html", base).href;
    const number = new Map(pages.map(({name}, i) => [address(name), i]));
    const whole = parse(pages[0].text), article = whole.querySelector(".bd-article");
    const style = whole.createElement("style");
    const gone = "dl.py, script, .toctree-wrapper, .headerlink, .jupyter-widgets, #live-network, " +
        "details.numbers, details.hide, .made, .provenance";
    const change = (nodes, key, to) => {
        for (const node of nodes) node.setAttribute(key, to(node.getAttribute(key)));
    };
    const absolute = (nodes, key, name) => change(nodes, key, url => new URL(url, address(name)).href);
    for (const key of ["href", "src"]) absolute(whole.head.querySelectorAll(`[${key}]`), key, pages[0].name);
    whole.title = title, whole.documentElement.classList.add("whole-book"), whole.head.append(style);
    article.innerHTML = front + '<div class="contents"><h1>Contents</h1></div>';
    const contents = article.lastElementChild;
    pages.forEach(({name, text, part, begins}, i) => {
        const there = parse(text).querySelector(".bd-article"), chapter = whole.createElement("div");
        for (const section of there.querySelectorAll("section section:has(dl.py)")) section.remove();
        for (const node of there.querySelectorAll(gone)) node.remove();
        for (const node of there.querySelectorAll("h1, h2, h3, h4, h5"))
            node.ariaLevel = +node.tagName[1] + (part ? 1 : 0);
        const own = ids => ids.split(" ").map(id => `c${i}-${id}`).join(" ");
        for (const key of ["id", "for", "name", "aria-labelledby", "aria-describedby"])
            change(there.querySelectorAll(`[${key}]`), key, own);
        absolute(there.querySelectorAll("[src]"), "src", name);
        absolute(there.querySelectorAll("a[href]"), "href", name);
        const heading = there.querySelector("h1").textContent.trim();
        style.append(`@page c${i} { @top-left { content: ${JSON.stringify(heading)}; } }\\n`);
        if (begins) {
            const words = whole.createElement("div");
            words.className = "part", words.textContent = part, words.style.page = "c" + i;
            article.append(Object.assign(words, {role: "heading", ariaLevel: 1}));
            const title = whole.createElement("h2");
            contents.append(Object.assign(title, {textContent: part, role: "presentation"}));
        }
        const row = whole.createElement("p"), link = row.appendChild(whole.createElement("a"));
        link.href = "#c" + i, link.textContent = heading;
        row.append(whole.createElement("span"), whole.createElement("b")), contents.append(row);
        chapter.id = "c" + i, chapter.className = "chapter", chapter.style.page = "c" + i;
        chapter.append(...there.childNodes), article.append(chapter);
    });
    for (const link of article.querySelectorAll('a[href^="file:"]')) {
        const url = new URL(link.href), place = decodeURIComponent(url.hash.slice(1));
        url.hash = "";
        const chapter = "c" + number.get(url.href), inside = chapter + "-" + place;
        const goal = whole.getElementById(inside) ? inside : chapter;
        if (number.has(url.href)) link.setAttribute("href", "#" + goal); else link.removeAttribute("href");
    }
    return "<!doctype html>" + whole.documentElement.outerHTML;
}"""
#: Folds opened, and tables and formulas that are too wide made smaller: on paper nothing scrolls.
FIT = """() => {
    dispatchEvent(new Event("beforeprint"));
    for (const table of document.querySelectorAll(".bd-article table")) {
        const room = (table.closest(".pst-scrollable-table-container") ?? table.parentElement).clientWidth;
        if (table.offsetWidth > room) table.style.zoom = room / table.offsetWidth;
    }
    for (const formula of document.querySelectorAll('.bd-article mjx-container[display="true"]')) {
        const {clientWidth: room, scrollWidth: needed} = formula;
        if (needed > room) formula.style.zoom = room / needed;
    }
}"""
NUMBERS = """numbers => {
    for (const row of document.querySelectorAll(".contents p"))
        row.lastChild.textContent = numbers[row.firstChild.hash.slice(1)];
}"""
READY = "Promise.all([window.MathJax?.startup?.promise, document.fonts.ready]).then(() => true)"


@contextlib.contextmanager
def chromium() -> Iterator:
    """The system's Chromium, driven by Playwright, without a network.

    Raises
    ------
    BuildError
        Where there is no Chromium, or no Playwright.
    """
    if not CHROMIUM:
        raise BuildError(
            "expected Chromium, found no chromium, chromium-browser or google-chrome; "
            "install one (Debian: apt-get install chromium)"
        )
    try:  # of the extra `site`: `make book` does not install it
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise BuildError(
            "expected Playwright, found none; make pdf installs it (requirements-test.txt)"
        ) from None
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost"],
            timeout=1000 * PATIENCE,
        )
        try:
            yield browser
        finally:
            browser.close()


def write(html: Path, root: Path = ROOT, browser=None, say: Callable[[str], None] = print) -> Path:
    """Print the finished book in the folder `html` to ``book.pdf`` beside its pages; name it at their feet.

    Folded code, the numbers behind figures and the pages of the library are left out: the
    pages and the repository have them. Other folds are open, all tabs are printed, the
    published one first, and of the parts that need scripts their pictures remain.

    Raises
    ------
    BuildError
        Where there is no Chromium, or no finished book.
    """
    html = Path(html).resolve()
    finished(html, root)
    with opened(html, root, browser) as page:
        printed = _printed(page)
    target = write_atomically(html / NAME, printed)
    name_it(html, root, NAME, "The whole book as one PDF")
    checksums.write(html)
    say(f"The PDF is {target} ({target.stat().st_size / 1e6:.1f} MB).")
    return target


def finished(html: Path, root: Path) -> list[Path]:
    """The pages of a finished book in the folder `html`; `BuildError` where there is none."""
    names = pages(root / "_toc.yml")
    missing = [n for n in names if not (html / f"{n}.html").is_file()]
    if missing:
        raise BuildError(
            f"expected a finished book with {missing[0]}.html in {html}, found no such page; "
            "make book writes it"
        )
    return [html / f"{n}.html" for n in names]


@contextlib.contextmanager
def opened(html: Path, root: Path, browser=None) -> Iterator:
    """The one document of all pages, typeset as on paper, in a page of `browser` or of its own Chromium."""
    with (
        contextlib.nullcontext(browser) if browser else chromium() as driven,
        tempfile.TemporaryDirectory() as folder,
    ):
        context = driven.new_context(viewport={"width": PAPER, "height": 900}, color_scheme="light")
        context.set_default_timeout(1000 * PATIENCE)
        try:
            page = context.new_page()
            path = Path(folder) / "book.html"
            path.write_text(assemble(page, html, root), encoding="utf-8")
            page.goto(path.as_uri())
            page.evaluate(READY)
            page.emulate_media(media="print")
            yield page
        finally:
            context.close()


def assemble(page, html: Path, root: Path) -> str:
    """The one document that is printed, put together by a browser's `page` from the pages in `html`."""
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    shown = [
        {
            "name": name,
            "text": (html / f"{name}.html").read_text(encoding="utf-8"),
            "part": part,
            "begins": bool(part) and name == names[0],
        }
        for part, names in parts(root / "_toc.yml")
        for name in names
    ]
    front = _title_page(citation, html, shown[0]["text"])
    title = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["title"]
    return page.evaluate(
        ASSEMBLE, {"base": f"{html.as_uri()}/", "title": title, "front": front, "pages": shown}
    )


def named(authors: list[dict]) -> list[str]:
    """The names in a citation file."""
    return [a.get("name") or f"{a['given-names']} {a['family-names']}" for a in authors]


def made(html: Path) -> datetime.date:
    """The day on which the pages were made."""
    return datetime.date.fromtimestamp((html / "index.html").stat().st_mtime)


def _title_page(citation: dict, html: Path, first: str) -> str:
    """Title, authors, date, the paper that is reproduced, and what the pages show."""
    paper, day = citation["references"][0], made(html)
    described = f"{paper['title']} ({paper['year']}), {paper['identifiers'][0]['value']}"
    title, _, rest = citation["title"].partition(": ")
    lines = [
        ("title", title),
        ("subtitle", rest),
        ("authors", ", ".join(named(citation["authors"]))),
        ("date", f"{day.day} {day:%B %Y}, version {citation['version']}"),
        ("paper", f"Reproduces {', '.join(named(paper['authors']))}: {described}"),
    ]
    text = "".join(f'<p class="{name}">{markup.escape(line)}</p>' for name, line in lines if line)
    shown = re.search(r'<footer class="provenance".*?</footer>', first, re.S)
    made_of = re.sub(r"<span><a .*?</span> ?", "", shown[0] if shown else "")  # no links to other formats
    return f'<div class="title-page">{text}{made_of}</div>'


def _printed(page) -> bytes:
    """The assembled book on paper, tagged and with an outline; printed twice, once to learn page numbers."""
    from pypdf import PdfReader, PdfWriter  # of the extra `site`

    page.evaluate(FIT)
    options = {"tagged": True, "outline": True, "prefer_css_page_size": True, "print_background": True}
    reader = PdfReader(io.BytesIO(page.pdf(**options)))
    places = {name.removeprefix("/"): there for name, there in reader.named_destinations.items()}
    numbers = {name: 1 + reader.get_destination_page_number(there) for name, there in places.items()}
    page.evaluate(NUMBERS, numbers)
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(page.pdf(**options))))
    writer.add_metadata({"/Author": page.locator(".authors").text_content()})
    writer.page_mode = "/UseOutlines"
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def name_it(html: Path, root: Path, name: str, words: str) -> None:
    """Put a link to the file `name` where the pages keep a place for it, once."""
    for path in finished(html, root):
        text, up = path.read_text(encoding="utf-8"), "../" * (len(path.relative_to(html).parts) - 1)
        link = f'<span><a href="{up}{name}">{words}</a></span>'
        if link not in text:
            write_atomically(path, text.replace(MARK, f"{link} {MARK}").encode())
