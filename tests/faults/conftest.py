"""How much is tried, and what came of it.

A few of each in `make test`. ``FAULTS=300 python -m pytest tests/faults`` tries hundreds; each test that is
done is a line of ``FAULTS_RECORD``, so that a run that was interrupted goes on where it stopped; at its end
`lib.press.faults` makes the published table of it.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from stages import COUNT, SEED

from lib.paths import ROOT
from lib.press import faults
from lib.press.provenance import git

RECORD = Path(os.environ["FAULTS_RECORD"]) if os.environ.get("FAULTS_RECORD") else None
#: What was tried in a file of tests, as the published table says it.
KINDS = {
    "test_kills": "kill",
    "test_damage": "damage",
    "test_inputs": "bad input",
    "test_places": "place",
    "test_together": "builds at once",
}
COMMIT = git(ROOT, "rev-parse", "--short=12", "HEAD")
COUNTS: dict[str, Counter] = {}
TALLY = pytest.StashKey[Counter]()


@pytest.fixture
def trials() -> list[np.random.Generator]:
    return [np.random.default_rng([SEED, i]) for i in range(COUNT)]


@pytest.fixture
def tally(request):
    """Counts by outcome: what a test tried more than once."""
    return request.node.stash.setdefault(TALLY, Counter())


@pytest.fixture
def place():
    """A folder in memory where there is such a thing: syncing to a disk is not what is tried."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        dir=memory if memory.is_dir() else None, prefix="faults-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def pytest_collection_modifyitems(config, items):
    done = {line["test"] for line in faults.lines(RECORD)} if RECORD else set()
    left = [item for item in items if _name(item.nodeid) not in done]
    config.hook.pytest_deselected(items=[item for item in items if _name(item.nodeid) in done])
    items[:] = left


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" and item.path.stem in KINDS:
        counts = faults.counted(item.stash.get(TALLY, Counter()), report.outcome, str(report.longrepr or ""))
        stage = getattr(item, "callspec", None)
        what = stage.params.get("stage") if stage else None
        line = {"test": _name(item.nodeid), "kind": KINDS[item.path.stem], "what": what or item.originalname}
        line |= {"seed": SEED, "commit": COMMIT, "seconds": round(report.duration, 1), **counts}
        if report.failed:
            line["told"] = str(report.longrepr)[-2000:]
        COUNTS.setdefault(line["kind"], Counter()).update(counts)
        if RECORD and (report.passed or report.failed):
            faults.add(RECORD, line)
    return report


def _name(nodeid: str) -> str:
    return nodeid.rpartition("/")[2]


def pytest_terminal_summary(terminalreporter):
    told = COUNTS
    if RECORD:
        told = {}
        for line in faults.lines(RECORD):
            told.setdefault(line["kind"], Counter()).update({c: line[c] for c in faults.OUTCOMES})
    if told:
        terminalreporter.section(f"faults, seed {SEED}")
        for kind, counts in told.items():
            words = ", ".join(f"{counts[c]} {c}" for c in faults.OUTCOMES)
            terminalreporter.line(f"{kind}: {words}")
