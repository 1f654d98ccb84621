"""Files that are whole or absent, keyed by content, and checked when read."""

import multiprocessing
import os
import signal
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from lib import store
from lib.store import (
    CorruptArtefact,
    Store,
    digest,
    read_table,
    read_tensors,
    write_atomically,
    write_table,
    write_tensors,
)

TENSORS = {
    "a": torch.arange(12, dtype=torch.float64).view(3, 4),
    "b": torch.tensor([True, False]),
    "empty": torch.empty(0, 2),
}
TABLE = pd.DataFrame({"name": ["x", "y"], "value": [1 / 3, 1e-300], "count": [1, 2]})


def test_tensors_come_back_bit_for_bit(tmp_path):
    write_tensors(tmp_path / "t", TENSORS | {"strided": TENSORS["a"].T}, {"d": 3})
    tensors, meta = read_tensors(tmp_path / "t")
    assert meta == {"d": 3} and tensors.keys() == {*TENSORS, "strided"}
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype
    assert torch.equal(tensors["strided"], TENSORS["a"].T)


def test_tables_come_back_digit_for_digit(tmp_path):
    write_table(tmp_path / "t.csv", TABLE, {"set": "train"})
    table, meta = read_table(tmp_path / "t.csv")
    pd.testing.assert_frame_equal(table, TABLE, check_exact=True)
    assert meta == {"set": "train"}
    patterns = (
        np.random.default_rng(0).integers(0, 2**64, 20_000, dtype=np.uint64).view(np.float64)
    )  # of every magnitude
    numbers = pd.DataFrame({"value": patterns[np.isfinite(patterns)]})
    write_table(tmp_path / "t.csv", numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv")[0], numbers, check_exact=True)


@pytest.mark.parametrize(
    "read, write, content", [(read_tensors, write_tensors, TENSORS), (read_table, write_table, TABLE)]
)
def test_a_flipped_byte_is_noticed_wherever_it_is(tmp_path, read, write, content):
    path = tmp_path / "artefact"
    write(path, content)
    good = path.read_bytes()
    ignored = []
    for i in range(len(good)):
        path.write_bytes(good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :])
        try:
            read(path)
        except CorruptArtefact as error:
            assert str(path) in str(error)
        else:
            ignored.append(i)
    # what may change unseen is neither content nor name nor shape:
    # padding, the table's “# ”, the name of the description's digest
    assert len(ignored) < 20


@pytest.mark.parametrize("cut", [0, 1, 7, 20, -1])
@pytest.mark.parametrize(
    "read, write, content", [(read_tensors, write_tensors, TENSORS), (read_table, write_table, TABLE)]
)
def test_a_truncated_file_is_noticed(tmp_path, read, write, content, cut):
    path = tmp_path / "artefact"
    write(path, content)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CorruptArtefact):
        read(path)


def test_a_damaged_artefact_is_announced_and_counts_as_absent(tmp_path):
    shelf = Store(tmp_path)
    path = shelf.save_table("cells", {"d": 2}, TABLE)
    path.write_bytes(path.read_bytes().replace(b"x", b"z", 1))
    with pytest.warns(UserWarning, match="computed again"):
        assert shelf.load_table("cells", {"d": 2}) is None
    assert shelf.load_table("cells", {"d": 3}) is None  # absent: nothing to say


def test_two_exchanged_artefacts_are_noticed(tmp_path):
    shelf = Store(tmp_path)
    a, b = (shelf.save_table("cells", {"d": d}, TABLE.assign(d=d)) for d in (2, 3))
    c, d = (shelf.save_tensors("networks", {"d": d}, TENSORS) for d in (2, 3))
    for one, other in ((a, b), (c, d)):
        content = one.read_bytes(), other.read_bytes()
        one.write_bytes(content[1]), other.write_bytes(content[0])
    with pytest.warns(UserWarning, match="not what was asked for; it is computed again"):
        assert shelf.load_table("cells", {"d": 2}) is None
    with pytest.warns(UserWarning, match="not what was asked for; it is computed again"):
        assert shelf.load_tensors("networks", {"d": 3}) is None


def test_a_changed_description_is_noticed_and_a_file_from_before_it_had_a_digest_is_read(tmp_path):
    for write, read, content in ((write_table, read_table, TABLE), (write_tensors, read_tensors, TENSORS)):
        path = write(tmp_path / "artefact", content, {"set": "train"})
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b"train", b"tests"))
        with pytest.raises(CorruptArtefact, match="description"):
            read(path)
        path.write_bytes(whole)
        assert read(path)[1] == {"set": "train"}
    header = store.json.loads(write_table(tmp_path / "t", TABLE, {"d": 2}).read_text().splitlines()[0][2:])
    body = (tmp_path / "t").read_text().partition("\n")[2]
    del header["meta_sha256"]
    (tmp_path / "t").write_text(f"# {store.json.dumps(header)}\n{body}")
    assert read_table(tmp_path / "t")[1] == {"d": 2}


def test_what_is_shown_is_what_is_stored_and_is_computed_once(tmp_path):
    shelf, times = Store(tmp_path, published=None), []

    def compute():
        times.append(1)
        return TABLE.assign(mixed=[1, "x"])  # read back, both are text

    first = shelf.table("cells", {"d": 2}, compute)
    assert list(first.mixed) == ["1", "x"] and len(times) == 1
    pd.testing.assert_frame_equal(shelf.table("cells", {"d": 2}, compute), first)
    assert torch.equal(shelf.tensors("networks", {}, lambda: TENSORS)["a"], TENSORS["a"])
    assert len(times) == 1
    with pytest.raises(ZeroDivisionError):
        shelf.table("cells", {"d": 3}, lambda: 1 / 0)
    assert shelf.load_table("cells", {"d": 3}) is None


