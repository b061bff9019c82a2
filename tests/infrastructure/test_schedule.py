"""
The reading before the working day: only where a stage asks for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cfnlint.api import ManualArgs
from cfnlint.api import lint as cfn_lint

from tests.infrastructure.conftest import Assembly, Template, filled_in, synthesize
from tests.infrastructure.test_template_lint import (
    test_cdk_nag_has_nothing_left_to_say as nag_is_content,
)

if TYPE_CHECKING:
    from pathlib import Path

AT_HALF_PAST_SIX = "cron(30 6 ? * MON-FRI *)"


@pytest.fixture(scope="module")
def scheduled(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    folder: Path = tmp_path_factory.mktemp("cdk.out")
    stage = filled_in(
        "sandbox", directory_schedule=AT_HALF_PAST_SIX, time_zone="America/Los_Angeles"
    )
    synthesize(folder, stage, judged=True)
    return Assembly(folder)


@pytest.fixture(scope="module")
def template(scheduled: Assembly) -> Template:
    return scheduled.template("sandbox")


def test_no_stage_has_it_by_default(assembly: Assembly) -> None:
    assert assembly.template("sandbox").resources("AWS::Scheduler::Schedule") == {}


def test_it_runs_the_same_asset_in_the_stages_time_zone(template: Template) -> None:
    schedule = template.properties("AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == AT_HALF_PAST_SIX
    assert schedule["ScheduleExpressionTimezone"] == "America/Los_Angeles"
    functions = [
        each["Properties"] for each in template.resources("AWS::Lambda::Function").values()
    ]
    handlers = {each["Handler"]: json.dumps(each["Code"]) for each in functions}
    assert set(handlers) == {"token_vendor.handler.handler", "token_vendor.scheduled.handler"}
    assert len(set(handlers.values())) == 1
    one, other = (each["Environment"] for each in functions)
    assert one == other


def test_judges_have_nothing_to_say(scheduled: Assembly) -> None:
    nag_is_content(scheduled)
    lint = ManualArgs(regions=["us-east-1", "us-west-2"])
    found = cfn_lint(scheduled.template("sandbox").path.read_text(), config=lint)
    messages = [f"{each.rule.id} {each.message}" for each in found]
    assert [each for each in messages if "dependency already enforced" not in each] == []


def test_its_role_may_do_what_the_functions_role_may(template: Template) -> None:
    """On table, secret and key; each writes to a log of its own."""
    allowed = []
    for policy in template.resources("AWS::IAM::Policy").values():
        statements = policy["Properties"]["PolicyDocument"]["Statement"]
        actions = {json.dumps(each["Action"]) for each in statements}
        if any("dynamodb" in each for each in actions):
            allowed.append(actions)
    assert len(allowed) == 2
    assert allowed[0] == allowed[1]
