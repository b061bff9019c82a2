"""
Whatever stage the checks let through, its template is one that AWS would take.

Three stages, the same ones in each run, between them have each value of most options;
`RANDOM_STAGES=200` tries more of them.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import MISSING, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cfnlint.api import ManualArgs, lint
from hypothesis import HealthCheck, Phase, given, note, reject, settings
from hypothesis import strategies as st
from token_vendor.options import rule_of

from infra.stage import RETENTIONS, StageConfig, StageError
from tests.infrastructure.conftest import FILLED_IN, LONGEST, Assembly, synthesize
from tests.infrastructure.test_platform_options import GIVEN, REGION
from tests.infrastructure.test_template_lint import NEEDLESS

STAGES = int(os.environ.get("RANDOM_STAGES", "3"))
NAMES = ("s", "production", LONGEST)
NAME = "a" * 40
REQUIRED = {"aurora_environment": "sandbox"}
# What texts and lists may be at their extremes. Numbers and switches know theirs by themselves.
TEXTS: dict[str, list[Any]] = {
    "issuer": [
        "https://a.example",
        f"https://{'i' * 60}.example.com/{'t' * 150}/",
        "https://a:8443",
    ],
    "audiences": [["a"], [f"client-{number:02}" for number in range(50)]],
    "cors_origins": [
        [],
        ["https://a.example", "http://localhost:5173"],
        [f"https://{NAME}.example"],
    ],
    "aurora_environment": ["sandbox", "production"],
    "alarm_email": ["", "ops+alarms@example.com"],
    "alarm_topic_arn": ["", f"arn:aws:sns:{REGION}:111122223333:{NAME}"],
    "business_hours": ["", "0-24", "6-16"],
    "website_origins": [[], ["https://cdn.example.com", "https://a.example:8443"]],
    "deployment": ["all-at-once", "canary"],
    "canary_email": ["", f"{NAME}@{NAME}.example"],
    "directory_schedule": ["", "rate(1 day)", "cron(30 6 ? * MON-FRI *)"],
    "time_zone": ["UTC", "America/Argentina/Buenos_Aires"],
    "tags": [{}, {NAME * 3: "v" * 256}, {f"tag-{number}": "" for number in range(50)}],
    "claim_email": ["email", f"https://claims.example.com/{NAME}"],
    "claim_groups": ["", "groups"],
    "invite_domains": [[], ["example.com"], [f"{number}.{NAME}.example" for number in range(20)]],
    "invite_levels_by_group": [{}, {NAME: "Team Member", "é": "Admin User"}],
    "log_retention_days": list(RETENTIONS),
    **{
        name: [type(value)(), value]
        for name, value in GIVEN.items()
        if not isinstance(value, bool) and name not in {"tags", "directory_schedule"}
    },
}


def extremes(name: str) -> list[Any]:
    """
    Return the values of one option that are tried; the last resort is its default.
    """
    (declared,) = [each for each in fields(StageConfig) if each.name == name]
    rule = rule_of(declared)
    match declared.type, declared.default:
        case _ if name in TEXTS:
            return TEXTS[name]
        case _, bool():
            return [False, True]
        case kind, int() | float() as default:
            return [*(kind(value) for value in (rule.least, rule.most)), default]
    return [FILLED_IN.get(name, declared.default)]


OPTIONS = [each.name for each in fields(StageConfig) if each.name != "stage"]


@st.composite
def trios(draw: st.DrawFn) -> list[StageConfig]:
    """
    Draw three stages at once, in which each option goes through its values in some order.
    """
    values = {name: draw(st.permutations(extremes(name)), label=name) for name in OPTIONS}
    return [
        accepted(stage, {name: each[number % len(each)] for name, each in values.items()})
        for number, stage in enumerate(NAMES)
    ]


def accepted(stage: str, chosen: dict[str, Any]) -> StageConfig:
    """
    Take back what contradicts another option until the stage is one that the checks let through.
    """
    given = {name: value for name, value in chosen.items() if value is not MISSING}
    while True:
        try:
            return StageConfig.read({stage: FILLED_IN}, stage, REQUIRED | given)
        except StageError as error:
            # A message names the option, and the other one that it does not go with.
            named = set(re.findall(r"\w+", str(error))) & given.keys()
        if not named:
            reject()
        given = {name: value for name, value in given.items() if name not in named}


@given(stages=trios())
@settings(
    max_examples=-(-STAGES // len(NAMES)),
    derandomize=True,
    database=None,
    deadline=None,
    # A trio takes seconds; what failed is said as it was drawn.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_template_of_any_stage_is_one_that_aws_would_take(stages: list[StageConfig]) -> None:
    with TemporaryDirectory() as folder:
        synthesize(Path(folder), *stages)
        for stage in stages:
            note(repr(stage))
            text = Assembly(Path(folder)).template(stage.stage).path.read_text()
            matches = lint(text, config=ManualArgs(regions=[stage.region or REGION]))
            messages = [f"{each.rule.id} {each.message}" for each in matches]
            assert [each for each in messages if not NEEDLESS.search(each)] == []
            assert len(text) < 1_000_000
            assert json.loads(text)["Outputs"]["TokenUrl"]
