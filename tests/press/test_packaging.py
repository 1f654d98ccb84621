"""One environment, written in three places: they agree, and it is the one in use."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())


def versions(requirements: list[str]) -> dict[str, str]:
    return dict((normal(n), v) for n, v in (d.split("==") for d in requirements))


def ranges(project) -> dict[str, SpecifierSet]:
    """The library's own dependencies."""
    return {normal(r.name): r.specifier for r in map(Requirement, project["project"]["dependencies"])}


@pytest.fixture(scope="module")
def direct(project):
    """What the book needs, and what tests and the printed book add."""
    extras = project["project"]["optional-dependencies"]
    more = extras["cluster"] + extras["site"] + extras["test"]
    return versions(extras["book"]), versions(more)


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


@pytest.mark.parametrize("lock", ["requirements", "requirements-test"])
def test_every_pinned_package_but_torch_has_its_digests(root, lock):
    """torch has a build for each kind of device, and a digest would choose one: it goes by its version."""
    text = re.sub(r"^#.*\n", "", (root / f"{lock}-hashes.txt").read_text(), flags=re.M)
    entries = re.fullmatch(r"(?:\S+==\S+(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n)+", text)
    assert entries
    pinned = locked(root / f"{lock}.txt")
    assert versions(re.findall(r"^(\S+==\S+)", text, re.M)) == {
        n: v for n, v in pinned.items() if n != "torch"
    }


@pytest.mark.parametrize("lock", [0, 1], ids=["book", "tests"])
def test_direct_dependencies_are_pinned_to_the_same_versions(direct, pins, lock):
    assert {name: pins[lock].get(name) for name in direct[lock]} == direct[lock]


def test_the_library_is_locked_within_its_ranges(project, pins):
    outside = {n: r for n, r in ranges(project).items() if pins[0].get(n) not in r}
    assert outside == {} and all(str(r).startswith(">=") for r in ranges(project).values())


def test_the_book_needs_nothing_of_the_tests(direct, pins):
    assert {n for n in direct[1] if n in pins[0]} <= {"packaging"}  # matplotlib and others need it


@pytest.mark.parametrize("lock", [0, 1], ids=["book", "tests"])
def test_the_pins_are_complete(pins, lock):
    """Whatever a pinned package needs here is pinned as well."""
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
    assert conda == ["python=3.11", "pip"] and last["pip"][-2:] == ["-r requirements.txt", "-e ."]
    assert project["project"]["requires-python"] == ">=3.11"


def test_what_is_imported_is_a_direct_dependency(root, project, direct):
    owners = metadata.packages_distributions()
    own = {"lib", *(p.stem for part in ("tests", "book/_ext") for p in (root / part).rglob("*.py"))}
    strangers = set()
    for path in [*root.glob("lib/**/*.py"), *root.glob("tests/**/*.py"), *root.glob("book/_ext/*.py")]:
        more = "tests" in path.relative_to(root).parts or path.name in ("pdf.py", "scaling.py", "workers.py")
        known = {*ranges(project), *direct[0], *(direct[1] if more else ())}
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


def test_the_research_object_names_what_is_there(root, project):
    """RO-Crate 1.1: the descriptor, the root with what it requires, and every part described and present."""
    graph = json.loads((root / "ro-crate-metadata.json").read_text())["@graph"]
    entities = {e["@id"]: e for e in graph}
    assert len(entities) == len(graph)
    descriptor, crate = entities["ro-crate-metadata.json"], entities["./"]
    assert descriptor["about"] == {"@id": "./"} and "1.1" in descriptor["conformsTo"]["@id"]
    assert {"name", "description", "datePublished", "license", "author"} <= set(crate)
    assert crate["version"] == project["project"]["version"]
    parts = [part["@id"] for part in crate["hasPart"]]
    assert all(
        entities[p]["name"] and (root / p).exists() and (root / p).is_dir() == p.endswith("/") for p in parts
    )


