"""README's picture of the live page, taken from the finished pages."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..paths import ROOT
from .build import BuildError
from .pdf import PATIENCE, READY, chromium

__all__ = ["write"]

#: Pixels of the window: narrow enough for the sidebar to give way.
SIZE = {"width": 820, "height": 960}


def write(html: Path, place: Path = ROOT / "book" / "_assets" / "page.png", browser=None) -> Path:
    """Take the picture of ``html/live.html`` once its network has answered, in `browser` or its own Chromium.

    `BuildError` where there is no such page.
    """
    page = html / "live.html"
    if not page.is_file():
        raise BuildError(f"picture: expected a finished book in {html}, found no live.html; run make book")
    with contextlib.nullcontext(browser) if browser else chromium() as driven:
        context = driven.new_context(viewport=SIZE)
        context.set_default_timeout(1000 * PATIENCE)
        try:
            tab = context.new_page()
            tab.goto(page.resolve().as_uri())
            tab.evaluate(READY)
            tab.wait_for_timeout(1000)  # the first answer is drawn in a task of its own
            tab.screenshot(path=place)
        finally:
            context.close()
    return place
