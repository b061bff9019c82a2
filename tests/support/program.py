"""Run programs to their end; only one that hangs reaches the limit."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LIMIT = 600


def ended(
    *command: str | Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    text: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a program with a text to read, and give its exit code and what it printed."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )


def printed(*command: str | Path, **given: Any) -> str:
    """Run it likewise, and give what it printed; if it fails, fail with everything that it said."""
    done = ended(*command, **given)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
