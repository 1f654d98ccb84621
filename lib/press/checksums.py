"""Digests of every file of a finished site, so that whoever has a copy can tell that it is whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..store import write_atomically

__all__ = ["NAME", "write"]

NAME = "SHA256SUMS"


def write(html: Path) -> Path:
    """Write ``SHA256SUMS`` of every other file in the folder `html`, in the format of ``sha256sum --check``."""
    target = html / NAME
    files = sorted(p for p in html.rglob("*") if p.is_file() and p != target)
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  ./{p.relative_to(html).as_posix()}\n" for p in files
    ]
    return write_atomically(target, "".join(lines).encode())
