"""The published results: the paper's protocol on MNIST, with their provenance, under ``book/published/``.

``cells.csv``, ``untrained.csv`` and ``characters.csv`` are the tables, ``networks-seedS.safetensors`` the
trained networks with their training curves, ``sweep.csv`` follows them along families of noise, ``pairs.csv``
puts Theorem I.2 to them, ``sensitivity.csv`` and ``rounding.csv`` are the studies of `lib.studies.sensitivity`,
``companions/`` holds the tables and networks of the companions' chapters, run at their full size. ``manifest.json``
says what all that is, how it came about, and the SHA-256 of every file.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from . import data, noise, paths, results, spectrum, training
from .companions import Sizes, bending, score, synthesis, topology
from .companions import codes as embedding
from .companions.bending import training as bending_training
from .companions.codes import codes
from .companions.score import chains, plane
from .companions.synthesis import measure
from .companions.topology import training as topology_training
from .model import Ensemble
from .protocol import REPRESENTATIVES, Protocol
from .store import (
    Store,
    read_table,
    read_tensors,
    write_atomically,
    write_table,
    write_tensors,
)
from .studies import findings, reconstructions, sensitivity, theory
from .studies.claims import Evidence
from .training import train, untrained

__all__ = [
    "FOLDER",
    "cells",
    "table",
    "tensors",
    "evidence",
    "evidence_or_own",
    "ensembles",
    "manifest",
    "digests",
    "companion",
    "publish",
    "publish_sensitivity",
    "publish_companions",
    "again",
    "restore",
    "verify",
    "Mismatch",
    "TOLERANCE",
]

FOLDER = paths.PUBLISHED

#: Largest difference, relative to the larger of 1 and the value, that rounding may make in a cell.
TOLERANCE = 1e-4
#: Points a set at which the untrained networks are evaluated.
NULL_POINTS = 5_000
#: Points of each law of `noise.FAMILIES`, and the columns of ``cells.csv`` that are followed along them.
SWEPT_POINTS, SWEPT = (
    1_000,
    [
        "seed",
        "d",
        "set",
        "I_mean",
        "I_geometric",
        "I_sd_log",
        "I_reversed",
        "I_deficient",
        "I_arg_mean",
        "brightness",
        "y_sd",
    ],
)
#: Latent dimensions and points of each set at which Theorem I.2 is put to the networks.
PAIRS_DIMS, PAIRS_POINTS = (2, 4, 8, 12, 16, 20), 200
#: Points of each data set in the figure of the first page.
OPENING_POINTS = 300
#: Latent dimensions and points of each set at which whole 784×784 Jacobians are decomposed in float32.
WHOLE_DIMS, WHOLE_POINTS = (2, 8, 14, 20), 20


class Mismatch(RuntimeError):
    """A published number or file that is not what the manifest or a recomputation says."""


def manifest(folder: Path = FOLDER) -> dict[str, Any] | None:
    """What is published, or None while nothing is."""
    path = folder / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def cells() -> pd.DataFrame | None:
    """The published table of all cells, or None while there is none; raises `CorruptArtefact` when a byte has changed."""
    return table("cells")


def digests(folder: Path = FOLDER) -> dict[str, str]:
    """The SHA-256 of every table and network published, by its path in the folder."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".csv", ".safetensors"))
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def table(name: str, folder: Path = FOLDER) -> pd.DataFrame | None:
    """A published table by the name of its file, or None while there is none."""
    path = folder / f"{name}.csv"
    return read_table(path)[0] if path.exists() else None


def tensors(name: str, folder: Path = FOLDER) -> dict[str, torch.Tensor] | None:
    """Published tensors by the name of their file, or None while there are none."""
    path = folder / f"{name}.safetensors"
    return read_tensors(path)[0] if path.exists() else None


def evidence() -> Evidence | None:
    """All three tables that claims are judged by, for `lib.studies.claims`, or None while there are none."""
    found = cells()
    return None if found is None else Evidence(found, table("untrained"), table("characters"))


def evidence_or_own(protocol: Protocol) -> Evidence:
    """The published evidence, or that of this build while nothing is published."""
    found = evidence()
    if found is not None:
        return found
    run = results.run(protocol)
    return Evidence(run.table, run.null, reconstructions.statistics(run.networks, protocol))


def ensembles(folder: Path = FOLDER) -> list[Ensemble]:
    """The published networks, an ensemble a seed; empty while there are none. Without a manifest nothing counts as published."""
    found = []
    for name in sorted(
        n for n in (manifest(folder) or {"files": ()})["files"] if n.startswith("networks-seed")
    ):
        tensors, meta = read_tensors(folder / name)
        found.append(Ensemble.from_tensors(tensors, meta["seed"]))
    return found


