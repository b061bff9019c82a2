"""Ours and bare, side by side on one table: cold starts, warm requests, modules."""

import compileall
import py_compile
import shutil
import time
from copy import copy
from pathlib import Path
from typing import Any

import boto3
import botocore
import s3transfer

from infra.build.botocore_data import CALLED
from tests.support import Harness, token_event
from tests.support.environment import Environment
from tests.support.harness import HANDLER

HERE = Path(__file__).parent
TIMEOUT = 25
WARM_UP = 100


class Pair:
    """
    Start either handler in the same way: same packages, same bytecode treatment, same table.

    The bare handlers read botocore's data as botocore ships it for their services: what we trim is
    not taken from what we compare ourselves with.
    """

    def __init__(self, harness: Harness, bare: str) -> None:
        self._harness = harness
        self._handlers = {"ours": HANDLER, "bare": f"{bare}.handler"}
        self._variables: dict[str, str] = {}
        folder = harness.scratch / "bare"
        if not folder.exists():
            self._fill(folder)
        path = harness.variables()["PYTHONPATH"]
        self._paths = {"ours": f"{path}:{folder}", "bare": f"{folder}:{path}"}

    def without_bytecode(self) -> "Pair":
        """Return the same pair, with ours as source alone, in a read-only folder."""
        source = self._harness.scratch / "source"
        if not source.exists():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(self._harness.asset, source, ignore=ignored)
        other = copy(self)
        ours = self._paths["ours"].replace(str(self._harness.asset), str(source))
        other._paths = self._paths | {"ours": ours}
        other._variables = {"PYTHONDONTWRITEBYTECODE": "1"}
        return other

    def _fill(self, folder: Path) -> None:
        """Put beside the asset what the bare handlers have of their own: themselves, and boto3."""
        for package in (boto3, botocore, s3transfer):
            source = Path(package.__file__).parent
            shutil.copytree(source, folder / source.name, ignore=_not_theirs)
        for source in HERE.glob("*.py"):
            shutil.copyfile(source, folder / source.name)
        compileall.compile_dir(
            folder, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )

    def start(self, which: str, *, timed: bool = False) -> Environment:
        """Start a process of `ours` or `bare`."""
        handler = self._handlers[which]
        variables = self._harness.variables(
            PYTHONPATH=self._paths[which], TIMED_HANDLER=handler, **self._variables
        )
        return Environment(
            "timing_wrapper.handler" if timed else handler,
            variables=variables,
            log=self._harness.log,
        )

    def cold(self, which: str, email: str) -> float:
        """Return the milliseconds from the process's start to the answer of its first request."""
        started = time.perf_counter()
        environment = self.start(which)
        try:
            response = environment.invoke(token_event(email), timeout=TIMEOUT)
            spent = (time.perf_counter() - started) * 1000
        finally:
            environment.stop()
        assert response["statusCode"] == 200, response
        return spent

    def warm(self, email: str, requests: int) -> dict[str, list[dict[str, Any]]]:
        """Send `requests` to a warm process of each, alternating, and return what each took."""
        environments = {which: self.start(which, timed=True) for which in self._handlers}
        samples: dict[str, list[dict[str, Any]]] = {which: [] for which in environments}
        try:
            for number in range(WARM_UP + requests):
                for which, environment in environments.items():
                    response = environment.invoke(token_event(email), timeout=TIMEOUT)
                    assert response["statusCode"] == 200, response
                    if number >= WARM_UP:
                        samples[which].append(response)
        finally:
            for environment in environments.values():
                environment.stop()
        return samples


def _not_theirs(folder: str, names: list[str]) -> set[str]:
    """Name what is not copied of a package: bytecode, and models of services nobody calls."""
    ignored = shutil.ignore_patterns("*.pyc")(folder, names)
    if Path(folder).parts[-2:] == ("botocore", "data"):
        ignored |= {each for each in names if Path(folder, each).is_dir() and each not in CALLED}
    return ignored
