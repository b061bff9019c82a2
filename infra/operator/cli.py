"""
Operate the Aurora token vendor: check it, give it its API key, see who holds a token.

AWS is reached with the usual credentials (AWS_PROFILE, AWS_REGION); `--stage local` is the stack
that `make run` started. Exit codes: 0 done, 1 a check failed or the answer was a problem, 2 wrong
usage, 3 the stage cannot be reached.
"""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import urllib3
from botocore.exceptions import BotoCoreError, ClientError
from token_vendor.api_key import why_unusable
from token_vendor.problems import ProblemError
from token_vendor.settings import Options, is_origin

from infra.dashboard_view import dashboard_html
from infra.operator import (
    audit_log,
    doctor,
    key_rights,
    output,
    people,
    prewarm_plan,
    sign_in_token,
    switches,
    tokens,
)
from infra.operator.burst_simulation import simulate
from infra.operator.deployed import LOCAL, Deployed, NotDeployedError, OperatorError, message
from infra.probe import command
from infra.probe.calls import People
from infra.probe.line import Target
from infra.terminal import replace_what_it_cannot_show

FAILED, UNREACHABLE = 1, 3
# CloudWatch Logs shows an event some seconds after it was written.
LOG_PATIENCE = 15
VEND_TIMEOUT = 35
TENANT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

app = typer.Typer(
    help=__doc__,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Stage = Annotated[str, typer.Option("--stage", envvar="TOKEN_VENDOR_STAGE", help="the deployment")]
Json = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]
Hours = Annotated[float, typer.Option("--hours", min=0.01, help="how far back to look")]


@contextmanager
def _stage(name: str) -> Iterator[Deployed]:
    """
    Find the stage; what goes wrong with it is told in one line and an exit code.
    """
    with _told():
        yield Deployed.find(name)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except NotDeployedError as error:
        output.failure(str(error))
        raise typer.Exit(UNREACHABLE) from error
    except OperatorError as error:
        output.failure(str(error))
        raise typer.Exit(FAILED) from error
    except ProblemError as error:
        output.failure(error.cause or error.detail)
        raise typer.Exit(UNREACHABLE) from error
    except ClientError as error:
        output.failure(message(error))
        raise typer.Exit(UNREACHABLE) from error
    except BotoCoreError as error:
        output.failure(str(error))
        raise typer.Exit(UNREACHABLE) from error


@app.command("doctor")
def doctor_(
    stage: Stage,
    *,
    token: Annotated[
        bool, typer.Option("--token", help="also check an ID token, from a prompt or stdin")
    ] = False,
    as_json: Json = False,
) -> None:
    """
    Check everything from end to end, and name the fix of each finding.
    """
    with _stage(stage) as deployed:
        id_token = _secret("ID token") if token else ""
        findings = list(doctor.examine(deployed))
        if token:
            findings += sign_in_token.examine(deployed, id_token)
    output.findings(findings, as_json=as_json)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(FAILED)


@app.command("set-api-key")
def set_api_key(stage: Stage) -> None:
    """
    Store Aurora's API key, from a prompt without echo or from stdin, once Aurora permits it all.

    Costs up to three of Aurora's requests a minute, without effect.
    """
    with _stage(stage) as deployed:
        settings = deployed.settings
        api_key = _secret(f"Aurora API key ({settings.aurora_environment})")
        if wrong := why_unusable(api_key, settings.aurora_environment):
            raise OperatorError(wrong)
        if missing := key_rights.missing_right(settings, api_key):
            raise OperatorError(f"the key was not stored: {missing}")
        deployed.client("secretsmanager").put_secret_value(
            SecretId=deployed.outputs["SecretArn"], SecretString=api_key
        )
    output.done(f"stored; every execution environment has it within {settings.api_key_ttl:g} s")


