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


@pytest.fixture(scope="module")
def direct(project):
    return dict((normal(n), v) for n, v in (d.split("==") for d in project["project"]["dependencies"]))


@pytest.fixture(scope="module")
def pins(root):
    lines = [
        line
        for line in (root / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert [
        line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)
    ] == []  # exact, no build names, no addresses
    return dict((normal(n), v) for n, v in (line.split("==") for line in lines))


def test_direct_dependencies_are_pinned_to_the_same_versions(direct, pins):
    assert {name: pins.get(name) for name in direct} == direct


def test_the_pins_are_complete(direct, pins):
    """Whatever a pinned package needs here is pinned as well."""
    from packaging.requirements import Requirement

    missing = set()
    for name in pins:
        for text in metadata.requires(name) or ():
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                if normal(need.name) not in pins and not re.match("nvidia|cuda|triton", normal(need.name)):
                    missing.add(f"{name} needs {need.name}")
    assert missing == set()


def test_the_tests_run_under_the_pinned_versions(pins):
    installed = {name: metadata.version(name).partition("+")[0] for name in pins}
    assert {n: v for n, v in installed.items() if v != pins[n]} == {}


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
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            for name in {n.partition(".")[0] for n in names} - own - set(sys.stdlib_module_names):
                if not {normal(d) for d in owners.get(name, [name])} & set(direct):
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
