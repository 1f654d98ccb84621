"""Kernels forked from one process that has imported everything: ready in a fraction of the time.

``python -m lib.press.kernels`` is that process. It has one thread and no CUDA, reads one JSON line
for each kernel, and takes its kernels and all that they have started along when the build that
started it ends, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from ..paths import absolute_environment

__all__ = ["Kernels", "environment"]

#: Imported before the first fork, besides what the notebooks import themselves.
MACHINERY = "import ipykernel.kernelapp, ipykernel.zmqshell, matplotlib.pyplot, torch"


def environment(root: Path, threads: int) -> dict[str, str]:
    """That of every kernel: a reader's choice of matplotlib's backend is not the book's."""
    env = absolute_environment()
    env["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [env.get("PYTHONPATH")])])
    env["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    # OpenBLAS starts its threads when it is loaded, and a process with threads cannot fork
    return {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"} | env


class Kernels:
    """Starts kernels: forked ones where that is safe, ordinary ones elsewhere.

    Parameters
    ----------
    imports : statements that are executed once before the first fork; those that fail are passed over.
    environment : that of the process that forks; read when libraries are loaded, as numbers of threads are.
    root : folder that ``lib`` is imported from.
    fork : False for ordinary kernels, as with CUDA, which does not survive a fork.
    """

    def __init__(self, imports: list[str], environment: dict[str, str], root: Path, fork: bool = True):
        self._lock, self._server = threading.Lock(), None
        self._folder = tempfile.TemporaryDirectory(prefix="book-", ignore_cleanup_errors=True)
        if fork and sys.platform == "linux":
            self._server = subprocess.Popen(
                [sys.executable, "-m", "lib.press.kernels"], cwd=root, env=environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
            self._send([MACHINERY, *imports])
            self._ready = None

    def manager(self, environment: dict[str, str]) -> type[AsyncKernelManager]:
        """A manager's class, as nbclient takes it, of one kernel in this environment, which it ends."""
        file = tempfile.mktemp(dir=self._folder.name, suffix=".json")
        transport = "ipc" if len(file) < 80 else "tcp"  # a socket's path has at most 107 bytes
        kernels = self if self._forks() else None

        class Manager(_Manager):
            def __init__(self, **kwargs: Any):
                super().__init__(connection_file=file, transport=transport, **kwargs)
                self.environment, self.kernels = environment, kernels

        return Manager

    def close(self) -> None:
        """End every kernel that still runs."""
        if self._server:
            self._server.stdin.close()
            self._server.wait()
            self._server.stdout.close()
        self._folder.cleanup()

    def fork(self, arguments: list[str], folder: str, environment: dict[str, str]) -> _Forked:
        with self._lock:
            self._send({"arguments": arguments, "folder": str(folder), "environment": environment})
            return _Forked(int(self._server.stdout.readline()))

    def _send(self, message: Any) -> None:
        self._server.stdin.write(json.dumps(message) + "\n")
        self._server.stdin.flush()

    def _forks(self) -> bool:
        """Whether the process that forks is there and has one thread."""
        with self._lock:
            if self._server and self._ready is None:
                self._ready = self._server.stdout.readline().strip() == "1"
            return bool(self._server and self._ready)


class _Forked:
    """What a provisioner asks of `subprocess.Popen`, for a process that is another one's child."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int):
        self.pid = pid

    def poll(self) -> int | None:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 1
        return None

    def wait(self) -> int:
        return 1  # asked only once `poll` has said so

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class _Provisioner(LocalProvisioner):
    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        arguments = cmd[cmd.index("-f") :]  # after ``python -m ipykernel_launcher``
        self.process = self.parent.kernels.fork(arguments, kwargs["cwd"], kwargs["env"])
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class _Manager(AsyncKernelManager):
    async def start_kernel(self, **kwargs: Any) -> None:
        if self.kernels:
            self.provisioner = _Provisioner(parent=self, kernel_id="forked", kernel_spec=self.kernel_spec)
        # what happens in cells is told by the notebook; being interrupted before it ends is no error
        kwargs["extra_arguments"] = [*kwargs.get("extra_arguments", ()), "--log-level=CRITICAL"]
        await super().start_kernel(**kwargs, env=self.environment)


def _serve() -> None:
    """Import, say how many threads there are, and fork a kernel for each line, while there are lines."""
    for statement in json.loads(sys.stdin.readline()):
        with contextlib.suppress(Exception):  # the notebook will meet it again, and say so
            exec(statement, {})
    signal.signal(signal.SIGCHLD, _wait)  # so that their processor time counts as this process's
    print(len(os.listdir("/proc/self/task")), flush=True)
    kernels = []
    for line in sys.stdin:
        kernels.append(os.fork())
        if not kernels[-1]:
            return _become(**json.loads(line))
        print(kernels[-1], flush=True)
    for pid in kernels:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # with the workers it has started


def _wait(*_: Any) -> None:
    """Take leave of every kernel that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """The kernel, in a session of its own, which ends with the process that it was forked from."""
    from ipykernel.kernelapp import IPKernelApp

    parent = os.getppid()
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    IPKernelApp.launch_instance([*arguments, f"--IPKernelApp.parent_handle={parent}"])  # which it watches


if __name__ == "__main__":
    _serve()
