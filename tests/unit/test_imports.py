"""What a cold start imports, and which way imports point."""

import ast
import json
import os
import sys
from pathlib import Path

import pytest

from tests.support.program import printed
from tests.support.settings import ENVIRONMENT

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
PACKAGE = FUNCTIONS / "token_vendor"
MOST_MODULES = 440
"""A bare boto3 handler imports 406; what is above that is ours to justify."""
HEAVY = (
    "boto3",
    "cryptography",
    "jwt",
    "pydantic",
    "aws_lambda_powertools.event_handler",
    "aws_lambda_powertools.utilities.parameters",
)
ORDER = [
    *(
        "__init__",
        "handler",
        "prewarm",
        "scheduled",
        "wiring",
        "vendor",
        "accounts",
        "directory",
        "reading",
    ),
    *("aurora", "aurora_http", "access_token", "api_key", "paging", "request_budget", "places"),
    *("control", "table", "forecast", "token_item", "request_body", "caller"),
    *("observability", "problems", "models", "settings", "options"),
]
"""Each module imports only those that come after it: no part uses the one that is made of it."""


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """Name the modules of a fresh process after the handler's import."""
    program = "import sys, json, token_vendor.handler; print(json.dumps(sorted(sys.modules)))"
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(FUNCTIONS)}
    return set(json.loads(printed(sys.executable, "-c", program, environment=environment)))


@pytest.mark.parametrize("module", HEAVY)
def test_heavy_module_is_not_imported_at_init(module: str, imported: set[str]) -> None:
    """What only some requests need, or none, is not paid for by every cold start."""
    assert not [each for each in imported if each == module or each.startswith(f"{module}.")]


def test_number_of_modules(imported: set[str]) -> None:
    """An import that brings hundreds of others shows here first."""
    assert len(imported) <= MOST_MODULES


def inner_imports(path: Path) -> set[str]:
    """Name the modules of the package that a file imports, and every other top-level package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_imports_point_one_way(path: Path) -> None:
    """From handler over vendor to values; nothing that ships knows of infra or tests."""
    names = inner_imports(path)
    inner = {each.removeprefix("token_vendor.") for each in names if "token_vendor." in each}
    assert inner <= set(ORDER[ORDER.index(path.stem) + 1 :])
    assert not {"before_traffic", "infra", "tests"} & {name.partition(".")[0] for name in names}


def test_hook_shares_nothing_with_the_version_that_it_tries() -> None:
    """It imports neither the package nor what ships with it, but what Lambda's own image has."""
    names = set().union(*map(inner_imports, (FUNCTIONS / "before_traffic").glob("*.py")))
    tops = {name.partition(".")[0] for name in names}
    assert tops - sys.stdlib_module_names == {"botocore"}


def test_only_entry_points_read_the_environment() -> None:
    """Every variable goes through the settings, which check it once."""
    readers = {path.stem for path in PACKAGE.glob("*.py") if "os.environ" in path.read_text()}
    assert readers <= {"handler", "prewarm", "scheduled", "settings"}
