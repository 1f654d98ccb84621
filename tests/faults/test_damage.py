"""Stored files that were changed: what is returned is what was stored, or nothing with one clear line.

*Noticed*: an error that names the file, or a warning and nothing returned. *Harmless*: exactly what
was stored came back. Anything else, other numbers or another error, fails.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lib import published
from lib.press import checksums
from lib.press.publish import write_manifest
from lib.press.verify import verify
from lib.published import Mismatch
from lib.store import CorruptArtefact, Store, read_table, read_tensors

G = torch.Generator().manual_seed(0)
TENSORS = {
    "weights": torch.randn(20, 7, generator=G),
    "steps": torch.arange(9),
    "mask": torch.rand(5, generator=G) < 0.5,
}
TABLE = pd.DataFrame(
    {"set": ["uniform", "train"] * 8, "value": np.random.default_rng(0).normal(size=16), "d": range(16)}
)
FIELDS = {"seed": 0, "d": 2, "rate": 1e-3, "sets": ["uniform", "train"]}


def flipped(good: bytes, rng: np.random.Generator) -> bytes:
    i, bit = rng.integers(len(good)), 1 << rng.integers(8)
    return good[:i] + bytes([good[i] ^ int(bit)]) + good[i + 1 :]


def of_the_header(good: bytes, rng: np.random.Generator) -> bytes:
    """A flip where the description stands: the first line of a table, the JSON of tensors."""
    end = min(len(good), 400)
    return flipped(good[:end], rng) + good[end:]


def truncated(good: bytes, rng: np.random.Generator) -> bytes:
    return good[: rng.integers(len(good))]


def extended(good: bytes, rng: np.random.Generator) -> bytes:
    return good + rng.bytes(1 + rng.integers(40))


def overwritten(good: bytes, rng: np.random.Generator) -> bytes:
    i, n = rng.integers(len(good)), 1 + rng.integers(30)
    return (good[:i] + rng.bytes(n) + good[i + n :])[: len(good)]


def zeroed(good: bytes, rng: np.random.Generator) -> bytes:
    """A block that a full disk or a crash left empty."""
    i, n = rng.integers(len(good)), 1 + rng.integers(200)
    return (good[:i] + bytes(n) + good[i + n :])[: len(good)]


def digit(good: bytes, rng: np.random.Generator) -> bytes:
    """One digit for another: what stays readable is the worst damage."""
    places = [i for i, c in enumerate(good) if c in b"0123456789"]
    i = places[rng.integers(len(places))]
    return good[:i] + str((int(chr(good[i])) + 1 + rng.integers(9)) % 10).encode() + good[i + 1 :]


DAMAGES = (flipped, of_the_header, truncated, extended, overwritten, zeroed, digit)


def same(a, b) -> bool:
    if isinstance(a, pd.DataFrame):
        return isinstance(b, pd.DataFrame) and a.equals(b) and list(a.dtypes) == list(b.dtypes)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def attack(
    path: Path, read: Callable, damage: Callable, trials, tally, clear=(CorruptArtefact, Mismatch)
) -> None:
    """Damage `path` again and again, read it, and put it right."""
    good, expected, wrong = path.read_bytes(), read(), []
    for i, rng in enumerate(trials):
        bad = damage(good, rng)
        path.write_bytes(bad)
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                found = read()
        except clear as error:
            outcome = "noticed" if "\n" not in str(error) else "said in many lines"
        except Exception as error:
            outcome = f"unclear ({type(error).__name__})"
        else:
            noticed = found is None and any(path.name in str(w.message) for w in said)
            outcome = "noticed" if noticed else "harmless" if same(expected, found) else "wrong in silence"
        tally["unchanged" if bad == good else outcome] += 1
        if outcome not in ("noticed", "harmless"):
            wrong.append((i, outcome))
    path.write_bytes(good)
    assert same(read(), expected) and not wrong, wrong


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
def test_a_stored_table(store, damage, trials, tally):
    path = store.save_table("cells", FIELDS, TABLE)
    attack(path, lambda: store.load_table("cells", FIELDS), damage, trials, tally)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
def test_stored_tensors(store, damage, trials, tally):
    path = store.save_tensors("networks", FIELDS, TENSORS)
    attack(path, lambda: store.load_tensors("networks", FIELDS), damage, trials, tally)


@pytest.mark.parametrize("kind", ["table", "tensors"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
def test_a_description(store, kind, damage, trials, tally):
    """What a file says of itself is read with it, and as safe."""
    if kind == "table":
        path, read = store.save_table("cells", FIELDS, TABLE), read_table
    else:
        path, read = store.save_tensors("networks", FIELDS, TENSORS), read_tensors
    attack(path, lambda: read(path), damage, trials, tally)


@pytest.mark.parametrize("kind", ["csv", "safetensors"])
def test_exchanged_files_are_not_taken_for_one_another(store, kind, tally):
    """A whole, undamaged file under another's name."""
    paths, fields = [], [FIELDS | {"seed": s} for s in range(6)]
    for f in fields:
        scaled = {k: t.clone() + f["seed"] if t.dtype != torch.bool else t for k, t in TENSORS.items()}
        paths.append(
            store.save_table("cells", f, TABLE.assign(value=f["seed"]))
            if kind == "csv"
            else store.save_tensors("cells", f, scaled)
        )
    contents = [p.read_bytes() for p in paths]
    load = store.load_table if kind == "csv" else store.load_tensors
    for i, path in enumerate(paths):
        path.write_bytes(contents[i - 1])
        with pytest.warns(UserWarning, match=path.name):
            found = load("cells", fields[i])
        tally["noticed" if found is None else "wrong in silence"] += 1
        assert found is None


