"""Training images are verified before they are kept, and a bad file is named and never used."""

from __future__ import annotations

import gzip
import hashlib
import warnings

import numpy as np
import pytest

from lib import data, paths
from lib.data import DataError

NAME = "train-labels-idx1-ubyte"
CONTENT = bytes(8) + bytes(range(200))
POISON = {
    "empty": b"",
    "a page instead of a file": b"<html>not found</html>",
    "another file": gzip.compress(CONTENT[:-1] + b"x"),
    "a crafted header": gzip.compress(b"\xff" * 8 + CONTENT[8:]),
    "truncated": gzip.compress(CONTENT)[:-12],
    "a damaged stream": gzip.compress(CONTENT)[:14] + b"\xff\xff\xff\xff" + gzip.compress(CONTENT)[18:],
    "much more than it should be": gzip.compress(CONTENT + bytes(2**27)),
}


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """One small file in place of MNIST's, its own cache, and no network."""
    monkeypatch.setattr(data, "MNIST_FILES", {NAME: (hashlib.sha256(CONTENT).hexdigest(), 8)})
    monkeypatch.setenv("BOOK_RESULTS", str(tmp_path / "results"))
    monkeypatch.delenv("MNIST_DIR", raising=False)
    return tmp_path


@pytest.fixture
def served(monkeypatch):
    """What the address gives, changed by the test; counts the downloads."""
    answers = []

    def retrieve(url, known_hash, fname, path, progressbar):
        target = paths.Path(path) / fname
        target.write_bytes(answers.pop(0))
        return str(target)

    monkeypatch.setattr("pooch.retrieve", retrieve)
    return answers


def kept(small):
    return sorted(p.name for p in (small / "results" / "mnist").rglob("*"))


def test_a_download_is_verified_kept_and_then_found(small, served):
    served.append(gzip.compress(CONTENT))
    assert data._idx_file("mnist", NAME).tobytes() == CONTENT[8:] == data._idx_file("mnist", NAME).tobytes()
    assert served == [] and kept(small) == [f"{NAME}.gz"]


@pytest.mark.parametrize("kind", POISON)
def test_a_poisoned_download_is_one_line_and_is_not_kept(small, served, kind):
    served += [POISON[kind], gzip.compress(CONTENT)]
    with pytest.raises(DataError) as error:
        data._idx_file("mnist", NAME)
    assert "\n" not in str(error.value) and NAME in str(error.value) and "expected" in str(error.value)
    assert not (small / "results" / "mnist").exists()
    assert data._idx_file("mnist", NAME).tobytes() == CONTENT[8:]  # the next try is not spoilt by the first


@pytest.mark.parametrize("kind", POISON)
def test_a_poisoned_file_of_the_cache_is_set_aside_named_and_downloaded_again(small, served, kind):
    cache = small / "results" / "mnist"
    cache.mkdir(parents=True)
    (cache / f"{NAME}.gz").write_bytes(POISON[kind])
    served.append(gzip.compress(CONTENT))
    with pytest.warns(UserWarning, match=f"{NAME}.gz.damaged now, and downloaded again"):
        assert data._idx_file("mnist", NAME).tobytes() == CONTENT[8:]
    assert kept(small) == [f"{NAME}.gz", f"{NAME}.gz.damaged"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(data._idx_file("mnist", NAME), np.frombuffer(CONTENT[8:], np.uint8))


@pytest.mark.parametrize("kind", [*POISON, "a folder", "nothing", "a file in place of the folder"])
def test_a_readers_own_file_is_named_and_left_alone(small, monkeypatch, kind):
    own = small / "own"
    if kind == "a file in place of the folder":
        own.write_bytes(b"")
    else:
        own.mkdir()
    if kind == "a folder":
        (own / f"{NAME}.gz").mkdir()
    elif kind in POISON:
        (own / f"{NAME}.gz").write_bytes(POISON[kind])
    before = sorted(p.name for p in own.rglob("*"))
    monkeypatch.setenv("MNIST_DIR", str(own))
    with pytest.raises(DataError) as error:
        data._idx_file("mnist", NAME)
    assert "\n" not in str(error.value) and NAME in str(error.value) and str(own) in str(error.value)
    assert sorted(p.name for p in own.rglob("*")) == before


def test_a_cache_that_cannot_be_written_is_one_line(small, served, monkeypatch):
    (small / "results").write_bytes(b"a file in place of the folder")
    served.append(gzip.compress(CONTENT))
    with pytest.raises(DataError, match="set BOOK_RESULTS to a folder that can be written"):
        data._idx_file("mnist", NAME)
