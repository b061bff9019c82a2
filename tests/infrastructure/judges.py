"""
Let three judges from outside look at the production template: `make judges`.

    python -m tests.infrastructure.judges

cdk-nag's NIST 800-53r5 pack is installed anyway; checkov, and cfn-guard with AWS Control Tower's
rules, are fetched from PyPI at the versions below. Every finding is either mended or accepted in
judged.toml with its reason. A finding that is not there fails; one that is gone is reported.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from infra.build.lambda_asset import ROOT
from tests.infrastructure.conftest import Assembly, filled_in, synthesize

JUDGED = Path(__file__).with_name("judged.toml")
FOLDER = ROOT / ".local" / "judges"
UV = ROOT / ".uv" / "bin" / "uv"
# Each brings a hundred packages, or 40 MB of binaries, which nothing else needs.
CHECKOV = "checkov==3.3.30"
GUARD = "cdklabs-cdk-validator-cfnguard==0.0.62"
# The CDK's, and that of a role's rights.
HASH = re.compile(r"[0-9A-F]{8}([0-9a-f]{8})?$")
CUSTOM_RESOURCE = re.compile(r"^(CustomCDKBucketDeployment)[0-9A-F]{32}")


@dataclass(frozen=True, order=True)
class Finding:
    """What a rule says of a resource, named without what the CDK adds to make it unique."""

    rule: str
    resource: str


@dataclass(frozen=True)
class Accepted:
    """Findings that are left as they are, and why."""

    rules: tuple[str, ...]
    resources: tuple[str, ...]
    reason: str

    def findings(self) -> Iterator[Finding]:
        for rule in self.rules:
            for resource in self.resources:
                yield Finding(rule, resource)


def main() -> int:
    """Judge, and print what is new and what is gone; the exit code is 1 where something is new."""
    template = synthesized()
    found = {
        "cdk-nag, NIST 800-53r5": set(nag(template.folder)),
        f"{CHECKOV}": set(checkov(template.template("production").path)),
        f"{GUARD}": set(guard(template.template("production").path)),
    }
    for judge, findings in found.items():
        print(f"{judge}: {len(findings)} findings")  # noqa: T201 - what the target is for.
        if not findings:
            # Each has something to say of this template, or has not read it.
            sys.exit(f"{judge} judged nothing")
    new, gone = compare(set().union(*found.values()), accepted())
    for title, findings in (("new", new), ("gone; take it out of judged.toml", gone)):
        for each in sorted(findings):
            print(f"{title}: {each.rule} on {each.resource}")  # noqa: T201 - see above.
    return 1 if new else 0


def accepted(path: Path = JUDGED) -> list[Accepted]:
    """Read the findings that are accepted."""
    return [
        Accepted(tuple(each["rules"]), tuple(each["resources"]), each["reason"])
        for each in tomllib.loads(path.read_text(encoding="utf-8"))["accepted"]
    ]


def compare(found: set[Finding], accepted: Iterable[Accepted]) -> tuple[set[Finding], set[Finding]]:
    """Return the findings that nobody has accepted, and those accepted that are found no more."""
    known = {finding for each in accepted for finding in each.findings()}
    return found - known, known - found


# The CDK leaves these out of logical ids.
LEFT_OUT = {"Default", "Resource"}


def plain(name: str) -> str:
    """Return a logical id, or a construct's path, as judged.toml names it."""
    if "/" in name:
        _, *parts = name.split("/")
        name = "".join(re.sub(r"\W", "", part) for part in parts if part not in LEFT_OUT)
    else:
        name = HASH.sub("", name)
    return CUSTOM_RESOURCE.sub(r"\1", name)


def synthesized() -> Assembly:
    """Write the production stage with everything that costs nothing, and NIST's report of it."""
    from cdk_nag import NIST80053R5Checks

    stage = filled_in(
        "production",
        business_hours="6-16",
        website=True,
        directory_schedule="cron(30 6 ? * MON-FRI *)",
        deployment="canary",
        canary_email="canary@example.com",
    )
    folder = FOLDER / "cdk.out"
    # The pack prints its findings as errors, whether they are accepted or not.
    with redirect_stderr(StringIO()):
        synthesize(folder, stage, packs=(NIST80053R5Checks,))
    return Assembly(folder)


def nag(folder: Path) -> Iterator[Finding]:
    """Yield what cdk-nag found."""
    report = json.loads((folder / "validation-report.json").read_text())
    for pack in report["pluginReports"]:
        for violation in pack.get("violations", []):
            for construct in violation["violatingConstructs"]:
                yield Finding(violation["ruleName"], plain(construct["constructPath"]))


def checkov(template: Path) -> Iterator[Finding]:
    """Yield what checkov found."""
    command = [UV, "tool", "run", "--from", CHECKOV, "checkov", "-f", template]
    options = [
        "--framework",
        "cloudformation",
        "--quiet",
        "--compact",
        "-o",
        "json",
        "--skip-download",
    ]
    for check in json.loads(_run([*command, *options]))["results"]["failed_checks"]:
        yield Finding(check["check_id"], plain(check["resource"].rpartition(".")[2]))


def guard(template: Path) -> Iterator[Finding]:
    """Yield what cfn-guard found with AWS Control Tower's rules."""
    _run([UV, "pip", "install", "--quiet", "--no-deps", "--target", FOLDER / "guard", GUARD])
    (bundle,) = (FOLDER / "guard").rglob("*.jsii.tgz")
    with tarfile.open(bundle) as archive:
        archive.extractall(FOLDER, filter="data")
    system = "macos" if sys.platform == "darwin" else "ubuntu"
    machine = "aarch64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
    program = FOLDER / "package" / "bin" / system / machine / "cfn-guard"
    program.chmod(0o755)
    rules = FOLDER / "package" / "rules" / "control-tower" / "cfn-guard"
    command = [program, "validate", "--rules", rules, "--data", template]
    output = _run(
        [*command, *["--structured", "--output-format", "json", "--show-summary", "none"]]
    )
    (report,) = json.loads(output)
    for failed in report["not_compliant"]:
        for id_ in set(re.findall(r'"/Resources/(\w+)', json.dumps(failed))):
            yield Finding(failed["Rule"]["name"], plain(id_))


def _run(command: list[Any]) -> str:
    environment = {**os.environ, "UV_NO_PROGRESS": "1"}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, env=environment, check=False
    )
    # A judge that finds something ends with an error, too; one that cannot run says nothing else.
    if done.returncode and not done.stdout:
        sys.exit(done.stderr.decode(errors="replace"))
    return done.stdout.decode()


if __name__ == "__main__":
    sys.exit(main())
