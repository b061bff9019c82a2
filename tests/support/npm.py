"""Programs of Node's for tests: the package as `npm pack` makes it, and esbuild."""

import mimetypes
import os
import shutil
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from tests.support.program import printed

INFRA = Path(__file__).parents[2] / "infra"
WEB = INFRA / "web"
MODULES = INFRA / "node_modules"
SCRIPTS = sysconfig.get_path("scripts")


def run(
    *command: str | Path,
    cwd: Path,
    text: str = "",
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program with this project's Node first on PATH, and give what it prints."""
    path = os.pathsep.join([SCRIPTS, os.environ["PATH"]])
    quiet = {"PATH": path, "npm_config_update_notifier": "false"}
    return printed(
        *command, cwd=cwd, environment=os.environ | quiet | dict(environment or {}), text=text
    )


def esbuild(*arguments: str | Path, cwd: Path = INFRA, text: str = "") -> str:
    """Run esbuild on files, or on what is given as text."""
    return run(MODULES / ".bin" / "esbuild", *arguments, cwd=cwd, text=text)


def pack(into: Path) -> Path:
    """Make the package's tarball in a folder, without a look at the network."""
    command = ("npm", "pack", "--offline", "--silent", "--pack-destination", into)
    return into / run(*command, cwd=WEB).split()[-1]


def installed(folder: Path, into: Path) -> Path:
    """Copy a project, and have npm install the tarball that `npm pack` makes."""
    shutil.copytree(folder, into, copy_function=_link, symlinks=True)
    tarball = pack(into)
    command = ("npm", "install", "--no-save", "--offline", "--ignore-scripts", "--no-audit")
    run(*command, "--silent", tarball, cwd=into)
    assert (into / "node_modules" / "aurora-token-vendor" / "aurora-token.js").is_file()
    return into


def _link(source: str, target: str) -> None:
    """
    Link what is installed, because a copy takes longer than a build.

    The project's own files, and npm's list, are written in place by builds.
    """
    own = "node_modules" not in source or source.endswith(".package-lock.json")
    (shutil.copyfile if own else os.link)(source, target)


def built_files(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Give what a build has put into a folder by its path in the address, with content types."""
    return {
        f"/{file.relative_to(folder)}": (
            file.read_bytes(),
            mimetypes.guess_type(file.name)[0] or "application/octet-stream",
        )
        for file in folder.rglob("*")
        if file.is_file()
    }