def again(points: int, store: Store | None = None, folder: Path = FOLDER) -> pd.DataFrame | None:
    """The published networks evaluated here and now, on the first `points` points of each noise set: that needs no training data.

    Returns
    -------
    DataFrame with those columns of ``cells.csv`` that the noise sets alone determine, or None while nothing is published.
    """
    about = manifest(folder)
    if about is None:
        return None
    store, protocol = store or Store(), Protocol.from_mapping(about["protocol"] | {"points": points})
    files = {name: sha for name, sha in about["files"].items() if name.startswith("networks")}
    fields = {
        "networks": files,
        "sets": protocol.sets,
        "points": points,
        "spectrum": spectrum.VERSION,
        "noise": noise.VERSION,
    }

    def compute() -> pd.DataFrame:
        found = ensembles(folder)
        tables = [t for name in protocol.sets for t in results.evaluate(found, protocol, name, laws={})]
        whole = pd.concat(tables, ignore_index=True)
        return whole[[c for c in whole.columns if not c.startswith("mahalanobis")]]

    return store.table("again", fields, compute)


def restore(store: Store, folder: Path = FOLDER) -> tuple[int, ...]:
    """Put what is published into the store where that lacks it; returns the published seeds.

    A run can so add a seed to the published ones without repeating them. Nothing is put
    there if the library would compute other numbers now.
    """
    about = manifest(folder)
    if about is None or about["numbers"] != _numbers():
        return ()
    protocol = Protocol.from_mapping(about["protocol"])
    for e in ensembles(folder):
        store.tensors("networks", training.training_fields(protocol, e.seed), e.tensors)
    for name, run, trained in (
        ("cells", protocol, True),
        ("untrained", protocol.replace(points=NULL_POINTS), False),
    ):
        for (seed, set_), part in table(name, folder).groupby(["seed", "set"]):
            fields = results.cell_fields(run, seed, set_, trained)
            store.table("cells", fields, lambda: part.reset_index(drop=True))
    return protocol.seeds


def publish(protocol: Protocol, store: Store | None = None, folder: Path = FOLDER) -> Path:
    """Write the published folder from a finished run; what is stored is loaded, what is not is computed.

    Seeds that are published already stay.

    Raises
    ------
    Mismatch
        When the run is not the paper's: another training set, fewer epochs or points, or fewer dimensions.
    """
    _check_is_paper(protocol)
    store = store or Store()
    protocol = protocol.replace(seeds=tuple(sorted({*protocol.seeds, *restore(store, folder)})))
    networks, null = train(protocol, store), protocol.replace(points=NULL_POINTS)
    for ensemble in networks:
        write_tensors(
            folder / f"networks-seed{ensemble.seed}.safetensors",
            ensemble.tensors(),
            {"seed": ensemble.seed, "epochs": protocol.epochs},
        )
    write_table(folder / "cells.csv", results.cells(networks, protocol, store))
    write_table(folder / "untrained.csv", results.cells(untrained(null), null, store))
    write_table(folder / "characters.csv", reconstructions.statistics(networks, protocol, store))
    few, laws = (
        protocol.replace(points=SWEPT_POINTS),
        [law for family in noise.FAMILIES.values() for law in family],
    )
    write_table(folder / "sweep.csv", results.cells(networks, few, store, laws)[SWEPT])
    dims = [d for d in PAIRS_DIMS if d in protocol.dims]
    write_table(
        folder / "pairs.csv",
        theory.pairs(networks[0], protocol, ("test", *REPRESENTATIVES.values()), PAIRS_POINTS, dims, store),
    )
    write_tensors(folder / "opening.safetensors", first_page(networks[0], protocol))
    about = {
        "what": "every cell of the protocol, computed in float64 from networks trained in float32",
        "protocol": vars(protocol),
        "numbers": _numbers(),
        "untrained points": NULL_POINTS,
        "training data SHA-256": data.digest(protocol.training_set),
        **_origin(),
    }
    kept = {k: v for k, v in (manifest(folder) or {}).items() if k in ("sensitivity", "companions")}
    return _write_manifest(about | kept, folder)


def first_page(networks: Ensemble, protocol: Protocol) -> dict[str, torch.Tensor]:
    """What the figure of the first page is drawn from: d = 12 (or the next there is), `OPENING_POINTS` points a set."""
    net = networks.member(min(networks.dims, key=lambda d: abs(d - 12))).double()
    inputs = {"train": data.load(protocol.training_set).test[:OPENING_POINTS]}
    names = [REPRESENTATIVES[group] for group in ("dark", "moderate", "bright")]
    return findings.opening(net, inputs | {name: noise.sample(name, 0, OPENING_POINTS) for name in names})


