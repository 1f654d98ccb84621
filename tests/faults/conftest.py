"""How much is tried, and what came of it: ``FAULTS=300 python -m pytest tests/faults`` tries hundreds."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest

#: Damages of each kind of artefact; a few of each by default.
COUNT = int(os.environ.get("FAULTS", "12"))
SEED = int(os.environ.get("FAULTS_SEED", "0"))
FIGURES: dict[str, Counter] = {}


@pytest.fixture
def trials() -> list[np.random.Generator]:
    return [np.random.default_rng([SEED, i]) for i in range(COUNT)]


@pytest.fixture
def tally(request):
    """Counts by outcome; shown at the end of the run."""
    return FIGURES.setdefault(request.node.originalname, Counter())


def pytest_terminal_summary(terminalreporter):
    if FIGURES:
        terminalreporter.section(f"faults, seed {SEED}")
        for name, outcomes in FIGURES.items():
            told = ", ".join(f"{n} {what}" for what, n in sorted(outcomes.items()))
            terminalreporter.line(f"{name}: {sum(outcomes.values())} tried: {told}")
