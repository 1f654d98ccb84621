"""The book: results → executed notebooks → pages, staged so that only whole books are ever seen.

Everything of one build happens in a folder of its own under ``_build``; the finished pages
change places with the previous ones. A build that fails or is killed leaves the last good
book where it was, and two builds at once do not meet. The pages carry a record of what they
were made from and of their own content, by which they are known and verified.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .. import data, published, results
from ..paths import ROOT
from ..protocol import Protocol, ProtocolError
from ..store import digest, locked
from . import begin, checksums, notebooks
from .freshness import Job, digests, files
from .notebooks import seconds
from .places import RECORD, made_from, private_folder, recover, swap
from .provenance import provenance
from .texts import check_parameters, declared, has_code, pages, read

__all__ = ["build", "compute", "BuildError"]

#: What pages are made from besides the book's text and executed notebooks, relative to the project's root.
SOURCES = ("lib", "_config.yml", "_toc.yml", "requirements.txt")
COLOUR = re.compile("\x1b\\[[0-9;]*m")


class BuildError(RuntimeError):
    """A book that cannot be built; the message says what is in the way."""


def build(
    profile: str = "laptop",
    overrides: str = "",
    root: Path = ROOT,
    output: Path | None = None,
    say: Callable[[str], None] = print,
    limit: float = notebooks.LIMIT,
) -> Path:
    """Build the book of a profile and return the path of its first page.

    Parameters
    ----------
    profile, overrides : as `Profile.read` takes them, and as the notebooks get them.
    root : folder with ``_config.yml``, ``_toc.yml`` and ``book/``.
    output : folder of builds, default ``root/_build``; the pages are in its ``html``.
    limit : seconds after which a notebook counts as hanging.

    Raises
    ------
    ProtocolError, DataError, Mismatch, NotebookError, BuildError
        The previous book is then still in place.
    """
    began, used = time.monotonic(), _processor()
    say = notebooks.beside_bars(say)
    asked = begin(profile, overrides)
    protocol = asked.protocol
    output = Path(output or root / "_build").resolve()
    place = output / "html"
    parameters = {"profile": profile, "overrides": overrides}
    about = provenance(asked, profile, root)
    _check_published()
    alike = locked(output / f".{digest(parameters)}.lock", f"the book of profile {about['profile']}")
    with alike, private_folder(output) as run, notebooks.progress(total=1) as bar:  # one step for the pages
        recover(place)
        sources = digests(root, files(root, SOURCES))
        jobs = _stage(root, run / "src", parameters)
        say(f"{about['profile']}: {_describe(protocol)}; key {about['key']}")
        say(f"{len(jobs)} notebooks")
        key = {"protocol": asked.values, "data": data.digest(protocol.training_set)}
        executed = notebooks.execute_all(
            jobs, root, output / "notebooks", run, key, lambda: compute(protocol), say, limit, bar
        )
        made = {"about": about, "executed": {n: f.name for n, f in executed.items()}, "files": sources}
        stamp = digest(made | {"staged": digests(run, files(run, ["src"]))})
        if made_from(place) == stamp and checksums.whole(place):
            say("pages unchanged")
        else:
            began_pages = time.monotonic()
            for name, folder in executed.items():
                _place(name, folder, run / "src")
            html = _render(root, run, about, {job.name: executed[job.name] for job in jobs}, bar)
            if sources != digests(root, files(root, SOURCES)):
                stamp = "files that were changed meanwhile"  # the next build makes the pages again
            (html / RECORD).write_text(stamp)
            checksums.write(html)
            swap(html, place)
            say(f"pages {seconds(time.monotonic() - began_pages)}")
    spent = f"{seconds(time.monotonic() - began)}, processor {seconds(_processor() - used)}"
    say(f"The book is {place / 'index.html'} (profile {about['profile']}, {spent}).")
    return place / "index.html"


def _processor() -> float:
    """Seconds that this process and those it has waited for have used so far."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def compute(protocol: Protocol) -> None:
    """What the notebooks show, computed or found stored, with progress bars on the terminal."""
    results.run(protocol)


