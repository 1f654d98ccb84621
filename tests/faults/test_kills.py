"""Every stage of the work, killed at random moments, goes on to the same content; nothing is lost."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from building import ROOT
from stages import (
    COUNT,
    SEED,
    STAGES,
    Run,
    alive,
    gone,
    killed_at,
    moments,
    pages,
    readable,
    uninterrupted,
    way,
)

from lib.press import checksums
from lib.press.provenance import git

#: Kills that one test tries before it lets the work end, at most.
KILLS = 3
#: Seconds in which all that a killed process had started must have ended, also on a busy machine.
LINGER = 30.0


def how_many(stage: str) -> int:
    return int(STAGES[stage].share * COUNT / 24 + 0.5)


@pytest.mark.parametrize("stage, i", [(stage, i) for stage in STAGES for i in range(how_many(stage))])
def test_a_stage_that_is_killed(stage, i, place, tally):
    expected, takes = uninterrupted(stage)
    rng, its = np.random.default_rng([SEED, [*STAGES].index(stage), i]), STAGES[stage]
    (folder := place / "work").mkdir()
    its.prepare(folder)
    kills, faults = 0, []
    for _ in range(rng.integers(1, KILLS + 1)):
        run = Run(stage, folder)
        if run.wait(rng.uniform(0, takes)) is not None:
            break
        if (family := run.kill()) is None:
            break
        kills += 1
        try:
            its.check(folder)
        except Exception as error:
            faults.append(f"lost {error!r}")
        if not gone(family, LINGER):
            faults.append(f"unclear: {[p for p in family if alive(p)]} are left")
    run = Run(stage, folder)
    if run.wait() != 0:
        faults.append(f"lost: it does not go on: {run.told}")
    elif any("Traceback" in line for line in run.told):
        faults.append(f"unclear: {run.told}")
    elif its.content(folder) != expected:
        faults.append("wrong: another content")
    tally[faults[0].partition(" ")[0].rstrip(":") if faults else "survived"] += kills
    assert not faults, faults


#: How long each notebook took, in the table of the pages; the index of words has the same numbers.
TIMES = re.compile(rb"<td[^>]*><p>(?:\d+ h )?(?:\d+ min ?)?(?:[\d.]+ s)?</p></td>")
TIMED = (checksums.NAME, "searchindex.js")


def without_times(html: Path) -> dict[str, str]:
    """The SHA-256 of every file of a site, without what tells how long notebooks took."""
    files = {p.relative_to(html).as_posix(): p for p in html.rglob("*") if p.is_file()}
    return {
        n: hashlib.sha256(TIMES.sub(b"", p.read_bytes())).hexdigest()
        for n, p in files.items()
        if n not in TIMED
    }


#: Kills of one whole book, one in each of as many equal parts of its way.
BOOK_KILLS = 15


def state_of_the_project() -> tuple[str, str]:
    return git(ROOT, "rev-parse", "HEAD"), git(ROOT, "status", "--porcelain", "--untracked-files=no")


@pytest.mark.skipif(COUNT < 300, reason="a whole book, killed: FAULTS=300")
@pytest.mark.parametrize("stage", ["whole book"])
@pytest.mark.parametrize("i", range(max(1, COUNT // 300)))
def test_a_whole_book_that_is_killed(stage, i, book, tally, tmp_path):
    """Fifteen kills of one smoke book on its way from nothing to its pages: left alone, it is the book that
    nobody killed. After each kill the pages before it are in place, and whatever is stored is whole."""
    was, expected = state_of_the_project(), without_times(book[0] / "html")
    rng, kills, faults = np.random.default_rng([SEED, 1_000, i]), 0, []
    steps, every, then = way(book[1])
    html, kept, results = (tmp_path / name for name in ("html", "notebooks", "results"))
    command = [sys.executable, "-m", "lib", "book", "--profile", "smoke", "--output", str(tmp_path)]
    env = os.environ | {"BOOK_RESULTS": str(results)}
    env.pop("OMP_NUM_THREADS", None)

    def begin() -> Run:
        with (tmp_path / "told").open("w") as told:
            return Run.of(subprocess.Popen(command, cwd=ROOT, env=env, stdout=told, stderr=told))

    def failed() -> str:
        return f"lost: it does not go on: {(tmp_path / 'told').read_text()[-1000:]}"

    pages(html, "old")
    planned = [*moments(BOOK_KILLS, steps, every, then, rng)]
    while planned and not faults:
        ended = killed_at(begin(), lambda: len([*kept.glob("[!.]*")]), *planned.pop(0))
        if ended == 0:  # faster than the other one: its pages are made again, and killed earlier
            shutil.rmtree(html)
            pages(html, "old")
            then /= 2
            planned.append((steps, rng.uniform(0, then)))
        elif isinstance(ended, int):
            faults.append(failed())
        else:
            kills += 1
            if not gone(ended, LINGER):
                faults.append(f"unclear: {[p for p in ended if alive(p)]} are left")
            try:
                assert checksums.whole(html), "no whole pages"
                assert all(map(checksums.whole, kept.glob("[!.]*"))), "a kept notebook is not whole"
                readable(results)
            except Exception as error:
                faults.append(f"lost: {error!r}")
    if begin().wait() != 0:
        faults.append(failed())
    elif "Traceback" in (tmp_path / "told").read_text():
        faults.append(f"unclear: {(tmp_path / 'told').read_text()[-1000:]}")
    if state_of_the_project() != was:
        pytest.skip("the project was changed meanwhile: there is nothing to compare with")
    if not checksums.whole(html):
        faults.append("lost: no whole pages")
    elif different := {n for n, sha in without_times(html).items() ^ expected.items()}:
        faults.append(f"wrong: other pages: {sorted(different)[:20]}")
    elif left := [p.name for p in tmp_path.glob(".run-*")]:
        faults.append(f"unclear: {left} are left")
    tally["survived"] += max(0, kills - bool(faults))
    for fault in faults[:1]:
        tally[fault.partition(":")[0]] += 1
    assert not faults, faults
