"""What is published is read as it was published, or refused; and reading it needs nothing but the core."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from lib import published, results
from lib.model import Ensemble
from lib.protocol import Protocol
from lib.published import Mismatch
from lib.store import digest


def test_reading_a_table_imports_the_core_alone(root):
    code = (
        "import sys; from lib import published; published.cells(); "
        "print(*(m for m in sys.modules if m.startswith('lib.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "lib.published" in done.stdout
    assert not [
        name
        for name in done.stdout.split()
        if name.count(".") > 1 or (root / name.replace(".", "/")).is_dir()
    ]


def test_nothing_published_is_nothing(tmp_path):
    assert published.manifest(tmp_path) is None and published.ensembles(tmp_path) == []
    assert published.cells(tmp_path) is None and published.again(3, folder=tmp_path) is None
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {}}))
    (tmp_path / "cells.csv").write_text("a table that no manifest names")
    assert published.cells(tmp_path) is None


def test_a_changed_word_of_the_manifest_is_noticed_and_one_without_a_digest_is_read(tmp_path):
    bare = published.manifest()
    text = json.dumps(bare | {"digest": digest({"manifest": bare})})
    (tmp_path / "manifest.json").write_text(text)
    assert published.manifest(tmp_path) == bare
    (tmp_path / "manifest.json").write_text(text.replace('"epochs": 300', '"epochs": 301'))
    with pytest.raises(Mismatch, match="manifest.json: it does not match its own digest; restore it"):
        published.manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(bare))
    assert published.manifest(tmp_path) == bare
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(Mismatch):
        published.manifest(tmp_path)


@pytest.mark.parametrize("name", ["characters.csv", "opening.safetensors"])
def test_another_file_under_a_published_name_is_refused(tmp_path, name):
    for file in ("manifest.json", name):
        shutil.copy(published.FOLDER / file, tmp_path / file)
    read = published.table if name.endswith("csv") else published.tensors
    stem = name.partition(".")[0]
    assert len(read(stem, tmp_path)) == len(read(stem))
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Mismatch, match=f"{name} is missing or not the file that was published; restore it"):
        read(stem, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(Mismatch, match="is missing"):
        read(stem, tmp_path)


@pytest.mark.skipif(published.manifest() is None, reason="nothing is published yet")
def test_what_the_repository_publishes_is_whole():
    """Every byte is the manifest's, every cell is there, the networks give the published orientations."""
    about = published.manifest()
    assert published.digests() == about["files"]
    protocol = Protocol.from_mapping(about["protocol"])
    cells = published.table("cells")
    places = {
        (s, d, name)
        for s in protocol.seeds
        for d in protocol.dims
        for name in ("train", "test", *protocol.sets)
    }
    assert set(cells[["seed", "d", "set"]].itertuples(index=False, name=None)) == places and len(
        cells
    ) == len(places)
    networks = [Ensemble([e.member(d) for d in (2, 20)], e.seed, e.curves) for e in published.ensembles()]
    n = 400
    for found in results.evaluate(
        networks, protocol.replace(points=n), "bernoulli_0.5", progress=False, laws={}
    ):
        both = found.merge(cells, on=["seed", "d", "set"], suffixes=("", "_published"), validate="one_to_one")
        p = both.I_reversed_published
        assert len(both) == 2 and ((both.I_reversed - p).abs() <= 5 * (p * (1 - p) / n) ** 0.5 + 2 / n).all()
