"""Content-keyed files: loaded where stored, else computed; written whole or not at all, verified when read.

An artefact lives at ``<root>/<stage>/<key>.<ext>``. Its key is the digest of everything
that determines it, so *same key: load, other key: compute* is the only rule of freshness.
Tensors are safetensors files, tables are CSV files; both carry what determines them, and the
SHA-256 of their content and of that description. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from tqdm import tqdm

from . import paths

try:
    import fcntl
except ImportError:  # not on Windows: there two processes both compute, and write the same file
    fcntl = None

__all__ = [
    "Store",
    "CorruptArtefact",
    "digest",
    "locked",
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
    described = json.dumps(dict(meta or {}), sort_keys=True)
    header = {"meta": described, "meta_sha256": _sha256(described), "sha256": _tensor_digest(tensors)}
    return write_atomically(path, _ordered(to_safetensors(tensors, metadata=header)))


def _ordered(content: bytes) -> bytes:
    """A safetensors file with the words of its header in order; its own order is another in each process."""
    start = 8 + int.from_bytes(content[:8], "little")
    words = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    words += b" " * (-len(words) % 8)  # tensors begin at a multiple of 8
    return len(words).to_bytes(8, "little") + words + content[start:]


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the description in `path`; raises `CorruptArtefact` when a byte has changed."""
    try:
        content = Path(path).read_bytes()  # once: another process may replace the file while it is read
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        tensors = dict(sorted(from_safetensors(content).items()))  # its own order is that of a hash table
        described, expected = header["meta"], header["sha256"]
        meta = dict(json.loads(described))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CorruptArtefact(f"{path}: not a readable artefact ({error})") from None
    _check(path, header, described, _tensor_digest(tensors) == expected)
    return tensors, meta


def write_table(path: Path, table: pd.DataFrame, meta: Mapping[str, Any] | None = None) -> Path:
    """Write a table as CSV; the first line is a ``#`` comment with description and digest."""
    body, meta = table.to_csv(index=False, lineterminator="\n"), dict(meta or {})
    described = _sha256(json.dumps(meta, sort_keys=True))
    head = json.dumps({"meta": meta, "meta_sha256": described, "sha256": _sha256(body)}, sort_keys=True)
    return write_atomically(path, f"# {head}\n{body}".encode())


