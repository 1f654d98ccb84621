"""Writing the published folder: tables and networks from finished runs, and the manifest that says what
they are.

``make publish`` writes ``cells.csv``, ``untrained.csv``, ``characters.csv``, the networks, ``sweep.csv``
(along families of noise), ``pairs.csv`` (Theorem I.2) and what the first page draws, and for the seeds that
judge the first four of these into the folder ``judges/``; ``make sensitivity`` adds ``sensitivity.csv`` and
``rounding.csv``, ``make detection`` the tables ``detection*.csv``, ``make studies`` those of `STUDIES`,
``make companions`` the folder ``companions/``. What is stored is loaded, what is not is computed.
"""

from __future__ import annotations

import json
import os
import platform
import posixpath
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from .. import data, noise, results, spectrum, training, workers
from ..companions import Sizes
from ..companions.catalogue import CHAPTERS, SHOWN
from ..model import Ensemble
from ..paths import ROOT
from ..protocol import REPRESENTATIVES, Protocol
from ..published import FOLDER, JUDGES, Mismatch, digests, ensembles, manifest, table, tensors
from ..store import Store, digest, write_atomically, write_table, write_tensors
from ..studies import (
    attractors,
    claims,
    detection,
    detection_cases,
    findings,
    noise_design,
    orientation,
    reconstructions,
    related,
    sensitivity,
    theory,
)
from ..studies.detection_quantiles import quantiles
from ..training import train, train_side_by_side, untrained
from .provenance import git

__all__ = [
    "publish",
    "publish_sensitivity",
    "publish_detection",
    "publish_study",
    "publish_companions",
    "restore",
    "NULL_POINTS",
]

#: study → the version of its numbers, and what gives its tables and tensors, by the names of their files,
#: from networks, their protocol and a store
STUDIES: dict[str, tuple[int, Callable[..., Mapping[str, Any]]]] = {
    "noise": (noise_design.VERSION, noise_design.published),
    "orientation": (orientation.VERSION, orientation.published),
    "lengths": (orientation.VERSION, orientation.lengths),
    "attractors": (attractors.VERSION, attractors.published),
    "related": (related.VERSION, related.published),
}
#: Points a set at which the untrained networks are evaluated.
NULL_POINTS = 5_000
#: Points a set at which untrained networks are scored.
DETECTION_NULL = 1_000
#: Points of each law of `noise.FAMILIES`, and the columns of ``cells.csv`` that are followed along them.
SWEPT_POINTS = 1_000
SWEPT = [
    "seed", "d", "set",
    "I_mean", "I_geometric", "I_sd_log", "I_reversed", "I_deficient", "I_arg_mean", "brightness", "y_sd",
]  # fmt: skip
#: Latent dimensions and points of each set at which Theorem I.2 is put to the networks.
PAIRS_DIMS, PAIRS_POINTS = (2, 4, 8, 12, 16, 20), 200
#: Points of each data set in the figure of the first page.
OPENING_POINTS = 300
#: Latent dimensions and points of each set at which whole 784×784 Jacobians are decomposed in float32.
WHOLE_DIMS, WHOLE_POINTS = (2, 8, 14, 20), 20


def restore(store: Store, folder: Path = FOLDER) -> dict[str, tuple[int, ...]]:
    """Put what is published into the store where that lacks it.

    A run can so add a seed to the published ones without repeating them. Nothing is put
    there if the library would compute other numbers now.

    Returns
    -------
    dict: ``""`` → the seeds put there, `JUDGES` → those of them that judge
    """
    about, known = manifest(folder) or {}, {}
    for within, part in {"": about, JUDGES: about.get(JUDGES, {})}.items():
        if part.get("numbers") != _numbers():
            continue
        protocol = Protocol.from_mapping(part["protocol"])
        for e in ensembles(folder, within):
            store.tensors("networks", training.training_fields(protocol, e.seed), e.tensors)
        null = protocol.replace(points=NULL_POINTS)
        for name, run, trained in (("cells", protocol, True), ("untrained", null, False)):
            for (seed, set_), rows in table(posixpath.join(within, name), folder).groupby(["seed", "set"]):
                fields = results.cell_fields(run, seed, set_, trained)
                store.table("cells", fields, lambda: rows.reset_index(drop=True))
        known[within] = protocol.seeds
    return known


