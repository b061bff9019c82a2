"""
Programs of Node's for tests: the package as `npm pack` makes it, and esbuild.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

INFRA = Path(__file__).parents[2] / "infra"
WEB = INFRA / "web"
MODULES = INFRA / "node_modules"
SCRIPTS = sysconfig.get_path("scripts")


def run(*command: str | Path, cwd: Path, within: float = 60, text: str = "") -> str:
    """
    Run a program with this project's Node first on PATH, and give what it prints.

    Raises AssertionError with everything that it said where it fails.
    """
    path = os.pathsep.join([SCRIPTS, os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"PATH": path, "npm_config_update_notifier": "false"},
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
        input=text,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def esbuild(*arguments: str | Path, cwd: Path = INFRA, text: str = "") -> str:
    """
    Run esbuild on files, or on what is given as text.
    """
    return run(MODULES / ".bin" / "esbuild", *arguments, cwd=cwd, text=text)


def pack(into: Path) -> Path:
    """
    Make the package's tarball in a folder, without a look at the network.
    """
    command = ("npm", "pack", "--offline", "--silent", "--pack-destination", into)
    return into / run(*command, cwd=WEB).split()[-1]
