"""
Try a new version of the function before anybody's request reaches it.

CodeDeploy calls this as its hook `BeforeAllowTraffic`, where a stage has `deployment: canary`. It
waits an hour for an answer: whatever happens here ends with one. It shares nothing with the version
that it judges, neither code nor packages: also one that does not load has to be answered for.
Botocore is that of Lambda's own image.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

NO_KEY = "aurora-key-rejected"
ELSEWHERE = frozenset(
    {"aurora-busy", "aurora-timeout", "aurora-unavailable", "generating-stopped", NO_KEY}
)
"""Problems that every version would tell: of Aurora, its limit or its key, or of a switch."""
ROLLBACKS = frozenset({"codeDeployRollback", "CloudFormationRollback"})
"""What CodeDeploy names as the creator of a deployment that goes back."""
PAUSE = 5.0
"""Seconds until a version is asked again that could not be called."""
READ_TIMEOUT = 60
"""Seconds to wait for an answer: a cold start and the most that a request may take."""
REPORTING = 20.0
"""Seconds kept for telling CodeDeploy."""
VENDS, FORGETS = "POST /token", "DELETE /token"
OK, NO_CONTENT = 200, 204

LAMBDA = Config(connect_timeout=2, read_timeout=READ_TIMEOUT, retries={"total_max_attempts": 1})
CODEDEPLOY = Config(
    connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 3}
)

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)


class BrokenVersionError(Exception):
    """The version did not answer, or not as one that works; the text says how, without secrets."""


def check(route: str, response: Any) -> str:
    """
    Return what a working version has answered on a route, in a word.

    Raises:
        BrokenVersionError: No working version answers this.

    """
    status = response["statusCode"]
    if route == FORGETS and status == NO_CONTENT:
        return "forgotten"
    body = json.loads(response["body"])
    if route == VENDS and status == OK and body["token"]["jwt"]:
        return str(body["source"])
    slug = str(body["type"]).rpartition(":")[2]
    if route == VENDS and slug == NO_KEY:
        log.warning("Aurora's API key is absent, withdrawn or refused: token-vendor set-api-key")
    if route == VENDS and slug in ELSEWHERE:
        return slug
    raise BrokenVersionError(f"{route}: problem {slug}")


def ask(  # noqa: PLR0913 - the call, and the time for it.
    client: Any,
    version: str,
    event: Any,
    *,
    until: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Any:
    """
    Return a version's response to an event.

    IAM and Lambda need some seconds before a new version may be called and is ready: a call that
    did not reach it is repeated until `until`.

    Raises:
        BrokenVersionError: It crashed, or ran out of time.
        BotoCoreError, ClientError: It could not be called.

    """
    while True:
        try:
            answer = client.invoke(FunctionName=version, Payload=json.dumps(event))
        except (BotoCoreError, ClientError) as error:
            if clock() + PAUSE > until:
                raise
            log.warning("not called yet: %s", error)
            sleep(PAUSE)
        else:
            payload = json.loads(answer["Payload"].read())
            if "FunctionError" in answer:
                raise BrokenVersionError(f"crashed: {payload.get('errorType')}")
            return payload


def is_rollback(codedeploy: Any, deployment_id: str) -> bool:
    """
    Tell whether CodeDeploy or CloudFormation goes back to a version that has run before.

    Whether the hooks are called then is not documented. A refusal would keep the broken version, or
    leave the stack in UPDATE_ROLLBACK_FAILED.
    """
    try:
        found = codedeploy.get_deployment(deploymentId=deployment_id)["deploymentInfo"]
    except (BotoCoreError, ClientError) as error:
        log.warning("taken for no rollback: %s", error)
        return False
    return found.get("creator") in ROLLBACKS


def handler(
    event: dict[str, Any],
    context: Any,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """
    Serve CodeDeploy: it hears Succeeded or Failed, once; Lambda tries again where it could not.

    The stack tells the version to try, and the events to try it with.
    """
    codedeploy: Any = get_session().create_client("codedeploy", config=CODEDEPLOY)
    until = clock() + context.get_remaining_time_in_millis() / 1000 - READ_TIMEOUT - REPORTING
    status = "Failed"
    try:
        if not is_rollback(codedeploy, event["DeploymentId"]):
            client = get_session().create_client("lambda", config=LAMBDA)
            version = os.environ["NEW_VERSION"]
            for asked in json.loads(os.environ["EVENTS"]):
                response = ask(client, version, asked, until=until, clock=clock, sleep=sleep)
                answered = check(asked["routeKey"], response)
                log.info("%s %s: %s", version, asked["routeKey"], answered)
        status = "Succeeded"
    except Exception:
        log.exception("the new version gets no traffic")
    codedeploy.put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )
    return {"status": status}