@pytest.mark.parametrize("content", [
    b"", b"\n", b"{}", b"# {}\n", b"# []\n", b"# null\nset\n", b"[]", b"\xff" * 64, bytes(64),
    b'# {"meta": 3, "sha256": 5}\nset\n', b'# {"meta": {}, "sha256": null}\n',
    b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]",
    b"\x11\0\0\0\0\0\0\0" + b'{"__metadata__":3}', b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
])  # fmt: skip
@pytest.mark.parametrize("kind", ["table", "tensors"])
def test_crafted_files(store, kind, content):
    save, load = getattr(store, f"save_{kind}"), getattr(store, f"load_{kind}")
    path = save("cells", FIELDS, TABLE if kind == "table" else TENSORS)
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=path.name):
        assert load("cells", FIELDS) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Some of what is published, with a manifest of these files."""
    folder = tmp_path_factory.mktemp("published")
    about = published.manifest()
    for name in ("cells.csv", "rounding.csv", "sweep.csv", "opening.safetensors"):
        shutil.copy(published.FOLDER / name, folder)
    return write_manifest(about, folder)


@pytest.mark.parametrize("name", ["cells.csv", "rounding.csv", "sweep.csv", "opening.safetensors"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
def test_a_published_file(folder, name, damage, trials, tally):
    """Checked against the manifest as a whole: no change is harmless."""
    path = folder / name
    good = path.read_bytes()
    for rng in trials[: max(1, len(trials) // 4)]:
        bad = damage(good, rng)
        path.write_bytes(bad)
        if bad == good:
            continue
        with pytest.raises((Mismatch, CorruptArtefact), match=name):
            verify(0, progress=False, folder=folder)
        tally["noticed"] += 1
    path.write_bytes(good)
    verify(0, progress=False, folder=folder)


@pytest.mark.parametrize("change", ["missing", "exchanged", "a folder"])
def test_published_files_that_are_missing_or_exchanged(folder, change, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "rounding.csv").unlink()
    if change == "exchanged":
        shutil.copy(copy / "sweep.csv", copy / "rounding.csv")
    if change == "a folder":
        (copy / "rounding.csv").mkdir()
    with pytest.raises(Mismatch, match="rounding.csv"):
        verify(0, progress=False, folder=copy)


@pytest.mark.parametrize("text", ["", "{", "[1, 2", "manifest", "\ufeff{}"])
def test_a_manifest_that_is_no_json_is_one_line(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(Mismatch, match="manifest.json: expected JSON") as error:
        verify(0, folder=tmp_path)
    assert "\n" not in str(error.value)


def test_the_manifest(folder, trials, tally):
    attack(folder / "manifest.json", lambda: published.manifest(folder), digit, trials, tally)


@pytest.mark.parametrize("damage", [flipped, truncated, extended, digit], ids=lambda f: f.__name__)
def test_measured_numbers(damage, tmp_path, trials, tally):
    path = checksums.write_numbers(
        tmp_path / "bench.json", {"seconds": 1.25, "runs": [{"d": 2, "rate": 17e9}]}
    )
    attack(path, lambda: checksums.read_numbers(path), damage, trials, tally)
    assert checksums.read_numbers(tmp_path / "nothing.json") is None


@pytest.mark.parametrize("text", ["", "3", "[]", "null ", '{"digest": 3}', "{", "\ufeff{}", '{"seconds": 2}'])
def test_measured_numbers_that_are_none_are_one_line(text, tmp_path):
    (path := tmp_path / "scaling.json").write_text(text, encoding="utf-8")
    with pytest.raises(Mismatch, match="scaling.json: expected measured numbers in JSON, got") as error:
        checksums.read_numbers(path)
    assert "\n" not in str(error.value)
