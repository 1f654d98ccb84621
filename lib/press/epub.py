"""The book for readers of books: the printed document, cut into its chapters, as EPUB 3.

The chapters are those of `lib.press.pdf`, typeset by the same Chromium, so that numbers, captions and
references are the pages' own. Formulas become MathML, which the browser has beside what it draws; everything
that needs a script has gone already.
"""

from __future__ import annotations

import html as markup
import io
import mimetypes
import posixpath
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import yaml

from ..paths import ROOT
from ..store import write_atomically
from . import checksums, pdf
from .texts import parts

__all__ = ["write", "NAME"]

NAME = "book.epub"
#: Of the library's files only its style goes along: the pages' own style is made for screens with a sidebar.
STYLE = ROOT / "book" / "_assets" / "epub.css"

#: The chapters as XHTML. What HTML allows and EPUB does not is put in its own words: tabs become headings,
#: drawn formulas MathML, attributes for scripts and for printing go.
CHAPTERS = """base => {
    const starts = words => new RegExp(`^(${words})`);
    const dead = starts("data-|on|aria-(level|labelledby|describedby|controls|selected|owns|hidden)$|" +
        "tabindex|style|name|border|align|valign|loading|width|height|open|for$|target");
    const roles = starts("tab|tabpanel|tablist|presentation|heading|doc-|toolbar|img|group|region|figure|" +
        "list|listitem|table|note|math");
    const keep = (node, name, text) => {
        const made = document.createElement(name);
        if (node.className) made.className = node.className;
        if (node.id) made.id = node.id;
        if (text !== undefined) made.textContent = text; else made.append(...node.childNodes);
        node.replaceWith(made);
        return made;
    };
    const body = document.querySelector(".bd-article");
    for (const node of body.querySelectorAll("mjx-container")) {
        const math = node.querySelector("mjx-assistive-mml > math");
        for (const part of math.querySelectorAll("*"))
            for (const {name} of [...part.attributes])
                if (name.startsWith("data-")) part.removeAttribute(name);
        if (node.getAttribute("display") === "true") math.setAttribute("display", "block");
        node.replaceWith(math);
    }
    const gone = "input, script, style, button, svg, iframe, canvas, .headerlink, " +
        ".pst-scrollable-table-container > .cue";
    for (const node of body.querySelectorAll(gone)) node.remove();
    for (const label of body.querySelectorAll("label"))
        keep(label, "p", label.textContent.trim()).className = "tab";
    for (const node of body.querySelectorAll("mjx-assistive-mml, mjx-break, tt, center, font, big"))
        keep(node, node.localName === "tt" ? "code" : "span");
    for (const node of body.querySelectorAll("*")) {
        if (node.namespaceURI !== "http://www.w3.org/1999/xhtml") continue;
        for (const {name} of [...node.attributes]) if (dead.test(name)) node.removeAttribute(name);
        if (roles.test(node.getAttribute("role") ?? "")) node.removeAttribute("role");
    }
    const pictures = new Set(), place = url => decodeURIComponent(new URL(url).href.replace(base, ""));
    for (const image of body.querySelectorAll("img")) {
        if (!image.src.startsWith(base)) continue;
        const name = place(image.src);
        pictures.add(name), image.setAttribute("src", name);
        if (!image.hasAttribute("alt")) image.alt = "";
    }
    for (const link of body.querySelectorAll("a:not([href])")) keep(link, "span");
    for (const link of body.querySelectorAll('a[href^="#"]')) {
        const id = decodeURIComponent(link.hash.slice(1)), there = document.getElementById(id);
        const chapter = there?.closest("div.chapter")?.id;
        const inside = id === chapter ? "" : `#${encodeURIComponent(id)}`;
        if (chapter) link.setAttribute("href", `${chapter}.xhtml${inside}`); else keep(link, "span");
    }
    for (const list of body.querySelectorAll("dl")) if (!list.querySelector(":scope > dt")) keep(list, "div");
    const seen = new Set();
    for (const node of body.querySelectorAll("[id]"))
        if (seen.has(node.id)) node.removeAttribute("id"); else seen.add(node.id);
    const serial = new XMLSerializer();
    const inside = node => [...node.childNodes].map(child => serial.serializeToString(child)).join("");
    const chapters = [...body.querySelectorAll("div.chapter")].map(node => ({
        id: node.id, heading: node.querySelector("h1").textContent.trim(),
        mathml: !!node.querySelector("math"), text: inside(node)}));
    return {title: inside(body.querySelector(".title-page")), chapters, pictures: [...pictures]};
}"""

