"""The printed book: its pages in order, an outline that leads to them, links that stay inside."""

from __future__ import annotations

import io
import re
import unicodedata

import pytest
from pypdf import PdfReader

from lib.press import gate, pdf
from lib.press.build import BuildError

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<link rel="stylesheet" href="{up}book.css"><script src="{up}access.js"></script></head>
<body><main class="bd-article"><section id="{name}"><h1>{name}<a class="headerlink" href="#{name}">#</a></h1>{body}</section>
<footer class="provenance">made here<!-- book.pdf --></footer></main></body></html>"""
FIRST = """<p>Alpha. <a href="sub/second.html#deep">down there</a> <a href="#section">below</a> <a href="gone.html">away</a> <a href="https://example.org/">outside</a></p>
<details><summary>Numbers</summary><p>folded</p></details><details class="hide"><summary>Code</summary><p>secret code</p></details>
<section id="section" style="break-before: page"><h2>A section<a class="headerlink" href="#section">#</a></h2><p>Beta.</p></section>"""
SECOND = (
    """<p>Gamma.</p><p id="deep" style="break-before: page">Delta. <a href="../first.html">back</a></p>"""
)


@pytest.fixture(scope="module")
def printed(browser, root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pdf")
    html = folder / "html"
    (html / "sub").mkdir(parents=True)
    (folder / "_config.yml").write_text("title: A small book\n")
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: first\nparts:\n- caption: The rest\n  chapters:\n  - file: sub/second\n"
    )
    (html / "first.html").write_text(PAGE.format(name="first", up="", body=FIRST))
    (html / "sub" / "second.html").write_text(PAGE.format(name="second", up="../", body=SECOND))
    for name in ("book.css", "access.js"):
        (html / name).write_text((root / "book" / "_assets" / name).read_text())
    return folder, PdfReader(io.BytesIO(pdf.write(html, folder, browser, say=lambda _: None).read_bytes()))


def test_pages_come_in_the_order_of_the_table_of_contents(printed):
    texts = [page.extract_text() for page in printed[1].pages]
    assert [
        next(word for word in ("A small book", "Alpha", "Beta", "Gamma", "Delta") if word in text)
        for text in texts
    ] == [
        "A small book",
        "Alpha",
        "Beta",
        "Gamma",
        "Delta",
    ]
    assert printed[1].page_labels == ["i", "1", "2", "3", "4"]
    assert [str(number) in text.split() for number, text in enumerate(texts[1:], 1)] == [True] * 4


def test_contents_name_every_page_and_its_number(printed):
    text = unicodedata.normalize("NFKC", printed[1].pages[0].extract_text())  # a font may have ligatures
    assert re.search(r"A small book\s+first\s*1\s+The rest\s+second\s*3\s+made here", text), text


def test_the_outline_has_parts_pages_and_sections(printed):
    reader = printed[1]

    def tree(items):
        return [
            tree(i) if isinstance(i, list) else (i.title, reader.get_destination_page_number(i))
            for i in items
        ]

    assert tree(reader.outline) == [("first", 1), [("A section", 2)], ("The rest", 3), [("second", 3)]]
    assert reader.metadata.title == "A small book"


def test_links_lead_to_printed_pages_and_none_to_a_file_of_this_machine(printed):
    reader, found = printed[1], []
    for page in reader.pages[1:]:
        for link in (a.get_object() for a in page.get("/Annots", ())):
            found.append(
                link["/A"]["/URI"] if "/A" in link else reader.get_page_number(link["/Dest"][0].get_object())
            )
    assert [f for f in found if f != 1] == [4, 2, "https://example.org/"] and found[-1] == 1
    assert b"file:" not in (printed[0] / "html" / pdf.NAME).read_bytes()


def test_what_is_folded_is_printed_and_code_is_not(printed):
    text = "".join(page.extract_text() for page in printed[1].pages)
    assert "folded" in text and "secret" not in text and "#" not in text


def test_the_pages_lead_to_the_pdf(printed):
    folder = printed[0]
    assert 'href="book.pdf"' in (folder / "html" / "first.html").read_text()
    assert 'href="../book.pdf"' in (folder / "html" / "sub" / "second.html").read_text()
    assert not [f for f in gate.broken(folder / "html") if "book.pdf" in f]


def test_without_a_browser_or_a_book_one_line_says_so(printed, tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "CHROMIUM", None)
    with pytest.raises(BuildError, match=r"^pdf: expected Chromium .* install one") as error:
        pdf.write(printed[0] / "html", printed[0])
    assert "\n" not in str(error.value)
    with pytest.raises(
        BuildError, match=r"^pdf: expected a finished book with first\.html in .*; make book writes it$"
    ):
        pdf.write(tmp_path, printed[0])