def _check_is_paper(protocol: Protocol) -> None:
    paper = Protocol()
    for name in (
        "training_set",
        "dims",
        "epochs",
        "points",
        "sets",
        "dtype",
        "loss",
        "optimizer",
        "learning_rate",
        "batch_size",
    ):
        if getattr(protocol, name) != getattr(paper, name):
            raise Mismatch(
                f"publish: expected the paper's {name}={getattr(paper, name)}, got {getattr(protocol, name)}; run make book PROFILE=paper first"
            )


def publish_sensitivity(
    protocol: Protocol | None = None,
    store: Store | None = None,
    folder: Path = FOLDER,
    choices: Sequence[str] | None = None,
) -> Path:
    """Add the tables of `lib.studies.sensitivity` to what is published; what is stored is loaded, what is not is computed.

    Choices that are published already and not asked for stay.

    Parameters
    ----------
    protocol : default: the published one.
    choices : names as in `lib.studies.sensitivity.variants`; default: all.

    Raises
    ------
    Mismatch
        While nothing is published, or at a choice of another name.
    """
    about = manifest(folder)
    if about is None:
        raise Mismatch(
            "publish: expected published results to hold other choices against, found none; make publish writes them"
        )
    store, protocol = store or Store(), protocol or Protocol.from_mapping(about["protocol"])
    variants = sensitivity.variants(protocol)
    known = list(dict.fromkeys(choice for choice, _ in variants))
    choices = choices or known
    if unknown := sorted({*choices} - {*known}):
        raise Mismatch(f"sensitivity: expected a choice among {', '.join(known)}, got {', '.join(unknown)}")
    restore(store, folder)
    found, before = (
        [sensitivity.cells({key: v for key, v in variants.items() if key[0] in choices}, store)],
        table("sensitivity", folder),
    )
    if before is not None and about["sensitivity"]["numbers"] == _numbers():
        found.append(before[~before.choice.isin(choices)])
    whole = pd.concat(found).sort_values("choice", key=lambda c: c.map(known.index), kind="stable")
    write_table(folder / "sensitivity.csv", whole)
    if "precision" in choices:
        sets = ("train", *REPRESENTATIVES.values())
        write_table(
            folder / "rounding.csv",
            sensitivity.rounding(
                train(protocol.replace(seeds=protocol.seeds[:1]), store)[0],
                protocol,
                [d for d in WHOLE_DIMS if d in protocol.dims],
                sets,
                WHOLE_POINTS,
            ),
        )
    about["sensitivity"] = {
        "variants": list(dict.fromkeys(whole.choice + ": " + whole.value)),
        "numbers": _numbers(),
        **_origin(),
    }
    return _write_manifest(about, folder)


#: chapter → its settings, and the experiments whose named artefacts are published.
CHAPTERS: dict[str, tuple[type[Sizes], tuple[Callable[[Protocol, Any, Store | None], Any], ...]]] = {
    "topology": (topology.Settings, (topology_training.train,)),
    "bending": (bending.Settings, (bending_training.train,)),
    "codes": (
        embedding.Settings,
        (codes.class_distances, codes.cluster_scores, codes.brackets, codes.noise_landing),
    ),
    "synthesis": (
        synthesis.Settings,
        (
            *(functools.partial(measure.part, regulariser=r) for r in ("untrained", *synthesis.REGULARISERS)),
            measure.asymmetry,
            measure.nearest_image,
        ),
    ),
    "score": (
        score.Settings,
        (chains.image_chains, chains.plane_chains, plane.spiral_networks, plane.mixture_errors),
    ),
}


def companion(chapter: str, folder: Path = FOLDER) -> tuple[Protocol, Any] | None:
    """Protocol and settings under which a chapter's published tables are found, or None while there are none."""
    about = (manifest(folder) or {}).get("companions", {})
    if chapter not in about:
        return None
    return Protocol.from_mapping(about[chapter]["protocol"]), CHAPTERS[chapter][0](
        **about[chapter]["settings"]
    )


