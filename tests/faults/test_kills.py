"""Every stage of the work, killed at random moments, goes on to the same content; nothing is lost."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from building import ROOT
from stages import COUNT, SEED, STAGES, Run, alive, gone, uninterrupted

from lib.press import checksums

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
TIMES = re.compile(rb"<td><p>(?:\d+ h )?(?:\d+ min ?)?(?:[\d.]+ s)?</p></td>")
TIMED = (checksums.NAME, "searchindex.js")


def without_times(html: Path) -> dict[str, str]:
    """The SHA-256 of every file of a site, without what tells how long notebooks took."""
    files = {p.relative_to(html).as_posix(): p for p in html.rglob("*") if p.is_file()}
    return {
        n: hashlib.sha256(TIMES.sub(b"", p.read_bytes())).hexdigest()
        for n, p in files.items()
        if n not in TIMED
    }


@pytest.mark.skipif(COUNT < 300, reason="whole books, killed: FAULTS=300")
@pytest.mark.parametrize("stage", ["whole book"])
@pytest.mark.parametrize("i", range(max(1, COUNT // 60)))
def test_a_whole_book_that_is_killed(stage, i, book, tally, tmp_path):
    """Three kills of the smoke book, from nothing; left alone it must be the book that nobody killed."""
    expected = without_times(book[0] / "html")
    *_, hours, minutes, seconds = re.search(
        r"\(profile smoke, (?:(\d+) h )?(?:(\d+) min)? ?(?:([\d.]+) s)?\)", book[1]
    ).groups()
    takes = 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds or 0)
    rng, kills, faults = np.random.default_rng([SEED, 1_000, i]), 0, []
    command = [sys.executable, "-m", "lib", "book", "--profile", "smoke", "--output", str(tmp_path)]
    env = os.environ | {"BOOK_RESULTS": str(tmp_path / "results")}
    env.pop("OMP_NUM_THREADS", None)
    for last in (False, False, False, True):
        with (tmp_path / "told").open("w") as told:
            run = Run.of(subprocess.Popen(command, cwd=ROOT, env=env, stdout=told, stderr=told))
        status = run.wait(None if last else rng.uniform(0, takes))
        if status is None:
            family = run.kill()
            kills += family is not None
            if not gone(family or [], LINGER):
                faults.append(f"unclear: {[p for p in family if alive(p)]} are left")
        elif status:
            faults.append(f"lost: it does not go on: {(tmp_path / 'told').read_text()[-1000:]}")
        else:
            break
    if not checksums.whole(tmp_path / "html"):
        faults.append("lost: no whole pages")
    elif different := {n for n, sha in without_times(tmp_path / "html").items() ^ expected.items()}:
        faults.append(f"wrong: other pages: {sorted(different)[:20]}")
    tally[faults[0].partition(":")[0] if faults else "survived"] += kills
    assert not faults, faults
