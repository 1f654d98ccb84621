"""Processes beside this one: started to share work out, and gone with the process that started them, however that ends."""

from __future__ import annotations

import os
import signal
import threading
import time

import joblib

__all__ = ["processes", "end_with"]


def processes(count: int, threads: int = 1) -> joblib.parallel_config:
    """A context in which ``joblib.Parallel()`` shares work among `count` processes with `threads` threads each."""
    return joblib.parallel_config(
        "loky", n_jobs=count, inner_max_num_threads=threads, initializer=end_with, initargs=(os.getpid(),)
    )


def end_with(parent: int) -> None:
    """Let this process end within a second of its parent, also of one that was killed and could say nothing."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)  # its work is nobody's now: what is stored is whole

    threading.Thread(target=watch, daemon=True).start()
