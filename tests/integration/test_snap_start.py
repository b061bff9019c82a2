"""What SnapStart needs: copies of one snapshot, with one memory, must not go on alike."""

import os
import random
from pathlib import Path

from infra.build.lambda_asset import build_asset
from infra.local.processes import clean_environment
from tests.support.environment import Environment, runtime_folder
from tests.support.settings import ENVIRONMENT

SEED = 1
PROGRAM = f"""
import random
import token_vendor.handler

random.seed({SEED})  # What every copy of the snapshot holds.

def handler(event, context):
    return random.random()
"""
TIMEOUT = 120


def drawn_after_restore(folder: Path) -> float:
    """Let the runtime import the handler, snapshot and restore it, and draw one random number."""
    (folder / "restored.py").write_text(PROGRAM)
    path = [str(build_asset()), str(runtime_folder(folder)), str(folder)]
    environment = Environment(
        "restored.handler",
        variables=clean_environment(
            PYTHONPATH=os.pathsep.join(path),
            AWS_DEFAULT_REGION="us-east-1",
            AWS_LAMBDA_INITIALIZATION_TYPE="snap-start",
            **ENVIRONMENT,
        ),
        log=folder / "function.log",
    )
    try:
        return float(environment.invoke({}, timeout=TIMEOUT))
    finally:
        environment.stop()


def test_randomness_is_renewed_after_a_restore(tmp_path: Path) -> None:
    """Without it, restored environments would wait the same jitter, in step."""
    assert drawn_after_restore(tmp_path) != random.Random(SEED).random()  # noqa: S311
