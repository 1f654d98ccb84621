"""The system's Chromium, driven by Playwright, for the tests that look at pages as their readers do."""

from __future__ import annotations

from pathlib import Path

from lib.press.pdf import CHROMIUM, PATIENCE, chromium

__all__ = ["CHROMIUM", "Browser", "chromium"]

LOCAL = ("file:", "data:", "blob:", "about:")
#: Widgets are drawn in tasks of their own; two idle rounds let them finish.
QUIET = """
Promise.all([window.MathJax?.startup?.promise, document.fonts.ready]).then(() => new Promise(done =>
    requestIdleCallback(() => setTimeout(() => requestIdleCallback(() => done(true)), 150))))"""


class Browser:
    """One page at a time: ``visit`` a file and hear what it asked for and complained about.

    Attributes
    ----------
    page : the open page, with Playwright's keyboard and mouse.
    """

    def __init__(self, driven):
        self.driven, self.page, self.look, self.found = driven, None, None, []

    def visit(self, path: Path, dark: bool = False, width: int = 1280, height: int = 900) -> list[str]:
        """Open a page, wait until it is quiet, and return its complaints: network, missing files, errors."""
        if self.page and (self.look, self.page.viewport_size["width"]) == ((dark, width, height), width):
            self.page.goto("about:blank")  # so that nothing of one page is heard on the next
            self.page.evaluate("1")
        else:
            self._open(dark, width, height)
        self.found = found = []
        self.page.goto(path.resolve().as_uri())
        self.page.evaluate(QUIET)
        return found

    def _open(self, dark: bool, width: int, height: int) -> None:
        """A window of its own for each look: to start one takes longer than to open a page in it."""
        if self.page:
            self.page.context.close()
        context = self.driven.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            is_mobile=width < 600,
        )
        context.set_default_timeout(1000 * PATIENCE)
        self.page, self.look = context.new_page(), (dark, width, height)
        hear = lambda text: self.found.append(text)
        self.page.on("request", lambda r: r.url.startswith(LOCAL) or hear(f"request to {r.url}"))
        self.page.on("requestfailed", lambda r: hear(f"failed to load {r.url}: {r.failure}"))
        self.page.on("pageerror", lambda error: hear(f"exception: {error}"))
        # MathJax only warns of options that it does not know
        told = lambda m: m.type in ("error", "assert") or m.text.startswith("MathJax:")
        self.page.on("console", lambda m: told(m) and hear(f"console: {m.text}"))

    def evaluate(self, expression: str):
        """The value of a JavaScript expression on the open page, awaited if it is a promise."""
        return self.page.evaluate(expression)