def publish_companions(
    chapters: Sequence[str] = tuple(CHAPTERS),
    size: str = "full",
    store: Store | None = None,
    folder: Path = FOLDER,
) -> Path:
    """Add the tables of companions' chapters, run on the published protocol; what is stored is loaded, what is not is computed.

    Raises
    ------
    Mismatch
        While nothing is published, or at another chapter.
    """
    about = manifest(folder)
    if about is None:
        raise Mismatch(
            "publish: expected published results to put the companions beside, found none; make publish writes them"
        )
    if unknown := sorted({*chapters} - {*CHAPTERS}):
        raise Mismatch(
            f"companions: expected a chapter among {', '.join(CHAPTERS)}, got {', '.join(unknown)}"
        )
    store, protocol = store or Store(), Protocol.from_mapping(about["protocol"])
    restore(store, folder)
    for chapter in chapters:
        kind, experiments = CHAPTERS[chapter]
        settings = kind.preset(size)
        workers = joblib.cpu_count() if training.torch_device().type == "cpu" else 1
        with joblib.parallel_config("loky", n_jobs=workers, inner_max_num_threads=1):
            made = joblib.Parallel()(
                joblib.delayed(_artefacts)(compute, protocol, settings, store, folder)
                for compute in experiments
            )
        for name, content in (item for found in made for item in found.items()):
            write_atomically(folder / name, content)
        now = manifest(folder)  # another chapter may have been added meanwhile
        now.setdefault("companions", {})[chapter] = {
            "protocol": about["protocol"],
            "settings": vars(settings),
            **_origin(),
        }
        _write_manifest(now, folder)
    return folder


def _artefacts(
    compute: Callable[..., Any], protocol: Protocol, settings: Sizes, store: Store, folder: Path
) -> dict[str, bytes]:
    """Run one experiment; the files of its named artefacts."""
    names: dict[str, Path] = {}
    compute(protocol, settings, Store(store.root, folder, names))
    return {name: path.read_bytes() for name, path in names.items()}


def _numbers() -> dict[str, int]:
    """The versions of everything that a number depends on."""
    return {
        "training": training.VERSION,
        "spectrum": spectrum.VERSION,
        "noise": noise.VERSION,
        "characters": reconstructions.VERSION,
        "theory": theory.VERSION,
    }


def _origin() -> dict[str, Any]:
    """Where, when and with what something was computed."""
    return {
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=FOLDER.parent, capture_output=True, text=True
        ).stdout.strip(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn")}
        | {"python": platform.python_version()},
        "hardware": {"processor": _processor(), "cores": os.cpu_count(), "cuda": torch.cuda.is_available()},
    }


def _write_manifest(about: dict[str, Any], folder: Path) -> Path:
    about["files"] = digests(folder)
    write_atomically(folder / "manifest.json", (json.dumps(about, indent=1, sort_keys=True) + "\n").encode())
    return folder


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def verify(
    count: int = 4, seed: int | None = None, progress: bool = True, folder: Path = FOLDER
) -> pd.DataFrame:
    """Check every published file against the manifest, then recompute a random sample of cells from the published networks.

    Parameters
    ----------
    count : int
        Cells to recompute; at least as many as there are: all of them.
    seed : int, optional
        Of the sample; default: a new one each time.

    Returns
    -------
    DataFrame: the cells recomputed, the largest difference in each and the column it is in.

    Raises
    ------
    Mismatch
        On a changed byte, a missing file, or a difference beyond `TOLERANCE`.
    """
    about = manifest(folder)
    if about is None:
        raise Mismatch(
            "verify: expected book/published/manifest.json, found nothing published; make publish writes it"
        )
    for name, expected in about["files"].items():
        path = folder / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise Mismatch(
                f"verify: {name} is missing or not the file that was published; restore it from the repository"
            )
    protocol, whole = Protocol.from_mapping(about["protocol"]), table("cells", folder)
    by_seed = {e.seed: e for e in ensembles(folder)}
    chosen = whole.sample(min(count, len(whole)), random_state=np.random.default_rng(seed))
    rows = []
    for _, row in tqdm(
        chosen.iterrows(), total=len(chosen), desc="recomputing cells", unit="cell", disable=not progress
    ):
        ensemble = by_seed[row.seed]
        one = Ensemble([ensemble.member(row.d)], row.seed, ensemble.curves)
        again = results.evaluate([one], protocol, row.set, progress=False)[0].iloc[0]
        numbers = [
            c
            for c in whole.columns
            if isinstance(row[c], (int, float)) and not (pd.isna(row[c]) and pd.isna(again[c]))
        ]
        gaps = {c: abs(again[c] - row[c]) / max(1.0, abs(row[c])) for c in numbers}
        worst = max(gaps, key=gaps.get)
        rows.append(
            {"seed": row.seed, "d": row.d, "set": row.set, "largest difference": gaps[worst], "in": worst}
        )
        if not gaps[worst] <= TOLERANCE:
            raise Mismatch(
                f"verify: seed {row.seed}, d={row.d}, {row.set}: {worst} is published as {row[worst]}, recomputed as {again[worst]}"
            )
    return pd.DataFrame(rows)
