"""What the workflows pin: their actions, the token on disk, the folders that are kept up."""

import re

import yaml

from infra.build.lambda_asset import ROOT

WORKFLOWS = {path.name: path.read_text() for path in (ROOT / ".github/workflows").glob("*.yml")}


def test_actions_are_pinned_by_digest() -> None:
    for name, text in WORKFLOWS.items():
        for line in re.findall(r"uses: (.+)", text):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", line), f"{name}: {line}"


def test_credentials_come_after_packages_are_installed() -> None:
    steps = yaml.safe_load(WORKFLOWS["deploy.yml"])["jobs"]["deploy"]["steps"]
    names = [each.get("run", each.get("uses", "")).partition("@")[0] for each in steps]
    assert names.index("make setup") < names.index("aws-actions/configure-aws-credentials")


def test_tests_of_a_release_get_no_token_that_may_write() -> None:
    release = yaml.safe_load(WORKFLOWS["release.yml"])
    assert release["permissions"] == {"contents": "read"}
    assert "permissions" not in release["jobs"]["test"]
    assert release["jobs"]["release"]["needs"] == "test"


def test_dependabot_covers_every_locked_folder() -> None:
    dependabot = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())
    (npm,) = [each for each in dependabot["updates"] if each["package-ecosystem"] == "npm"]
    locked = {
        f"/{path.parent.relative_to(ROOT)}"
        for path in ROOT.rglob("package-lock.json")
        if not {"node_modules", ".cache", ".local"} & set(path.parts)
    }
    assert set(npm["directories"]) == locked
