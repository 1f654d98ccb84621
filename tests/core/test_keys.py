"""Keys survive moves: every published artefact is found under the key that it had when it was computed.

``keys.json`` is the record. A key that changes there costs hours of training or of spectra; it changes with a
version number and with nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib import published, results, training
from lib.companions.catalogue import CHAPTERS
from lib.model import Ensemble
from lib.noise import FAMILIES
from lib.press import publish
from lib.protocol import REPRESENTATIVES, Protocol
from lib.store import Store
from lib.studies import reconstructions, sensitivity, theory

RECORD = Path(__file__).with_name("keys.json")


class Asked(Exception):
    """A key was asked for; what lies under it is of no concern here."""


class Keys(Store):
    """Knows no artefact, and keeps in mind which it was asked for."""

    def __init__(self, root: Path, stop: bool):
        super().__init__(root, names={})
        self.stop, self.asked = stop, []

    def path(self, stage, fields, ext):
        path = super().path(stage, fields, ext)
        self.asked.append(f"{stage}/{path.name}")
        if self.stop:
            raise Asked
        return path


def asked(root: Path, call) -> str:
    """The key that `call(store)` asks for first."""
    keys = Keys(root, stop=True)
    with pytest.raises(Asked):
        call(keys)
    return keys.asked[0]


def keys(root: Path) -> Iterator[tuple[str, str]]:
    """(artefact, its place in a store), of everything published and of the seeds to come."""
    store = Store(root)
    protocol = Protocol.from_mapping(published.manifest()["protocol"]).replace(seeds=tuple(range(11)))

    def place(stage: str, fields, ext: str) -> str:
        return f"{stage}/{store.path(stage, fields, ext).name}"

    def networks_and_cells(run: Protocol, name: str) -> Iterator[tuple[str, str]]:
        for seed in run.seeds:
            yield (
                f"networks, {name}, seed {seed}",
                place("networks", training.training_fields(run, seed), "safetensors"),
            )
            for set_ in ("train", "test", *run.sets):
                yield (
                    f"cells, {name}, seed {seed}, {set_}",
                    place("cells", results.cell_fields(run, seed, set_, True), "csv"),
                )
        yield (
            f"characters, {name}",
            asked(root, lambda s: reconstructions.statistics([], run, s)),
        )

    yield from networks_and_cells(protocol, "published")
    first = protocol.replace(seeds=(0, 1))
    yield (
        "characters, published, seeds 0 and 1",
        asked(root, lambda s: reconstructions.statistics([], first, s)),
    )
    null = protocol.replace(points=publish.NULL_POINTS)
    for seed in protocol.seeds:
        for set_ in ("train", "test", *protocol.sets):
            yield (
                f"untrained, seed {seed}, {set_}",
                place("cells", results.cell_fields(null, seed, set_, False), "csv"),
            )
    few = protocol.replace(points=publish.SWEPT_POINTS)
    for law in (law for family in FAMILIES.values() for law in family):
        yield f"sweep, seed 0, {law}", place("cells", results.cell_fields(few, 0, law, True), "csv")
    net = Ensemble.initial((2,), first.seeds[0])
    sets = ("test", *REPRESENTATIVES.values())
    yield (
        "pairs",
        asked(root, lambda s: theory.pairs(net, first, sets, publish.PAIRS_POINTS, publish.PAIRS_DIMS, s)),
    )
    for (choice, value), run in sensitivity.variants(first).items():
        yield from networks_and_cells(run, f"{choice}: {value}")
    for chapter, (kind, experiments) in CHAPTERS.items():
        run, settings = kind.published()
        found = Keys(root, stop=False)
        for experiment in experiments:
            experiment(run, settings, found)
        assert all(
            path == published.FOLDER / name for name, path in found.names.items()
        )  # nothing was computed
        yield f"companions, {chapter}", " ".join(dict.fromkeys(found.asked))


def test_every_published_artefact_has_the_key_it_was_computed_under(tmp_path):
    now = dict(keys(tmp_path))
    assert now == json.loads(RECORD.read_text())
