"""What every test shares: results of its own, and the rooms of this project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def own_results(tmp_path_factory):
    """The reader's results are neither used nor changed by a test."""
    folder = tmp_path_factory.mktemp("results")
    before = os.environ.get("BOOK_RESULTS")
    os.environ["BOOK_RESULTS"] = str(folder)
    yield folder
    if before is None:
        del os.environ["BOOK_RESULTS"]
    else:
        os.environ["BOOK_RESULTS"] = before


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    from browser import CHROMIUM, Browser

    if not CHROMIUM:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    chromium = Browser()
    yield chromium
    chromium.close()
