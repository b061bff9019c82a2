"""One local stack in a folder: whose it is, and how to end it from another terminal."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from infra.local.processes import LocalStackError

END_TIMEOUT = 120


@contextmanager
def held(file: Path) -> Iterator[None]:
    """
    Hold the folder's lock, which the system drops with the process; the file names the process.

    Where another process holds it, `LocalStackError` says which.
    """
    file.parent.mkdir(exist_ok=True)
    with file.open("a+") as lock:
        if not _taken(lock):
            raise LocalStackError(
                f"A local stack runs here already (process {_holder(file)}): make stop ends it"
            )
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def end(file: Path) -> int:
    """
    End the stack that holds the lock as Ctrl-C does, wait for it, and return its process id.

    If none runs here, or it does not end, raise `LocalStackError`.
    """
    with suppress(FileNotFoundError), file.open("a+") as lock:
        if not _taken(lock):
            holder = _holder(file)
            os.kill(holder, signal.SIGTERM)
            deadline = time.monotonic() + END_TIMEOUT
            while not _taken(lock):
                if time.monotonic() > deadline:
                    raise LocalStackError(f"process {holder} does not end: kill -9 {holder}")
                time.sleep(0.1)
            return holder
    raise LocalStackError("No local stack runs here")


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _holder(file: Path) -> int:
    try:
        return int(file.read_text())
    except ValueError:
        raise LocalStackError(f"{file} names no process: look for python -m infra.local") from None
