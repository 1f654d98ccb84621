"""Headless Chromium for the tests: that of the gate."""

from lib.press.browser import CHROMIUM, Browser

__all__ = ["CHROMIUM", "Browser"]
