"""Makes the book and publishes."""

from __future__ import annotations

import os
import sys

from .. import paths
from ..protocol import Profile, ProtocolError

__all__ = ["prepare", "begin"]


def prepare() -> None:
    """For a process that is starting: to be called before it loads torch or reads a notebook.

    Threads that wait for one another by spinning stand still together when the machine has other
    work: a training step on two threads then takes fifty times as long. And jsonschema, which checks
    notebooks, compiles a grammar of IRIs as it is imported, over a second in each process; no notebook
    has an IRI, and without that module jsonschema does without them.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.modules.setdefault("rfc3987_syntax", None)


def begin(profile: str, overrides: str = "") -> Profile:
    """Read what a command is asked for, and let this process and those it starts compute
    on the device named there.

    Raises
    ------
    ProtocolError
        At a bad word, and at a CUDA GPU where there is none.
    OSError
        When the folder of results cannot be one.
    """
    asked = Profile.read(profile, overrides)
    if asked.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ProtocolError(
                "device: expected a CUDA GPU that torch can use, found none; use device=auto or device=cpu"
            )
    os.environ["BOOK_DEVICE"] = asked.device
    paths.results().mkdir(
        parents=True, exist_ok=True
    )  # a file in its place is told of before anything is computed
    return asked
