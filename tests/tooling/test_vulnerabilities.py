"""`make audit` with the real pip-audit, which asks an advisory service on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, override

import pytest

from infra.build.lambda_asset import ROOT, locked_requirements
from infra.build.vulnerabilities import AdvisoriesError, judge
from infra.web.loopback import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ADVISORY = {
    "id": "OSV-2026-1",
    "summary": "Follows redirects",
    "affected": [
        {
            "package": {"name": "urllib3", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0.1"}]}],
        }
    ],
}


class AdvisoryService(ThreadingHTTPServer):
    """OSV's only call; `advisories` by package, and `asked` for what was looked up."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Query)
        self.url = f"http://127.0.0.1:{self.server_port}/v1/query"
        self.advisories: dict[str, dict[str, Any]] = {}
        self.asked: set[str] = set()


class _Query(BaseHTTPRequestHandler):
    server: AdvisoryService

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = query["package"]["name"]
        self.server.asked.add(f"{name}=={query['version']}")
        found = self.server.advisories.get(name)
        body = json.dumps({"vulns": [found]} if found else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture
def service() -> Iterator[AdvisoryService]:
    with serving(AdvisoryService()) as server:
        yield server


def audit(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.build.vulnerabilities", "-s", "osv", "--osv-url", url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.nightly
def test_everything_that_ships_is_looked_up(service: AdvisoryService) -> None:
    done = audit(service.url)
    shipped = {line.split()[0] for line in locked_requirements().splitlines() if "==" in line}
    assert service.asked == shipped
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{len(shipped)} packages ship, none with a known vulnerability\n"


@pytest.mark.nightly
def test_known_vulnerability_fails(service: AdvisoryService) -> None:
    service.advisories["urllib3"] = ADVISORY
    done = audit(service.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("vulnerable: urllib3 ")
    assert done.stderr.endswith("(OSV-2026-1, mended in 99.0.1)\n")


@pytest.mark.nightly
def test_unreachable_service_is_one_line() -> None:
    done = audit("http://127.0.0.1:9/v1/query")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("not audited: ")
    assert "refused" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("packages", "line"),
    [
        pytest.param([], "no answer for anything", id="nothing"),
        pytest.param(
            [
                {"name": "six", "version": "1.17.0", "vulns": []},
                {"name": "urllib3", "skip_reason": "Dependency not found on PyPI"},
            ],
            "no answer for urllib3",
            id="one skipped",
        ),
    ],
)
def test_what_nobody_looked_up_does_not_pass(packages: list[dict[str, Any]], line: str) -> None:
    """What pip-audit calls "No known vulnerabilities found", and exits with 0."""
    with pytest.raises(AdvisoriesError, match=line):
        judge({"dependencies": packages})
