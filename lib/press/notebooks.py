"""Text notebooks, executed: jupytext → papermill, strictly, side by side, and only when something changed.

An executed notebook is kept under the digest of its text and of everything it can see of this
project (`lib.press.freshness`), beside the digests of its own files: it is executed once, and
again when the one or the other has changed.
"""

from __future__ import annotations

import ast
import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import nbformat
import papermill
import torch
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.cli import _resolve_type
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm

from ..protocol import ProtocolError
from ..store import digest
from . import begin, checksums
from .freshness import Job, Published, Sources, statements
from .kernels import Kernels, environment
from .texts import check_parameters, declared, read, tidy

__all__ = ["NotebookError", "execute_all", "execute_one", "seconds", "status", "LIMIT"]

#: Executed versions of one notebook that are kept.
KEPT = 6
#: Notebooks executed at the same time, at most; the largest take 2 GB each.
WORKERS = 3
#: Beside a kept notebook: how many seconds it took.
SECONDS = "seconds"
#: Where an executed notebook says which published files it asked for.
READS = "reads.txt"
#: Seconds after which a notebook counts as hanging.
LIMIT = 3 * 60 * 60.0

logging.getLogger("papermill").setLevel(logging.ERROR)


class NotebookError(RuntimeError):
    """A notebook that cannot be executed; the message says which cell and why."""


