"""A release says one version everywhere, and what is new in it."""

from pathlib import Path

import pytest

from infra.build import release_check

CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.3] - 2026-01-31

- New.

## [1.2.2] - 2026-01-01

- Old.
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "infra" / "web").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "infra" / "openapi.yaml").write_text("info:\n  version: 1.2.3\n")
    (tmp_path / "infra" / "web" / "package.json").write_text('{"version": "1.2.3"}')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    monkeypatch.setattr(release_check, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("root")
def test_a_complete_version() -> None:
    assert list(release_check.inconsistencies("v1.2.3")) == []
    assert list(release_check.inconsistencies("")) == []
    assert release_check.notes("1.2.3") == "- New."


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("infra/openapi.yaml", "info:\n  version: 1.2.2\n"),
        ("infra/web/package.json", '{"version": "1.2.2"}'),
        ("CHANGELOG.md", "# Changelog\n\n## [1.2.3]\n"),
    ],
)
def test_another_version_in_one_place(root: Path, file: str, text: str) -> None:
    (root / file).write_text(text)
    (found,) = release_check.inconsistencies("v1.2.3")
    assert "1.2.3" in found


@pytest.mark.usefixtures("root")
def test_a_tag_of_another_version() -> None:
    assert "v1.2.4" in next(release_check.inconsistencies("v1.2.4"))
