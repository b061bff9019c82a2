"""
Ask for known vulnerabilities of exactly what ships.

    python -m infra.build.vulnerabilities [OPTION …]

The options go to pip-audit. It alone would pass where the advisory service knows nothing of a
package, as behind an index that mirrors files only; here everything has to be answered for.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from infra.build import BundlingError
from infra.build.lambda_asset import locked_requirements

TIMEOUT = 300


class AdvisoriesError(Exception):
    """Something is known to be vulnerable, or nobody knows; one line says which."""


def judge(report: dict[str, Any]) -> str:
    """
    Return what a report of pip-audit says in one line.

    A package that is vulnerable, or was not looked up, raises `AdvisoriesError`.
    """
    packages = report["dependencies"]
    vulnerable = [
        f"{package['name']} {package['version']} ({advisory['id']}, mended in "
        f"{' or '.join(advisory['fix_versions']) or 'no version yet'})"
        for package in packages
        for advisory in package.get("vulns", ())
    ]
    if vulnerable:
        raise AdvisoriesError(f"vulnerable: {'; '.join(vulnerable)}")
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if unknown or not packages:
        names = ", ".join(unknown) or "anything"
        raise AdvisoriesError(f"not audited: the advisory service has no answer for {names}")
    return f"{len(packages)} packages ship, none with a known vulnerability"


def audit(*options: str) -> str:
    """Let pip-audit look up every locked package that ships, and return its verdict as `judge`."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(locked_requirements())
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip_audit", "--format", "json"),
                # Nothing is resolved or installed: what the lock says is what is asked about.
                *("--require-hashes", "--disable-pip", "--requirement", str(requirements)),
                *("--progress-spinner", "off", "--cache-dir", folder, *options),
            ],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        cause = done.stderr.strip().splitlines() or ["no reason given"]
        raise AdvisoriesError(f"not audited: {cause[-1].strip()}") from None
    return judge(report)


def main() -> int:
    try:
        print(audit(*sys.argv[1:]))
    except (AdvisoriesError, BundlingError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