PAGE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" xml:lang="en" lang="en">
<head><title>{title}</title><link rel="stylesheet" type="text/css" href="book.css"/></head>
<body>{body}</body>
</html>
"""
CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="book/content.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>
"""
PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">{identifier}</dc:identifier>
<dc:title>{title}</dc:title>
<dc:language>en</dc:language>
{creators}
<dc:source>{source}</dc:source>
<dc:rights>{rights}</dc:rights>
<meta property="dcterms:modified">{modified}</meta>
<meta property="schema:accessMode">textual</meta>
<meta property="schema:accessMode">visual</meta>
<meta property="schema:accessModeSufficient">textual</meta>
<meta property="schema:accessibilityFeature">alternativeText</meta>
<meta property="schema:accessibilityFeature">MathML</meta>
<meta property="schema:accessibilityFeature">structuralNavigation</meta>
<meta property="schema:accessibilityHazard">none</meta>
</metadata>
<manifest>
{manifest}
</manifest>
<spine>
{spine}
</spine>
</package>
"""


def write(html: Path, root: Path = ROOT, browser=None, say: Callable[[str], None] = print) -> Path:
    """Write the finished book in the folder `html` as ``book.epub`` beside its pages.

    What the PDF leaves out is left out here too. Pictures are the pages' own SVG.

    Raises
    ------
    BuildError
        Where there is no Chromium, or no finished book.
    """
    html = Path(html).resolve()
    pdf.finished(html, root)
    with pdf.opened(html, root, browser) as page:
        page.evaluate(pdf.FIT)
        found = page.evaluate(CHAPTERS, f"{html.as_uri()}/")
    target = write_atomically(html / NAME, _packed(found, html, root))
    pdf.name_it(html, root, NAME, "The book as EPUB")
    checksums.write(html)
    say(f"The EPUB is {target} ({target.stat().st_size / 1e6:.1f} MB).")
    return target


def _packed(found: dict, html: Path, root: Path) -> bytes:
    """Chapters, pictures, contents and metadata in one archive; the same book gives the same bytes."""
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    made = pdf.made(html)
    chapters, title = found["chapters"], citation["title"]
    files = {"title.xhtml": _page(title, f'<section epub:type="titlepage">{found["title"]}</section>')}
    files |= {f"{c['id']}.xhtml": _page(c["heading"], c["text"]) for c in chapters}
    files |= {"nav.xhtml": _contents(chapters, root), "book.css": STYLE.read_bytes()}
    for name in found["pictures"]:
        files[name] = _picture((html / name).read_bytes(), name)
    math = {f"{c['id']}.xhtml" for c in chapters if c["mathml"]}
    return _archive(files, citation, made, math)


def _page(title: str, body: str) -> bytes:
    return PAGE.format(title=markup.escape(title), body=body).encode()


def _picture(content: bytes, name: str) -> bytes:
    """An SVG without its document type, which EPUB does not allow."""
    return re.sub(rb"<!DOCTYPE[^>]*>\s*", b"", content, count=1) if name.endswith(".svg") else content


def _contents(chapters: list[dict], root: Path) -> bytes:
    """The contents with the parts of the table of contents."""
    rows, left = [], iter(chapters)
    for part, names in parts(root / "_toc.yml"):
        links = [(c["id"], markup.escape(c["heading"])) for _, c in zip(names, left, strict=False)]
        inside = "".join(f'<li><a href="{i}.xhtml">{text}</a></li>' for i, text in links)
        rows.append(f"<li><span>{markup.escape(part)}</span><ol>{inside}</ol></li>" if part else inside)
    return _page("Contents", f'<nav epub:type="toc"><h1>Contents</h1><ol>{"".join(rows)}</ol></nav>')


def _archive(files: dict[str, bytes], citation: dict, made, math: set[str]) -> bytes:
    spine = ["title.xhtml", "nav.xhtml", *(n for n in files if re.fullmatch(r"c\d+\.xhtml", n))]
    item = '<item id="{id}" href="{href}" media-type="{kind}"{more}/>'
    manifest, ids = [], {}
    for i, name in enumerate(files):
        ids[name] = f"f{i}"
        kind = "application/xhtml+xml" if name.endswith(".xhtml") else mimetypes.guess_type(name)[0]
        says = ["nav"] if name == "nav.xhtml" else ["mathml"] if name in math else []
        more = f' properties="{" ".join(says)}"' if says else ""
        manifest.append(item.format(id=ids[name], href=markup.escape(name), kind=kind, more=more))
    authors = map(markup.escape, pdf.named(citation["authors"]))
    package = PACKAGE.format(
        identifier=f"urn:arxiv-reproduction:2201.11902:{citation['version']}",
        title=markup.escape(citation["title"]),
        creators="\n".join(f"<dc:creator>{name}</dc:creator>" for name in authors),
        source=citation["references"][0]["identifiers"][0]["value"],
        rights=citation["license"],
        modified=f"{made:%Y-%m-%dT00:00:00Z}",
        manifest="\n".join(manifest),
        spine="\n".join(f'<itemref idref="{ids[name]}"/>' for name in spine),
    )
    whole = {"META-INF/container.xml": CONTAINER.encode(), "book/content.opf": package.encode()}
    whole |= {posixpath.join("book", name): content for name, content in files.items()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        # readers know the format by this name, first and not compressed
        archive.writestr(zipfile.ZipInfo("mimetype"), "application/epub+zip", zipfile.ZIP_STORED)
        for name, content in whole.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
