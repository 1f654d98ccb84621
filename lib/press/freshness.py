"""What a notebook can see of this project: the files of ``lib`` that it reaches by import,
and the data that those read.

The closure is static, by the syntax tree; where that cannot tell, everything counts as seen. Of the published
files those count that it asked for when it was executed (`lib.paths.note`), there or not.
"""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jupytext
import torch
from nbformat import NotebookNode

__all__ = ["Job", "Published", "Sources", "statements", "digests", "files"]

#: What stands behind the names of `lib.paths`: a module that uses one of them reads what is there.
READS = {
    "PROFILES": ("book/profiles",),
    "ROOT": ("book", "lib", "_config.yml", "_toc.yml"),
}
#: Every notebook depends on the versions of the libraries.
ALWAYS = ("requirements.txt",)
#: Words that import what no syntax tree shows.
UNSEEN = {"import_module", "__import__", "run_module", "run_path", "exec_module"}


def statements(notebook: NotebookNode) -> list[ast.stmt] | None:
    """The statements of a notebook's code cells, without IPython's own; None when some cell is not Python."""
    found: list[ast.stmt] = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            try:
                found += ast.parse(re.sub(r"^([ \t]*)[%!].*$", r"\1pass", cell.source, flags=re.M)).body
            except (SyntaxError, ValueError):
                return None
    return found


def files(root: Path, entries: Iterable[str]) -> list[Path]:
    """The files at or below some places of the project, without what Python and JupyterLab leave there."""
    left = {"__pycache__", ".ipynb_checkpoints", "_pictures"}
    found = []
    for top in (root / entry for entry in entries):
        found += sorted(p for p in ([top] if top.is_file() else top.rglob("*")) if p.is_file())
    return [p for p in found if not left & {*p.relative_to(root).parts}]


def digests(root: Path, paths: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of each file by its path in the project; empty for one that is no more."""
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else ""
        for p in sorted(paths)
    }


class Published:
    """The published files as they are now.

    Parameters
    ----------
    root : the project.
    """

    def __init__(self, root: Path):
        self.folder = root / "book" / "published"
        self._digests: dict[Path, str] = {}
        try:
            self._manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._manifest = None

    def of(self, names: Iterable[str]) -> dict[str, Any]:
        """What each of `names`, as `lib.paths.note` takes them, stands for: digests by file,
        or a part of the manifest."""
        return {name: self._part(name) if "#" in name else self._files(name) for name in sorted(names)}

    def _files(self, pattern: str) -> dict[str, str]:
        found = sorted(p for p in self.folder.rglob(pattern) if p.is_file())
        for p in found:
            if p not in self._digests:
                self._digests[p] = hashlib.sha256(p.read_bytes()).hexdigest()
        return {p.relative_to(self.folder).as_posix(): self._digests[p] for p in found}

    def _part(self, name: str) -> Any:
        found = self._manifest
        for key in name.split("#")[1:]:
            found = found.get(key) if isinstance(found, dict) else None
        return found


class Sources:
    """The modules of ``root/lib`` and what each of them imports, read once."""

    def __init__(self, root: Path):
        self.root = root = (root / "lib").resolve().parent  # where the library's own paths point to
        self._seen: dict[Path, set[Path]] = {}
        self._lib = {p for p in files(root, ["lib"]) if p.suffix == ".py"}

    def reach(self, notebook: NotebookNode) -> set[Path]:
        """Every file of the project besides its own text that the notebook may read."""
        body = statements(notebook)
        first = self._lib if body is None else self._uses(ast.Module(body, []), "")
        found, waiting = set(files(self.root, ALWAYS)), set(first)
        while waiting:
            path = waiting.pop()
            found.add(path)
            waiting |= self._of(path) - found
        return found

    def _of(self, path: Path) -> set[Path]:
        """What one module uses: modules, and the data that lie beside it."""
        if path.suffix != ".py" or path not in self._lib:
            return set()
        if path not in self._seen:
            name = path.relative_to(self.root).with_suffix("").parts
            package = ".".join(name[:-1])
            beside = {p for p in path.parent.iterdir() if p.is_file() and p.suffix not in (".py", ".pyc")}
            uses = self._uses(ast.parse(path.read_bytes()), package, reads=name != ("lib", "paths"))
            self._seen[path] = beside | uses
        return self._seen[path]

    def _uses(self, tree: ast.AST, package: str, reads: bool = True) -> set[Path]:
        found, words = set(), set()
        for node in ast.walk(tree):
            for name in _imported(node, package):
                found |= self._modules(name)
                words.add(name.rpartition(".")[2])
            words |= {getattr(node, "id", None), getattr(node, "attr", None)}
        if words & UNSEEN:
            found |= self._lib
        for word in words & {*READS} if reads else ():
            found |= {*files(self.root, READS[word])}
        return found

    def _modules(self, name: str) -> set[Path]:
        """The files of a dotted name and of the packages that it lies in; its last words may be no module."""
        parts = name.split(".")
        heads = [self.root.joinpath(*parts[: i + 1]) for i in range(len(parts))]
        return {p for h in heads for p in (h.with_suffix(".py"), h / "__init__.py")} & self._lib


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """The dotted names that an import statement may mean."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *filter(None, [node.module])])
        yield from (f"{base}.{alias.name}" for alias in node.names)


@dataclass
class Job:
    """One notebook to execute: a name, its cells, its parameters, the file it was read from,
    the folder whose files it finds."""

    name: str
    notebook: NotebookNode
    parameters: dict[str, Any]
    path: str
    beside: Path | None = None
    sees: set[Path] = field(default_factory=set)

    def inputs(self, root: Path, key: Mapping[str, Any], published: Mapping[str, Any]) -> dict[str, Any]:
        """What the executed notebook is kept under; of `key` only what it can see,
        of `published` what it asked for."""
        seen = digests(root, self.sees)
        return {
            "source": jupytext.writes(self.notebook, fmt="md:myst"),
            "parameters": self.parameters,
            "files": seen,
            "published": published,
            "versions": [platform.python_version(), torch.__version__],
            **{name: value for name, value in key.items() if f"lib/{name}.py" in seen},
        }

    @property
    def trains(self) -> bool:
        """Whether it may want this build's networks: it reaches `lib.training` by import."""
        return any(p.parts[-2:] == ("lib", "training.py") for p in self.sees)
