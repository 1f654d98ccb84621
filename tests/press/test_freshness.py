"""What a page can see: the static closure holds what is imported; a change reaches the pages that see it."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from lib.press.freshness import Sources, statements
from lib.press.texts import has_code, pages, read

#: Runs what each page imports and notes which module of this project asks for which: the reference.
IMPORTED = """
import builtins, collections, json, sys
asked, real = collections.defaultdict(set), builtins.__import__

def noting(name, globals=None, locals=None, fromlist=(), level=0):
    module = real(name, globals, locals, fromlist, level)
    base = module.__name__ if fromlist else name
    asked[(globals or {}).get("__name__")] |= {base, *(f"{base}.{word}" for word in fromlist or ())}
    return module

builtins.__import__ = noting
pages = json.load(sys.stdin)
for name, code in pages.items():
    exec(code, {"__name__": name})
found = {}
for name in pages:
    seen, waiting = set(), {name}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        parts = [module.rpartition(".")[0]] if "." in module else []
        waiting |= {m for m in {*asked[module], *parts} if m.split(".")[0] == "lib" and m in sys.modules}
        waiting -= seen
    found[name] = sorted(sys.modules[m].__file__ for m in seen - {name})
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def texts(root):
    found = {name: read(root / "book" / f"{name}.md") for name in pages(root / "_toc.yml")}
    return {name: notebook for name, notebook in found.items() if has_code(notebook)}


@pytest.fixture(scope="module")
def imported(texts, root):
    """page → the files of lib that Python loads for its imports."""
    code = {
        name: "\n".join(
            ast.unparse(s) for s in statements(notebook) if isinstance(s, (ast.Import, ast.ImportFrom))
        )
        for name, notebook in texts.items()
    }
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED], input=json.dumps(code), capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: {f.removeprefix(f"{root}/") for f in files} for name, files in found.items()}


def seen(root, *texts) -> list[dict[str, str]]:
    """The files that each notebook sees, with their digests."""
    sources, known = Sources(root), {}
    return [
        {
            p.relative_to(sources.root).as_posix(): known.get(p) or known.setdefault(p, p.read_bytes())
            for p in found
        }
        for found in map(sources.reach, texts)
    ]


def test_the_closure_holds_every_module_that_is_imported(texts, imported, root):
    for name, found in zip(texts, seen(root, *texts.values())):
        assert imported[name] - set(found) == set(), name


@pytest.fixture(scope="module")
def copy(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(root / "lib", folder / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize(
    "module",
    [
        "lib/eigen.py",
        "lib/studies/theory.py",
        "lib/companions/topology/figures.py",
        "lib/figures/diagrams.py",
        "lib/pages/live.py",
        "lib/press/bench.py",
    ],
)
def test_a_change_in_one_module_reaches_the_pages_that_import_it_and_no_other(module, texts, imported, copy):
    before = seen(copy, *texts.values())
    text = (copy / module).read_text()
    (copy / module).write_text(text + "\n# another comment\n")
    after = seen(copy, *texts.values())
    (copy / module).write_text(text)
    changed = {name for name, one, other in zip(texts, before, after) if one != other}
    assert changed == {name for name in texts if module in imported[name]} != set()


def test_a_change_in_a_companion_reaches_its_chapter_alone(texts, root):
    for name, found in zip(texts, seen(root, *texts.values())):
        assert ("lib/companions/topology/figures.py" in found) == (name == "companions/topology")


def test_a_change_in_what_makes_the_book_reaches_no_page(texts, root):
    makers = {
        f"lib/press/{m}.py" for m in ("build", "commands", "freshness", "kernels", "notebooks", "publish")
    }
    for name, found in zip(texts, seen(root, *texts.values())):
        assert makers & set(found) == set(), name


def page(code: str):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])


def test_data_files_count_with_the_modules_that_read_them(root):
    assert "lib/figures/book.mplstyle" in seen(root, page("from lib.figures import style"))[0]
    assert "book/profiles/smoke.yml" in seen(root, page("from lib.protocol import Protocol"))[0]
    # of what is published that counts which a notebook asks for: tests/press/test_notebooks.py
    assert "book/published/manifest.json" not in seen(root, page("from lib import published"))[0]
    assert "requirements.txt" in seen(root, page("1 + 1"))[0]


def test_the_lines_of_ipython_are_passed_over(root):
    assert "lib/noise.py" in seen(root, page("%matplotlib inline\nfrom lib import noise\n!ls"))[0]


@pytest.mark.parametrize("code", ["%%bash\nls a b", "import importlib; importlib.import_module(name)"])
def test_where_imports_cannot_be_seen_every_module_counts(root, code):
    found = set(seen(root, page(code))[0])
    assert {"lib/press/build.py", "lib/eigen.py", "lib/companions/topology/figures.py"} <= found


def test_published_files_are_read_where_that_is_noted(root):
    """Else a notebook would be kept although what it shows has changed."""
    noting = {"lib/paths.py", "lib/published.py", "lib/store.py", "lib/companions/__init__.py"}
    for path in (root / "lib").rglob("*.py"):
        name = path.relative_to(root).as_posix()
        words = {getattr(n, "id", getattr(n, "attr", None)) for n in ast.walk(ast.parse(path.read_text()))}
        assert not words & {"PUBLISHED", "FOLDER"} or name in noting or name.startswith("lib/press/"), name
    for path in (root / "book").rglob("*.md"):
        assert not re.search(r"\b(PUBLISHED|FOLDER)\b", path.read_text(encoding="utf-8")), path.name


def test_no_page_reads_a_published_file_past_what_notes_it(root):
    """Else a change of it would leave the page as it was."""
    pages = [*(root / "book").rglob("*.md")]
    assert len(pages) > 30 and not [p.name for p in pages if "RESULT.read_text" in p.read_text("utf-8")]
