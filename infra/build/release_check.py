"""
Check that what is to be released is complete: `make release-check [TAG=v1.2.3]`.

Prints a line for each check, and writes the version's part of CHANGELOG.md to
`.local/release-notes.md`.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

from infra.build.lambda_asset import ROOT, build_asset

NOTES = ROOT / ".local" / "release-notes.md"


def version() -> str:
    """Return the version that pyproject.toml declares; every other place repeats it."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def notes(wanted: str) -> str:
    """Return the version's part of CHANGELOG.md, or nothing where it has no dated one."""
    text = (ROOT / "CHANGELOG.md").read_text()
    heading = rf"^## \[{re.escape(wanted)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)"
    found = re.search(heading, text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def inconsistencies(tag: str) -> Iterator[str]:
    """Yield where a file or the tag, if there is one, does not say the same version."""
    wanted = version()
    if tag and tag != f"v{wanted}":
        yield f"the tag is {tag}, pyproject.toml says {wanted}"
    contract = (ROOT / "infra" / "openapi.yaml").read_text()
    if f"  version: {wanted}\n" not in contract:
        yield f"infra/openapi.yaml has another version than {wanted}"
    package = ROOT / "infra" / "web" / "package.json"
    if package.exists() and (said := json.loads(package.read_text())["version"]) != wanted:
        yield f"infra/web/package.json has version {said}, pyproject.toml {wanted}"
    if not notes(wanted):
        yield f"CHANGELOG.md has no part '## [{wanted}] - YYYY-MM-DD'"


def failures() -> Iterator[str]:
    """Yield what is out of date or does not build."""
    uv = ROOT / ".uv" / "bin" / "uv"
    for what, command in {
        "uv.lock is not that of pyproject.toml": [str(uv), "lock", "--check", "--quiet"],
        "the documentation does not build": ["mkdocs", "build", "--quiet"],
    }.items():
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
            capture_output=True,
            check=False,
        )
        if done.returncode:
            yield what


def main() -> int:
    found = [*inconsistencies(os.environ.get("TAG", "")), *failures()]
    for each in found:
        print(f"✗ {each}", file=sys.stderr)
    if found:
        return 1
    NOTES.parent.mkdir(exist_ok=True)
    NOTES.write_text(notes(version()) + "\n")
    print(f"✓ {version()}, {build_asset().name}, notes in {NOTES.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