def publish(protocol: Protocol, store: Store | None = None, folder: Path = FOLDER) -> Path:
    """Write the published folder from a finished run; what is stored is loaded, what is not is computed.

    Seeds that are published already stay. Of seeds that judge (`lib.studies.claims`) the networks that
    judge are trained and published, apart from the others.

    Raises
    ------
    Mismatch
        When the run is not the paper's: another training set, fewer epochs or points, or fewer dimensions;
        when some of its seeds judge and others do not, or judge while nothing else is published.
    """
    _check_is_paper(protocol)
    within = JUDGES if _judging(protocol.seeds) else ""
    store, before = store or Store(), _published(folder) if within else manifest(folder) or {}
    kept = restore(store, folder).get(within, ())
    protocol = _judged(protocol.replace(seeds=tuple(sorted({*protocol.seeds, *kept}))))
    networks = _write_stage(protocol, store, folder / within)
    if within:
        origins = {str(seed): before[JUDGES]["origins"][str(seed)] for seed in kept}
        origins |= {str(seed): origin() for seed in protocol.seeds if seed not in kept}
        before[JUDGES] = {"protocol": vars(protocol), "numbers": _numbers(), "origins": origins, **origin()}
        return write_manifest(before, folder)
    few = protocol.replace(points=SWEPT_POINTS)
    swept = [name for family in noise.FAMILIES.values() for name in family]
    write_table(folder / "sweep.csv", results.cells(networks, few, store, swept)[SWEPT])
    dims, sets = [d for d in PAIRS_DIMS if d in protocol.dims], ("test", *REPRESENTATIVES.values())
    pairs = theory.pairs(networks[0], protocol, sets, PAIRS_POINTS, dims, store)
    write_table(folder / "pairs.csv", pairs)
    write_tensors(folder / "opening.safetensors", first_page(networks[0], protocol))
    about = {
        "what": "every cell of the protocol, computed in float64 from networks trained in float32",
        "protocol": vars(protocol),
        "numbers": _numbers(),
        "untrained points": NULL_POINTS,
        "training data SHA-256": data.digest(protocol.training_set),
        **origin(),
    }
    beside = ("sensitivity", "detection", "studies", "companions", JUDGES)
    return write_manifest(about | {k: before[k] for k in beside if k in before}, folder)


def _write_stage(protocol: Protocol, store: Store, folder: Path) -> list[Ensemble]:
    """Write the networks of a protocol and their tables; the networks."""
    networks, null = train(protocol, store), protocol.replace(points=NULL_POINTS)
    for e in networks:
        about = {"seed": e.seed, "epochs": protocol.epochs}
        write_tensors(folder / f"networks-seed{e.seed}.safetensors", e.tensors(), about)
    write_table(folder / "cells.csv", results.cells(networks, protocol, store))
    write_table(folder / "untrained.csv", results.cells(untrained(null), null, store))
    write_table(folder / "characters.csv", claims.stages(networks, protocol, store))
    return networks


def first_page(networks: Ensemble, protocol: Protocol) -> dict[str, torch.Tensor]:
    """What the figure of the first page is drawn from: d = 12 (or the next there is), `OPENING_POINTS`
    points a set."""
    net = networks.member(min(networks.dims, key=lambda d: abs(d - 12))).double()
    inputs = {"train": data.load(protocol.training_set).test[:OPENING_POINTS]}
    names = [REPRESENTATIVES[group] for group in ("dark", "middle", "bright")]
    return findings.opening(net, inputs | {name: noise.sample(name, 0, OPENING_POINTS) for name in names})