def _check_published() -> None:
    """Refuse to show published files that are not what their manifest says."""
    wanted, found = (published.manifest() or {"files": {}})["files"], published.digests()
    wrong = [name for name, sha in wanted.items() if found.get(name) != sha]
    if wrong:
        raise published.Mismatch(
            "book/published: expected the files of manifest.json, "
            f"got others in place of {', '.join(wrong)}; take them from the repository again"
        )


def _describe(protocol: Protocol) -> str:
    dims, seeds = (", ".join(map(str, numbers)) for numbers in (protocol.dims, protocol.seeds))
    return (
        f"{len(protocol.dims) * len(protocol.seeds)} networks (d = {dims}; seeds {seeds}) "
        f"on {protocol.training_set}, {protocol.epochs} epochs, {protocol.points} points of each data set"
    )


def _stage(root: Path, src: Path, parameters: dict[str, str]) -> list[Job]:
    """Copy the book, and list the pages that have code: those are to be executed."""
    names = pages(root / "_toc.yml")
    missing = [name for name in names if not (root / "book" / f"{name}.md").is_file()]
    if missing:
        raise BuildError(
            f"_toc.yml: expected {', '.join(f'book/{name}.md' for name in missing)}, found no such file; "
            "write the page or take it out"
        )
    left = shutil.ignore_patterns("profiles", "published", "__pycache__", ".ipynb_checkpoints", "_pictures")
    shutil.copytree(root / "book", src, ignore=left)
    jobs = []
    for name in names:
        path = f"book/{name}.md"
        try:
            notebook = read(src / f"{name}.md")  # the copy: the pages are made from it too
            if has_code(notebook):
                known = declared(notebook)
                given = parameters if known else {}  # a page that draws a diagram depends on no protocol
                check_parameters(path, known, given)
                jobs.append(Job(name, notebook, given, path))
        except ProtocolError as error:
            raise ProtocolError(str(error).replace(str(src / f"{name}.md"), path)) from None
    return jobs


def _place(name: str, folder: Path, src: Path) -> None:
    """Put an executed notebook and its pictures where its text was, and the text among the pictures."""
    page = src / name
    pictures = page.parent / "_pictures"
    if (folder / "_pictures").is_dir():
        shutil.copytree(folder / "_pictures", pictures, dirs_exist_ok=True)
    (pictures / page.name).mkdir(parents=True, exist_ok=True)
    os.replace(f"{page}.md", pictures / page.name / f"{page.name}.md")
    shutil.copyfile(folder / "notebook.ipynb", f"{page}.ipynb")


def _render(root: Path, run: Path, about: dict[str, Any], executed: dict[str, Path], bar: tqdm) -> Path:
    """Run jupyter-book strictly; every warning is an error and is shown."""
    start = f"from lib.workers import end_with; end_with({os.getpid()}); "
    start += "from lib.press import prepare; prepare(); from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(run / "src"), "--path-output", str(run)]
    command += ["--config", str(root / "_config.yml"), "--toc", str((root / "_toc.yml").resolve())]
    command += ["--all", "-W", "-n", "--keep-going"]
    env = os.environ | {
        "BOOK_PROVENANCE": json.dumps(about),
        "BOOK_EXECUTED": json.dumps(notebooks.status(executed)),
        "PYTHONIOENCODING": "utf-8",
    }
    lines = []
    with subprocess.Popen(
        command, cwd=root, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    ) as process:  # fmt: skip
        try:
            for line in process.stdout:
                lines.append(COLOUR.sub("", line.rstrip().rpartition("\r")[2]))
                bar.set_description_str(f"pages: {lines[-1][:50]}")
        except BaseException:
            process.terminate()
            raise
    html = run / "_build" / "html"
    if process.returncode or not (html / "index.html").is_file():
        told = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-20:]
        told = [line.replace(f"{run / 'src'}{os.sep}", "book/") for line in dict.fromkeys(told)]
        raise BuildError(
            "\n".join(["the pages have warnings, which are errors here:", *(f"  {line}" for line in told)])
        )
    # the source of a page is its text: an executed notebook holds every picture once more
    for page in map(Path, executed):
        text = run / "src" / page.parent / "_pictures" / page.name / f"{page.name}.md"
        shutil.copyfile(text, html / "_sources" / f"{page}.md")
    for path in [*html.glob("_sources/**/*.ipynb"), *html.glob("_static/**/*.map")]:
        path.unlink()
    return html
