"""What the pages say of themselves to programs: descriptions, how to cite the book, where everything is.

Descriptions are the boxes at the head of the pages. Addresses are written once ``html_baseurl`` in
``_config.yml`` is set.
"""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path

import yaml
from docutils import nodes
from numbering import pages as in_order
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
#: Search engines show about so many characters of a description.
LONGEST = 300
#: Shorter paragraphs describe nothing.
SHORTEST = 40
#: The formulas of the boxes in plain letters.
LETTERS = {r"\times ": "×", r"\times": "×", r"\sigma": "σ", r"\mathcal": "", "{": "", "}": ""}


class Executed(SphinxDirective):
    """What the build executed, as a table: ``BOOK_EXECUTED``, rows of page, cells, time and digest."""

    def run(self):
        rows = json.loads(os.environ.get("BOOK_EXECUTED", "[]"))
        lines = ["| Notebook | Cells | Time | Result | SHA-256 begins |", "|---|---|---|---|---|"]
        lines += [
            f"| {{doc}}`/{name}` | {cells} | {took} | without an error | `{sha}` |"
            for name, cells, took, sha in rows
        ]
        return self.parse_text_to_nodes("\n".join(lines)) if rows else []


def setup(app):
    app.add_directive("executed", Executed)
    app.connect("html-page-context", with_metadata)
    app.connect("build-finished", with_lists)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def plain(markup: str) -> str:
    """A title without its markup."""
    return html.unescape(re.sub("<[^>]*>", "", markup))


def described(doctree) -> str:
    """The first sentences of the box at the head of a page, else of its first paragraph, as plain text."""
    boxes = [n for n in doctree.findall(nodes.admonition) if "in-short" in n.get("classes", ())]
    paragraphs = [p for n in [*boxes, doctree] for p in n.findall(nodes.paragraph)]
    for paragraph in paragraphs:
        words = paragraph.astext()
        for tex, letter in LETTERS.items():
            words = words.replace(tex, letter)
        words = " ".join(re.sub(r"_ +", "_", words).split())
        # not a formula in TeX, a term of a list, a cell of a table, or what goes on in a displayed formula
        if "\\" not in words and len(words) >= SHORTEST and words.endswith((".", "!", "?")):
            cut = words[: LONGEST + 1]
            return (
                words
                if len(words) <= LONGEST
                else cut[: max(cut.rfind(". ") + 1, 0)] or cut.rsplit(" ", 1)[0] + " …"
            )
    return ""


def with_metadata(app, pagename, templatename, context, doctree):
    if doctree is None:
        return
    base, title = app.config.html_baseurl.rstrip("/"), plain(context["title"])
    says = {"description": described(doctree) or f"{title}: {app.config.html_title}"}
    graph = {
        "og:title": title,
        "og:type": "article",
        "og:site_name": app.config.html_title,
        "og:description": says["description"],
    }
    if base:
        graph |= {"og:url": f"{base}/{pagename}.html", "og:image": f"{base}/_static/page.png"}
    if pagename == app.config.root_doc:
        citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
        paper = citation["references"][0]
        says |= {"citation_title": citation["title"], "citation_technical_report_number": citation["version"]}
        says |= {
            "citation_author": "; ".join(
                a.get("name") or f"{a['given-names']} {a['family-names']}" for a in citation["authors"]
            )
        }
        arxiv = paper["identifiers"][0]["value"].removeprefix("arXiv:")
        says["citation_reference"] = f"citation_title={paper['title']}; citation_arxiv_id={arxiv}"
    rows = [("name", n, v) for n, v in says.items()] + [("property", n, v) for n, v in graph.items()]
    context["metatags"] = context.get("metatags", "") + "".join(
        f'\n<meta {kind}="{name}" content="{html.escape(value)}" />' for kind, name, value in rows if value
    )
    app.env.metadata[pagename]["about"] = title, says["description"]


def with_lists(app, exception):
    """``llms.txt``: every page with its description and its text; ``sitemap.xml`` if there is an address."""
    known = {name: m["about"] for name, m in app.env.metadata.items() if "about" in m}
    pages = [(name, known[name]) for name in in_order(app.env, app.config.root_doc) if name in known]
    if exception or not pages:
        return
    base = app.config.html_baseurl.rstrip("/")
    first = dict(pages)[app.config.root_doc][1]
    rows = [f"- [{title}](_sources/{name}.md): {words}" for name, (title, words) in pages]
    text = "\n".join([f"# {app.config.html_title}", "", f"> {first}", "", "## Pages", "", *rows, ""])
    (Path(app.outdir) / "llms.txt").write_text(text, encoding="utf-8")
    if base:
        places = "".join(f"<url><loc>{html.escape(f'{base}/{name}.html')}</loc></url>" for name, _ in pages)
        (Path(app.outdir) / "sitemap.xml").write_text(
            '<?xml version="1.0" encoding="utf-8"?>\n'
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{places}</urlset>\n'
        )
