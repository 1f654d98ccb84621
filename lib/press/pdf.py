"""The book as one PDF: its finished pages, printed by headless Chromium and joined in the order of the table of contents.

How a page looks on paper is said in ``book/_assets/book.css``, for a reader's own browser as well. Here a page
gets what only the whole book knows: its place in the numbering, an entry in contents and outline, and links that
lead to other printed pages.
"""

from __future__ import annotations

import html as markup
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

import yaml
from pypdf import PdfReader, PdfWriter
from pypdf.constants import PageLabelStyle
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    Fit,
    FloatObject,
    IndirectObject,
    NameObject,
    NullObject,
    PdfObject,
)
from tqdm import tqdm

from ..paths import ROOT
from ..store import write_atomically
from .browser import CHROMIUM, Browser
from .build import BuildError, parts
from .gate import Links

__all__ = ["write", "NAME", "MARK"]

NAME = "book.pdf"
#: Where a finished page names the PDF, once there is one; written by ``book/_ext/offline.py``.
MARK = "<!-- book.pdf -->"
#: As wide as the text on paper (162 mm), and the width of a window that leaves as much to it: formulas are broken where paper needs it.
PAPER, WIDTH = 612, 700
#: Folds opened, and tables that are too wide made smaller: on paper nothing scrolls.
FIT = """dispatchEvent(new Event("beforeprint"));
for (const table of document.querySelectorAll(".bd-article table")) {
    const room = (table.closest(".pst-scrollable-table-container") ?? table.parentElement).clientWidth;
    if (table.offsetWidth > room) table.style.zoom = room / table.offsetWidth;
}"""
#: The first heading and those one level below: their words, without the theme's links, and the names of their places.
HEADINGS = """[document.querySelector("h1"), ...document.querySelectorAll("h1 ~ section h2, h1 ~ h2")].map(heading => {
    const copy = heading.cloneNode(true);
    copy.querySelectorAll(".headerlink").forEach(link => link.remove());
    return [copy.textContent.replace(/\\s+/g, " ").trim(), (heading.closest("section[id]") ?? heading).id];
}).filter(([words, name], i) => !i || name)"""


class Place(NamedTuple):
    """A point of the PDF: page, counted from 0 after the front matter, and distances from its left and lower edge."""

    page: int
    left: float = 0.0
    top: float = 842.0  # the upper edge of A4

    @property
    def view(self) -> list[PdfObject]:
        """The tail of an explicit destination: this point in the upper left corner, the magnification kept."""
        return [NameObject("/XYZ"), FloatObject(self.left), FloatObject(self.top), NullObject()]


@dataclass
class Chapter:
    """One page of the book, printed.

    Attributes
    ----------
    path : the HTML file.
    title : its first heading.
    sections : headings under it, and the names of their places.
    first : the PDF's page it begins on, counted from 0 after the front matter.
    """

    path: Path
    title: str
    sections: list[tuple[str, str]]
    first: int
    printed: PdfReader

    def places(self) -> dict[str, Place]:
        """Where on paper each place lies that the book links to; the empty name is the beginning."""
        found = {"": Place(self.first)}
        for name, there in self.printed.named_destinations.items():
            page = self.printed.get_destination_page_number(there)
            found[name.removeprefix("/")] = Place(
                self.first + page, float(there.left or 0), float(there.top or 842)
            )
        return found


def write(
    html: Path, root: Path = ROOT, browser: Browser | None = None, say: Callable[[str], None] = print
) -> Path:
    """Print the finished book in the folder `html` to ``book.pdf`` beside its pages, and name it at their feet.

    Folded code and the numbers behind figures are left out: the pages and the repository have
    them. Other folds are open, all tabs are printed, the published one first, and of the parts
    that need scripts their pictures remain.

    Raises
    ------
    BuildError
        Where there is no Chromium, or no finished book.
    """
    html = Path(html).resolve()
    outline = [
        (caption, [html / f"{name}.html" for name in names]) for caption, names in parts(root / "_toc.yml")
    ]
    missing = [p for _, paths in outline for p in paths if not p.is_file()]
    if missing:
        raise BuildError(
            f"pdf: expected a finished book with {missing[0].name} in {html}, found no such page; make book writes it"
        )
    if not browser and not CHROMIUM:
        raise BuildError(
            "pdf: expected Chromium to print with, found no chromium, chromium-browser or google-chrome; install one (Debian: apt-get install chromium)"
        )
    own = browser or Browser()
    try:
        chapters = _chapters(own, [p for _, paths in outline for p in paths])
        title = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["title"]
        front = _front(
            own, title, [(caption, [c for c in chapters if c.path in paths]) for caption, paths in outline]
        )
    finally:
        if not browser:
            own.close()
    target = write_atomically(html / NAME, _joined(title, front, chapters, outline))
    _name_it(html, [c.path for c in chapters])
    say(
        f"The PDF is {target} ({len(front.pages) + sum(len(c.printed.pages) for c in chapters)} pages, {target.stat().st_size / 1e6:.1f} MB)."
    )
    return target


def _chapters(browser: Browser, paths: list[Path]) -> list[Chapter]:
    """Every page printed, numbered through."""
    wanted = defaultdict(
        set
    )  # what a page is asked for by others: Chromium keeps the places a page itself links to
    for path in paths:
        for link in Links(path.read_text(encoding="utf-8")).linked:
            parts = urlsplit(urljoin(path.as_uri(), link))
            if parts.scheme == "file" and parts.fragment:
                wanted[Path(unquote(parts.path))].add(parts.fragment)
    chapters, first = [], 0
    for path in tqdm(paths, desc="printing pages", unit="page"):
        browser.visit(path, width=WIDTH)
        (title, _), *sections = browser.evaluate(HEADINGS)
        printed = _printed(browser, title, first, sorted(wanted[path] | {name for _, name in sections}))
        chapters.append(Chapter(path, title, sections, first, printed))
        first += len(printed.pages)
    return chapters


