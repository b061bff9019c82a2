"""
Which Chromium the browser tests get, on a machine whose programs are three shell scripts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.web.chromium import PACKAGE, NoChromiumError, ensure_chromium

if TYPE_CHECKING:
    from pathlib import Path

FAILING = "echo 'E: no network' >&2; exit 100"
INSTALLING = """
case "$*" in *"install "*) for package; do :; done; ln -s /bin/true "${0%/*}/$package" ;; esac
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "ln").symlink_to("/bin/ln")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path


def program(folder: Path, name: str, script: str = "") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_headless_shell_that_is_there_is_taken(machine: Path) -> None:
    program(machine, "apt-get", FAILING)
    program(machine, "chromium")
    shell = program(machine, PACKAGE)
    assert ensure_chromium() == shell


def test_headless_shell_is_installed_beside_another_chromium(machine: Path) -> None:
    program(machine, "apt-get", INSTALLING)
    program(machine, "chromium")
    assert ensure_chromium() == str(machine / PACKAGE)


def test_another_chromium_serves_without_a_network(machine: Path) -> None:
    program(machine, "apt-get", FAILING)
    other = program(machine, "chromium")
    assert ensure_chromium() == other


def test_no_chromium_and_no_network_is_one_line(machine: Path) -> None:
    program(machine, "apt-get", FAILING)
    with pytest.raises(NoChromiumError, match=r"^apt-get .* failed: E: no network$"):
        ensure_chromium()
