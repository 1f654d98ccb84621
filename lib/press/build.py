"""The book: results → executed notebooks → pages, staged so that only whole books are ever seen.

Everything of one build happens in a folder of its own under ``_build``; the finished pages
take the place of the previous ones by renaming. A build that fails or is killed leaves the
last good book where it was, and two builds at once do not meet.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from .. import data, results
from ..paths import ROOT
from ..protocol import Profile, Protocol
from ..store import digest
from . import begin, checksums, notebooks
from .notebooks import Job
from .progress import Status, seconds

__all__ = ["build", "compute", "pages", "parts", "provenance", "BuildError"]

#: What the pages are made from besides executed notebooks, relative to the project's root.
SOURCES = ("book", "lib", "_config.yml", "_toc.yml", "requirements.txt")
COLOUR = re.compile("\x1b\\[[0-9;]*m")


class BuildError(RuntimeError):
    """A book that cannot be built; the message says what is in the way."""


def build(
    profile: str = "laptop",
    overrides: str = "",
    root: Path = ROOT,
    output: Path | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Build the book of a profile and return the path of its first page.

    Parameters
    ----------
    profile, overrides : as `Profile.read` takes them, and as the notebooks get them.
    root : folder with ``_config.yml``, ``_toc.yml`` and ``book/``.
    output : folder of builds, default ``root/_build``; the pages are in its ``html``.

    Raises
    ------
    ProtocolError, DataError, NotebookError, BuildError
        The previous book is then still in place.
    """
    began = time.monotonic()
    asked = begin(profile, overrides)
    protocol = asked.protocol
    output = Path(output or root / "_build").resolve()
    index = output / "html" / "index.html"
    parameters = {"profile": profile, "overrides": overrides}
    about = provenance(asked, profile, root)
    with _private_folder(output) as run:
        jobs = _stage(root, run / "src", parameters)
        say(f"{about['profile']}: {_describe(protocol)}; key {about['key']}")
        compute(protocol)
        say(f"{len(jobs)} notebooks")
        key = {"protocol": asked.values, "images": data.load(protocol.training_set).sha256}
        executed = notebooks.execute_all(jobs, root, output / "notebooks", run, key, say)
        stamp = digest(
            {
                "about": about,
                "executed": {n: f.name for n, f in executed.items()},
                "files": notebooks.inputs_digest(root, SOURCES),
            }
        )
        if index.is_file() and _stamp(index.parent).is_file() and _stamp(index.parent).read_text() == stamp:
            say("pages unchanged")
        else:
            say("pages")
            for name, folder in executed.items():
                _place(name, folder, run / "src")
            _publish(_render(root, run, about), index.parent, run, stamp)
    say(f"The book is {index} (profile {about['profile']}, {seconds(time.monotonic() - began)}).")
    return index


def compute(protocol: Protocol) -> None:
    """What the notebooks show, computed or found stored, with progress bars on the terminal."""
    results.run(protocol)