@app.command("probe")
def probe_(  # noqa: PLR0913 - one option each.
    *,
    stage: Annotated[
        str, typer.Option("--stage", envvar="TOKEN_VENDOR_STAGE", help="the deployment")
    ] = "",
    url: Annotated[str, typer.Option(help="an Aurora to probe instead, with --tenant")] = "",
    tenant: Annotated[str, typer.Option(help="the id of the tenant there")] = "",
    production: Annotated[bool, typer.Option("--production", help="allow production")] = False,
    write: Annotated[bool, typer.Option("--write", help="change cdk.json by the outcome")] = False,
    as_json: Json = False,
) -> None:
    """
    Find out what Aurora's pages leave open. Asks first; costs 10 of Aurora's requests, or 25.
    """
    if bool(stage) == bool(url) or bool(url) != bool(tenant):
        raise typer.BadParameter("name a stage, or an address and its tenant", param_hint="--stage")
    if write and url:
        raise typer.BadParameter("only a stage has options in cdk.json", param_hint="--write")
    if url and not (is_origin(url) and TENANT_ID.fullmatch(tenant)):
        raise typer.BadParameter("an https origin and a tenant's id", param_hint="--url")
    people = People()
    with _told():
        try:
            if url:
                api_key = _prompted_secret("Aurora API key")
                place = command.at_address(Target(origin=url, tenant_id=tenant, api_key=api_key))
            else:
                place = command.at_stage(Deployed.find(stage))
            outcome = command.probe(place, people, allow_production=production)
            output.probe(outcome, as_json=as_json)
            for line in command.finish(place, outcome, write=write):
                output.noted(line)
        finally:
            output.left_behind(people.left_behind)


@app.command("tokens")
def tokens_(
    stage: Stage,
    *,
    containing: Annotated[str, typer.Option("--filter", help="a part of the e-mail")] = "",
    sort: Annotated[str, typer.Option(help="email, since or until")] = "until",
    as_json: Json = False,
) -> None:
    """
    List who holds a token, since when, and until when.
    """
    if sort not in {"email", "since", "until"}:
        raise typer.BadParameter("email, since or until", param_hint="--sort")
    with _stage(stage) as deployed:
        found = [each for each in tokens.holders(deployed) if containing.lower() in each.email]
    found.sort(key=lambda holder: getattr(holder, sort))
    output.holders(found, as_json=as_json)


@app.command("show")
def show_(email: str, stage: Stage, *, hours: Hours = 24, as_json: Json = False) -> None:
    """
    Show what the table and the log know of one person, never the JWT.
    """
    with _stage(stage) as deployed:
        state = tokens.state(deployed, audit_log.address(email))
        since = time.time() - hours * 3600
        events = audit_log.events(deployed, since=since, containing=audit_log.caller_digest(email))
    output.person(state, events, as_json=as_json)
    if not state and not events:
        raise typer.Exit(FAILED)


