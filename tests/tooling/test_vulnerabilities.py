"""`make audit` with the real pip-audit, which asks an advisory service on loopback."""

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from infra.build import vulnerabilities
from infra.build.lambda_asset import ROOT, locked_requirements
from infra.build.vulnerabilities import AdvisoriesError, judge
from tests.support.loopback import Reply, Request, answering, as_json
from tests.support.program import ended

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


@pytest.mark.nightly
def test_everything_that_ships_is_looked_up_and_a_known_vulnerability_fails() -> None:
    asked = set()

    def answer(request: Request) -> Reply:
        """Answer OSV's only call, with an advisory for urllib3."""
        query = json.loads(request.body)
        name = query["package"]["name"]
        asked.add(f"{name}=={query['version']}")
        return as_json({"vulns": [ADVISORY]} if name == "urllib3" else {})

    with answering(answer) as service:
        url = f"{service.url}/v1/query"
        program = (sys.executable, "-m", vulnerabilities.__name__)
        done = ended(*program, "-s", "osv", "--osv-url", url, cwd=ROOT)
    shipped = {line.split()[0] for line in locked_requirements().splitlines() if "==" in line}
    assert asked == shipped
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("vulnerable: urllib3 ")
    assert done.stderr.endswith("(OSV-2026-1, mended in 99.0.1)\n")


SIX = {"name": "six", "version": "1.17.0", "vulns": []}
SKIPPED = {"name": "urllib3", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "line"),
    [([], "no answer for anything"), ([SIX, SKIPPED], "no answer for urllib3")],
)
def test_what_nobody_looked_up_does_not_pass(packages: list[dict[str, Any]], line: str) -> None:
    """What pip-audit calls "No known vulnerabilities found", and exits with 0."""
    with pytest.raises(AdvisoriesError, match=line):
        judge({"dependencies": packages})


def test_what_was_looked_up_is_counted() -> None:
    assert judge({"dependencies": [SIX]}) == "1 packages ship, none with a known vulnerability"


@pytest.mark.parametrize("report", ["", "no JSON"])
def test_audit_without_a_report_is_one_line(report: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = SimpleNamespace(stdout=report, stderr="Traceback\nconnection refused\n")
    monkeypatch.setattr(vulnerabilities.subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(vulnerabilities, "locked_requirements", str)
    with pytest.raises(AdvisoriesError, match=r"^not audited: connection refused$"):
        vulnerabilities.audit()