def _printed(
    browser: Browser, title: str, first: int, wanted: list[str] = (), style: str = "decimal"
) -> PdfReader:
    """The open page on paper, its numbers beginning after `first`."""
    head = f"@page {{ @top-left {{ content: {json.dumps(title)} }} @bottom-center {{ content: counter(page, {style}) }} }} :root {{ counter-reset: page {first} }}"
    places = "".join(f'<a hidden href="#{markup.escape(name)}"></a>' for name in wanted)
    browser.evaluate(f"""document.documentElement.classList.add("whole-book");
        document.head.appendChild(Object.assign(document.createElement("style"), {{textContent: {json.dumps(head)}}}));
        document.body.insertAdjacentHTML("beforeend", {json.dumps(places)}); 0""")
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=PAPER, height=900, deviceScaleFactor=1, mobile=False
    )
    browser.evaluate(FIT)
    return PdfReader(io.BytesIO(browser.pdf()))


def _front(browser: Browser, title: str, outline: list[tuple[str, list[Chapter]]]) -> PdfReader:
    """Title and contents, in the dress of the first page."""
    first = next(c for _, chapters in outline for c in chapters)
    rows = []
    for caption, chapters in outline:
        rows.append(f"<h2>{markup.escape(caption)}</h2>" if caption else "")
        rows += [
            f'<p><a href="{c.path.as_uri()}">{markup.escape(c.title)}</a><span></span>{c.first + 1}</p>'
            for c in chapters
        ]
    browser.visit(first.path, width=WIDTH)
    foot = browser.evaluate(
        "document.querySelectorAll('.provenance a').forEach(link => link.remove()); document.querySelector('.provenance')?.outerHTML ?? ''"
    )
    text = f'<div class="contents"><h1>{markup.escape(title)}</h1>{"".join(rows)}{foot}</div>'
    browser.evaluate(
        f"(document.querySelector('.bd-article') ?? document.body).innerHTML = {json.dumps(text)}; 0"
    )
    return _printed(browser, "", 0, style="lower-roman")


def _joined(
    title: str, front: PdfReader, chapters: list[Chapter], outline: list[tuple[str, list[Path]]]
) -> bytes:
    """One PDF with page labels, an outline, and links between its pages."""
    writer, shift = PdfWriter(), len(front.pages)
    for printed in (front, *(c.printed for c in chapters)):
        for page in printed.pages:
            writer.add_page(page)
    places = {(c.path, name): place for c in chapters for name, place in c.places().items()}
    places[chapters[0].path.with_name("index.html"), ""] = Place(0)
    owners = [None] * shift + [c.path for c in chapters for _ in c.printed.pages]
    for page, path in zip(writer.pages, owners):
        page[NameObject("/Annots")] = ArrayObject(_leading(page, path, places, writer.pages[shift:]))
    _outline(writer, shift, chapters, outline, places)
    writer.set_page_label(0, shift - 1, style=PageLabelStyle.LOWERCASE_ROMAN)
    writer.set_page_label(shift, len(writer.pages) - 1, style=PageLabelStyle.DECIMAL)
    writer.add_metadata({"/Title": title})
    writer.page_mode = "/UseOutlines"
    writer.compress_identical_objects()
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _leading(
    page: DictionaryObject,
    path: Path | None,
    places: dict[tuple[Path, str], Place],
    pages: Sequence[DictionaryObject],
) -> Iterator[IndirectObject]:
    """The links of one printed page, leading to places in the book; a link to a file that is not in it is left out."""
    for reference in page.get("/Annots", ()):
        link = reference.get_object()
        uri = str(link.get("/A", {}).get("/URI", ""))
        if "/Dest" in link or uri.startswith("file:"):
            where = urlsplit(uri)
            file, name = (
                (Path(unquote(where.path)), unquote(where.fragment))
                if uri
                else (path, str(link["/Dest"]).removeprefix("/"))
            )
            place = places.get((file, name)) or places.get((file, ""))
            if place is None:
                continue
            link.pop("/A", None)
            link[NameObject("/Dest")] = ArrayObject([pages[place.page].indirect_reference, *place.view])
        yield reference


def _outline(
    writer: PdfWriter,
    shift: int,
    chapters: list[Chapter],
    outline: list[tuple[str, list[Path]]],
    places: dict[tuple[Path, str], Place],
) -> None:
    """Parts, the pages under them, and the sections of each page."""
    by_path = {c.path: c for c in chapters}
    for caption, paths in outline:
        part = (
            writer.add_outline_item(title=caption, page_number=shift + by_path[paths[0]].first)
            if caption
            else None
        )
        for chapter in (by_path[p] for p in paths):
            entry = writer.add_outline_item(
                title=chapter.title, page_number=shift + chapter.first, parent=part, is_open=False
            )
            for title, name in chapter.sections:
                place = places[chapter.path, name]
                writer.add_outline_item(
                    title=title,
                    page_number=shift + place.page,
                    parent=entry,
                    fit=Fit.xyz(place.left, place.top),
                )


def _name_it(html: Path, paths: list[Path]) -> None:
    """Put a link to the PDF where the pages keep a place for it."""
    for path in paths:
        text = path.read_text(encoding="utf-8")
        if MARK in text:
            up = "../" * (len(path.relative_to(html).parts) - 1)
            write_atomically(
                path,
                text.replace(
                    MARK, f'<span><a href="{up}{NAME}">The whole book as one PDF</a></span>'
                ).encode(),
            )
