"""
Check a deployed stage from end to end, and say what to do about each finding.

Nothing is changed. Aurora is asked three times, which counts against its requests a minute.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import urllib3
from botocore.exceptions import BotoCoreError, ClientError
from token_vendor.api_key import why_unusable

from infra.operator import key_rights, switches
from infra.operator.deployed import LOCAL, Deployed, stages
from infra.operator.exits import NotDeployedError, message
from infra.outbound import NETWORK
from infra.stage.issuer import IssuerError, signing_keys
from infra.stage.probe_facts import ReportError, newest, wrong_options

State = Literal["ok", "warn", "fail"]
# Aurora's `exp` is compared with AWS's clock; the refresh margin hides less than this.
TOLERATED_SKEW = 30


@dataclass(frozen=True, kw_only=True)
class Finding:
    check: str
    state: State
    found: str
    fix: str = ""


def judged(check: str, found: str, *, good: bool, fix: str, otherwise: State = "fail") -> Finding:
    """Return a finding; what is good needs no fix."""
    state = "ok" if good else otherwise
    return Finding(check=check, state=state, found=found, fix="" if good else fix)


def examine(deployed: Deployed) -> Iterator[Finding]:
    """Run every check; a check that cannot be carried out is a finding too."""
    checks: dict[str, Callable[[Deployed], Iterator[Finding]]] = {
        "stack": _stack,
        "API key and Aurora": _aurora,
        "API key of another stage": _shared_key,
        "identity provider": _issuer,
        "CORS": _cors,
        "table": _table,
        "switches": _switches,
        "alarms": _alarms,
        "probe": _probe,
    }
    for name, check in checks.items():
        try:
            yield from check(deployed)
        except ClientError as error:
            allow = "allow these credentials the call, or use a profile that may"
            yield Finding(check=name, state="fail", found=message(error), fix=allow)
        except (BotoCoreError, urllib3.exceptions.HTTPError, ValueError, KeyError) as error:
            found = f"{type(error).__name__}: {error}"
            yield Finding(check=name, state="fail", found=found, fix="see the message")


def _stack(deployed: Deployed) -> Iterator[Finding]:
    done = deployed.status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    found = f"AuroraTokenVendor-{deployed.stage} is {deployed.status}"
    yield judged("stack", found, good=done, fix=f"make deploy STAGE={deployed.stage}")


def _aurora(deployed: Deployed) -> Iterator[Finding]:
    settings = deployed.settings
    api_key = deployed.api_key()
    set_key = f"token-vendor set-api-key --stage {deployed.stage}"
    if wrong := why_unusable(api_key, settings.aurora_environment):
        yield Finding(check="API key", state="fail", found=wrong, fix=set_key)
        return
    known = api_key.startswith(("sk_", "rk_"))
    found = f"fits {settings.aurora_environment}" if known else "has no prefix that Aurora names"
    compare = f"compare it with Aurora's console; {set_key}"
    yield judged("API key", found, good=known, fix=compare, otherwise="warn")
    for right, answer in key_rights.answers(settings, api_key):
        yield _permission(right, answer, set_key)
        if right is key_rights.LIST and answer.status == HTTPStatus.OK:
            yield _clock(deployed, answer.date)


def _shared_key(deployed: Deployed) -> Iterator[Finding]:
    """Compare the key with those of the other stages in cdk.json: each stage has its own budget."""
    if deployed.local:
        return
    for stage in stages():
        if stage in {deployed.stage, LOCAL}:
            continue
        try:
            other = Deployed.find(stage)
        except NotDeployedError:
            continue
        if (key := deployed.api_key()) and key == other.api_key():
            yield Finding(
                check="API key",
                state="warn",
                found=f"stage {stage} has the same one, and each stage spends its whole budget",
                fix="ask Aurora for a second key, or share request_rate and request_burst out",
            )


def _permission(right: key_rights.Right, answer: key_rights.Answer, fix: str) -> Finding:
    status, check = answer.status, f"Aurora: {right.name}{right.asked}"
    if status in right.allowed:
        asked = "" if status == HTTPStatus.OK else ", since the request named nobody"
        return Finding(check=check, state="ok", found=f"allowed: Aurora answered {status}{asked}")
    if not status:
        reach = f"{NETWORK}; the function has its own way to Aurora"
        return Finding(check=check, state="fail", found=answer.failure, fix=reach)
    mended: dict[int, tuple[State, str]] = {
        HTTPStatus.UNAUTHORIZED: ("fail", f"Aurora does not know the key: {fix}"),
        HTTPStatus.FORBIDDEN: ("fail", f"allow the key this in Aurora's console, or {fix}"),
        HTTPStatus.NOT_FOUND: ("fail", "correct aurora_tenant_id in cdk.json and deploy"),
        HTTPStatus.TOO_MANY_REQUESTS: ("warn", "try again in a minute"),
    }
    state, mend = mended.get(status, ("warn", "try again; ask Aurora if it stays"))
    return Finding(check=check, state=state, found=f"Aurora answered {status}", fix=mend)


def _clock(deployed: Deployed, aurora_date: str) -> Finding:
    answer = deployed.client("dynamodb").describe_table(TableName=deployed.outputs["TableName"])
    aws_date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    now = parsedate_to_datetime(aws_date).timestamp() if aws_date else time.time()
    skew = abs(parsedate_to_datetime(aurora_date).timestamp() - now) if aurora_date else 0.0
    return judged(
        "clocks",
        f"Aurora's and AWS's are {skew:.0f} s apart",
        good=skew <= TOLERATED_SKEW,
        fix="raise refresh_margin in cdk.json by as much, and tell Aurora",
        otherwise="warn",
    )


def _issuer(deployed: Deployed) -> Iterator[Finding]:
    check = "identity provider"
    try:
        found = signing_keys(deployed.authorizer()["Issuer"])
        yield Finding(check=check, state="ok", found=found)
    except IssuerError as error:
        yield Finding(check=check, state="fail", found=str(error), fix=error.fix)
    if not deployed.settings.require_verified_email:
        yield Finding(
            check="verified e-mail",
            state="warn",
            found="none is required: who can change their own address gets another's token",
            fix="only where administrators alone set addresses; docs/identity-providers.md names "
            "a claim to require instead, such as Entra ID's xms_edov",
        )


def _cors(deployed: Deployed) -> Iterator[Finding]:
    api = deployed.client("apigatewayv2").get_api(ApiId=deployed.outputs["ApiId"])
    origins = api.get("CorsConfiguration", {}).get("AllowOrigins", [])
    plain = [each for each in origins if each.startswith("http://") and "//localhost" not in each]
    open_ = plain or [each for each in origins if each == "*"]
    found = f"allows {', '.join(open_ or origins)}"
    if not origins:
        found = "no origin is allowed: only servers and native apps can call"
    fix = "set cors_origins in cdk.json to your app's https origins and deploy"
    yield judged("CORS", found, good=bool(origins) and not open_, fix=fix, otherwise="warn")


def _table(deployed: Deployed) -> Iterator[Finding]:
    dynamodb, name = deployed.client("dynamodb"), deployed.outputs["TableName"]
    missing: State = "fail"
    mend, here = f"make deploy STAGE={deployed.stage}", ""
    if deployed.local:
        missing, mend, here = "ok", "", ": MiniStack leaves it out of a stack's table, AWS does not"
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    expires = ttl["TimeToLiveStatus"] == "ENABLED" and ttl.get("AttributeName") == "ttl"
    found = "items leave by ttl" if expires else f"items never leave{here}"
    yield judged("table: expiry", found, good=expires, fix=mend, otherwise=missing)
    key = dynamodb.describe_table(TableName=name)["Table"].get("SSEDescription", {})
    own = key.get("SSEType") == "KMS" and key.get("Status") == "ENABLED"
    found = "by the stack's own key" if own else f"not by the stack's own key{here}"
    yield judged("table: encryption", found, good=own, fix=mend, otherwise=missing)


def _switches(deployed: Deployed) -> Iterator[Finding]:
    entries = switches.board(deployed).entries
    if not entries:
        yield Finding(check="switches", state="ok", found="nothing is switched")
    for each in entries:
        named = f"{each.switch} {each.value}".strip()
        end = datetime.fromtimestamp(each.until, UTC)
        yield Finding(
            check="switches",
            state="warn",
            found=f"{named} until {end:%Y-%m-%d %H:%M} UTC: {each.reason}",
            fix=f"token-vendor switch {named} --clear --reason … --stage {deployed.stage}",
        )


def _alarms(deployed: Deployed) -> Iterator[Finding]:
    topic = deployed.outputs["TopicArn"]
    listed = deployed.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    confirmed = [each for each in listed if each["SubscriptionArn"].startswith("arn:")]
    found, fix = f"{len(confirmed)} confirmed subscriptions", ""
    if not confirmed:
        found = "a subscription waits to be confirmed" if listed else "nobody hears of an alarm"
        fix = "open the link in AWS's e-mail" if listed else "set alarm_email in cdk.json; deploy"
    yield judged("alarms: who hears", found, good=bool(confirmed), fix=fix, otherwise="warn")
    on = deployed.client("cloudwatch").describe_alarms(
        AlarmNamePrefix=f"token-vendor-{deployed.stage}-", StateValue="ALARM"
    )["MetricAlarms"]
    for alarm in on:
        yield Finding(
            check="alarms: on",
            state="warn",
            found=alarm["AlarmName"],
            fix=alarm.get("AlarmDescription", ""),
        )


def _probe(deployed: Deployed) -> Iterator[Finding]:
    """Hold the options against the newest report that lies here, beside cdk.json."""
    check = "probe's report"
    try:
        report = newest(Path(), deployed.stage)
    except ReportError as error:
        fix = f"delete it, and token-vendor-probe --stage {deployed.stage}"
        yield Finding(check=check, state="warn", found=str(error), fix=fix)
        return
    if not report:
        return
    path, facts = report
    wrong = wrong_options(facts, deployed.settings)
    for name, value in wrong.items():
        yield Finding(
            check=check,
            state="warn",
            found=f"{name} is {getattr(deployed.settings, name)}; {path.name} asks for {value}",
            fix=f"set {name} in cdk.json and deploy",
        )
    if not wrong:
        yield Finding(check=check, state="ok", found=f"{path.name} contradicts no option")
