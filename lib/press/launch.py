"""The notebooks as Binder and Colab open them: as ``.ipynb``, beside the text they are made from,
on a branch of their own.

Neither service opens MyST text as a notebook. ``_config.yml`` says in ``repository`` where the repository is
public and what the branch is called; the launch buttons of the pages follow from the same lines. The workflow
that publishes pushes what is written here.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from ..paths import ROOT
from ..store import write_atomically
from . import texts
from .texts import pages

__all__ = ["write", "requirements"]

#: What notebooks import besides the library.
BESIDES = ("ipywidgets", "pillow")

SETUP = """\
# On Colab this cell fetches the library and what Colab lacks of its requirements; elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    import subprocess
    from importlib.metadata import PackageNotFoundError, version
    from pathlib import Path

    def lacks(requirement):
        try:
            return not version(requirement.partition("==")[0])
        except PackageNotFoundError:
            return True

    here = Path("/content/{name}")
    if not here.exists():
        clone = ["git", "clone", "--quiet", "--depth=1", "--branch={branch}", "{url}", str(here)]
        subprocess.run(clone, check=True)
    lacking = [requirement for requirement in {wanted} if lacks(requirement)]
    if lacking:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *lacking], check=True)
    sys.path.insert(0, str(here))
"""


def requirements(root: Path = ROOT) -> list[str]:
    """What a notebook needs, the library's dependencies among it, at the versions of ``requirements.txt``."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [*(re.match(r"[\w.-]+", text)[0] for text in project["dependencies"]), *BESIDES]
    locked = (root / "requirements.txt").read_text(encoding="utf-8")
    pins = {name.lower(): pin for pin, name in re.findall(r"^(([\w.-]+)==[\w.]+)", locked, re.M)}
    return [pins[name.lower()] for name in names]


def write(output: Path, root: Path = ROOT) -> list[Path]:
    """Write every page with code as an unexecuted ``.ipynb`` under `output`, under the path of its text.

    The same text gives the same bytes. The first cell sets Colab up; it is left out while
    the repository has no public address from which Colab could fetch the library.
    """
    written = []
    for name in pages(root / "_toc.yml"):
        notebook = texts.read(root / "book" / f"{name}.md")
        if texts.has_code(notebook):
            notebook.metadata.pop("jupytext", None)  # no longer text
            notebook.cells[:0] = _setup(root)
            for i, cell in enumerate(notebook.cells):
                cell["id"] = f"cell-{i}"
            content = (nbformat.writes(notebook) + "\n").encode()
            written.append(write_atomically(output / "book" / f"{name}.ipynb", content))
    return written


def _setup(root: Path) -> list[NotebookNode]:
    """Colab's cell, folded away in Colab and JupyterLab and kept off pages; none without an address."""
    where = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
    if not where.get("url"):
        return []
    name = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    code = SETUP.format(name=name, branch=where["branch"], url=where["url"], wanted=requirements(root))
    hidden = {"tags": ["remove-cell"], "cellView": "form", "jupyter": {"source_hidden": True}}
    return [nbformat.v4.new_code_cell(code.rstrip(), metadata=hidden)]