def provenance(asked: Profile, profile: str, root: Path = ROOT) -> dict[str, Any]:
    """What a page says about where its numbers come from."""
    git = ["git", "-C", str(root)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive, or no git
        commit, changed = "", ""
    plain = Profile.read(profile).values
    own = {name: value for name, value in asked.values.items() if value != plain[name]}
    return {
        "profile": " ".join([profile, *(f"{name}={_word(value)}" for name, value in own.items())]),
        "training_set": asked.protocol.training_set,
        "key": digest(asked.values),
        "commit": commit,
        "changed": bool(changed),
        "published": (root / "book" / "published" / "manifest.json").is_file(),
    }


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _describe(protocol: Protocol) -> str:
    return (
        f"{len(protocol.dims) * len(protocol.seeds)} networks (d = {', '.join(map(str, protocol.dims))}; seeds {', '.join(map(str, protocol.seeds))}) "
        f"on {protocol.training_set}, {protocol.epochs} epochs, {protocol.points} points of each data set"
    )


def parts(toc: Path) -> list[tuple[str, list[str]]]:
    """The parts of a table of contents: caption, empty before the first, and the pages under it in order, without extension."""

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

    tree = yaml.safe_load(toc.read_text(encoding="utf-8"))
    captioned = tree.pop("parts", [])
    return [("", list(walk(tree))), *((part.get("caption", ""), list(walk(part))) for part in captioned)]


def pages(toc: Path) -> list[str]:
    """Every page named in a table of contents, in order, without extension."""
    return [name for _, names in parts(toc) for name in names]


def _stage(root: Path, src: Path, parameters: dict[str, str]) -> list[Job]:
    """Copy the book, and list the pages that have code: those are to be executed."""
    book = root / "book"
    names = pages(root / "_toc.yml")
    missing = [name for name in names if not (book / f"{name}.md").is_file()]
    if missing:
        raise BuildError(
            f"_toc.yml: expected {', '.join(f'book/{name}.md' for name in missing)}, found no such file; write the page or take it out"
        )
    shutil.copytree(
        book, src, ignore=shutil.ignore_patterns("profiles", "published", "__pycache__", ".ipynb_checkpoints")
    )
    jobs = []
    for name in names:
        notebook = notebooks.read(book / f"{name}.md")
        if notebooks.has_code(notebook):
            known = notebooks.declared(notebook)
            given = parameters if known else {}  # a page that draws a diagram depends on no protocol
            notebooks.check_parameters(f"book/{name}.md", known, given)
            jobs.append(Job(name, notebook, given))
    return jobs


def _place(name: str, folder: Path, src: Path) -> None:
    """Put an executed notebook and its pictures where its text was, and the text among the pictures, which link to it."""
    page = src / name
    pictures = page.parent / "_pictures"
    if (folder / "_pictures").is_dir():
        shutil.copytree(folder / "_pictures", pictures, dirs_exist_ok=True)
    (pictures / page.name).mkdir(parents=True, exist_ok=True)
    os.replace(f"{page}.md", pictures / page.name / f"{page.name}.md")
    shutil.copyfile(folder / "notebook.ipynb", f"{page}.ipynb")


def _render(root: Path, run: Path, about: dict[str, Any]) -> Path:
    """Run jupyter-book strictly; every warning is an error and is shown."""
    command = [
        sys.executable,
        "-c",
        "from lib.press import prepare; prepare(); from jupyter_book.cli.main import main; main()",
        "build",
        str(run / "src"),
    ]
    command += [
        "--config",
        str(root / "_config.yml"),
        "--toc",
        str((root / "_toc.yml").resolve()),
        "--path-output",
        str(run),
    ]
    command += ["--all", "-W", "-n", "--keep-going"]
    env = os.environ | {"BOOK_PROVENANCE": json.dumps(about), "PYTHONIOENCODING": "utf-8"}
    status, lines = Status(), []
    with subprocess.Popen(
        command,
        cwd=root,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout:
                line = COLOUR.sub("", line.rstrip().rpartition("\r")[2])
                lines.append(line)
                status.show(f"  {line}")
        except BaseException:
            process.terminate()
            raise
        finally:
            status.clear()
    html = run / "_build" / "html"
    if process.returncode or not (html / "index.html").is_file():
        told = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-20:]
        told = [line.replace(f"{run / 'src'}{os.sep}", "book/") for line in dict.fromkeys(told)]
        raise BuildError(
            "\n".join(["the pages have warnings, which are errors here:", *(f"  {line}" for line in told)])
        )
    return html


def _stamp(place: Path) -> Path:
    """Where it is written what the pages at `place` were made from."""
    return place.with_name(f".{place.name}")


def _publish(html: Path, place: Path, run: Path, stamp: str) -> None:
    """Let the finished pages take the place of the previous ones."""
    with (place.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _stamp(place).unlink(
            missing_ok=True
        )  # first and last: a build killed in between leaves pages of unknown origin
        if place.exists():
            os.rename(place, run / "previous")
        checksums.write(html)
        os.rename(html, place)
        _stamp(place).write_text(stamp)


@contextlib.contextmanager
def _private_folder(output: Path) -> Iterator[Path]:
    """A folder for one build, locked while it runs; those of killed builds are taken away."""
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob(".run-*"):
        with contextlib.suppress(OSError), (old / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old)
    run = Path(tempfile.mkdtemp(dir=output, prefix=".run-"))
    with (run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield run
        finally:
            shutil.rmtree(run, ignore_errors=True)