def _slowly(root, marks):
    def compute():
        with open(marks, "a") as file:
            file.write("computed\n")
        time.sleep(0.5)
        return TABLE

    Store(root).table("cells", {"d": 2}, compute)


def test_a_second_process_waits_for_what_the_first_computes(tmp_path):
    marks, start = tmp_path / "marks", multiprocessing.get_context("spawn")
    both = [start.Process(target=_slowly, args=(tmp_path, marks)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert not list(tmp_path.rglob("*.lock"))
    assert [p.exitcode for p in both] == [0, 0] and marks.read_text() == "computed\n"


@pytest.mark.parametrize("pictures", [None, "_pictures"], ids=["terminal", "notebook for the book"])
def test_who_waits_says_so_and_for_what(tmp_path, monkeypatch, capsys, pictures):
    if pictures:
        monkeypatch.setenv("BOOK_PICTURES", pictures)
    said, got = "", threading.Event()

    def second():
        with store.locked(tmp_path / "lock", "networks 3"):
            got.set()

    with store.locked(tmp_path / "lock", "networks 3"):
        thread = threading.Thread(target=second)
        thread.start()
        for _ in range(20 if pictures else 2_000):
            time.sleep(0.01)
            if said := said + capsys.readouterr().err:
                break
        assert not got.is_set()
    thread.join()
    told = "networks 3: another process is at work on it; waiting for that\n"
    assert said + capsys.readouterr().err == ("" if pictures else told)
    assert got.is_set() and not (tmp_path / "lock").exists()


def test_a_published_artefact_is_found_by_name_where_its_fields_are_those_asked_for(tmp_path):
    public, names = tmp_path / "published", {}
    write_table(public / "sub" / "one.csv", TABLE, {"d": 2})
    shelf = Store(tmp_path / "results", public, names)
    pd.testing.assert_frame_equal(shelf.table("cells", {"d": 2}, lambda: 1 / 0, "sub/one"), TABLE)
    assert names == {"sub/one.csv": public / "sub" / "one.csv"} and not shelf.root.exists()
    other = shelf.table("cells", {"d": 3}, lambda: TABLE.assign(count=0), "sub/one")
    assert (other["count"] == 0).all()
    assert names == {"sub/one.csv": shelf.path("cells", {"d": 3}, "csv")}
    (public / "sub" / "one.csv").write_bytes(b"# {}")
    with pytest.raises(CorruptArtefact):  # a published one is refused, not passed over
        shelf.table("cells", {"d": 4}, lambda: TABLE, "sub/one")


def test_the_key_is_everything_that_determines_the_result():
    fields = {"dims": (2, 3), "seed": 0, "lr": 1e-3}
    assert digest(fields) == digest({"lr": 0.001, "seed": 0, "dims": [2, 3]})
    others = [
        {**fields, "seed": 1},
        {**fields, "dims": (2,)},
        {**fields, "lr": 2e-3},
        {**fields, "more": None},
    ]
    assert len({digest(f) for f in (fields, *others)}) == 5
    shelf = Store("anywhere")
    assert shelf.path("a", fields, "csv").name != shelf.path("b", fields, "csv").name


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "file", b"old")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(OSError):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def _write_for_ever(path):
    for i in range(10**9):
        write_tensors(path, {"t": torch.full((50_000,), float(i))})


def test_a_reader_never_sees_half_a_file_and_a_killed_writer_leaves_a_whole_one(tmp_path):
    path = write_tensors(tmp_path / "t", {"t": torch.zeros(50_000)})
    writer = multiprocessing.get_context("spawn").Process(  # a fork of a process with threads may hang
        target=_write_for_ever, args=(path,), daemon=True
    )
    writer.start()
    seen, end = set(), time.monotonic() + 0.5
    while time.monotonic() < end or len(seen) < 2:
        t = read_tensors(path)[0]["t"]
        assert (t == t[0]).all()
        seen.add(float(t[0]))
        assert time.monotonic() < end + 120, "the writer wrote nothing"
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    t = read_tensors(path)[0]["t"]
    assert (t == t[0]).all()


def test_the_folder_is_the_callers_then_the_environments_then_the_projects(tmp_path, monkeypatch):
    monkeypatch.setenv("BOOK_RESULTS", str(tmp_path / "environment"))
    assert Store().root == tmp_path / "environment" and Store(tmp_path).root == tmp_path
    monkeypatch.delenv("BOOK_RESULTS")
    assert Store().root.name == "results"


def test_numbers_of_any_kind_can_be_fields(tmp_path):
    shelf = Store(tmp_path)
    shelf.save_tensors("networks", {"rate": 0.1, "dims": (2, 3), "trained": True, "nothing": None}, TENSORS)
    stored = shelf.load_tensors("networks", {"rate": 0.1, "dims": [2, 3], "trained": True, "nothing": None})
    assert torch.equal(stored["a"], TENSORS["a"])
    with pytest.raises(TypeError):  # never a guess at what an object means
        digest({"array": np.zeros(3)})