def _judging(seeds: Sequence[int]) -> bool:
    """Whether these are seeds that judge; some of them alone are not asked for with others."""
    judging = {*seeds} & {*claims.JUDGES}
    if judging and judging != {*seeds}:
        raise Mismatch(
            f"seeds: expected seeds that judge, {claims.JUDGES[0]} to {claims.JUDGES[-1]}, or others, "
            f"got both in {', '.join(map(str, seeds))}; ask for them one after the other"
        )
    return bool(judging)


def _judged(protocol: Protocol) -> Protocol:
    """The protocol; where its seeds judge, with the networks that judge."""
    dims = tuple(d for d in claims.JUDGED_DIMS if d in protocol.dims)
    return protocol.replace(dims=dims) if _judging(protocol.seeds) else protocol


def _run(about: dict[str, Any], seeds: Sequence[int] | None) -> Protocol:
    """The published protocol with these seeds, default its own."""
    protocol = Protocol.from_mapping(about["protocol"])
    return _judged(protocol.replace(seeds=tuple(seeds or protocol.seeds)))


def _check_is_paper(protocol: Protocol) -> None:
    paper = Protocol()
    for name in (n for n in vars(paper) if n != "seeds"):
        if getattr(protocol, name) != getattr(paper, name):
            raise Mismatch(
                f"publish: expected the paper's {name}={getattr(paper, name)}, "
                f"got {getattr(protocol, name)}; run make book PROFILE=paper first"
            )


def publish_sensitivity(
    store: Store | None = None, folder: Path = FOLDER, choices: Sequence[str] | None = None
) -> Path:
    """Add the tables of `lib.studies.sensitivity` to what is published; what is stored is loaded,
    what is not is computed.

    Choices that are published already and not asked for stay.

    Parameters
    ----------
    choices : names as in `lib.studies.sensitivity.variants`; default: all.

    Raises
    ------
    Mismatch
        While nothing is published, or at a choice of another name.
    """
    about = _published(folder)
    store, protocol = store or Store(), Protocol.from_mapping(about["protocol"])
    variants = sensitivity.variants(protocol)
    known = list(dict.fromkeys(choice for choice, _ in variants))
    choices = choices or known
    if unknown := sorted({*choices} - {*known}):
        raise Mismatch(f"sensitivity: expected a choice among {', '.join(known)}, got {', '.join(unknown)}")
    restore(store, folder)
    found = [sensitivity.cells({key: v for key, v in variants.items() if key[0] in choices}, store)]
    before = table("sensitivity", folder)
    if before is not None and about["sensitivity"]["numbers"] == _numbers():
        found.append(before[~before.choice.isin(choices)])
    whole = pd.concat(found).sort_values("choice", key=lambda c: c.map(known.index), kind="stable")
    write_table(folder / "sensitivity.csv", whole)
    if "precision" in choices:
        networks = train(protocol.replace(seeds=protocol.seeds[:1]), store)[0]
        sets, dims = ("train", *REPRESENTATIVES.values()), [d for d in WHOLE_DIMS if d in protocol.dims]
        points = sensitivity.rounding(networks, protocol, dims, sets, WHOLE_POINTS)
        write_table(folder / "rounding.csv", points)
    named = list(dict.fromkeys(whole.choice + ": " + whole.value))
    about["sensitivity"] = {"variants": named, "numbers": _numbers(), **origin()}
    return write_manifest(about, folder)


