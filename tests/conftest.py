"""What every test shares: results of its own, the smallest book, a browser, an order that fills all cores."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from building import ROOT, make_book

#: Cores for tests, at most: each worker imports torch, and the longest file bounds the whole.
WORKERS = 4


# --- on several cores --------------------------------------------------------------------------


def pytest_addoption(parser):
    parser.addoption("--site", type=Path, metavar="FOLDER", help="the finished site that tests/site checks")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """``-n auto``: none beside this process on one core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, WORKERS) if cores > 1 else 0


if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):  # before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file's tests stay together, as they share fixtures; pages of the site go to whoever is free."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if "test_a_page_opens" in nodeid else super()._split_scope(nodeid)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items):
    """The file that builds the smoke book comes first, those that look at it last, all the rest between."""
    looks = {i.path for i in items if {"book", "site"} & set(getattr(i, "fixturenames", ()))}
    items.sort(key=lambda item: 0 if item.path.name == "test_build.py" else 2 if item.path in looks else 1)


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id) -> Path:
    """A folder of this run of the tests, the same for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- what tests look at ------------------------------------------------------------------------


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def own_results(shared) -> Iterator[Path]:
    """The reader's results are neither used nor changed by a test; the reader's cluster has no work by it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOOK_RESULTS", str(shared / "results"))
        patch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
        yield shared / "results"


@pytest.fixture(scope="session")
def book(shared) -> tuple[Path, str]:
    """The whole book, built from nothing with the smallest profile: its folder, and what was told."""
    output, told = shared / "book", shared / "book.txt"
    with locked(shared / "book.lock"):
        if not told.exists():
            done = make_book(output)
            told.write_text(done.stdout if done.returncode == 0 else "")
            if done.returncode:
                pytest.fail(
                    f"the smoke book does not build:\n{done.stdout}\n{done.stderr[-4000:]}", pytrace=False
                )
    if not told.read_text():
        pytest.fail("the smoke book does not build: another test says why", pytrace=False)
    return output, told.read_text()


@pytest.fixture(scope="session")
def site(request) -> Path:
    """The finished site in the folder ``--site``, else the smoke book's."""
    given = request.config.getoption("site")
    return given.resolve() if given else request.getfixturevalue("book")[0] / "html"


@pytest.fixture(
    scope="module"
)  # no longer: while Playwright's loop runs, none of asyncio's may begin in this process
def browser(request):
    """Headless Chromium; a site that is to go out may not do without."""
    from browser import CHROMIUM, Browser, chromium

    if not CHROMIUM:
        lacking = "no Chromium here (Debian: apt-get install chromium)"
        (pytest.fail if request.config.getoption("site") else pytest.skip)(lacking)
    with chromium() as driven:
        yield Browser(driven)
