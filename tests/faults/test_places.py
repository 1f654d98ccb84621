"""No room, no right, suddenly no folder: one line says so, what was there stays, with room it goes on."""

from __future__ import annotations

import os
import shutil
import subprocess

import numpy as np
import pytest
from stages import COUNT, SEED, STAGES, Run, uninterrupted

#: Stages that keep what is computed; the others are tried by `make faults`.
KEEPING = [name for name, stage in STAGES.items() if stage.share == 1 and name != "clean-results"]
#: Nobody's user: root may write anywhere.
NOBODY = 65534


def clear(run: Run) -> bool:
    """Nothing was said, or one line of what was expected, what came, and where."""
    lines = [line for line in run.told if not line.startswith(" ") and "Warning" not in line]
    return len(lines) <= 1 and all(line.startswith("book: ") and "expected" in line for line in lines)


def goes_on(stage: str, folder, run: Run, status: int, tally) -> None:
    """After a run with too little of something: what it left is whole, its word clear, the next ends well."""
    its, faults = STAGES[stage], []
    try:
        its.check(folder)
    except Exception as error:
        faults.append(f"lost: {error!r}")
    if status not in (0, 1, 2) or not clear(run):
        faults.append(f"unclear: status {status}, {run.told[-5:]}")
    again = Run(stage, folder)
    if again.wait() != 0:
        faults.append(f"lost: it does not go on: {again.told[-5:]}")
    elif its.content(folder) != uninterrupted(stage)[0]:
        faults.append("wrong: another content")
    tally[faults[0].partition(":")[0] if faults else "survived"] += 1
    assert not faults, faults


@pytest.mark.parametrize("i", range(max(1, COUNT // 30)))
@pytest.mark.parametrize("stage", KEEPING if COUNT >= 100 else ["store", "publishing"])
def test_no_file_may_be_larger(stage, i, place, tally):
    """As on a disk with a quota: a write ends in the middle of a file."""
    (folder := place / "work").mkdir()
    STAGES[stage].prepare(folder)
    largest = max((p.stat().st_size for p in folder.rglob("*") if p.is_file()), default=0)
    limit = largest + int(np.random.default_rng([SEED, 2_000, i]).integers(100, 30_000))
    run = Run(stage, folder, file=limit)
    goes_on(stage, folder, run, run.wait(), tally)


@pytest.mark.parametrize("i", range(max(1, COUNT // 30)))
@pytest.mark.parametrize("stage", KEEPING if COUNT >= 100 else ["store"])
def test_a_full_disk(stage, i, tmp_path, tally):
    """A small file system in memory, where one may be mounted: full at some moment, larger afterwards."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "faults", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system may be mounted here: RLIMIT_FSIZE is tried instead")
    try:
        (folder := disk / "work").mkdir()
        STAGES[stage].prepare(folder)
        (disk / "work.told").write_text(" " * 4096)  # what is said has a place
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        room = int(np.random.default_rng([SEED, 3_000, i]).integers(0, 300_000))
        with (disk / "full").open("wb") as file:
            file.write(bytes(free - room))
        run = Run(stage, folder)
        status = run.wait()
        (disk / "full").unlink()
        goes_on(stage, folder, run, status, tally)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's folder: only root can become another user")
@pytest.mark.parametrize("stage", KEEPING if COUNT >= 100 else ["store"])
def test_a_folder_that_may_not_be_written(stage, place, tally):
    os.chmod(place, 0o755)
    (folder := place / "work").mkdir()
    STAGES[stage].prepare(folder)
    (place / "work.told").touch(0o666)
    os.chmod(place / "work.told", 0o666)
    run = Run(stage, folder, user=NOBODY)
    status = run.wait()
    assert status == 2, run.told
    goes_on(stage, folder, run, status, tally)


@pytest.mark.parametrize("i", range(max(1, COUNT // 30)))
@pytest.mark.parametrize("stage", KEEPING if COUNT >= 100 else ["store"])
def test_a_folder_that_is_taken_away(stage, i, place, tally):
    """Renamed at a random moment: what was computed lies there, whole, and is used when it is back."""
    (folder := place / "work").mkdir()
    STAGES[stage].prepare(folder)
    run = Run(stage, folder)
    status = run.wait(np.random.default_rng([SEED, 4_000, i]).uniform(0, uninterrupted(stage)[1]))
    os.rename(folder, away := place / "away")
    status = run.wait() if status is None else status
    STAGES[stage].check(away)
    shutil.rmtree(folder, ignore_errors=True)  # what was begun anew in its place
    os.rename(away, folder)
    goes_on(stage, folder, run, status, tally)