def publish_detection(
    seeds: Sequence[int] | None = None,
    without: int | None = None,
    epochs: int | None = None,
    store: Store | None = None,
    folder: Path = FOLDER,
) -> Path:
    """Add the tables of `lib.studies.detection` to what is published; what is stored is loaded,
    what is not is computed.

    Rows of other networks that are published already stay. Networks that are not published are trained,
    which takes an hour or two a seed with the paper's protocol.

    Parameters
    ----------
    seeds : default: the published ones.
    without : a digit that is left out of training; default: none is, and the untrained networks,
        single cases and costs are published as well, unless the seeds judge.
    epochs : of networks that a digit is left out of; default: the protocol's.

    Raises
    ------
    Mismatch
        While nothing is published.
    """
    about = _published(folder)
    store, run = store or Store(), _run(about, seeds)
    restore(store, folder)
    if without is not None:
        run = detection.held_out(run, without).replace(epochs=epochs or run.epochs)
    train_side_by_side([run], store)
    networks = train(run, store)
    found = [detection.table(networks, run, store)]
    if without is None and not _judging(run.seeds):
        null = untrained(run.replace(seeds=run.seeds[:1]))
        found.append(detection.table(null, run, store, points=DETECTION_NULL))
        d = min(networks[0].dims, key=lambda d: abs(d - detection_cases.SHOWN_DIM))
        curves, counts, pictures = detection_cases.cases(networks[0], run.training_set, d)
        write_table(folder / "detection-curves.csv", curves)
        write_table(folder / "detection-counts.csv", counts)
        write_tensors(folder / "detection-pictures.safetensors", pictures)
        write_table(folder / "detection-costs.csv", detection_cases.costs(networks[0], run.training_set, d))
        dims = [d for d in detection.DIMS if d in run.dims]
        usual = quantiles(networks, run.training_set, dims)
        write_table(folder / "detection-quantiles.csv", usual.round(8))
    new, before, place = pd.concat(found), table("detection", folder), ["training_set", "seed", "epochs"]
    numbers = _numbers() | {"detection": detection.VERSION}
    if before is not None and about["detection"]["numbers"] == numbers:
        same = pd.MultiIndex.from_frame(before[place]).isin(pd.MultiIndex.from_frame(new[place]))
        new = pd.concat([before[~same], new])
    write_table(folder / "detection.csv", new.reset_index(drop=True))
    about["detection"] = {"numbers": numbers, "points": detection.detection_data.POINTS, **origin()}
    return write_manifest(about, folder)


def publish_study(
    name: str, seeds: Sequence[int] | None = None, store: Store | None = None, folder: Path = FOLDER
) -> Path:
    """Add the tables of one of `STUDIES` to what is published; what is stored is loaded,
    what is not is computed.

    Rows and pictures of other seeds that are published already stay.

    Parameters
    ----------
    seeds : default: the published ones; others are trained.

    Raises
    ------
    Mismatch
        While nothing is published, or at another study.
    """
    about = _published(folder)
    if name not in STUDIES:
        raise Mismatch(f"studies: expected one of {', '.join(STUDIES)}, got {name}")
    store, run = store or Store(), _run(about, seeds)
    restore(store, folder)
    number, compute = STUDIES[name]
    made = compute(train(run, store), run, store)
    about = manifest(folder)  # another study may have been added meanwhile
    before, numbers = about.get("studies", {}).get(name), _numbers() | {name: number}
    others = {*before["seeds"]} - {*run.seeds} if before and before["numbers"] == numbers else {}
    for file_, content in made.items():
        if isinstance(content, pd.DataFrame):
            there = table(file_, folder) if others else None
            if there is not None:
                content = pd.concat([there[there.seed.isin(others)], content], ignore_index=True)
            write_table(folder / f"{file_}.csv", content)
        else:
            there = tensors(file_, folder) if others else None
            kept = {n: t for n, t in (there or {}).items() if int(n.partition("/")[0]) in others}
            write_tensors(folder / f"{file_}.safetensors", kept | content)
    entry = {"numbers": numbers, "seeds": sorted({*run.seeds, *others}), **origin()}
    about["studies"] = about.get("studies", {}) | {name: entry}
    return write_manifest(about, folder)


