"""
What CodeDeploy hears of a new version, seen at the wire.

The version is the real service, or what no working version is; the hook's handler tries it. How
both run on Lambda is seen where a stack is deployed, in tests/infrastructure/test_lifecycle.py.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from before_traffic import hook as before_traffic
from before_traffic.hook import PAUSE, READ_TIMEOUT, REPORTING
from botocore.session import get_session
from token_vendor.problems import CATALOGUE, URN

from infra.stack.gateway_events import LONGEST, events
from infra.stage import StageConfig
from tests.integration.conftest import JESSICA, Context, Deployment
from tests.support.clock import Clock
from tests.support.codedeploy import DEPLOYMENT, VERSION, CodeDeploy
from tests.support.environment import InvocationLostError

Version = Callable[[Any], bytes]
Run = Callable[..., CodeDeploy]

STAGE = {
    "issuer": "https://sign-in.example.com",
    "audiences": ["app"],
    "cors_origins": [],
    "aurora_environment": "sandbox",
    "aurora_tenant_id": "tenant",
}
WITHOUT_CANARY = events(StageConfig.of("test", **STAGE))
WITH_CANARY = events(StageConfig.of("test", **STAGE, canary_email=JESSICA))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Let the hook try a version; what CodeDeploy saw of it is returned."""

    def run(
        version: Version, asked: object = WITH_CANARY, clock: Clock | None = None, **played: Any
    ) -> CodeDeploy:
        clock = clock or Clock()
        with CodeDeploy(version, **played) as aws:
            variables = {"NEW_VERSION": VERSION, "EVENTS": json.dumps(asked), **aws.variables}
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            before_traffic.handler(
                DEPLOYMENT, Context(remaining=LONGEST * 60), clock=clock, sleep=clock.sleep
            )
        return aws

    return run


@pytest.fixture
def version(deployment: Deployment) -> Version:
    """Give the service itself as the version to try."""
    return lambda event: json.dumps(deployment.service.answer(event, Context())).encode()


def test_working_version_gets_traffic_without_a_call_to_aurora(
    deployment: Deployment, version: Version, run: Run
) -> None:
    """Nothing is stored either: nobody has no item."""
    aws = run(version, WITHOUT_CANARY)
    assert aws.statuses == ["Succeeded"]
    assert [each["routeKey"] for each in aws.asked] == ["DELETE /token"]
    assert deployment.aurora.calls() == []
    assert deployment.dynamodb.items == {}


def test_canary_is_generated_for_once_however_often_versions_are_deployed(
    deployment: Deployment, version: Version, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            aws = run(version)
            assert aws.statuses == ["Succeeded"]
            assert [each["routeKey"] for each in aws.asked] == ["DELETE /token", "POST /token"]
    assert deployment.calls()["generate_token"] == 1
    assert "POST /token: stored" in caplog.text
    assert deployment.item()["jwt"] not in caplog.text


def test_version_with_another_table_fails(
    deployment: Deployment, version: Version, run: Run
) -> None:
    deployment.restart(TABLE_NAME="another")
    assert run(version, WITHOUT_CANARY).statuses == ["Failed"]


def test_key_that_is_absent_is_no_fault_of_the_version(
    deployment: Deployment, version: Version, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """The hook's log names what an operator does about it."""
    deployment.aurora.behave(api_keys=["sk_sand_another"])
    assert run(version).statuses == ["Succeeded"]
    assert "token-vendor set-api-key" in caplog.text
    assert deployment.aurora.api_key not in caplog.text


def respond(status: int, body: Any) -> Version:
    """Make a version that forgets as it should, and answers this to everything else."""

    def version(event: Any) -> bytes:
        if event["routeKey"] == "DELETE /token":
            return b'{"statusCode": 204}'
        return json.dumps({"statusCode": status, "body": json.dumps(body)}).encode()

    return version


WORKING = respond(200, {"token": {"jwt": "a.b.c"}, "source": "stored"})
BUSY = respond(503, {"type": f"{URN}aurora-busy"})


def crash(_: Any) -> bytes:
    raise InvocationLostError("crashed")


OTHERS: dict[str, Version] = {
    "crash": crash,
    "204 to everything": lambda _: b'{"statusCode": 204}',
    "Aurora's problem where Aurora is not asked": lambda _: BUSY({"routeKey": "POST /token"}),
    "no JSON": lambda _: b"<html>",
    "no status": lambda _: b'{"errorMessage": "x"}',
    "no JSON in the body": lambda _: b'{"statusCode": 200, "body": "<html>"}',
    "200 without a token": respond(200, {"user": {}}),
    "token without a JWT": respond(200, {"token": {"jwt": ""}, "source": "stored"}),
    "problem of another service": respond(503, {"message": "Service Unavailable"}),
    "unknown problem": respond(503, {"type": f"{URN}unheard-of"}),
}


@pytest.mark.parametrize("slug", CATALOGUE)
def test_problems_that_are_not_the_versions(run: Run, slug: str) -> None:
    """Aurora's outage, limit and key, and a switch; every other problem refuses the version."""
    aws = run(respond(CATALOGUE[slug].status, {"type": URN + slug}))
    elsewhere = {"aurora-unavailable", "aurora-timeout", "aurora-busy", "generating-stopped"}
    elsewhere |= {"aurora-key-rejected"}
    assert aws.statuses == ["Succeeded" if slug in elsewhere else "Failed"]


@pytest.mark.parametrize("version", OTHERS.values(), ids=OTHERS.keys())
def test_answers_that_no_working_version_gives(
    run: Run, version: Version, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert run(version).statuses == ["Failed"]
    assert "the new version gets no traffic" in caplog.text
    assert "a secret" not in caplog.text


def test_hook_that_crashes_answers_failed(run: Run) -> None:
    aws = run(WORKING, 42)
    assert (aws.statuses, aws.asked) == (["Failed"], [])


def test_version_that_may_not_be_called_yet_is_asked_again(run: Run) -> None:
    """IAM takes seconds to hear of a new version."""
    clock = Clock()
    assert run(WORKING, clock=clock, refusals=3).statuses == ["Succeeded"]
    assert clock.slept == [PAUSE] * 3


def test_version_that_may_never_be_called_fails_in_time(run: Run) -> None:
    """Another attempt, should it hang, leaves time to tell CodeDeploy."""
    clock = Clock()
    begun = clock.now
    aws = run(WORKING, clock=clock, refusals=1000)
    assert (aws.statuses, aws.asked) == (["Failed"], [])
    assert 60 < clock.now - begun <= LONGEST * 60 - READ_TIMEOUT - REPORTING


@pytest.mark.parametrize("creator", sorted(before_traffic.ROLLBACKS))
def test_rollback_is_never_refused(run: Run, creator: str) -> None:
    aws = run(crash, creator=creator)
    assert (aws.statuses, aws.asked) == (["Succeeded"], [])


def test_every_kind_of_rollback_that_codedeploy_has_is_known() -> None:
    model = get_session().get_service_model("codedeploy")
    creators = model.shape_for("DeploymentCreator").enum
    assert {each for each in creators if "rollback" in each.lower()} == before_traffic.ROLLBACKS
