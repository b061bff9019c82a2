"""
What CodeDeploy hears of a new version, seen at the wire.

Versions are the built asset and broken copies of it; each runs in AWS's own runtime, and so does
the hook. What needs neither is played on the hook's handler alone.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore
import pytest
from before_traffic import hook as before_traffic
from before_traffic.hook import PAUSE, READ_TIMEOUT, REPORTING
from botocore.session import get_session
from token_vendor.problems import CATALOGUE, URN

from infra.build.lambda_asset import SOURCES
from infra.stack.gateway_events import LONGEST, events
from infra.stage import StageConfig
from tests.integration.conftest import Context
from tests.support.clients import people
from tests.support.clock import Clock
from tests.support.codedeploy import DEPLOYMENT, VERSION, CodeDeploy
from tests.support.environment import InvocationLostError
from tests.support.harness import Harness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

USERS = people(2)
CANARY = USERS[0]["email"]
STAGE = {
    "issuer": "https://sign-in.example.com",
    "audiences": ["app"],
    "cors_origins": [],
    "aurora_environment": "sandbox",
    "aurora_tenant_id": "tenant",
}
WITHOUT_CANARY = events(StageConfig.of("test", **STAGE))
WITH_CANARY = events(StageConfig.of("test", **STAGE, canary_email=CANARY))
HOOK = "hook.handler"
VENDING_RAISES = """
def _raise(*_):
    raise KeyError("a defect")


TokenVendor.vend = _raise
"""


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    with Harness(processes=0) as harness:
        yield harness


class Deployed:
    """A stage that deploys versions; CodeDeploy's side of each deployment is returned."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        harness.reset(users=USERS, rate_limit=0)

    def asset(self, name: str, added: str) -> str:
        """Return PYTHONPATH for a copy of the asset with something added to its vendor.py."""
        folder = self.harness.scratch / name
        if not folder.exists():
            shutil.copytree(self.harness.asset, folder)
            package = folder / "token_vendor"
            for compiled in (package / "__pycache__").glob("vendor.*"):
                compiled.unlink()
            with (package / "vendor.py").open("a") as source:
                source.write(added)
        return self.harness.variables()["PYTHONPATH"].replace(str(self.harness.asset), str(folder))

    def deploy(
        self, asked: list[Any], hook: dict[str, str] | None = None, **new: str
    ) -> CodeDeploy:
        """Deploy a version with other variables or another asset; the hook has variables, too."""
        version = self.harness.start_environment(**new)

        def invoke(event: Any) -> bytes:
            return json.dumps(version.invoke(event, timeout=LONGEST * 60)).encode()

        with CodeDeploy(invoke) as aws:
            given = {"NEW_VERSION": VERSION, "EVENTS": json.dumps(asked)}
            environment = self.harness.start_environment(
                HOOK,
                # Botocore is Lambda's own.
                PYTHONPATH=os.pathsep.join(
                    map(str, (SOURCES / "before_traffic", Path(botocore.__file__).parents[1]))
                ),
                **(given if hook is None else hook),
                **aws.variables,
            )
            environment.invoke(DEPLOYMENT, timeout=LONGEST * 60)
            environment.kill()
            version.kill()
        return aws


@pytest.fixture
def stage(harness: Harness) -> Deployed:
    return Deployed(harness)


def test_working_version_gets_traffic_without_a_call_to_aurora(stage: Deployed) -> None:
    """Nothing is stored either: nobody has no item."""
    aws = stage.deploy(WITHOUT_CANARY)
    assert aws.statuses == ["Succeeded"]
    assert [each["routeKey"] for each in aws.asked] == ["DELETE /token"]
    assert sum(stage.harness.calls().values()) == 0
    assert stage.harness.dynamodb.scan(TableName="tokens")["Items"] == []


def test_canary_is_generated_for_once_however_often_versions_are_deployed(stage: Deployed) -> None:
    for _ in range(2):
        aws = stage.deploy(WITH_CANARY)
        assert aws.statuses == ["Succeeded"]
        assert [each["routeKey"] for each in aws.asked] == ["DELETE /token", "POST /token"]
    assert stage.harness.calls()["generate_token"] == 1
    assert b"POST /token: stored" in stage.harness.log.read_bytes()
    assert stage.harness.item(CANARY)["jwt"].encode() not in stage.harness.log.read_bytes()


@pytest.mark.parametrize(
    ("asked", "status"),
    [(WITH_CANARY, "Failed"), (WITHOUT_CANARY, "Succeeded")],
    ids=["canary", "no canary"],
)
def test_version_whose_vending_raises(stage: Deployed, asked: list[Any], status: str) -> None:
    """It starts, and reaches the table: without a canary nobody sees it before people do."""
    broken = stage.asset("raises", VENDING_RAISES)
    assert stage.deploy(asked, PYTHONPATH=broken).statuses == [status]