def execute_all(
    jobs: list[Job],
    root: Path,
    kept: Path,
    run: Path,
    key: Mapping[str, Any],
    compute: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = print,
    limit: float = LIMIT,
    bar: tqdm | None = None,
) -> dict[str, Path]:
    """Execute what is not kept yet; one line for each notebook.

    Parameters
    ----------
    root : the project; ``root`` is put on the Python path of the kernels.
    kept : folder of executed notebooks, shared by all builds.
    run : folder of this build alone.
    key : module of ``lib`` → what determines its results besides the project's files.
    compute : what the notebooks that train show; called before them if there are any to execute,
        while those run that need none of it.
    limit : seconds after which a notebook counts as hanging.
    bar : that of the whole build, which gets a step for each notebook; default: one of their own.

    Returns
    -------
    dict: name → folder with ``notebook.ipynb`` and its pictures.

    Raises
    ------
    NotebookError
        After all others are done, with cell and error of every notebook that failed.
    """
    sources = Sources(root)
    published = Published(sources.root)
    done: dict[str, Path] = {}
    waiting: list[_Task] = []
    for job in jobs:
        job.sees = sources.reach(job.notebook)
        stem = job.name.replace("/", "-")
        task = _Task(job, kept / stem, key, sources.root, published)
        if task.place is None:
            waiting.append(task)
        elif checksums.whole(task.place):
            os.utime(task.place)
            done[job.name] = task.place
            say(f"  {job.name:32s} unchanged")
        else:
            os.rename(task.place, Path(tempfile.mkdtemp(dir=run)) / "damaged")
            say(f"  {job.name:32s} kept, but damaged: executed again")
            waiting.append(task)
    if not waiting:
        return done
    published.of("*")  # all are looked at now: what is changed meanwhile is noticed

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(WORKERS, cores)
    env = environment(root, max(1, cores // workers))
    own = sources.root == Path(__file__).resolve().parents[2]  # else it is not the library imported here
    imports = {ast.unparse(s) for t in waiting for s in statements(t.job.notebook) or () if _imports(s)}
    kernels = Kernels(sorted(imports), env, root, fork=own and not torch.cuda.is_available())
    # the companions stand at the end and take longest: begun first, they leave no core idle at the end
    free, bound = ([t for t in reversed(waiting) if t.job.trains == trains] for trains in (False, True))
    failures: list[str] = []
    pool = ThreadPoolExecutor(workers)
    try:
        with progress(total=0) if bar is None else contextlib.nullcontext(bar) as bar:
            bar.total += len(waiting)
            futures: dict[Future, _Task] = {}

            def submit(tasks: list[_Task]) -> None:
                for task in tasks:
                    future = pool.submit(task.run, run, env, kernels, limit)
                    future.add_done_callback(lambda _: bar.update())  # during training too
                    futures[future] = task

            submit(free)
            if bound:
                bar.set_description_str("training and spectra")
                compute()
            submit(bound)
            for task, error in _as_completed(futures, bar):
                if error is None:
                    done[task.job.name] = task.place
                    say(f"  {task.job.name:32s} {seconds(task.elapsed)}")
                    _prune(kept, task.job.name, task.place)
                else:
                    failures.append(str(error))
                    say(f"  {task.job.name:32s} FAILED after {seconds(task.elapsed)}")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        kernels.close()
        pool.shutdown()
    if failures:
        raise NotebookError("\n".join(failures))
    return done


def progress(total: int) -> tqdm:
    """A bar on a terminal: what is done, how long it takes yet, what runs. A file gets the lines alone."""
    look = "{n_fmt} of {total_fmt} steps |{bar:20}| {elapsed}, {remaining} left; {desc}"
    return tqdm(total=total, disable=None, leave=False, bar_format=look)


def beside_bars(say: Callable[[str], None]) -> Callable[[str], None]:
    """`say`, with the bars taken away meanwhile."""

    def said(line: str) -> None:
        with tqdm.external_write_mode():
            say(line)

    return said


def _as_completed(futures: dict[Future, _Task], bar: tqdm):
    """(task, its error or None) in the order in which they end; the bar says meanwhile what runs."""
    open_ = set(futures)
    while open_:
        ended, open_ = wait(open_, timeout=1.0, return_when=FIRST_COMPLETED)
        for future in ended:
            error = future.exception()
            if error is not None and not isinstance(error, NotebookError):
                raise error
            yield futures[future], error
        bar.set_description_str(", ".join(futures[f].progress() for f in open_ if f.running()))


def execute_one(
    source: Path,
    words: list[str],
    output: Path,
    root: Path,
    say: Callable[[str], None] = print,
    limit: float = LIMIT,
) -> Path:
    """Execute one text notebook with parameters ``name=value``, typed as papermill's ``-p`` types them.

    It finds what lies beside it, as in JupyterLab. Returns the path of the executed notebook.
    """
    if not source.is_file():
        raise ProtocolError(
            f"notebook: expected a text notebook, found no file {source}; for instance book/intro.md"
        )
    parameters = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ProtocolError(f"parameter {word!r}: expected name=value; for instance profile=smoke")
        parameters[name] = _resolve_type(value)
    notebook = read(source)
    check_parameters(source.name, declared(notebook), parameters)
    if "profile" in parameters or "overrides" in parameters:
        begin(parameters.get("profile", "laptop"), parameters.get("overrides", ""))
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".run-") as run:
        job, say = (
            Job(source.stem, notebook, parameters, str(source), source.resolve().parent),
            beside_bars(say),
        )
        kept = Path(run) / "kept"
        folder = execute_all([job], root, kept, Path(run), {}, say=say, limit=limit)[job.name]
        ignored = shutil.ignore_patterns("notebook.ipynb", checksums.NAME, READS, SECONDS)
        shutil.copytree(folder, output, ignore=ignored, dirs_exist_ok=True)
        os.replace(folder / "notebook.ipynb", target := output / f"{source.stem}.ipynb")
    return target


def _imports(statement: ast.stmt) -> bool:
    return isinstance(statement, (ast.Import, ast.ImportFrom))


class _Task:
    """A notebook to be executed in a folder of its own, and the place where it is kept: None while it is not.

    Places are ``<stem>-<digest of its inputs>``; which published files are among those stands in the place.
    """

    def __init__(self, job: Job, stem: Path, key: Mapping[str, Any], root: Path, published: Published):
        self.job, self.stem, self.key, self.root, self.published = job, stem, key, root, published
        self.inputs = job.inputs(root, key, {})
        self.began = self.ended = None
        self.cell = None
        self.place = next((p for p in _versions(stem) if p == self._place(_reads(p))), None)

    def _place(self, reads: set[str], inputs: Mapping[str, Any] = {}, published: Published | None = None):
        inputs = {**(inputs or self.inputs), "published": (published or self.published).of(reads)}
        return self.stem.with_name(f"{self.stem.name}-{digest(inputs)}")

    @property
    def elapsed(self) -> float:
        return (self.ended or time.monotonic()) - self.began if self.began else 0.0

    def progress(self) -> str:
        return f"{self.job.name} {seconds(self.elapsed)}"

    def run(self, run: Path, env: dict[str, str], kernels: Kernels, limit: float) -> None:
        self.began = time.monotonic()
        try:
            folder = Path(tempfile.mkdtemp(dir=run, prefix=f"{self.job.name.replace('/', '-')}-"))
            with _linked(self.job.beside, folder):
                notebook = self._executed(folder, env, kernels, limit)
            self._keep(notebook, folder)
        finally:
            self.ended = time.monotonic()

    def _executed(self, folder: Path, env: dict[str, str], kernels: Kernels, limit: float) -> NotebookNode:
        env = env | {"BOOK_PICTURES": f"_pictures/{Path(self.job.name).name}"}
        env["BOOK_READS"] = str(folder.absolute() / READS)
        deadline = time.monotonic() + limit
        try:
            return papermill.execute_notebook(
                self.job.notebook,
                None,
                self.job.parameters,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                request_save_on_cell_execute=False,
                kernel_manager_class=kernels.manager(env),
                resources={"metadata": {"path": str(folder)}},
                timeout_func=lambda cell: max(1, deadline - time.monotonic()),
                on_cell_start=self._begin,
            )
        except PapermillExecutionError as error:
            told, source = f"{error.ename}: {error.evalue}", error.source
        except CellTimeoutError:
            told, source = f"not done after {seconds(limit)}, which is the limit (--limit)", self.cell
        except DeadKernelError:
            told, source = "its kernel died: killed, or out of memory", self.cell
        lines = [f"    | {line}" for line in (source or "").splitlines()]
        raise NotebookError("\n".join([f"{self.job.path} failed in this cell:", *lines, f"    {told}"]))

    def _begin(self, cell: NotebookNode, cell_index: int) -> None:
        self.cell = cell.source

    def _keep(self, notebook: NotebookNode, folder: Path) -> None:
        """Move the result to its place, unless what it was made from has changed meanwhile."""
        tidy(notebook)
        nbformat.write(notebook, folder / "notebook.ipynb")
        (folder / SECONDS).write_text(f"{self.elapsed:.1f}")
        reads = _reads(folder)
        (folder / READS).write_text("".join(f"{name}\n" for name in sorted(reads)), encoding="utf-8")
        checksums.write(folder)
        self.place = self._place(reads)
        now = self.job.inputs(self.root, self.key, {})
        if self.place != self._place(reads, now, Published(self.root)):
            raise NotebookError(
                f"{self.job.path}: a file of lib or book that it reads was changed while it was executed; "
                "its result is not kept: build again"
            )
        self.place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(folder, self.place)
        except OSError:  # another build was first with the same content
            if not checksums.whole(self.place):
                shutil.rmtree(self.place)
                os.rename(folder, self.place)


def _reads(folder: Path) -> set[str]:
    """The published files that a notebook asked for, as `lib.paths.note` noted them."""
    path = folder / READS
    return set(path.read_text(encoding="utf-8", errors="replace").splitlines()) if path.is_file() else set()


def _versions(stem: Path) -> list[Path]:
    """The kept versions of a notebook."""
    return [p for p in stem.parent.glob(f"{stem.name}-*") if len(p.name) == len(stem.name) + 21]


@contextlib.contextmanager
def _linked(beside: Path | None, folder: Path) -> Iterator[None]:
    """What lies beside a notebook is found in `folder` as well, while it is executed there."""
    links = [
        folder / p.name for p in (beside.iterdir() if beside else ()) if not p.name.startswith((".", "_"))
    ]
    for link in links:
        link.symlink_to(beside / link.name)
    try:
        yield
    finally:
        for link in links:
            if link.is_symlink():
                link.unlink()


def status(executed: Mapping[str, Path]) -> list[list[str]]:
    """What is known of each kept notebook: its name, the cells that ran, the time they took, its digest."""
    rows = []
    for name, folder in executed.items():
        cells = nbformat.read(folder / "notebook.ipynb", as_version=4).cells
        ran = sum(cell.get("execution_count") is not None for cell in cells)
        sha = checksums.of(folder / "notebook.ipynb")[:12]
        took = folder / SECONDS  # what was kept before times were has none
        rows.append([name, str(ran), seconds(float(took.read_text())) if took.exists() else "", sha])
    return rows


def _prune(kept: Path, name: str, new: Path) -> None:
    """Forget all versions of a notebook but the new one, whatever the clock says, and those used last."""
    others = [p for p in _versions(kept / name.replace("/", "-")) if p != new]
    for old in sorted(others, key=lambda p: p.stat().st_mtime, reverse=True)[KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)


def seconds(elapsed: float) -> str:
    """A duration as people say it.

    >>> seconds(3.21), seconds(75), seconds(7_300)
    ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if elapsed < 60:
        return f"{elapsed:.1f} s"
    minutes, rest = divmod(round(elapsed), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
