"""What every test shares: results of its own, and the rooms of this project."""

from __future__ import annotations

import os
import subprocess
import sys
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


def make_book(output: Path, **env: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "lib", "book", "--profile", "smoke", "--output", str(output)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True)


@pytest.fixture(scope="session")
def book(own_results, tmp_path_factory):
    """The whole book, built from nothing with the smallest profile."""
    output = tmp_path_factory.mktemp("book")
    done = make_book(output)
    if done.returncode:
        pytest.fail(f"the smoke book does not build:\n{done.stdout}\n{done.stderr[-4000:]}", pytrace=False)
    return output, done.stdout


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    from browser import CHROMIUM, Browser

    if not CHROMIUM:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    chromium = Browser()
    yield chromium
    chromium.close()