@pytest.mark.parametrize(
    "changed",
    [{"TABLE_NAME": "another"}, {"AURORA_RATE_LIMIT": "none"}],
    ids=["table that is not there", "setting with which it does not load"],
)
def test_version_with_a_wrong_setting_fails(stage: Deployed, changed: dict[str, str]) -> None:
    assert stage.deploy(WITHOUT_CANARY, **changed).statuses == ["Failed"]


def test_key_that_is_absent_is_no_fault_of_the_version(stage: Deployed) -> None:
    """The hook's log names what an operator does about it."""
    stage.harness.aurora.behave(api_keys=["sk_sand_another"])
    assert stage.deploy(WITH_CANARY).statuses == ["Succeeded"]
    logged = stage.harness.log.read_bytes()
    assert b"token-vendor set-api-key" in logged
    assert stage.harness.aurora.api_key.encode() not in logged


def test_aurora_that_fails_is_no_fault_of_the_version(stage: Deployed) -> None:
    stage.harness.aurora.fail(
        {"operation": "generate_token", "kind": "status", "status": 503, "times": 99}
    )
    assert stage.deploy(WITH_CANARY).statuses == ["Succeeded"]
    assert stage.harness.calls()["generate_token"] > 0
    assert "jwt" not in stage.harness.item(CANARY)


def test_hook_that_crashes_answers_failed(stage: Deployed) -> None:
    aws = stage.deploy(WITH_CANARY, {"NEW_VERSION": VERSION, "EVENTS": "no JSON"})
    assert (aws.statuses, aws.asked) == (["Failed"], [])


# The handler alone.


def respond(status: int, body: Any) -> Callable[[Any], bytes]:
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


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[CodeDeploy, Clock], None]:
    def run(aws: CodeDeploy, clock: Clock) -> None:
        variables = {"NEW_VERSION": VERSION, "EVENTS": json.dumps(WITH_CANARY), **aws.variables}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        before_traffic.handler(
            DEPLOYMENT, Context(remaining=LONGEST * 60), clock=clock, sleep=clock.sleep
        )

    return run


OTHERS: dict[str, Callable[[Any], bytes]] = {
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
def test_problems_that_are_not_the_versions(
    run: Callable[[CodeDeploy, Clock], None], slug: str
) -> None:
    """Aurora's outage, limit and key, and a switch; every other problem refuses the version."""
    version = respond(CATALOGUE[slug].status, {"type": URN + slug})
    with CodeDeploy(version) as aws:
        run(aws, Clock())
    elsewhere = {"aurora-unavailable", "aurora-timeout", "aurora-busy", "generating-stopped"}
    elsewhere |= {"aurora-key-rejected"}
    assert aws.statuses == ["Succeeded" if slug in elsewhere else "Failed"]


@pytest.mark.parametrize("version", OTHERS.values(), ids=OTHERS.keys())
def test_answers_that_no_working_version_gives(
    run: Callable[[CodeDeploy, Clock], None],
    version: Callable[[Any], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO), CodeDeploy(version) as aws:
        run(aws, Clock())
    assert aws.statuses == ["Failed"]
    assert "the new version gets no traffic" in caplog.text
    assert "a secret" not in caplog.text


def test_version_that_may_not_be_called_yet_is_asked_again(
    run: Callable[[CodeDeploy, Clock], None],
) -> None:
    """IAM takes seconds to hear of a new version."""
    clock = Clock()
    with CodeDeploy(WORKING, refusals=3) as aws:
        run(aws, clock)
    assert aws.statuses == ["Succeeded"]
    assert clock.slept == [PAUSE] * 3


def test_version_that_may_never_be_called_fails_in_time(
    run: Callable[[CodeDeploy, Clock], None],
) -> None:
    """Another attempt, should it hang, leaves time to tell CodeDeploy."""
    clock = Clock()
    begun = clock.now
    with CodeDeploy(WORKING, refusals=1000) as aws:
        run(aws, clock)
    assert (aws.statuses, aws.asked) == (["Failed"], [])
    assert 60 < clock.now - begun <= LONGEST * 60 - READ_TIMEOUT - REPORTING


@pytest.mark.parametrize("creator", sorted(before_traffic.ROLLBACKS))
def test_rollback_is_never_refused(run: Callable[[CodeDeploy, Clock], None], creator: str) -> None:
    with CodeDeploy(crash, creator=creator) as aws:
        run(aws, Clock())
    assert (aws.statuses, aws.asked) == (["Succeeded"], [])


def test_every_kind_of_rollback_that_codedeploy_has_is_known() -> None:
    model = get_session().get_service_model("codedeploy")
    creators = model.shape_for("DeploymentCreator").enum
    assert {each for each in creators if "rollback" in each.lower()} == before_traffic.ROLLBACKS
