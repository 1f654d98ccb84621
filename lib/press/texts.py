"""The text of the book as it is written: its table of contents, its notebooks, their parameters."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode

from ..protocol import ProtocolError
from ..store import digest
from .freshness import statements

__all__ = ["parts", "pages", "read", "has_code", "declared", "check_parameters", "tidy"]


def parts(toc: Path) -> list[tuple[str, list[str]]]:
    """The parts of a table of contents: caption, empty before the first,
    and the pages under it in order, without extension."""

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            for name, value in node.items():
                if name in ("root", "file"):
                    yield value
                else:
                    yield from walk(value)
        elif isinstance(node, list):
            for item in node:
                yield from walk(item)

    try:
        tree = yaml.safe_load(toc.read_text(encoding="utf-8"))
        captioned = tree.pop("parts", [])
        found = [("", list(walk(tree))), *((part.get("caption", ""), list(walk(part))) for part in captioned)]
    except (yaml.YAMLError, ValueError, AttributeError, TypeError) as error:
        told = " ".join(str(error).split())
        raise ProtocolError(
            f"{toc}: expected a table of contents in YAML and UTF-8, with the first page as root, got {told}"
        ) from None
    if not all(isinstance(name, str) for _, names in found for name in names):
        raise ProtocolError(f"{toc}: expected the names of files, got {found!r}")
    return found


def pages(toc: Path) -> list[str]:
    """Every page named in a table of contents, in order, without extension."""
    return [name for _, names in parts(toc) for name in names]


def read(path: Path) -> NotebookNode:
    """The MyST-Markdown text notebook at `path`; `ProtocolError` where it is none."""
    try:
        return jupytext.reads(path.read_text(encoding="utf-8"), fmt="md:myst")
    except Exception as error:  # whatever its readers raise: YAML's, jupytext's, Python's own
        told = " ".join(str(error).split())
        raise ProtocolError(f"{path}: expected a MyST text notebook in UTF-8, got {told}") from None


def has_code(notebook: NotebookNode) -> bool:
    return any(cell.cell_type == "code" for cell in notebook.cells)


def declared(notebook: NotebookNode) -> list[str]:
    """The names set in the notebook's cells tagged ``parameters``.

    Read from the syntax tree: ``papermill.inspect_notebook`` passes over every line with a
    second equals sign, be it in a comment.
    """
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
    body = statements(nbformat.v4.new_notebook(cells=cells))
    if body is None:
        raise ProtocolError("expected assignments in the cell tagged parameters, got what is no Python")
    assigned = [s for s in body if isinstance(s, (ast.Assign, ast.AnnAssign))]
    targets = [t for s in assigned for t in (s.targets if isinstance(s, ast.Assign) else [s.target])]
    return [t.id for t in targets if isinstance(t, ast.Name)]


def check_parameters(name: str, known: Iterable[str], given: Iterable[str]) -> None:
    """Papermill only warns of a parameter that a notebook does not have; here it is an error."""
    known = list(known)
    for word in given:
        if word not in known:
            expected = f"expected one of {', '.join(known)}" if known else "it has no cell tagged parameters"
            raise ProtocolError(
                f"{name}: unknown parameter {word!r}: {expected}; remove it or correct its name"
            )


#: Where nbclient keeps the widgets of a notebook, by their names and in the order in which they were made.
WIDGETS = "application/vnd.jupyter.widget-state+json"


def tidy(notebook: NotebookNode) -> None:
    """Take out what papermill and progress bars wrote of this machine and moment, and hide the defaults
    that did not apply; two executions of one text then leave the same bytes.

    A bar is drawn only where something is computed and not found stored. Cells and widgets have random
    names; they get those of their order, widgets with the text's digest before it, since pages may stand in
    one document.
    """
    notebook.metadata.pop("papermill", None)
    injected = any("injected-parameters" in cell.metadata.get("tags", ()) for cell in notebook.cells)
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        told = [o for o in cell.get("outputs", ()) if o.get("name") == "stderr"]
        if "\r" in "".join(o.text for o in told):
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            cell.metadata["tags"] = [*tags, "hide-input"]
        elif "parameters" in tags and injected:
            cell.metadata["tags"] = [*tags, "remove-cell"]
    widgets = notebook.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {})
    text = digest({"cells": [cell.source for cell in notebook.cells]})
    names = {name: f"{text}{i:012x}" for i, name in enumerate(widgets)}
    named = re.sub("[0-9a-f]{32}", lambda found: names.get(found[0], found[0]), json.dumps(notebook))
    notebook.update(nbformat.from_dict(json.loads(named)))
