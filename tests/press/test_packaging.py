"""One environment, written in three places: they agree, and it is the one in use."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata

import pytest
import yaml


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())


def versions(requirements: list[str]) -> dict[str, str]:
    return dict((normal(n), v) for n, v in (d.split("==") for d in requirements))


@pytest.fixture(scope="module")
def direct(project):
    """What the book needs, and what tests and the printed book add."""
    extras = project["project"]["optional-dependencies"]
    return versions(project["project"]["dependencies"]), versions(
        extras["cluster"] + extras["site"] + extras["test"]
    )


def locked(path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "-r"))]
    assert [
        line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)
    ] == []  # exact, no build names, no addresses
    return versions(lines)


@pytest.fixture(scope="module")
def pins(root):
    """The two locks: the second takes the first in and repeats nothing of it."""
    assert "-r requirements.txt" in (root / "requirements-test.txt").read_text().splitlines()
    book, more = locked(root / "requirements.txt"), locked(root / "requirements-test.txt")
    assert book.keys() & more.keys() == set()
    return book, book | more


@pytest.mark.parametrize("lock", [0, 1], ids=["book", "tests"])
def test_direct_dependencies_are_pinned_to_the_same_versions(direct, pins, lock):
    assert {name: pins[lock].get(name) for name in direct[lock]} == direct[lock]


def test_the_book_needs_nothing_of_the_tests(direct, pins):
    assert {n for n in direct[1] if n in pins[0]} <= {"packaging"}  # matplotlib and others need it


@pytest.mark.parametrize("lock", [0, 1], ids=["book", "tests"])
def test_the_pins_are_complete(pins, lock):
    """Whatever a pinned package needs here is pinned as well."""
    from packaging.requirements import Requirement

    missing = set()
    for name in pins[lock]:
        for text in metadata.requires(name) or ():
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                if normal(need.name) not in pins[lock] and not re.match(
                    "nvidia|cuda|triton", normal(need.name)
                ):
                    missing.add(f"{name} needs {need.name}")
    assert missing == set()


def test_the_tests_run_under_the_pinned_versions(pins):
    installed = {name: metadata.version(name).partition("+")[0] for name in pins[1]}
    assert {n: v for n, v in installed.items() if v != pins[1][n]} == {}


def test_conda_and_binder_install_the_same_file(root, project):
    environment = yaml.safe_load((root / "environment.yml").read_text())
    *conda, last = environment["dependencies"]
    assert environment["name"] == project["project"]["name"]
    assert conda == ["python=3.11", "pip"] and last == {"pip": ["-r requirements.txt", "-e ."]}
    assert project["project"]["requires-python"] == ">=3.11"


def test_what_is_imported_is_a_direct_dependency(root, direct):
    owners = metadata.packages_distributions()
    own = {"lib", *(p.stem for p in (root / "tests").rglob("*.py"))}
    strangers = set()
    for path in [*root.glob("lib/**/*.py"), *root.glob("tests/**/*.py"), *root.glob("book/_ext/*.py")]:
        more = "tests" in path.relative_to(root).parts or path.name in ("pdf.py", "workers.py")
        known = set(direct[0] | direct[1] if more else direct[0])
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            for name in {n.partition(".")[0] for n in names} - own - set(sys.stdlib_module_names):
                if not {normal(d) for d in owners.get(name, [name])} & known:
                    strangers.add(f"{path.relative_to(root)}: {name}")
    assert strangers == set()


def test_the_citation_carries_the_version(root, project):
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license", "version"} <= set(citation)
    assert citation["version"] == project["project"]["version"] and citation["license"] == "MIT"


def test_the_readme_shows_the_two_commands(root):
    text = (root / "README.md").read_text()
    assert re.search("^make book$", text, re.M) and re.search("^make test$", text, re.M)
    targets = re.findall(r"^([a-z-]+):.*## ", (root / "Makefile").read_text(), re.M)
    assert [t for t in re.findall(r"`make ([a-z-]+)", text) if t not in targets] == []
