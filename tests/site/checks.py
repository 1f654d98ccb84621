"""What a finished site is asked: is everything there, does everything hang together, can everyone read it?

Each function returns what it found wrong, a line each; a site about which none says anything may go out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from figures import unread

from lib.press.texts import pages

__all__ = ["html_pages", "absent", "broken", "opened", "raw", "empty", "inaccessible"]

AXE = Path(__file__).resolve().parent.parent / "thirdparty" / "axe-core" / "axe.min.js"
#: What a page repeats by the thousand is looked at once: of the words in a listing one of each kind, of equal
#: formulas one. The others keep their place, as text in the listing's own colour and as empty boxes.
REPEATED = """(() => {
  const seen = new Set();
  const again = (kind) => seen.has(kind) || !seen.add(kind);
  for (const e of document.querySelectorAll('.highlight pre span:not(:has(*))'))
    if (again(`${e.className}|${e.parentElement.className}|${e.style.cssText}`)) e.replaceWith(e.textContent);
  for (const e of document.querySelectorAll('mjx-container'))
    if (again(e.querySelector('mjx-assistive-mml')?.innerHTML ?? e)) e.replaceChildren();
})()"""
#: Figures that a page shows only once their data are published stand below such a line.
CONDITIONAL = re.compile(r"^if \w+ is not None:\n(?:(?: {4}.*)?\n)+", re.M)
#: What a notebook puts on its page under a name: ``page.figure("name", …)``.
NAMED = re.compile(r"page\.(?:figure|pictures|table)\(\s*\"([^\"{}]+)\"")


def html_pages(html: Path) -> list[Path]:
    """The pages of a site, without what lies among its assets."""
    return sorted(p for p in html.rglob("*.html") if "_static" not in p.parts)


def absent(html: Path, root: Path) -> list[str]:
    """Pages of the table of contents, and figures and tables of the notebooks, that the site lacks."""
    found = []
    for name in ["index", *pages(root / "_toc.yml")]:
        path = html / f"{name}.html"
        if not path.is_file():
            found.append(f"{name}.html: no such page")
            continue
        source = root / "book" / f"{name}.md"
        places = Links(path.read_text(encoding="utf-8")).ids
        text = source.read_text(encoding="utf-8") if source.is_file() else ""
        wanted = NAMED.findall(CONDITIONAL.sub("", text))
        found += [
            f"{name}.html: no figure or table {label}" for label in wanted if label.lower() not in places
        ]  # Sphinx writes ids in lower case
    return found


class Links(HTMLParser):
    """What a page refers to, and the places in it that can be referred to."""

    def __init__(self, text: str):
        super().__init__()
        self.loaded, self.linked, self.ids = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids |= {values[k] for k in ("id", "name") if values.get(k)}
        for key in ("src", "href", "data", "poster"):
            if values.get(key) and not (tag == "a" and key != "href"):
                (self.linked if tag == "a" else self.loaded).add(values[key])


def broken(html: Path) -> list[str]:
    """References to files or places that are not there, and everything a page would load from a network."""
    parsed = {p: Links(p.read_text(encoding="utf-8")) for p in html_pages(html)}
    return [finding for page, links in parsed.items() for finding in _broken_in(html, page, links, parsed)]


def _broken_in(html: Path, page: Path, links: Links, parsed: dict[Path, Links]) -> Iterator[str]:
    name = page.relative_to(html).as_posix()
    for link in sorted(links.loaded | links.linked):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            if link in links.loaded and parts.scheme not in ("data", "blob"):
                yield f"{name}: loads {link}"
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        if not target.exists():
            yield f"{name}: {link}"
        elif (
            parts.fragment
            and target in parsed
            and unquote(parts.fragment) not in parsed[target].ids | {"", "top"}
        ):
            yield f"{name}: {link} (no such place)"


#: What is wider than its box and does not say so by fading out (book.css), with its width and the box's.
#: A formula's hidden text for screen readers counts in its width.
WIDER = """
[...document.querySelectorAll('.bd-article, .bd-article *')].filter(e =>
    e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 3 && getComputedStyle(e).overflowX !== 'visible' &&
    e.checkVisibility({visibilityProperty: true}) && !e.matches('.more-left, .more-right') &&
    !e.closest('svg, .math, mjx-container > *, .visually-hidden')
  ).map(e => `${e.tagName.toLowerCase()}.${e.className}, ${e.scrollWidth} px in ${e.clientWidth}`)"""


def opened(browser, path: Path, dark: bool = False, width: int = 1280) -> list[str]:
    """Open a page and tell what went wrong; it stays open."""
    found = [f"{path.name}: {text}" for text in browser.visit(path, dark=dark, width=width)]
    if (
        path.name != "index.html"
        and (scroll := browser.evaluate("document.documentElement.scrollWidth")) > width
    ):
        found.append(f"{path.name}: scrolls sideways, {scroll} px of {width}")
    if errors := browser.evaluate(
        "[...document.querySelectorAll('mjx-merror')].map(e => e.textContent.slice(0, 80))"
    ):
        found.append(f"{path.name}: formulas that cannot be read: {errors}")
    found += [f"{path.name}: wider than its box, unseen: {box}" for box in browser.evaluate(WIDER)]
    blank = browser.evaluate(
        "[...document.images].filter(i => i.complete && !i.naturalWidth && i.getClientRects().length)"
        ".map(i => i.src.slice(-80))"
    )
    return found + [f"{path.name}: picture does not show: {source}" for source in blank]


#: Words of a page that are no code, no formula and no drawing.
WORDS = """
(() => {
  const root = document.querySelector('article') ?? document.body, found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const none = 'code, pre, script, style, noscript, svg, ' +
    'mjx-container, .math, .sig, .provenance, a[download]';
  for (let n = walker.nextNode(); n; n = walker.nextNode())
    if (!n.parentElement.closest(none)) found.push(n.data);
  return found;
})()"""


def raw(browser, name: str) -> list[str]:
    """Names and numbers on the open page as the code has them, where readers expect words and mathematics."""
    texts = browser.evaluate(WORDS)
    found = {word: text for text in texts for word in unread(text)}
    return [f"{name}: raw {word!r} in {' '.join(text.split())[:90]!r}" for word, text in found.items()]


#: Tables of a page with their rows, without those of pictures; a typeset formula has no text of its own.
TABLES = """
[...document.querySelectorAll('article table:not(.pictures)')].map(t => [...t.rows].map(r => [...r.cells].map(
    c => c.textContent.trim() || (c.querySelector('mjx-container, img, svg') ? 'drawn' : ''))))"""


def empty(browser, name: str) -> list[str]:
    """Tables on the open page with a column in which no row says anything, or every number is zero."""
    found = []
    for head, *rows in filter(None, browser.evaluate(TABLES)):
        if len(rows) < 3:
            continue
        for title, column in zip(head, zip(*rows)):
            if set(column) <= {"", "–", "-", "—"}:
                found.append(f"{name}: nothing in the column {title!r} of the table {head}")
        numbers = [c for row in rows for c in row[1:] if re.fullmatch(r"[−\d.,%]+", c)]
        if numbers and not any(re.search("[1-9]", c) for c in numbers):
            found.append(f"{name}: every number is zero in the table {head}")
    return found


def inaccessible(browser, name: str) -> list[str]:
    """What axe-core finds serious or critical on the open page, of which only what differs is left."""
    browser.evaluate(REPEATED)
    browser.evaluate(AXE.read_text(encoding="utf-8") + ";0")
    # without preload: axe-core would ask for the style sheets once more, which a page opened from a file may
    # not, and the browser's complaints about it may arrive when the next page is open
    violations = browser.evaluate("""axe.run(document, {resultTypes: ['violations'], preload: false})
        .then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact))
        .map(v => ({id: v.id, help: v.help, nodes: v.nodes.map(n => n.target.join(' '))})))""")
    return [
        f"{name}: {v['id']}: {v['help']}: {', '.join(v['nodes'][:3])}{' …' * (len(v['nodes']) > 3)}"
        for v in violations or []
    ]
