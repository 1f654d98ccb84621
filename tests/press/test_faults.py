"""What was tried and what came of it: a record that survives interruption, and the table made of it."""

from __future__ import annotations

import shutil

import pytest

from lib import published
from lib.press import faults
from lib.store import read_table
from lib.studies import faults as found

LINE = {
    "test": "test_kills.py::a", "kind": "kill", "what": "swap", "seed": 0, "commit": "f" * 12,
    "tried": 3, "survived": 2, "wrong": 0, "lost": 1, "unclear": 0,
}  # fmt: skip


@pytest.fixture
def record(tmp_path):
    record = tmp_path / "faults" / "seed-0.jsonl"
    for change in ({}, {"test": "b", "what": "store"}, {"test": "c", "what": "store", "tried": 1}):
        faults.add(record, LINE | change)
    return record


def test_a_torn_line_is_not_counted_and_harms_no_other(record):
    with record.open("ab") as file:
        file.write(b'\n{"test": "torn", "kind": "kill", "wh')
    faults.add(record, LINE | {"test": "after"})
    assert [line["test"] for line in faults.lines(record)] == [LINE["test"], "b", "c", "after"]


def test_the_table_has_the_sums_and_of_a_test_its_last_line(record):
    faults.add(record, LINE | {"lost": 0, "survived": 3})
    table = faults.table(record).set_index("what")
    assert list(table.tried) == [3, 4] and list(table.lost) == [0, 2] and list(table.survived) == [3, 4]


def test_it_is_published_under_the_manifest_and_nothing_wrong_is_signed_with_it(record, tmp_path):
    folder = tmp_path / "published"
    folder.mkdir()
    for name in ("manifest.json", "pairs.csv"):
        shutil.copy(published.FOLDER / name, folder)
    about = published.manifest(folder)
    from lib.press.publish import write_manifest

    write_manifest(about, folder)
    faults.publish(record, folder)
    kinds, stages, told = found.summary(folder)
    assert list(kinds.tried) == [7] and list(stages.stage) == ["swap", "store"]
    assert "seed 0, at commit ffffffffffff" in found.told(told)
    assert read_table(folder / "faults.csv")[0].equals(faults.table(record))
    (folder / "pairs.csv").write_text("other")
    with pytest.raises(published.Mismatch, match="pairs.csv"):
        faults.publish(record, folder)


def test_without_a_run_the_page_says_so(tmp_path):
    kinds, stages, about = found.summary(tmp_path)
    assert kinds.empty and stages.empty and "published yet" in found.told(about)
    with pytest.raises(published.Mismatch, match="expected a record"):
        shutil.copy(published.FOLDER / "manifest.json", tmp_path)
        (tmp_path / "manifest.json").write_text('{"files": {}}')
        faults.publish(tmp_path / "none.jsonl", tmp_path)