def test_the_readme_shows_the_two_commands(root):
    text = (root / "README.md").read_text()
    assert re.search("^make book$", text, re.M) and re.search("^make test$", text, re.M)
    targets = re.findall(r"^([a-z-]+):.*## ", (root / "Makefile").read_text(), re.M)
    assert [t for t in re.findall(r"`make ([a-z-]+)", text) if t not in targets] == []


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The distribution, made from a copy: setuptools writes beside what it builds from."""
    there = tmp_path_factory.mktemp("wheel")
    shutil.copytree(root / "lib", there / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(root / name, there)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", there / "dist"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, there], check=True, capture_output=True)
    (made,) = (there / "dist").iterdir()
    with zipfile.ZipFile(made) as archive:
        archive.extractall(there / "unpacked")
    return there / "unpacked"


def test_an_installation_puts_one_package_into_an_environment(wheel):
    assert sorted(p.name.partition("-")[0] for p in wheel.iterdir()) == ["geometric_instability"] * 2
    rooms = {p.name for p in (wheel / "geometric_instability").iterdir() if p.is_dir()}
    assert {"studies", "figures", "companions"} <= rooms and not rooms & {"press", "pages"}


@pytest.fixture(scope="module")
def alone(wheel, tmp_path_factory) -> str:
    """An environment of the distribution and what it asks for; of all that is installed here nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    (made,) = metadata.distributions(path=[str(wheel)])
    waiting, seen = list(made.requires), {normal(made.name)}
    while waiting:
        need = Requirement(waiting.pop())
        if normal(need.name) in seen or not (need.marker is None or need.marker.evaluate({"extra": ""})):
            continue
        seen.add(normal(need.name))
        found = metadata.distribution(need.name)
        waiting += found.requires or ()
        for top in {file.parts[0] for file in found.files} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(found.locate_file(top))
    return f"{wheel}:{folder}"


def test_the_installed_library_computes_a_spectrum(alone, tmp_path):
    """In a folder without a book: all of it imports, and the identity's coders give eigenvalues of one."""
    code = """
import geometric_instability, importlib, pkgutil, sys, torch
from geometric_instability import eigen, jacobian, paths
from geometric_instability.studies.diagnose import diagnose
q = torch.linalg.qr(torch.randn(9, 3, dtype=torch.float64)).Q
found = diagnose(lambda x: x @ q, lambda z: z @ q.T, torch.randn(4, 9, dtype=torch.float64))
assert torch.allclose(found.lam["I"].abs(), torch.ones(4, 3, dtype=torch.float64)), found
for module in pkgutil.walk_packages(geometric_instability.__path__, "geometric_instability."):
    importlib.import_module(module.name)
assert not {"lib", "IPython", "jupytext", "playwright"} & set(sys.modules)
print(paths.results())
"""
    made = subprocess.run(
        [sys.executable, "-S", "-c", code],  # without what is installed beside this interpreter
        cwd=tmp_path,
        # interpreted: to compile for twelve numbers takes longer than all the other tests of this file
        env={"PYTHONPATH": alone, "PATH": "", "HOME": str(tmp_path), "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert made.stderr == "" and made.stdout.split() == [str(tmp_path / "results")]


def test_every_module_of_the_wheel_imports_by_its_own_name(wheel):
    """Imports inside the library are relative."""
    for path in (wheel / "geometric_instability").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not [n for n in names if n.partition(".")[0] == "lib"], path


def test_an_editable_installation_is_the_library_under_the_name_that_notebooks_import(root):
    code = (
        "import runpy, setuptools, sys; setuptools.setup = lambda **given: print(given['packages']); "
        "sys.argv = ['setup.py', 'editable_wheel']; runpy.run_path('setup.py')"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    packages = ast.literal_eval(shown.stdout)
    assert packages[0] == "lib" and {"lib.press", "lib.studies", "lib.companions.codes"} <= set(packages)
