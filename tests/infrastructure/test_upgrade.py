"""
What an update from the last release, and going back to it, leaves alone.

`released.json` is that release as deployed: a tag records its own.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.infrastructure.conftest import Assembly, Template, filled_in, synthesize

RELEASED = json.loads(Path(__file__).with_name("released.json").read_text())


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Give a stage whose functions, scheduled ones too, had a right that they do not need."""
    from infra.stack import token_vendor

    with pytest.MonkeyPatch.context() as patch:
        actions = (*token_vendor.TABLE_ACTIONS, "dynamodb:DescribeTable")
        patch.setattr(token_vendor, "TABLE_ACTIONS", actions)
        return stage(tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return stage(tmp_path_factory.mktemp("after"))


def stage(folder: Path, **override: Any) -> Template:
    scheduled = {"prewarm": True, "directory_schedule": "cron(0 6 ? * MON-FRI *)"}
    synthesize(folder, filled_in("sandbox", **scheduled | override))
    return Assembly(folder).template("sandbox")


def rights(template: Template) -> dict[str, Any]:
    """Return the policies of the functions behind an alias, by the role that has them."""
    functions = [
        template.data["Resources"][alias["FunctionName"]["Ref"]]
        for alias in template.every("AWS::Lambda::Alias")
    ]
    roles = {each["Properties"]["Role"]["Fn::GetAtt"][0] for each in functions}
    return {
        policy["Roles"][0]["Ref"]: policy["PolicyDocument"]
        for policy in template.every("AWS::IAM::Policy")
        if policy["Roles"][0]["Ref"] in roles
    }


@pytest.mark.parametrize("stage", ["sandbox", "production"])
def test_what_holds_data_or_an_address_keeps_its_logical_id(assembly: Assembly, stage: str) -> None:
    """Another id is another resource: an empty table, a secret without a key, a new address."""
    template = assembly.template(stage)
    assert {type_: sorted(template.resources(type_)) for type_ in RELEASED["kept"]} == RELEASED[
        "kept"
    ]


@pytest.mark.parametrize("stage", ["sandbox", "production"])
def test_role_of_the_released_version_stays_as_it_is(assembly: Assembly, stage: str) -> None:
    """CloudFormation deletes what a template no longer has when all else is done."""
    assert RELEASED["role"] not in assembly.template(stage).data["Resources"]


def test_each_policy_has_a_role_of_its_own(before: Template, after: Template) -> None:
    """Neither an update nor going back takes a right from a version that still serves."""
    assert len(rights(before)) == len(rights(after)) == 3
    assert rights(before).keys().isdisjoint(rights(after))
    versions = before.resources("AWS::Lambda::Version").keys()
    assert versions.isdisjoint(after.resources("AWS::Lambda::Version"))


def test_other_options_keep_the_roles(after: Template, tmp_path: Path) -> None:
    changed = stage(tmp_path, memory_mb=2048, claim_email="upn")
    assert rights(changed) == rights(after)
