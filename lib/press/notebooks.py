"""Text notebooks, executed: jupytext → papermill, strictly, side by side, and only when something changed.

An executed notebook is kept under the digest of its text and of everything it can see of
this project, so it is executed once. Papermill runs in a process of its own for each
notebook: it changes the working directory, and a dying kernel then takes nothing along.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from ..protocol import ProtocolError
from ..store import digest
from . import begin
from .progress import Status, seconds

__all__ = [
    "NotebookError",
    "Job",
    "read",
    "has_code",
    "declared",
    "check_parameters",
    "execute_all",
    "execute_one",
]

#: Executed versions of one notebook that are kept.
KEPT = 6
#: Notebooks executed at the same time, at most; the largest take 2 GB each.
WORKERS = 3
#: What a notebook may read besides its own text, relative to the project's root.
INPUTS = ("lib", "book/profiles", "book/published", "requirements.txt")


class NotebookError(RuntimeError):
    """A notebook that cannot be executed; the message says which cell and why."""


def read(path: Path) -> NotebookNode:
    """The MyST-Markdown text notebook at `path`."""
    return jupytext.read(path, fmt="md:myst")


def has_code(notebook: NotebookNode) -> bool:
    return any(cell.cell_type == "code" for cell in notebook.cells)


def declared(notebook: NotebookNode) -> list[str]:
    """The names set in the notebook's cells tagged ``parameters``.

    Read from the syntax tree: ``papermill.inspect_notebook`` passes over every line with a
    second equals sign, be it in a comment.
    """
    cells = [
        c for c in notebook.cells if c.cell_type == "code" and "parameters" in c.metadata.get("tags", ())
    ]
    statements = [
        s for c in cells for s in ast.parse(c.source).body if isinstance(s, (ast.Assign, ast.AnnAssign))
    ]
    targets = [t for s in statements for t in (s.targets if isinstance(s, ast.Assign) else [s.target])]
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


@dataclass
class Job:
    """One notebook to execute: its name relative to ``book/`` without extension, its cells, its parameters."""

    name: str
    notebook: NotebookNode
    parameters: dict[str, str]


def inputs_digest(root: Path, entries: Iterable[str] = INPUTS) -> str:
    """Digest of every file of the project that a notebook may read besides itself, or of those in other `entries`."""
    sha = hashlib.sha256()
    for entry in entries:
        top = root / entry
        files = (
            [top]
            if top.is_file()
            else sorted(p for p in top.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        )
        for path in files:
            sha.update(
                f"{path.relative_to(root).as_posix()}|{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
            )
    return sha.hexdigest()


def execute_all(
    jobs: list[Job],
    root: Path,
    kept: Path,
    run: Path,
    key: Mapping[str, Any],
    say: Callable[[str], None] = print,
) -> dict[str, Path]:
    """Execute what is not kept yet; one line for each notebook.

    Parameters
    ----------
    root : the project; ``root`` is put on the Python path of the kernels.
    kept : folder of executed notebooks, shared by all builds.
    run : folder of this build alone.
    key : what determines the results besides the notebook's text and the project's files.

    Returns
    -------
    dict: name → folder with ``notebook.ipynb`` and its pictures.

    Raises
    ------
    NotebookError
        After all others are done, with cell and error of every notebook that failed.
    """
    shared = digest({**key, "inputs": inputs_digest(root)})
    done: dict[str, Path] = {}
    waiting: list[tuple[Job, Path]] = []
    for job in jobs:
        source = jupytext.writes(job.notebook, fmt="md:myst")
        place = (
            kept
            / f"{job.name.replace('/', '-')}-{digest({'shared': shared, 'source': source, 'parameters': job.parameters})}"
        )
        if (place / "notebook.ipynb").is_file():
            os.utime(place)
            done[job.name] = place
            say(f"  {job.name:32s} unchanged")
        else:
            waiting.append((job, place))

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(WORKERS, cores)
    running: list[_Running] = []
    failures: list[str] = []
    status = Status()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                # the companions stand at the end and take longest: begun first, they leave no core idle at the end
                running.append(_Running(*waiting.pop(), root, run, max(1, cores // workers)))
            time.sleep(0.1)
            for task in [t for t in running if t.process.poll() is not None]:
                running.remove(task)
                status.clear()
                try:
                    done[task.job.name] = task.finish()
                    say(f"  {task.job.name:32s} {seconds(task.elapsed)}")
                    _prune(kept, task.job.name)
                except NotebookError as error:
                    failures.append(str(error))
                    say(f"  {task.job.name:32s} FAILED after {seconds(task.elapsed)}")
            status.show("   ".join(t.progress() for t in running))
    finally:
        status.clear()
        for task in running:
            task.process.terminate()
    if failures:
        raise NotebookError("\n".join(failures))
    return done


def execute_one(
    source: Path, words: list[str], output: Path, root: Path, say: Callable[[str], None] = print
) -> Path:
    """Execute one text notebook with parameters ``name=value``; the path of the executed notebook."""
    if not source.is_file():
        raise ProtocolError(
            f"notebook: expected a text notebook, found no file {source}; for instance book/intro.md"
        )
    parameters = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ProtocolError(f"parameter {word!r}: expected name=value; for instance profile=smoke")
        parameters[name] = value
    notebook = read(source)
    check_parameters(source.name, declared(notebook), parameters)
    if "profile" in parameters or "overrides" in parameters:
        begin(parameters.get("profile", "laptop"), parameters.get("overrides", ""))
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".run-") as run:
        folder = execute_all(
            [Job(source.stem, notebook, parameters)], root, Path(run) / "kept", Path(run), {}, say
        )[source.stem]
        target = output / f"{source.stem}.ipynb"
        shutil.copytree(folder, output, ignore=shutil.ignore_patterns("notebook.ipynb"), dirs_exist_ok=True)
        os.replace(folder / "notebook.ipynb", target)
    return target


class _Running:
    """Papermill at work on one notebook, in a folder of its own."""

    def __init__(self, job: Job, place: Path, root: Path, run: Path, threads: int):
        self.job, self.place, self.began = job, place, time.monotonic()
        self.folder = Path(tempfile.mkdtemp(dir=run, prefix=f"{job.name.replace('/', '-')}-"))
        source, self.target = self.folder / "source.ipynb", self.folder / "notebook.ipynb"
        self.bars, self.log = self.folder / "stderr.txt", self.folder / "papermill.txt"
        nbformat.write(job.notebook, source)
        command = [
            sys.executable,
            "-c",
            "from lib.press import prepare; prepare(); from papermill.cli import papermill; papermill()",
            str(source),
            str(self.target),
        ]
        command += ["--kernel", "python3", "--language", "python", "--cwd", str(self.folder)]
        command += ["--no-progress-bar", "--log-level", "ERROR", "--stderr-file", str(self.bars)]
        command += [
            "--no-request-save-on-cell-execute"
        ]  # else the whole notebook is written twice for each cell
        for name, value in job.parameters.items():
            command += ["--parameters_raw", name, value]
        path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = os.environ | {"PYTHONPATH": path, "BOOK_PICTURES": f"_pictures/{Path(job.name).name}"}
        env.setdefault("OMP_NUM_THREADS", str(threads))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env
            )

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def progress(self) -> str:
        """The notebook's name, and its own progress bar while it shows one."""
        try:
            with self.bars.open("rb") as file:
                file.seek(max(0, self.bars.stat().st_size - 2_000))
                bar = file.read().decode(errors="replace").replace("\r", "\n").strip().rpartition("\n")[2]
        except FileNotFoundError:
            bar = ""
        return f"{self.job.name} {bar if 'it' in bar or '%' in bar else seconds(self.elapsed)}"

    def finish(self) -> Path:
        """Keep the result, or say in which cell it failed."""
        if self.process.returncode:
            raise NotebookError(self._failure())
        notebook = nbformat.read(self.target, nbformat.NO_CONVERT)
        _tidy(notebook)
        nbformat.write(notebook, self.target)
        for path in (self.folder / "source.ipynb", self.bars, self.log):
            path.unlink(missing_ok=True)
        self.place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(self.folder, self.place)
        except OSError:  # another build was first with the same content
            if not (self.place / "notebook.ipynb").is_file():
                raise
            shutil.rmtree(self.folder)
        return self.place

    def _failure(self) -> str:
        try:
            cells = nbformat.read(self.target, nbformat.NO_CONVERT).cells
        except (OSError, ValueError):
            cells = []
        for cell in cells:
            for output in cell.get("outputs", ()):
                if output.output_type == "error":
                    source = "\n".join(f"    | {line}" for line in cell.source.splitlines())
                    return f"book/{self.job.name}.md failed in this cell:\n{source}\n    {output.ename}: {output.evalue}"
        last = self.log.read_text(errors="replace").strip().rpartition("\n")[2]
        return (
            f"book/{self.job.name}.md failed: papermill ended with status {self.process.returncode}: {last}"
        )


def _tidy(notebook: NotebookNode) -> None:
    """Take out what papermill wrote about this machine and this moment, and hide the defaults that did not apply."""
    notebook.metadata.pop("papermill", None)
    injected = any("injected-parameters" in cell.metadata.get("tags", ()) for cell in notebook.cells)
    for cell in notebook.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            cell.metadata["tags"] = [*tags, "hide-input"]
        elif "parameters" in tags and injected:
            cell.metadata["tags"] = [*tags, "remove-cell"]


def _prune(kept: Path, name: str) -> None:
    """Forget all but the most recently used versions of a notebook."""
    stem = name.replace("/", "-")
    versions = [p for p in kept.glob(f"{stem}-*") if len(p.name) == len(stem) + 21]
    for old in sorted(versions, key=lambda p: p.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
