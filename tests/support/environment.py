"""One execution environment: a process of AWS's runtime interface client and its Runtime API."""

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support.runtime_api import Invocation, Outcome, RuntimeApi

ENDED = ""
"""The invocation id of the outcome that says that the process has ended."""


RUNTIME = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")


def runtime_folder(parent: Path) -> Path:
    """Make a folder with the runtime interface client and what it needs, and nothing else."""
    folder = parent / "runtime"
    folder.mkdir()
    for name in RUNTIME:
        origin = find_spec(name)
        assert origin
        assert origin.origin
        file = Path(origin.origin)
        source = file.parent if file.name == "__init__.py" else file
        (folder / source.name).symlink_to(source)
    return folder


class InvocationLostError(Exception):
    """Say that an environment ended, was killed, or ran into its deadline without an answer."""


class Environment:
    """
    Start the process; `invoke` gives it one event at a time, as Lambda does.

    Without the virtual environment (`-S`): what is not in the asset is not on Lambda either. The
    folder of the runtime itself, `runtime_folder`, is to be on PYTHONPATH.
    """

    def __init__(self, handler: str, *, variables: Mapping[str, str], log: Path) -> None:
        self._api = RuntimeApi()
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-m", "awslambdaric", handler],
                env=dict(variables) | {"AWS_LAMBDA_RUNTIME_API": self._api.address},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        threading.Thread(target=self._watch, daemon=True).start()

    def invoke(self, event: dict[str, Any], *, timeout: float) -> Any:
        """
        Return the handler's response to one event.

        Raises:
            InvocationLostError: The process ended first, or was killed at its deadline.

        """
        invocation = Invocation(
            id=str(uuid4()), event=event, deadline_ms=int((time.time() + timeout) * 1000)
        )
        self._api.events.put(invocation)
        try:
            outcome = self._api.outcomes.get(timeout=timeout)
        except queue.Empty:
            self.kill()
            raise InvocationLostError(f"no answer within {timeout} s") from None
        if outcome.invocation_id != invocation.id:
            self.kill()
            raise InvocationLostError(outcome.error or "the process ended")
        if outcome.error:
            raise InvocationLostError(outcome.error)
        return outcome.response

    def kill(self) -> None:
        """End the process at once, as Lambda does with one that overstays."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End process and Runtime API."""
        self.kill()
        self._api.stop()

    def _watch(self) -> None:
        self._process.wait()
        self._api.outcomes.put(Outcome(invocation_id=ENDED))
