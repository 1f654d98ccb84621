"""README's picture of the live page, taken from the finished pages."""

from __future__ import annotations

from pathlib import Path

from ..paths import ROOT
from .build import BuildError
from .pdf import PATIENCE, chromium

__all__ = ["write"]

#: Pixels of the window: narrow enough for the sidebar to give way.
SIZE = {"width": 820, "height": 1200}


def write(html: Path, place: Path = ROOT / "book" / "_assets" / "page.png") -> Path:
    """Take the picture of ``html/live.html`` once its network has answered; `BuildError` where there is no such page."""
    page = html / "live.html"
    if not page.is_file():
        raise BuildError(f"picture: expected a finished book in {html}, found no live.html; run make book")
    with chromium() as browser:
        context = browser.new_context(viewport=SIZE)
        context.set_default_timeout(1000 * PATIENCE)
        tab = context.new_page()
        tab.goto(page.resolve().as_uri())
        tab.evaluate("Promise.all([window.MathJax?.startup?.promise, document.fonts.ready]).then(() => true)")
        tab.wait_for_timeout(1000)  # the first answer is drawn in a task of its own
        tab.screenshot(path=place)
    return place
