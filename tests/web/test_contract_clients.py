"""
The contract in other hands: two linters, and clients that strangers' tools generate from it.

`make contract-tools` installs them.  openapi-python-client needs an older typer than the operator's
command line, so it runs in an environment that uv makes for it.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from token_vendor.problems import CATALOGUE, URN

from tests.support.loopback import Reply, Request, answering, as_json
from tests.support.npm import INFRA, run
from tests.support.tab import JESSICA, vended

TOOLS = Path(__file__).parent / "contract"
PROGRAMS = TOOLS / "node_modules" / ".bin"
CONTRACT = INFRA / "openapi.yaml"
UV = Path(__file__).parents[2] / ".uv" / "bin" / "uv"
# The client imports httpx and attrs, which the generator has, and dateutil.
TOOL = (
    *(UV, "--offline", "tool", "run", "--python", sys.executable),
    *("--from", "openapi-python-client==0.29.1"),
    *("--with", "python-dateutil==2.9.0.post0"),
)

pytestmark = pytest.mark.skipif(
    not PROGRAMS.exists(), reason="the tools are not installed: make contract-tools does it"
)


def answers(*command: str | Path, cwd: Path) -> tuple[Any, list[tuple[str, str | None, Any]]]:
    """Run a client against a vendor; give what it printed, and what the vendor was asked."""
    seen: list[tuple[str, str | None, Any]] = []

    def answer(request: Request) -> Reply:
        """Vend once, then ask to wait, and forget."""
        body = json.loads(request.body) if request.body else None
        seen.append((request.method, request.headers["Authorization"], body))
        if request.method == "DELETE":
            return 204, b"", {}
        if len(seen) == 1:
            return as_json(vended())
        busy = CATALOGUE["aurora-busy"]
        problem = {"type": URN + busy.slug, "title": busy.title, "status": busy.status}
        problem |= {"detail": busy.detail, "instance": f"urn:uuid:{JESSICA['id']}"}
        return as_json(problem, busy.status, "application/problem+json")

    with answering(answer) as server:
        return json.loads(run(*command, server.url, cwd=cwd)), seen


EXPECTED = ["jwt-first", f"{URN}aurora-busy", 503, 204]


def test_redocly_finds_nothing(tmp_path: Path) -> None:
    report = json.loads(run(PROGRAMS / "redocly", "lint", "--format=json", CONTRACT, cwd=tmp_path))
    assert report["problems"] == []


def test_spectral_finds_nothing() -> None:
    assert "No results" in run(PROGRAMS / "spectral", "lint", CONTRACT, cwd=TOOLS)


def test_client_by_openapi_typescript_compiles_and_runs(tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(TOOLS / "node_modules")
    shutil.copy(TOOLS / "client.ts", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    run(PROGRAMS / "openapi-typescript", CONTRACT, "-o", "schema.d.ts", cwd=tmp_path)
    options = ("--strict", "--noEmit", "--allowImportingTsExtensions", "--skipLibCheck")
    target = ("--target", "ES2022", "--module", "NodeNext", "--lib", "ES2022,DOM")
    # Node's own types would be one more package for one argument.
    (tmp_path / "node.d.ts").write_text("declare const process: { argv: string[] };")
    run(PROGRAMS / "tsc", *options, *target, "client.ts", "node.d.ts", cwd=tmp_path)
    printed, seen = answers("node", "client.ts", cwd=tmp_path)
    assert printed == EXPECTED
    assert seen[0] == ("POST", "Bearer caller", {"min_ttl": 60})


def test_client_by_openapi_python_client_runs(tmp_path: Path) -> None:
    generate = ("generate", "--meta", "none", "--fail-on-warning", "--path", CONTRACT)
    run(*TOOL, "openapi-python-client", *generate, "--output-path", "generated", cwd=tmp_path)
    shutil.copy(TOOLS / "client.py", tmp_path)
    printed, seen = answers(*TOOL, "python", "client.py", cwd=tmp_path)
    assert printed == EXPECTED
    assert seen[0] == ("POST", "Bearer caller", {"min_ttl": 60})
