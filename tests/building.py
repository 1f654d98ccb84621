"""The smallest book, built as a reader builds it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def make_book(output: Path) -> subprocess.CompletedProcess:
    """Build the smoke book into `output`, with results in a folder beside its pages."""
    command = [sys.executable, "-m", "lib", "book", "--profile", "smoke", "--output", str(output)]
    env = os.environ | {"BOOK_RESULTS": str(output / "results")}
    env.pop("OMP_NUM_THREADS", None)  # the build shares the cores out itself
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
