"""Digests of every file in a folder, to tell that it is whole: the site, kept notebooks;
and of measured numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import paths
from ..published import Mismatch
from ..store import digest, write_atomically

__all__ = ["NAME", "of", "write", "whole", "write_numbers", "read_numbers"]

NAME = "SHA256SUMS"


def of(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(html: Path) -> Path:
    """Write ``SHA256SUMS`` of every other file in the folder `html`, for ``sha256sum --check``."""
    target = html / NAME
    files = sorted(p for p in html.rglob("*") if p.is_file() and p != target)
    lines = [f"{of(p)}  ./{p.relative_to(html).as_posix()}\n" for p in files]
    return write_atomically(target, "".join(lines).encode())


def whole(folder: Path) -> bool:
    """Whether every file that the folder's ``SHA256SUMS`` names is there and unchanged;
    what lies beside them does not count."""
    try:
        lines = (folder / NAME).read_text(encoding="utf-8").splitlines()
        pairs = [line.split("  ./", 1) for line in lines]
        return all(of(folder / name) == sha for sha, name in pairs)
    except (OSError, ValueError):
        return False


def write_numbers(path: Path, numbers: Mapping[str, Any]) -> Path:
    """Write what was measured as JSON that carries its own digest."""
    signed = {**numbers, "digest": digest(numbers)}
    return write_atomically(path, (json.dumps(signed, indent=1) + "\n").encode())


def read_numbers(path: Path) -> dict[str, Any] | None:
    """What `write_numbers` wrote, or None where there is no file.

    Raises
    ------
    Mismatch
        When it is not JSON, or not what its digest says.
    """
    paths.note(path)
    if not path.exists():
        return None
    try:
        numbers = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(numbers, dict):
            raise ValueError(f"a {type(numbers).__name__}")
        if numbers.pop("digest", None) != digest(numbers):
            raise ValueError("others than its digest says")
    except ValueError as error:
        raise Mismatch(
            f"{path}: expected measured numbers in JSON, got {error}; "
            "restore it from the repository, or measure anew"
        ) from None
    return numbers
