"""Content-keyed files: written whole or not at all, verified when read.

An artefact lives at ``<root>/<stage>/<key>.<ext>``. Its key is the digest of everything
that determines it, so *same key: load, other key: compute* is the only rule of freshness.
Tensors are safetensors files, tables are CSV files; both carry the SHA-256 of their own
content. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors

from . import paths

__all__ = [
    "Store",
    "CorruptArtefact",
    "digest",
    "write_atomically",
    "write_tensors",
    "read_tensors",
    "write_table",
    "read_table",
]


class CorruptArtefact(RuntimeError):
    """A stored file whose content does not match its own digest."""


def digest(fields: Mapping[str, Any]) -> str:
    """Twenty hexadecimal digits of the SHA-256 of `fields` as canonical JSON.

    >>> digest({"b": 1, "a": (2, 3)}) == digest({"a": [2, 3], "b": 1})
    True
    """
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def write_atomically(path: Path, content: bytes) -> Path:
    """Write `content` under a temporary name in the same folder, sync it, rename it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def _tensor_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        sha.update(tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], meta: Mapping[str, Any] | None = None
) -> Path:
    """Write named tensors and a JSON description as one safetensors file that carries its digest."""
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    header = {"meta": json.dumps(dict(meta or {}), sort_keys=True), "sha256": _tensor_digest(tensors)}
    return write_atomically(path, to_safetensors(tensors, metadata=header))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the description in `path`; raises `CorruptArtefact` when a byte has changed."""
    try:
        content = Path(path).read_bytes()  # once: another process may replace the file while it is read
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        tensors = dict(sorted(from_safetensors(content).items()))  # its own order is that of a hash table
        meta = json.loads(header["meta"])
        expected = header["sha256"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise CorruptArtefact(f"{path}: not a readable artefact ({error})") from None
    if _tensor_digest(tensors) != expected:
        raise CorruptArtefact(f"{path}: its content does not match its SHA-256")
    return tensors, meta


def write_table(path: Path, table: pd.DataFrame, meta: Mapping[str, Any] | None = None) -> Path:
    """Write a table as CSV; the first line is a ``#`` comment with description and digest."""
    body = table.to_csv(index=False, lineterminator="\n")
    head = json.dumps(
        {"meta": dict(meta or {}), "sha256": hashlib.sha256(body.encode()).hexdigest()}, sort_keys=True
    )
    return write_atomically(path, f"# {head}\n{body}".encode())


def read_table(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and the description in `path`; raises `CorruptArtefact` when a byte has changed."""
    try:
        head, _, body = Path(path).read_bytes().decode().partition("\n")
        header = json.loads(head.removeprefix("# "))
        expected, meta = header["sha256"], header["meta"]
    except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise CorruptArtefact(f"{path}: not a readable artefact ({error})") from None
    if hashlib.sha256(body.encode()).hexdigest() != expected:
        raise CorruptArtefact(f"{path}: its content does not match its SHA-256")
    return pd.read_csv(io.StringIO(body)), meta  # pandas 3 reads the digits it writes exactly


class Store:
    """The folder of this run's artefacts.

    ``load_*`` return ``None`` for an artefact that is absent, and for one that is damaged,
    after saying so: the caller then computes it again.

    Parameters
    ----------
    root : path, optional
        Default: the environment variable ``BOOK_RESULTS``, else ``results/`` beside ``lib/``.
    """

    def __init__(self, root: Path | str | None = None):
        self.root = Path(root).absolute() if root else paths.results()

    def path(self, stage: str, fields: Mapping[str, Any], ext: str) -> Path:
        return self.root / stage / f"{digest({'stage': stage, **fields})}.{ext}"

    def save_tensors(
        self, stage: str, fields: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
    ) -> Path:
        return write_tensors(self.path(stage, fields, "safetensors"), tensors, fields)

    def load_tensors(self, stage: str, fields: Mapping[str, Any]) -> dict[str, torch.Tensor] | None:
        return self._load(self.path(stage, fields, "safetensors"), read_tensors)

    def save_table(self, stage: str, fields: Mapping[str, Any], table: pd.DataFrame) -> Path:
        return write_table(self.path(stage, fields, "csv"), table, fields)

    def load_table(self, stage: str, fields: Mapping[str, Any]) -> pd.DataFrame | None:
        return self._load(self.path(stage, fields, "csv"), read_table)

    @staticmethod
    def _load(path: Path, read):
        if not path.exists():
            return None
        try:
            return read(path)[0]
        except CorruptArtefact as error:
            warnings.warn(f"{error}; it is computed again", stacklevel=3)
            return None
