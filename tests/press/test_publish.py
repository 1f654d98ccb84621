"""What is published can be added to, and a changed byte or number does not pass."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from lib import data, published, results, training
from lib.companions import codes as embedding
from lib.companions.catalogue import CHAPTERS
from lib.press import publish, verify
from lib.protocol import Protocol
from lib.published import Mismatch
from lib.store import Store, write_table
from lib.studies import claims, sensitivity

RUN = Protocol(training_set="digits", dims=(2, 5), seeds=(0,), epochs=2, points=20)


@pytest.fixture(scope="module")
def small():
    """Stands in for the paper's scale, and says so nowhere else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "_check_is_paper", lambda *_: None)
        patch.setattr(publish, "NULL_POINTS", 10)
        patch.setattr(publish, "SWEPT_POINTS", 5)
        patch.setattr(publish, "PAIRS_POINTS", 5)
        patch.setattr(publish, "WHOLE_DIMS", (2,))
        patch.setattr(publish, "WHOLE_POINTS", 2)
        yield


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    return publish.publish(RUN, Store(tmp_path_factory.mktemp("store")), folder)


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "published")


def test_a_smaller_run_is_not_published(tmp_path):
    with pytest.raises(Mismatch, match="expected the paper's training_set=mnist, got digits"):
        publish.publish(RUN, Store(tmp_path), tmp_path)
    with pytest.raises(Mismatch, match="epochs=300, got 10"):
        publish.publish(Protocol(epochs=10), Store(tmp_path), tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_file_is_named_with_its_digest(made):
    about = published.manifest(made)
    assert set(about["files"]) == {
        "cells.csv",
        "untrained.csv",
        "characters.csv",
        "sweep.csv",
        "pairs.csv",
        "networks-seed0.safetensors",
        "opening.safetensors",
    }
    assert about["protocol"]["epochs"] == 2 and about["protocol"]["seeds"] == [0]
    assert len(published.table("cells", made)) == 2 * 12 and set(published.tensors("opening", made))


def test_the_published_networks_give_the_published_numbers_without_the_training_data(
    made, tmp_path, monkeypatch
):
    """At as many points as were published; no image may be read."""
    monkeypatch.setattr(data, "load", lambda name: pytest.fail("training data were read"))
    found = published.again(RUN.points, Store(tmp_path), made)
    there = published.table("cells", made).merge(
        found, on=["seed", "d", "set"], suffixes=("", "_again"), validate="one_to_one"
    )
    assert len(there) == len(found) == 2 * 10
    for column in ("I_mean", "L_mean", "I_sd_log", "I_reversed", "distance_median", "brightness"):
        np.testing.assert_allclose(there[column], there[f"{column}_again"], rtol=1e-9)
    assert published.again(3, Store(tmp_path), tmp_path) is None


def test_verify_recomputes_what_is_published(folder):
    table, absent = verify.verify(3, seed=0, progress=False, folder=folder)
    assert len(table) == 3 and (table["largest difference"] <= verify.TOLERANCE).all() and absent == 0


def test_verify_recomputes_every_cell_and_draws_each_data_set_once(folder, monkeypatch):
    drawn, honest = [], results.blocks

    def watched(protocol, name):
        drawn.append(name)
        return honest(protocol, name)

    monkeypatch.setattr(verify.workers, "width", lambda: 1)
    monkeypatch.setattr(results, "blocks", watched)
    table, _ = verify.verify(1_000, progress=False, folder=folder)
    cells = published.cells(folder)
    assert {*table[["seed", "d", "set"]].itertuples(index=False)} == {
        *cells[["seed", "d", "set"]].itertuples(index=False)
    }
    codes = ["train"] * len(published.ensembles(folder)[0].dims)  # the laws of the training codes
    assert sorted(drawn) == sorted([*codes, *RUN.sets, "train", "test"])
    assert (table["largest difference"] <= 1e-9).all()


def test_cells_without_their_networks_are_counted(folder):
    about, cells = published.manifest(folder), published.cells(folder)
    write_table(folder / "cells.csv", pd.concat([cells, cells.assign(seed=7)]))
    about["files"]["cells.csv"] = hashlib.sha256((folder / "cells.csv").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(about))
    table, absent = verify.verify(1_000, progress=False, folder=folder)
    assert len(table) == len(cells) == absent and set(table.seed) == {0}


def test_verify_fails_on_a_changed_byte(folder):
    path = folder / "cells.csv"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(Mismatch, match="cells.csv is missing or not the file"):
        verify.verify(1, progress=False, folder=folder)
    with pytest.raises(Mismatch, match="cells.csv is missing or not the file"):
        published.table("cells", folder)


def test_verify_fails_on_a_changed_number_under_a_right_digest(folder):
    table = published.table("cells", folder)
    write_table(folder / "cells.csv", table.assign(I_mean=table.I_mean * 1.01 + 0.01))
    about = published.manifest(folder)
    about["files"]["cells.csv"] = hashlib.sha256((folder / "cells.csv").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(about))
    with pytest.raises(Mismatch, match="I_mean is published as"):
        verify.verify(1, progress=False, folder=folder)


def test_nothing_published_is_said_in_one_line(tmp_path):
    assert published.manifest(tmp_path) is None and published.ensembles(tmp_path) == []
    for attempt in (verify.verify, publish.publish_sensitivity):
        with pytest.raises(Mismatch, match="make publish writes"):
            attempt(folder=tmp_path)


def test_a_study_adds_its_tables_and_says_where_they_come_from(folder, monkeypatch, tmp_path):
    def compute(networks, protocol, store):
        theta = networks[0].theta
        return {"means": pd.DataFrame({"mean": [float(theta.mean())]}), "first": {"theta": theta[:3]}}

    monkeypatch.setitem(publish.STUDIES, "made up", (7, compute))
    before = published.manifest(folder)
    publish.publish_study("made up", store=Store(tmp_path / "store"), folder=folder)
    about, theta = published.manifest(folder), published.ensembles(folder)[0].theta
    assert published.table("means", folder)["mean"].tolist() == pytest.approx([float(theta.mean())])
    assert torch.equal(published.tensors("first", folder)["theta"], theta[:3])
    assert about["studies"]["made up"]["numbers"]["made up"] == 7 and about["studies"]["made up"][
        "seeds"
    ] == [0]
    assert set(about["files"]) == set(before["files"]) | {"means.csv", "first.safetensors"}
    with pytest.raises(Mismatch, match="studies: expected one of noise.*, got unknown"):
        publish.publish_study("unknown", folder=folder)


def test_a_seed_is_added_without_training_the_published_one(folder, small, tmp_path, monkeypatch):
    trained, honest = [], training.Trainer.__init__

    def watched(self, ensemble, *rest, **options):
        trained.append(ensemble.seed)
        honest(self, ensemble, *rest, **options)

    monkeypatch.setattr(training.Trainer, "__init__", watched)
    before = published.table("cells", folder)
    publish.publish(RUN.replace(seeds=(1,)), Store(tmp_path / "store"), folder)
    assert trained == [1]
    after = published.table("cells", folder)
    assert sorted(after.seed.unique()) == [0, 1] and published.manifest(folder)["protocol"]["seeds"] == [0, 1]
    pd.testing.assert_frame_equal(after[after.seed == 0].reset_index(drop=True), before)
    assert published.table("characters", folder).from_seeds.notna().all()
    assert [e.seed for e in published.ensembles(folder)] == [0, 1]


def test_seeds_that_judge_are_published_apart_with_the_networks_that_judge(
    folder, small, tmp_path, monkeypatch
):
    monkeypatch.setattr(claims, "JUDGED_DIMS", (5,))
    before, store = published.manifest(folder), Store(tmp_path / "store")
    with pytest.raises(Mismatch, match="expected seeds that judge, 3 to 10, or others, got both in 0, 3"):
        publish.publish(RUN.replace(seeds=(0, 3)), store, folder)
    for seed in (4, 3):
        publish.publish(RUN.replace(seeds=(seed,)), store, folder)
    about = published.manifest(folder)
    assert about["judges"]["protocol"]["seeds"] == [3, 4] and about["judges"]["protocol"]["dims"] == [5]
    assert sorted(about["judges"]["origins"]) == ["3", "4"]
    assert before["files"].items() <= about["files"].items() and about["protocol"] == before["protocol"]
    assert [(e.seed, e.dims) for e in published.ensembles(folder, published.JUDGES)] == [(3, (5,)), (4, (5,))]
    assert [e.seed for e in published.ensembles(folder)] == [0]
    assert {*published.whole("cells", folder).seed} == {0, 3, 4}
    assert published.whole("characters", folder).query("seed == 3").from_seeds.notna().all()
    table, absent = verify.verify(1_000, progress=False, folder=folder)
    assert {*table.seed} == {0, 3, 4} and absent == 0
    # what is published is not computed again elsewhere
    monkeypatch.setattr(training, "_trained", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(results, "_evaluated", lambda *_: pytest.fail("evaluated again"))
    other = Store(tmp_path / "other")
    publish.restore(other, folder)
    run = RUN.replace(seeds=(3, 4), dims=(5,))
    assert len(results.cells(training.train(run, other), run, other)) == 2 * 12


def test_a_study_of_other_seeds_leaves_the_rows_and_pictures_of_those_before(folder, monkeypatch, tmp_path):
    def compute(networks, protocol, store):
        rows = [{"seed": e.seed, "d": d, "n": e.epochs} for e in networks for d in e.dims]
        return {"rows": pd.DataFrame(rows), "first": {f"{e.seed}/{e.dims[0]}": e.theta[:3] for e in networks}}

    monkeypatch.setitem(publish.STUDIES, "made up", (7, compute))
    monkeypatch.setattr(claims, "JUDGED_DIMS", (5,))
    store = Store(tmp_path / "store")
    for seeds in (None, (3,), (3, 4)):
        publish.publish_study("made up", seeds, store, folder)
    found = published.table("rows", folder)
    assert list(found[["seed", "d"]].itertuples(index=False, name=None)) == [(0, 2), (0, 5), (3, 5), (4, 5)]
    assert {*published.tensors("first", folder)} == {"0/2", "3/5", "4/5"}
    assert published.manifest(folder)["studies"]["made up"]["seeds"] == [0, 3, 4]
    monkeypatch.setitem(publish.STUDIES, "made up", (8, compute))  # other numbers are not mixed with these
    publish.publish_study("made up", (4,), store, folder)
    assert {*published.table("rows", folder).seed} == {4}


def test_other_choices_are_added_one_at_a_time(folder, small, tmp_path, monkeypatch):
    monkeypatch.setattr(sensitivity, "DIMS", (2,))
    store = Store(tmp_path / "store")
    with pytest.raises(Mismatch, match="expected a choice among length.*got colour"):
        publish.publish_sensitivity(store=store, folder=folder, choices=["colour"])
    publish.publish_sensitivity(store=store, folder=folder, choices=["loss"])
    publish.publish_sensitivity(store=store, folder=folder, choices=["precision", "length"])
    table = published.table("sensitivity", folder)
    assert list(table.choice.unique()) == ["length", "precision", "loss"]
    assert published.manifest(folder)["sensitivity"]["variants"] == [
        "length: 2 epochs",
        "precision: float32",
        "loss: mean distance",
    ]
    assert {"sensitivity.csv", "rounding.csv"} <= set(published.manifest(folder)["files"])
    published_cells = published.table("cells", folder)
    same = table[table.choice == "length"].merge(
        published_cells, on=["d", "set"], suffixes=("", "_published")
    )
    np.testing.assert_allclose(same.I_mean, same.I_mean_published, rtol=1e-6)
    verify.verify(1, progress=False, folder=folder)


def test_a_companion_is_published_and_found_where_its_training_data_are_not(
    folder, small, tmp_path, monkeypatch
):
    with pytest.raises(Mismatch, match="expected a chapter among topology.*got tea"):
        publish.publish_companions(["tea"], folder=folder)
    assert embedding.Settings.published(folder) is None
    publish.publish_companions(["codes"], "smoke", Store(tmp_path / "store"), folder)
    assert {
        f"companions/codes-{n}.csv"
        for n in ("class-distances", "cluster-scores", "brackets", "noise-landing")
    } <= set(published.manifest(folder)["files"])
    protocol, settings = embedding.Settings.published(folder)
    assert protocol == RUN and settings == embedding.Settings.preset("smoke")

    publish.publish_companions(["synthesis"], "smoke", Store(tmp_path / "store"), folder)
    publish.publish_companions(["topology", "bending", "score"], "smoke", Store(tmp_path / "store"), folder)
    assert set(published.manifest(folder)["companions"]) == {*CHAPTERS}

    monkeypatch.setattr(data, "load", lambda name: pytest.fail("training data were read"))
    runs = [
        (compute, *CHAPTERS[chapter][0].published(folder))
        for chapter in CHAPTERS
        for compute in CHAPTERS[chapter][1]
    ]
    for i, (compute, protocol, settings) in enumerate(runs):
        names = {}
        compute(protocol, settings, Store(tmp_path / f"another{i}", folder, names))
        assert names and all(path == folder / name for name, path in names.items())
    (folder / "companions" / "codes-brackets.csv").unlink()
    with pytest.raises(Mismatch, match="codes-brackets.csv is missing"):
        verify.verify(1, progress=False, folder=folder)
