"""The gate before a finished site goes out: is everything there, does everything hang together, can everyone read it?

Files are read as a browser would read them, and, where Chromium is installed, every page is
opened in it: a request to the network, a console error, a picture that does not show, and what
axe-core calls serious or critical are findings. A site without findings may be deployed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..paths import ROOT
from ..store import write_atomically
from .browser import CHROMIUM, Browser
from .build import pages

__all__ = ["Report", "inspect", "absent", "broken", "html_pages", "opened", "inaccessible", "checksums"]

AXE = ROOT / "tests" / "thirdparty" / "axe-core" / "axe.min.js"
#: What a notebook puts on its page under a name: ``page.figure("name", …)``.
NAMED = re.compile(r"page\.(?:figure|pictures|table)\(\s*\"([^\"{}]+)\"")


@dataclass(frozen=True)
class Report:
    """What the gate found, and how large the site is.

    Attributes
    ----------
    findings : list of str; empty for a site that may go out.
    pages : number of pages.
    size : bytes of the whole site.
    largest : the largest page with everything it loads itself left out, and its bytes.
    driven : whether the pages were opened in a browser.
    """

    findings: list[str]
    pages: int
    size: int
    largest: tuple[str, int]
    driven: bool

    def __str__(self) -> str:
        name, size = self.largest
        opened = "opened in Chromium, light and dark" if self.driven else "NOT opened: no Chromium here"
        head = f"{self.pages} pages, {self.size / 1e6:.1f} MB; largest page {name}, {size / 1e3:.0f} kB; {opened}"
        return "\n".join(
            [
                head,
                *(f"  {finding}" for finding in self.findings),
                "no findings" if not self.findings else f"{len(self.findings)} findings",
            ]
        )


def inspect(html: Path, root: Path = ROOT, browser: Browser | None = None) -> Report:
    """Everything the gate knows to ask of the finished site in the folder `html`."""
    html = Path(html).resolve()
    found = absent(html, root) + broken(html)
    paths = html_pages(html)
    if browser:
        for path in paths:
            for dark in (False, True):
                found += opened(browser, path, dark=dark)
                found += inaccessible(browser, path.name + (" (dark)" if dark else ""))
    sizes = {p: p.stat().st_size for p in html.rglob("*") if p.is_file()}
    largest = max(paths, key=sizes.get, default=None)
    told = (largest.relative_to(html).as_posix(), sizes[largest]) if largest else ("", 0)
    return Report(found, len(paths), sum(sizes.values()), told, browser is not None)


def html_pages(html: Path) -> list[Path]:
    """The pages of a site, without what lies among its assets."""
    return sorted(p for p in html.rglob("*.html") if "_static" not in p.parts)


def absent(html: Path, root: Path = ROOT) -> list[str]:
    """Pages of the table of contents, and figures and tables of the notebooks, that the site lacks."""
    found = []
    for name in ["index", *pages(root / "_toc.yml")]:
        path = html / f"{name}.html"
        if not path.is_file():
            found.append(f"{name}.html: no such page")
            continue
        source = root / "book" / f"{name}.md"
        places = Links(path.read_text(encoding="utf-8")).ids
        wanted = NAMED.findall(source.read_text(encoding="utf-8")) if source.is_file() else []
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


def opened(browser: Browser, path: Path, dark: bool = False, width: int = 1280) -> list[str]:
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
    blank = browser.evaluate(
        "[...document.images].filter(i => i.complete && !i.naturalWidth && i.getClientRects().length).map(i => i.src.slice(-80))"
    )
    return found + [f"{path.name}: picture does not show: {source}" for source in blank]


def inaccessible(browser: Browser, name: str) -> list[str]:
    """What axe-core finds serious or critical on the page that is open; nothing where axe-core is not there."""
    if not AXE.is_file():
        return []
    browser.evaluate(AXE.read_text(encoding="utf-8") + ";0")
    # without preload: axe-core would ask for the style sheets once more, which a page opened from a file may not, and the
    # browser's complaints about it may arrive when the next page is open
    violations = browser.evaluate("""axe.run(document, {resultTypes: ['violations'], preload: false}).then(r => r.violations
        .filter(v => ['serious', 'critical'].includes(v.impact))
        .map(v => ({id: v.id, help: v.help, nodes: v.nodes.map(n => n.target.join(' '))})))""")
    return [
        f"{name}: {v['id']}: {v['help']}: {', '.join(v['nodes'][:3])}{' …' * (len(v['nodes']) > 3)}"
        for v in violations or []
    ]


def checksums(html: Path) -> Path:
    """Write ``SHA256SUMS`` of every file of the site, in the format of ``sha256sum --check``."""
    target = html / "SHA256SUMS"
    files = sorted(p for p in html.rglob("*") if p.is_file() and p != target)
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  ./{p.relative_to(html).as_posix()}\n" for p in files
    ]
    return write_atomically(target, "".join(lines).encode())


def run(html: Path) -> Report:
    """Inspect with a browser if there is one; write checksums when nothing was found."""
    browser = Browser() if CHROMIUM else None
    try:
        report = inspect(html, browser=browser)
    finally:
        if browser:
            browser.close()
    if not report.findings:
        checksums(Path(html))
    return report
