"""What Binder and Colab open is the book's own text and code, and it finds what it needs there."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from test_build import SmallBook

from lib.press import launch, texts
from lib.press.texts import pages

URL = "https://github.com/someone/a-book"


@pytest.fixture(scope="module")
def written(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("launch")
    return folder, launch.write(folder, root)


def addressed(folder: Path, root: Path) -> Path:
    """The project in `folder` as if it had a public address."""
    for name in ("book", "_toc.yml", "pyproject.toml", "requirements.txt"):
        if not (folder / name).exists():
            (folder / name).symlink_to(root / name)
    config = (root / "_config.yml").read_text()
    (folder / "_config.yml").unlink(missing_ok=True)
    (folder / "_config.yml").write_text(re.sub('url: ".*"', f'url: "{URL}"', config, count=1))
    return folder


def test_every_page_with_code_is_a_valid_notebook_with_the_same_cells(written, root):
    folder, paths = written
    assert [p.relative_to(folder / "book").with_suffix("").as_posix() for p in paths] == [
        name
        for name in pages(root / "_toc.yml")
        if "{code-cell}" in (root / "book" / f"{name}.md").read_text()
    ]
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        text = texts.read(root / "book" / path.relative_to(folder / "book").with_suffix(".md"))
        assert [c.source for c in notebook.cells if c.source not in {t.source for t in text.cells}] in (
            [],
            [c.source for c in launch._setup(root)],
        )
        assert not any(c.get("outputs") for c in notebook.cells)


def test_the_same_text_gives_the_same_bytes(written, root, tmp_path):
    assert [p.read_bytes() for p in launch.write(tmp_path, root)] == [p.read_bytes() for p in written[1]]


def imports(code: str) -> set[str]:
    """Modules that a piece of code imports, by full name; of this library's also the names taken."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= (
                {node.module or "", *(f"{node.module or ''}.{a.name}" for a in node.names)}
                if not node.level
                else set()
            )
    return found


def test_what_a_notebook_imports_is_among_what_colab_is_given(written, root):
    """Through the library, module by module."""
    package = {
        p.relative_to(root).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): p
        for p in (root / "lib").rglob("*.py")
    }
    waiting, seen = set(), set()
    for path in written[1]:
        for cell in nbformat.read(path, as_version=4).cells:
            waiting |= imports(cell.source) if cell.cell_type == "code" else set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        if name in package:
            tree, path = ast.parse(package[name].read_text()), package[name]
            base = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.level:
                    above = ".".join(
                        base[: len(base) - node.level + 1] + ([node.module] if node.module else [])
                    )
                    waiting |= {above, *(f"{above}.{a.name}" for a in node.names)} - seen
            waiting |= imports(package[name].read_text()) - seen
    given = {re.sub(r"[-_.]+", "-", r.partition("==")[0]).lower() for r in launch.requirements(root)}
    owners = importlib.metadata.packages_distributions()
    tops = {name.partition(".")[0] for name in seen if name} - {"lib"} - set(sys.stdlib_module_names)
    assert len(tops) > 5
    assert {
        top for top in tops if not {re.sub(r"[-_.]+", "-", o).lower() for o in owners.get(top, [top])} & given
    } - {"IPython", "distributed"} == set()  # IPython runs the notebook; a scheduler is nobody's default


def test_what_colab_is_given_is_pinned(root):
    pins = {line.split()[0] for line in (root / "requirements.txt").read_text().splitlines() if line}
    assert set(launch.requirements(root)) <= pins


def test_colabs_cell_fetches_the_branch_and_only_what_is_lacking(root, tmp_path, monkeypatch):
    (cell,) = launch._setup(addressed(tmp_path, root))
    ran, path = [], list(sys.path)
    monkeypatch.setattr(sys, "path", path)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: ran.append(command))
    exec(cell.source, {})
    assert ran == [] and path == sys.path  # at home it does nothing

    honest = importlib.metadata.version

    def version(name):
        if name == "POT":
            raise importlib.metadata.PackageNotFoundError(name)
        return honest(name)

    monkeypatch.setitem(sys.modules, "google.colab", object())
    monkeypatch.setattr(importlib.metadata, "version", version)
    exec(cell.source, {})
    (clone, install) = ran
    assert URL in clone and "--branch=notebooks" in clone
    assert [word.partition("==")[0] for word in install if "==" in word] == ["POT"]
    assert sys.path[0] == clone[-1]


def test_without_an_address_there_is_no_cell_for_colab(root, tmp_path):
    addressed(tmp_path, root)
    (tmp_path / "_config.yml").write_text((tmp_path / "_config.yml").read_text().replace(URL, ""))
    assert launch._setup(tmp_path) == []


def test_buttons_lead_to_the_notebooks_once_there_is_an_address(own_results, root, tmp_path):
    book = SmallBook(tmp_path, root)
    book.numbers("print(profile, 40 + 2)")
    book.build()
    assert "mybinder" not in book.page() + book.page("intro")
    addressed(tmp_path, root)
    book.build()
    (notebook,) = launch.write(tmp_path / "launch", tmp_path)
    name = notebook.relative_to(tmp_path / "launch").as_posix()
    assert f"https://mybinder.org/v2/gh/someone/a-book/notebooks?urlpath=lab/tree/{name}" in book.page()
    assert f"https://colab.research.google.com/github/someone/a-book/blob/notebooks/{name}" in book.page()
    assert "mybinder" not in book.page("intro")  # text alone
    assert json.loads(notebook.read_text())["cells"][0]["metadata"]["tags"] == ["remove-cell"]
