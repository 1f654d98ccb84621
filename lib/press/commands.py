"""The command line: ``python -m lib book``, one line of the Makefile for each of its commands."""

from __future__ import annotations

import argparse
import contextlib
import errno
import math
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import paths
from . import prepare

__all__ = ["main"]

#: Names of what `lib.store` writes: a key, and while it is being written a dot before it
#: and some letters behind.
ARTEFACT = re.compile(r"\.?[0-9a-f]{20}\.(csv|safetensors|lock)(\.\w+)?")


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    0 when it succeeded, 1 when it failed, 2 when what was asked cannot be done, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    if getattr(options, "scheduler", None):
        os.environ["DASK_SCHEDULER_ADDRESS"] = options.scheduler  # as well for the kernels of a build
    try:
        _prepare()
        return _run(options)
    except KeyboardInterrupt:
        return _tell("interrupted; what is finished is kept, the next run goes on from there", 130)


def _prepare() -> None:
    """What has to stand before libraries are loaded."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # in order with the progress bars, also into a file
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a terminated build takes its kernels along
    # a relative folder is one of the folder the command was given in
    os.environ.update(paths.absolute_environment())
    os.environ["MPLBACKEND"] = "Agg"  # figures become files, whatever the reader's backend
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", "30")  # a file needs no bar that moves
    prepare()


def _run(options: argparse.Namespace) -> int:
    # imported only now: a wrong word on the command line should not cost the import of torch
    from ..data import DataError
    from ..protocol import ProtocolError
    from ..published import Mismatch
    from ..store import CorruptArtefact
    from .build import BuildError
    from .notebooks import NotebookError

    try:
        options.command(options)
        sys.stdout.flush()
        return 0
    except (ProtocolError, DataError) as error:
        return _tell(error, 2)
    except (BuildError, NotebookError, Mismatch, CorruptArtefact) as error:
        return _tell(error, 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would complain once more at its end
        return _tell("expected someone to read what is said, got a closed pipe; stopped", 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _tell(
            f"{where}expected a place that can be read and written, got: {error.strerror or error}", 2
        )


def _tell(error: object, status: int) -> int:
    with contextlib.suppress(OSError):
        print(f"book: {error}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lib", description="The book, from training to pages.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(run: Callable[[argparse.Namespace], None], help: str, name: str = "") -> argparse.ArgumentParser:
        command = commands.add_parser(name or run.__name__.strip("_"), help=help)
        command.set_defaults(command=run)
        return command

    book = add(_book, "train, evaluate, run every notebook, write the pages")
    book.add_argument("--profile", default="laptop", help="smoke, laptop or paper (default: laptop)")
    _fields(book, 'single fields of the profile, for instance "dims=2,8 epochs=2"')
    _folder(book, "--output", None, "folder of builds (default: _build)")
    _limited(book)

    notebook = add(_notebook, "run one notebook")
    notebook.add_argument("source", type=Path, help="for instance book/noise.md")
    one = {"action": "append", "default": [], "metavar": "NAME=VALUE"}
    notebook.add_argument("-p", "--parameter", **one, help="one of the notebook's own parameters")
    _folder(notebook, "--output", "_build/executed", "where the executed notebook goes")
    _limited(notebook)

    publish = add(_publish, "write book/published from a finished run of the paper's protocol")
    _fields(publish, 'single fields of the profile paper, for instance "seeds=0"')

    bench = add(_bench, "measure the two hot paths beside what one would write instead")
    cluster = "measure one and two workers of a Dask scheduler on this machine instead"
    bench.add_argument("--cluster", action="store_true", help=cluster)
    whole = "what whole builds of this profile cost, from nothing and after one edit each, instead"
    bench.add_argument("--books", choices=("smoke", "laptop"), help=whole)

    varied = (
        "train the published protocol with one unstated choice changed at a time, and publish what that does"
    )
    only = "only this choice, for instance length or loss (default: all); may be repeated"
    sensitivity = add(_sensitivity, varied)
    sensitivity.add_argument("--choice", action="append", metavar="NAME", help=only)

    scored = "score the published networks' sense of what is off the distribution, and publish the tables"
    detection = add(_detection, scored)
    seeds = "default: the published ones; others are trained"
    detection.add_argument("--seeds", type=int, nargs="+", metavar="S", help=seeds)
    digit = "networks that the digit K is left out of"
    detection.add_argument("--without", type=int, choices=range(10), metavar="K", help=digit)
    epochs = "of networks without a digit (default: the protocol's)"
    detection.add_argument("--epochs", type=_epochs, metavar="N", help=epochs)

    more = add(_study, "put the published networks through one more study, and publish its tables", "studies")
    more.add_argument("study", metavar="NAME", help="for instance noise")
    more.add_argument("--seeds", type=int, nargs="+", metavar="S", help=seeds)

    run = "run companions' chapters at full size on the published protocol, and publish their tables"
    only = "only this chapter (default: all that can be published); may be repeated"
    companions = add(_companions, run)
    companions.add_argument("--chapter", action="append", metavar="NAME", help=only)

    verify = add(_verify, "check every published file, recompute a random sample of published cells")
    cells = "cells to recompute (default: 4)"
    verify.add_argument("--cells", type=_count, default=4, metavar="N", help=cells)
    seed = "seed of the sample (default: another one each time)"
    verify.add_argument("--seed", type=_seed, metavar="S", help=seed)

    held = "hold a finished run of the paper's protocol against the published one, by verdicts and intervals"
    compare = add(_compare, held)
    _fields(compare, "single fields of the profile paper (default: the seeds that judge and their d)")

    _distributed(book, notebook, publish, sensitivity, detection, companions, verify, compare)

    for run, kind in ((_pdf, "one PDF"), (_epub, "EPUB")):
        printed = add(run, f"write a finished site as {kind} beside its pages")
        _folder(printed, "html", "_build/html", "default: _build/html", nargs="?")

    picture = add(_picture, "take README's picture of the live page from a finished site")
    _folder(picture, "html", "_build/html", "default: _build/html", nargs="?")

    launch = add(_notebooks, "write the notebooks as .ipynb for Binder and Colab")
    _folder(launch, "--output", "_build/launch", "default: _build/launch")

    gone = "remove trained networks and results; what is not this project's stays"
    add(_clean_results, gone, "clean-results")
    return parser


def _fields(command: argparse.ArgumentParser, help: str) -> None:
    command.add_argument("--set", default="", metavar="FIELD=VALUE…", help=help)


def _folder(command: argparse.ArgumentParser, name: str, default: str | None, help: str, **more) -> None:
    place = default and Path(default)
    command.add_argument(name, type=Path, default=place, metavar="FOLDER", help=help, **more)


def _distributed(*commands: argparse.ArgumentParser) -> None:
    for command in commands:
        command.add_argument(
            "--scheduler",
            metavar="ADDRESS",
            help="of a Dask scheduler whose workers compute, for instance tcp://127.0.0.1:8786 "
            "(default: DASK_SCHEDULER_ADDRESS)",
        )


def _limited(command: argparse.ArgumentParser) -> None:
    told = "a notebook that runs longer counts as hanging and fails (default: 180)"
    command.add_argument("--limit", type=_minutes, default=180, metavar="MINUTES", help=told)


def _book(options: argparse.Namespace) -> None:
    from .build import build

    build(options.profile, options.set, output=options.output, limit=60 * options.limit)


def _notebook(options: argparse.Namespace) -> None:
    from .notebooks import execute_one

    output = options.output.resolve()
    print(execute_one(options.source, options.parameter, output, paths.ROOT, limit=60 * options.limit))


def _publish(options: argparse.Namespace) -> None:
    from . import begin
    from .publish import publish

    print(f"Published: {publish(begin('paper', options.set).protocol)}")


def _sensitivity(options: argparse.Namespace) -> None:
    from .publish import publish_sensitivity

    print(f"Published: {publish_sensitivity(choices=options.choice or None)}")


def _detection(options: argparse.Namespace) -> None:
    from ..protocol import ProtocolError
    from .publish import publish_detection

    if options.epochs and options.without is None:
        raise ProtocolError("detection: expected --epochs beside --without, got it alone; add --without K")
    print(f"Published: {publish_detection(options.seeds, options.without, options.epochs)}")


def _study(options: argparse.Namespace) -> None:
    from .publish import publish_study

    print(f"Published: {publish_study(options.study, options.seeds)}")


def _companions(options: argparse.Namespace) -> None:
    from ..companions.catalogue import CHAPTERS
    from .publish import publish_companions

    print(f"Published: {publish_companions(options.chapter or tuple(CHAPTERS))}")


def _bench(options: argparse.Namespace) -> None:
    from . import bench, scaling

    if options.books:
        print(bench.environment(), bench.books(paths.ROOT, options.books).to_string(index=False), sep="\n")
    else:
        (scaling if options.cluster else bench).main()


def _number(kind: type, fits: Callable[[Any], bool], expected: str) -> Callable[[str], Any]:
    """A reader of one number, for argparse."""

    def read(word: str) -> Any:
        with contextlib.suppress(ValueError, OverflowError):
            if fits(number := kind(word)):
                return number
        raise argparse.ArgumentTypeError(f"expected {expected}, got {word!r}; for instance 4")

    return read


#: Nothing recomputed would agree with anything.
_count = _number(int, lambda n: n >= 1, "cells: a whole number of at least 1")
_epochs = _number(int, lambda n: n >= 1, "epochs: a whole number of at least 1")
_seed = _number(int, lambda n: n >= 0, "a seed: a whole number of at least 0")
_minutes = _number(float, lambda m: 0 < m < math.inf, "minutes: a number above 0")


def _verify(options: argparse.Namespace) -> None:
    from .verify import TOLERANCE, verify

    table, absent = verify(options.cells, options.seed)
    print(table.to_string(index=False))
    print(
        f"{len(table)} cells recomputed from the published networks; "
        f"every file and every number agrees (tolerance {TOLERANCE:g})."
    )
    if absent:
        print(f"{absent} published cells are of networks that are not published: they were not recomputed.")


def _compare(options: argparse.Namespace) -> None:
    from ..studies.claims import JUDGED_DIMS, JUDGES, judging, published_evidence
    from . import begin
    from .build import BuildError
    from .compare import compare, missing, retrained

    def comparable(whose: str, evidence: Any) -> bool:
        lacking = missing(evidence)
        if lacking:
            print(
                f"Not comparable: judging seeds {', '.join(map(str, lacking))} are not wholly in {whose}, "
                "and without them no claim has a verdict or an interval."
            )
        return not lacking

    judges = f"dims={','.join(map(str, JUDGED_DIMS))} seeds={JUDGES[0]}..{JUDGES[-1]}"
    protocol, there = begin("paper", options.set or judges).protocol, published_evidence()
    if there is None:
        raise BuildError(
            "compare: expected published results to compare with, found none; make publish writes them"
        )
    if not comparable("the published results", there):
        return
    here = retrained(protocol)
    if not comparable("this run", here):
        return
    first, second = judging(there), judging(here)
    if first.cells.reset_index(drop=True).equals(second.cells.reset_index(drop=True)):
        print(
            "This run's cells are the published ones, digit for digit: "
            "nothing was trained anew, or training comes out the same here to the last bit."
        )
    table = compare(first, second)
    print(table.rename(columns={"first": "published", "second": "this run"}).to_string(index=False))
    other = table[(table["first"] != table["second"]) | (table["apart"] > 0)]
    if len(other):
        raise BuildError(
            f"compare: claims {', '.join(map(str, other.claim))} come out differently, "
            "or with intervals that do not meet"
        )


def _pdf(options: argparse.Namespace) -> None:
    from .pdf import write

    write(options.html)


def _picture(options: argparse.Namespace) -> None:
    from . import picture

    print(picture.write(options.html))


def _epub(options: argparse.Namespace) -> None:
    from .epub import write

    write(options.html)


def _notebooks(options: argparse.Namespace) -> None:
    from . import launch

    written = launch.write(options.output)
    print(f"{len(written)} notebooks in {options.output.resolve()}")


def _clean_results(options: argparse.Namespace) -> None:
    """Remove what `lib.store` has written, known by its names, and the folders that are empty then."""
    folder, removed, stages = paths.results(), 0, set()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    for path in folder.glob("*/*"):
        if ARTEFACT.fullmatch(path.name) and path.is_file() and not path.parent.is_symlink():
            path.unlink()
            stages.add(path.parent)
            removed += path.suffix != ".lock"
    for stage in stages:
        with contextlib.suppress(OSError):  # what is not empty stays
            stage.rmdir()
    left = sorted(p.name for p in folder.glob("*"))
    print(
        f"{removed} artefacts removed from {folder}" + (f"; what is left: {', '.join(left)}" if left else "")
    )