def publish_companions(
    chapters: Sequence[str] = tuple(CHAPTERS),
    size: str = "full",
    store: Store | None = None,
    folder: Path = FOLDER,
) -> Path:
    """Add the tables of companions' chapters, run on the published protocol; what is stored is loaded,
    what is not is computed.

    Raises
    ------
    Mismatch
        While nothing is published, or at another chapter.
    """
    about = _published(folder)
    if unknown := sorted({*chapters} - {*CHAPTERS}):
        raise Mismatch(
            f"companions: expected a chapter among {', '.join(CHAPTERS)}, got {', '.join(unknown)}"
        )
    store, protocol = store or Store(), Protocol.from_mapping(about["protocol"])
    restore(store, folder)
    networks = [
        store.path("networks", training.training_fields(protocol, seed), "safetensors")
        for seed in protocol.seeds
    ]
    items = [
        (chapter, i, protocol, CHAPTERS[chapter][0].preset(size), folder)
        for chapter in chapters
        for i, _ in enumerate(CHAPTERS[chapter][1])
    ]
    made: dict[str, list[dict[str, bytes]]] = {chapter: [] for chapter in chapters}
    for (chapter, *_), found in workers.run(
        _experiment, items, store, needs=lambda *_: [p for p in networks if p.exists()],
        label="experiments", unit="experiment",
    ):  # fmt: skip
        made[chapter].append(found)
        if len(made[chapter]) < len(CHAPTERS[chapter][1]):
            continue
        settings, trained = (
            CHAPTERS[chapter][0].preset(size),
            {n: c for f in made[chapter] for n, c in f.items()},
        )
        now = manifest(folder)  # another chapter may have been added meanwhile
        entry = now.setdefault("companions", {}).get(chapter)
        if entry is None or any(_differs(folder / name, content) for name, content in trained.items()):
            entry = {"protocol": about["protocol"], "settings": vars(settings), **origin()}
        for name, content in trained.items():
            write_atomically(folder / name, content)
        if chapter in SHOWN:
            for name, content in _artefacts(SHOWN[chapter], protocol, settings, store, folder).items():
                write_atomically(folder / name, content)
            entry = entry | {"shown": origin()}
        now["companions"][chapter] = entry
        write_manifest(now, folder)
    return folder


def _experiment(
    store: Store, chapter: str, i: int, protocol: Protocol, settings: Sizes, folder: Path
) -> dict[str, bytes]:
    """The i-th experiment of a chapter, wherever this runs."""
    place = folder if folder.is_dir() else FOLDER  # of another checkout
    return _artefacts(CHAPTERS[chapter][1][i], protocol, settings, store, place)


def _differs(path: Path, content: bytes) -> bool:
    return not path.exists() or path.read_bytes() != content


def _artefacts(
    compute: Callable[..., Any], protocol: Protocol, settings: Sizes, store: Store, folder: Path
) -> dict[str, bytes]:
    """Run one experiment; the files of its named artefacts."""
    names: dict[str, Path] = {}
    compute(protocol, settings, Store(store.root, folder, names))
    return {name: path.read_bytes() for name, path in names.items()}


def _published(folder: Path) -> dict[str, Any]:
    """What is published, that something may be added to it."""
    about = manifest(folder)
    if about is None:
        raise Mismatch("publish: expected published results to add to, found none; make publish writes them")
    return about


def _numbers() -> dict[str, int]:
    """The versions of everything that a number depends on."""
    stages = {"training": training, "spectrum": spectrum, "noise": noise, "theory": theory}
    return {name: stage.VERSION for name, stage in (stages | {"characters": reconstructions}).items()}


def origin() -> dict[str, Any]:
    """Where, when and with what something was computed."""
    return {
        "commit": git(ROOT, "rev-parse", "HEAD"),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn")}
        | {"python": platform.python_version()},
        "hardware": {"processor": _processor(), "cores": os.cpu_count(), "cuda": torch.cuda.is_available()},
    }


def write_manifest(about: dict[str, Any], folder: Path) -> Path:
    """Write `about` beside the files it is about, with their digests and its own."""
    about["files"] = digests(folder)
    about = about | {"digest": digest({"manifest": about})}
    write_atomically(folder / "manifest.json", (json.dumps(about, indent=1, sort_keys=True) + "\n").encode())
    return folder


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
