"""Digests of every file in a folder, to tell that it is whole: the site, kept notebooks."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..store import write_atomically

__all__ = ["NAME", "of", "write", "whole"]

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