@app.command("forget")
def forget(
    stage: Stage,
    email: Annotated[str | None, typer.Argument()] = None,
    *,
    everybody: Annotated[bool, typer.Option("--all", help="every stored token")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """
    Drop a stored token, or all of them: who comes next gets a generated one. Aurora is not told.
    """
    if (email is None) != everybody:
        raise typer.BadParameter("name one e-mail, or --all")
    with _stage(stage) as deployed:
        whom = [audit_log.address(email)] if email else [h.email for h in tokens.holders(deployed)]
        if not yes:
            # Each one forgotten costs a request to Aurora when its person comes back.
            typer.confirm(f"Forget the tokens of {email or f'{len(whom)} people'}?", abort=True)
        store = tokens.store(deployed)
        forgotten = sum(store.forget(each) for each in whom)
        if email and not forgotten:
            raise OperatorError(f"{email} holds no token")
    output.done(f"{forgotten} forgotten")


@app.command("switch")
def switch(  # noqa: PLR0913 - one option each.
    stage: Stage,
    name: Annotated[
        str,
        typer.Argument(help="stop-generating, stop-inviting, block, rate or burst; none shows all"),
    ] = "",
    value: Annotated[
        str, typer.Argument(help="of block: an e-mail or a domain; of rate and burst: a number")
    ] = "",
    *,
    off: Annotated[bool, typer.Option("--clear", help="end it now")] = False,
    reason: Annotated[str, typer.Option("--reason", help="why, for the audit log")] = "",
    until: Annotated[str, typer.Option("--until", help="30m, 24h, 7d, or a moment")] = "24h",
    as_json: Json = False,
) -> None:
    """
    Show what is switched, or switch it: effective at each caller's next request.
    """
    with _stage(stage) as deployed:
        if name:
            by = switches.operator(deployed)
            if off:
                switches.clear(deployed, switches.ended(name, value, reason=reason, by=by))
            else:
                wanted = switches.entry(
                    deployed.settings,
                    name,
                    value,
                    until=until,
                    reason=reason,
                    by=by,
                    now=time.time(),
                )
                switches.set_(deployed, wanted)
        found = switches.board(deployed).entries
    output.switched(found, as_json=as_json)


@app.command("people")
def people_(
    stage: Stage,
    *,
    unused: Annotated[str, typer.Option(help="for how long nothing was vended, such as 30d")],
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV, for a spreadsheet")] = False,
    as_json: Json = False,
) -> None:
    """
    List who has an active seat at Aurora and does not use this service. Nobody is deactivated.
    """
    if not (days := re.fullmatch(r"([1-9]\d{0,3})d", unused)):
        raise typer.BadParameter("days, such as 30d", param_hint="--unused")
    with _stage(stage) as deployed:
        found = people.unused(deployed, days=int(days[1]))
    output.seats(found, as_csv=as_csv, as_json=as_json)


@app.command("export")
def export(email: str, stage: Stage) -> None:
    """
    Print all that the table holds of a person, as JSON, without the JWT.
    """
    with _stage(stage) as deployed:
        found = people.export(deployed, audit_log.address(email))
        if not found:
            raise OperatorError(f"the table holds nothing of {email}")
    output.exported(found)


@app.command("erase")
def erase(
    email: str,
    stage: Stage,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Json = False,
) -> None:
    """
    Delete all that the table holds of a person, and prove it by a scan. Aurora is not told.
    """
    with _stage(stage) as deployed:
        address = audit_log.address(email)
        if not yes:
            # Without its token the next sign-in generates, which can end an open session.
            typer.confirm(f"Erase all items of {address}?", abort=True)
        erased = people.erase(deployed, address)
        output.erased(erased, as_json=as_json)
        if erased.left:
            raise OperatorError(f"left or written since: {', '.join(erased.left)}; do it again")


@app.command("prewarm")
def prewarm(
    stage: Stage,
    *,
    plan: Annotated[bool, typer.Option("--plan", help="whom it would serve, and when")] = False,
    covers: Annotated[bool, typer.Option("--covers", help="how many people it covers")] = False,
    start: Annotated[
        str, typer.Option("--from", help="when a run would begin: 30m, 14h, or a moment")
    ] = "1m",
    as_json: Json = False,
) -> None:
    """
    Show what generating before people come would do; nothing is generated.
    """
    if plan == covers:
        raise typer.BadParameter("choose --plan or --covers")
    with _stage(stage) as deployed:
        if covers:
            output.coverage(
                prewarm_plan.coverage(rate=deployed.settings.request_rate), as_json=as_json
            )
            return
        begins_at = switches.moment(start, time.time(), option="--from")
        found = prewarm_plan.forecast(deployed, begins_at=begins_at)
    output.forecast(found, noted=deployed.settings.prewarm, as_json=as_json)


@app.command("logs")
def logs(email: str, stage: Stage, *, hours: Hours = 24, as_json: Json = False) -> None:
    """
    Print the audit events of one caller.
    """
    with _stage(stage) as deployed:
        caller = audit_log.caller_digest(email)
        events = audit_log.events(deployed, since=time.time() - hours * 3600, containing=caller)
    output.events(events, caller=caller, as_json=as_json)


@app.command("smoke")
def smoke(
    stage: Stage,
    *,
    as_: Annotated[str, typer.Option("--as", help="sign in as (stage local only)")] = "",
    as_json: Json = False,
) -> None:
    """
    Vend for an ID token, given at a prompt or on stdin, and say where the time went.
    """
    with _stage(stage) as deployed:
        if as_ and stage != LOCAL:
            raise typer.BadParameter("only the local stack signs people in", param_hint="--as")
        id_token = _local_sign_in(deployed, as_) if as_ else _secret("ID token")
        started = time.time()
        try:
            answer = urllib3.request(
                "POST",
                deployed.token_url,
                headers={"Authorization": f"Bearer {id_token}"},
                retries=False,
                timeout=VEND_TIMEOUT,
            )
        except urllib3.exceptions.HTTPError as error:
            unreachable = f"{deployed.token_url}: {type(error).__name__}"
            raise NotDeployedError(unreachable) from error
        seconds = time.time() - started
        body = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
        named = body.get("token", {}).get("jti") or body.get("instance")
        event = None
        if named:
            event = audit_log.await_event(
                deployed, since=started - 60, containing=named, patience=LOG_PATIENCE
            )
    output.smoke(answer.status, body, seconds, event, as_json=as_json)
    if answer.status != 200:  # noqa: PLR2004 - HTTP's own number.
        raise typer.Exit(FAILED)


@app.command("dashboard")
def dashboard(  # noqa: PLR0913 - one option each.
    stage: Stage,
    *,
    to: Annotated[Path, typer.Option(help="the folder of the local pages")] = Path(
        ".local/dashboards"
    ),
    png: Annotated[bool, typer.Option("--png", help="pictures beside the local pages")] = False,
    hours: Hours = 3,
    period: Annotated[
        int, typer.Option(min=1, max=60, help="seconds that count as a minute, on local pages")
    ] = 60,
    as_json: Json = False,
) -> None:
    """
    Print the dashboards' addresses; of the local stack, render them with its own metrics.
    """
    with _stage(stage) as deployed:
        names = deployed.outputs["DashboardNames"].split(",")
        if stage == LOCAL:
            written = dashboard_html.render(
                deployed, names, to=to, png=png, hours=hours, period=period
            )
            addresses = {name: str(path) for name, path in written.items()}
            if png:
                addresses |= {
                    f"{name} (picture)": str(path.with_suffix(".png"))
                    for name, path in written.items()
                }
        else:
            console = f"https://{deployed.region}.console.aws.amazon.com/cloudwatch/home"
            addresses = {
                name: f"{console}?region={deployed.region}#dashboards/dashboard/{name}"
                for name in names
            }
    output.addresses(addresses, as_json=as_json)


@app.command("simulate-burst")
def simulate_burst(  # noqa: PLR0913 - one option each.
    *,
    users: Annotated[int, typer.Option(min=1, max=100_000, help="people who come")] = 1000,
    known: Annotated[
        float, typer.Option(min=0, max=1, help="share whose Aurora account is known")
    ] = 0.95,
    rate: Annotated[
        float, typer.Option(min=1, help="requests a minute to make")
    ] = Options.request_rate,
    burst: Annotated[
        int, typer.Option(min=1, help="requests to make at once")
    ] = Options.request_burst,
    over: Annotated[float, typer.Option(min=0.1, help="minutes within which they come")] = 10,
    horizon: Annotated[
        float, typer.Option(min=1, help="seconds of turns given out")
    ] = Options.queue_horizon,
    prewarmed: Annotated[
        float,
        typer.Option("--prewarm", min=0, max=1, help="also with `prewarm`: share who are expected"),
    ] = 0,
    png: Annotated[Path | None, typer.Option(help="write the plot to this file too")] = None,
    as_json: Json = False,
) -> None:
    """
    Simulate a morning without stored tokens: how long people wait, and what Aurora sees.
    """
    morning = partial(
        simulate, users=users, known=known, over=over, rate=rate, burst=burst, horizon=horizon
    )
    result = morning()
    ahead = morning(prewarmed=prewarmed) if prewarmed else None
    output.burst(result, ahead, as_json=as_json)
    if png:
        try:
            dashboard_html.burst_picture(result, png, ahead=ahead)
        except OperatorError as error:
            output.failure(str(error))
            raise typer.Exit(FAILED) from error


def _secret(prompt: str) -> str:
    """
    Read a secret without showing it, and never from the command line, which everybody can list.
    """
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True)).strip()
    if not (given := sys.stdin.read().strip()):
        raise OperatorError(f"{prompt}: nothing came on stdin")
    return given


def _prompted_secret(prompt: str) -> str:
    """
    Read a secret as the first of several answers: on stdin the others come after its line.
    """
    if sys.stdin.isatty():
        return _secret(prompt)
    if not (given := sys.stdin.readline().strip()):
        raise OperatorError(f"{prompt}: nothing came on stdin")
    return given


def _local_sign_in(deployed: Deployed, email: str) -> str:
    # Only the local stack brings an OIDC provider, and its packages.
    from infra.local.sign_in import sign_in  # noqa: PLC0415

    return sign_in(deployed.local["issuer"], audit_log.address(email))


def main() -> None:
    """
    Run the command line.
    """
    replace_what_it_cannot_show()
    app()