def read_table(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and the description in `path`; raises `CorruptArtefact` when a byte has changed."""
    try:
        head, _, body = Path(path).read_bytes().decode().partition("\n")
        header = json.loads(head.removeprefix("# "))
        expected, meta = header["sha256"], dict(header["meta"])
    except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise CorruptArtefact(f"{path}: not a readable artefact ({error})") from None
    _check(path, header, json.dumps(meta, sort_keys=True), _sha256(body) == expected)
    return pd.read_csv(io.StringIO(body)), meta  # pandas 3.1 reads the digits it writes exactly


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _check(path: Path, header: Mapping[str, str], described: str, whole: bool) -> None:
    if not whole:
        raise CorruptArtefact(f"{path}: its content does not match its SHA-256")
    # the description of files written before it had a digest is held to the key alone (`Store`)
    if _sha256(described) != header.get("meta_sha256", _sha256(described)):
        raise CorruptArtefact(f"{path}: its description does not match its SHA-256")


#: How a file of each extension is read and written.
FORMATS = {"csv": (read_table, write_table), "safetensors": (read_tensors, write_tensors)}


class Store:
    """The folder of this run's artefacts: the one place where something is loaded or else computed.

    An artefact that is damaged, or described as another than was asked for, counts as absent,
    after that was said: it is computed again.

    Parameters
    ----------
    root : path, optional
        Default: the environment variable ``BOOK_RESULTS``, else ``results/`` beside ``lib/``.
    published : path or None
        A second folder, in which an artefact asked for by name is looked for.
    names : dict, optional
        Is told the file of every artefact asked for by name: ``<name>.<ext>`` → where it lies.

    Attributes
    ----------
    used : set of Path
        The files of what was asked for, loaded or computed.
    """

    def __init__(
        self,
        root: Path | str | None = None,
        published: Path | None = paths.PUBLISHED,
        names: dict[str, Path] | None = None,
    ):
        self.root = Path(root).absolute() if root else paths.results()
        self.published, self.names, self.used = published, names, set()

    def path(self, stage: str, fields: Mapping[str, Any], ext: str) -> Path:
        return self.root / stage / f"{_key(stage, fields)}.{ext}"

    def table(
        self,
        stage: str,
        fields: Mapping[str, Any],
        compute: Callable[[], pd.DataFrame],
        name: str | None = None,
    ) -> pd.DataFrame:
        """The table that `fields` determine: loaded, else computed, stored and read back.

        What is shown is what is stored. A second process that asks for what is being computed waits for it.

        Parameters
        ----------
        name : its published file, without extension; with these fields it is as good as a stored one.
        """
        return self._stored(stage, fields, "csv", compute, name)

    def tensors(
        self,
        stage: str,
        fields: Mapping[str, Any],
        compute: Callable[[], Mapping[str, torch.Tensor]],
        name: str | None = None,
    ) -> dict[str, torch.Tensor]:
        """The same for named tensors."""
        return self._stored(stage, fields, "safetensors", compute, name)

    def save_tensors(
        self, stage: str, fields: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
    ) -> Path:
        return write_tensors(self.path(stage, fields, "safetensors"), tensors, fields)

    def load_tensors(self, stage: str, fields: Mapping[str, Any]) -> dict[str, torch.Tensor] | None:
        return self._load(self.path(stage, fields, "safetensors"), stage)

    def save_table(self, stage: str, fields: Mapping[str, Any], table: pd.DataFrame) -> Path:
        return write_table(self.path(stage, fields, "csv"), table, fields)

    def load_table(self, stage: str, fields: Mapping[str, Any]) -> pd.DataFrame | None:
        return self._load(self.path(stage, fields, "csv"), stage)

    def identity(self, create: bool = False) -> str | None:
        """What tells this folder from one of the same path elsewhere: written into it once, at random."""
        fields = {"what": "this folder"}
        made = lambda: pd.DataFrame({"folder": [uuid.uuid4().hex]})
        table = self.table("identity", fields, made) if create else self.load_table("identity", fields)
        return None if table is None else table.folder[0]

    def alone(self, stage: str, fields: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
        """Only one process at a time is inside for the same fields. The lock dies with its holder."""
        path = self.path(stage, fields, "lock")
        return locked(path, f"{stage} {path.stem}")

    def _stored(self, stage: str, fields: Mapping[str, Any], ext: str, compute: Callable, name: str | None):
        path = self.path(stage, fields, ext)
        public = self.published / f"{name}.{ext}" if self.published and name else None
        found = self._found(stage, fields, path, public)
        if found is None:
            with self.alone(stage, fields):
                found = self._found(stage, fields, path, public)  # another process may have been first
                if found is None:
                    FORMATS[ext][1](path, compute(), fields)
                    found = FORMATS[ext][0](path)[0], path
        self.used.add(found[1])
        if name is not None and self.names is not None:
            self.names[f"{name}.{ext}"] = found[1]
        return found[0]

    def _found(self, stage: str, fields: Mapping[str, Any], path: Path, public: Path | None):
        """An artefact and where it lies: among this run's, else among the published ones."""
        content = self._load(path, stage)
        if content is not None:
            return content, path
        if public is not None:
            paths.note(public)
        if public is not None and public.exists():
            content, meta = FORMATS[path.suffix[1:]][0](public)
            if digest(meta) == digest(fields):
                return content, public
        return None

    @staticmethod
    def _load(path: Path, stage: str):
        if not path.exists():
            return None
        try:
            content, meta = FORMATS[path.suffix[1:]][0](path)
            if _key(stage, meta) != path.stem:
                raise CorruptArtefact(f"{path}: what it says of itself is not what was asked for")
            return content
        except CorruptArtefact as error:
            warnings.warn(f"{error}; it is computed again", stacklevel=4)
            return None


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Only one process at a time is inside; one that waits for another says so,
    unless it is a notebook for the book, whose page would show it."""
    if fcntl is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    told = bool(paths.pictures())
    while True:
        file = open(path, "w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                tqdm.write(f"{what}: another process is at work on it; waiting for that", file=sys.stderr)
            told = True
            fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        file.close()
    try:
        yield
    finally:
        path.unlink()  # while it is held: who waits for it sees that, and opens a new one
        file.close()


def _key(stage: str, fields: Mapping[str, Any]) -> str:
    return digest({"stage": stage, **fields})
