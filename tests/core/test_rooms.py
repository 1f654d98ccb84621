"""The house is what its folders say: imports run downwards only, never in a circle; the core is small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import lib

LIB = Path(lib.__file__).parent

#: A room, and the rooms that its modules may import from, besides their own. This table is the architecture.
MAY_IMPORT = {
    "core": (),
    "studies": ("core",),
    "figures": ("studies", "core"),
    "companions": ("figures", "studies", "core"),
    "pages": ("companions", "figures", "studies", "core"),
    "press": ("pages", "companions", "figures", "studies", "core"),
}
#: The most files of the core, lines of each, and lines of code of all: no docstring, comment or blank line.
FILES, EACH, ALL = 13, 320, 2_100


def room(module: str) -> str:
    """The room of ``lib.….…``; what stands flat is the core, but for the command line, which is above all."""
    first = module.split(".")[1] if "." in module else ""
    return "press" if first == "__main__" else first if first in MAY_IMPORT else "core"


def modules() -> dict[str, Path]:
    names = {".".join((p.relative_to(LIB.parent)).with_suffix("").parts): p for p in LIB.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


def imports(tree: ast.AST, module: str, package: bool, known: dict[str, Path]) -> set[str]:
    """The modules of lib that `tree` imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            base = parts[: len(parts) - node.level + package] if node.level else []
            source = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            whole = {f"{source}.{alias.name}" for alias in node.names}
            found |= {name if name in known else source for name in whole}
    return found & known.keys()


def code_lines(source: str) -> int:
    """Lines with code on them."""
    told = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            told |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(bool(s := line.strip()) and not s.startswith("#") and i not in told for i, line in lines)


@pytest.fixture(scope="module")
def arrows() -> dict[str, set[str]]:
    known = modules()
    return {
        name: imports(ast.parse(path.read_text()), name, path.name == "__init__.py", known) - {name}
        for name, path in known.items()
    }


def test_imports_run_downwards(arrows):
    assert sum(map(len, arrows.values())) > 100 and "lib.store" in arrows["lib.training"]
    wrong = [
        f"{a} imports {b}: {room(a)} may not import from {room(b)}"
        for a, others in sorted(arrows.items())
        for b in sorted(others)
        if room(b) not in (room(a), *MAY_IMPORT[room(a)])
    ]
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others(arrows):
    done: set[str] = set()

    def follow(name: str, way: tuple[str, ...]):
        assert name not in way, " → ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in sorted(arrows[name]):
                follow(other, (*way, name))
            done.add(name)

    for name in arrows:
        follow(name, ())


def test_lines_of_code_are_counted_without_what_is_said_about_them():
    assert (
        code_lines('"""Module.\n\nMore."""\n\n# why\nx = 1  # so\n\n\ndef f():\n    """F."""\n    return x\n')
        == 3
    )


def test_every_folder_is_a_room():
    assert {p.name for p in LIB.iterdir() if p.is_dir() and p.name != "__pycache__"} == {*MAY_IMPORT} - {
        "core"
    }


def test_the_core_is_small_and_the_map_names_all_of_it():
    files = {p.stem: p.read_text() for p in LIB.glob("*.py") if not p.stem.startswith("__")}
    assert len(files) <= FILES and sum(map(code_lines, files.values())) <= ALL
    assert {name: n for name, text in files.items() if (n := len(text.splitlines())) > EACH} == {}
    assert all(name in lib.__doc__.replace(";", " ").split() for name in files)


@pytest.mark.parametrize(
    "source, expected",
    [
        ("from ..store import Store", {"lib.store"}),
        ("from .. import paths, noise", {"lib.paths", "lib.noise"}),
        ("from . import claims", {"lib.studies.claims"}),
        ("def late():\n    from ..press.build import build", {"lib.press.build"}),
        ("import lib.press.build\nimport json", {"lib.press.build"}),
        ("from lib.figures.style import COLORS", {"lib.figures.style"}),
    ],
)
def test_an_import_is_seen_in_whatever_form(source, expected):
    assert imports(ast.parse(source), "lib.studies.theory", False, modules()) == expected
