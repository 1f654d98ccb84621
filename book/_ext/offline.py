"""Sphinx hooks: nothing from the network, punctuation kept at formulas, a line on what each page shows."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from pathlib import Path

from docutils import nodes

TRAINED_ON = {
    "mnist": "MNIST (60,000 training images, 28×28)",
    "digits": "the 1,797 handwritten digits inside scikit-learn (8×8, resampled to 28×28), not MNIST",
}


#: Scripts that the theme loads on every page: its icons, which its style sheet takes from a font, and what
#: only the page of the search uses. The first would also turn the widgets' icons into empty pictures.
ICONS = re.compile(r'\s*<script[^>]* src="[^"]*/fontawesome\.js[^"]*"[^>]*></script>')
SEARCH = re.compile(
    r'\s*<script[^>]* src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"[^>]*></script>'
)
#: What no page loads: that script, its fonts in an older format, the theme's translations.
UNUSED = ("_static/scripts/fontawesome.js*", "_static/vendor/fontawesome/webfonts/*.ttf", "_static/locales")

# The widgets' script sets their labels with MathJax 2; the pages have MathJax 3.
LABELS = """
if (window.MathJax) {
  const typeset = element => MathJax.startup.promise.then(() => MathJax.typesetPromise([element]));
  const Hub = {Queue: ([, , element]) => typeset(element)};
  MathJax.Hub = Hub;
  MathJax.startup = {ready() { MathJax.startup.defaultReady(); MathJax.Hub = Hub; }};
}"""


def setup(app):
    app.add_js_file(None, body=LABELS, priority=600)  # after MathJax's settings
    app.connect("doctree-resolved", with_numbers_on_the_right)
    app.connect("html-page-context", without_thebe, priority=900)
    app.connect("html-page-context", with_arxiv, priority=900)
    app.connect("html-page-context", with_punctuation, priority=900)
    app.connect("html-page-context", with_provenance, priority=900)
    app.connect("html-page-context", with_text_source, priority=900)
    app.connect("build-finished", without_what_no_page_uses)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def without_thebe(app, pagename, templatename, context, doctree):
    """The theme adds thebe's scripts to every page; they load from a CDN and raise an error without it."""
    context["script_files"] = [
        s
        for s in context["script_files"]
        if "thebe" not in f"{getattr(s, 'filename', s)}{getattr(s, 'attributes', {})}".lower()
    ]


#: Pages that show published networks in tables, or in pictures without tabs; pages that show them alone; and
#: pages with pictures of no network, or of networks that are trained on manifolds of their own.
OF_PUBLISHED = (
    "intro",
    "claims",
    "sensitivity",
    "detection",
    "conclusion",
    "live",
    "explorer",
    "manifold",
    "observed",
    "related",
)
OF_PUBLISHED_ALONE = ("claims", "sensitivity", "conclusion")
OF_NEITHER = (
    "companions/topology",
    "companions/bending",
    "appendices/topology",
    "appendices/computation",
    "autoencoders",
    "expected",
)

FORMULA = '<span class="math notranslate nohighlight">[^<]*</span>'
FORMULA_AND_MARK = re.compile(rf"[(\[‘“]+{FORMULA}[,.;:!?)\]’”]*|{FORMULA}[,.;:!?)\]’”]+")
TEST = re.compile(r'(?<=<span class="pre">)test_\w+')
#: What a cell of a column of numbers consists of, besides words of `BETWEEN`.
NUMBERS = re.compile(r"[\d\s.,%:()\[\]{}^$…–−+\-<>≤≥±×·/]*")
BETWEEN = re.compile(r"\\cdot|\b(?:of|to|and|s|ms|min|h)\b")


ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def with_arxiv(app, pagename, templatename, context, doctree):
    """Numbers of the arXiv in the bibliography are links."""
    if pagename == "bibliography" and "body" in context:
        context["body"] = ARXIV.sub(
            r'<a class="reference external" href="https://arxiv.org/abs/\1">\g<0></a>', context["body"]
        )


def with_punctuation(app, pagename, templatename, context, doctree):
    """Lines may break beside a formula, a box of MathJax, but not before its comma; long names break too."""
    if "body" in context:
        body = FORMULA_AND_MARK.sub(r'<span class="math-and-mark">\g<0></span>', context["body"])
        context["body"] = TEST.sub(lambda name: name[0].replace("_", "_<wbr>"), body)


def with_numbers_on_the_right(app, doctree, docname):
    """Columns of numbers are marked, for book.css to align them."""
    for group in doctree.findall(nodes.tgroup):
        head, rows = group.next_node(nodes.thead), list(group.findall(nodes.row))
        for column in zip(*(row.children for row in rows)):
            texts = [entry.astext() for entry in column[len(head or ()) :]]
            if re.search(r"\d", "".join(texts)) and all(NUMBERS.fullmatch(BETWEEN.sub("", t)) for t in texts):
                for entry in column:
                    entry["classes"].append("number")


def with_provenance(app, pagename, templatename, context, doctree):
    """Profile, training data, key and commit at the foot of every page."""
    about = json.loads(os.environ.get("BOOK_PROVENANCE", "{}"))
    if not about or "body" not in context:
        return
    commit = (
        about["commit"] + (" with local changes" if about["changed"] else "")
        if about["commit"]
        else "none (not a git checkout)"
    )
    shown = {
        name for name, word in (("published", "-published-"), ("build", "-build-")) if word in context["body"]
    }
    trained = TRAINED_ON.get(about["training_set"], about["training_set"])
    if not shown:
        shown = {"build"} if "_pictures/" in context["body"] or "_images/" in context["body"] else set()
    if pagename in OF_PUBLISHED:
        shown.add("published")
    if pagename in OF_PUBLISHED_ALONE and about["published"]:
        shown.discard("build")
    if pagename in OF_NEITHER:
        shown.clear()
    origins = {"Published results trained on": TRAINED_ON["mnist"]} if "published" in shown else {}
    origins |= {"This build trained on" if origins else "Trained on": trained} if "build" in shown else {}
    parts = {
        "Profile": about["profile"],
        **origins,
        "Key": about["key"],
        "Commit": commit,
    }
    line = " ".join(f"<span><b>{name}</b> {html.escape(value)}</span>" for name, value in parts.items())
    if not about["published"]:
        line += " <span>The figures show this build alone: no results at the paper's scale are published "
        line += "with the book yet.</span>"
    context["body"] += (
        f'\n<footer class="provenance" aria-label="What this page shows">{line}<!-- formats --></footer>'
    )


def with_text_source(app, pagename, templatename, context, doctree):
    """The source that a page offers is its text: an executed notebook would hold every picture once more."""
    name, suffix = context.get("sourcename") or "", ".ipynb"
    if name.endswith(suffix):
        context["sourcename"] = name.removesuffix(suffix) + ".md"
        for button in (b for group in context.get("header_buttons", ()) for b in group.get("buttons", ())):
            if button.get("label") == "download-source-button":
                button |= {"url": button["url"].removesuffix(suffix) + ".md", "text": ".md"}


def without_what_no_page_uses(app, exception):
    """Take 1.8 megabytes of scripts from every page, and three megabytes from the site."""
    if exception or app.builder.format != "html":
        return
    html = Path(app.outdir)
    for page in html.rglob("*.html"):
        text = ICONS.sub("", page.read_text(encoding="utf-8"))
        page.write_text(text if page.name == "search.html" else SEARCH.sub("", text), encoding="utf-8")
    for path in (p for pattern in UNUSED for p in html.glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
