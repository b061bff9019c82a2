"""
Operate the Aurora token vendor: who gets in, who does not and why, and what to do about it.

AWS is reached with the usual credentials (AWS_PROFILE, AWS_REGION); `--stage local` is the stack
that `make run` started. Exit codes: 0 done, 1 a check failed or the answer was a problem, 2 wrong
usage, 3 the stage cannot be reached.
"""

import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from infra.operator.commands import Hours, Stage, Yes, command, find, new_app, secret
from infra.operator.exits import OperatorError, UsageError
from infra.terminal import Answer, done

LOOK, ACT, PREPARE = "Look", "Act", "Prepare"
LOCAL = "local"
PAGES = Path(".local/dashboards")
# CloudWatch Logs shows an event some seconds after it was written.
LOG_PATIENCE = 15

app = new_app(__doc__)
people = new_app("Who holds a token or a seat; export, erase, forget a person.")
plan = new_app("How a morning will be, before it comes.")
Email = Annotated[str, typer.Argument(help="the person")]


@command(app, "show", section=LOOK)
def show(
    email: Email,
    stage: Stage,
    *,
    hours: Hours = 24,
    raw: Annotated[bool, typer.Option("--raw", help="also what the table has, never JWTs")] = False,
) -> Answer:
    """Say why one person gets in or does not, and what to do."""
    from token_vendor.observability import digest

    from infra.operator import audit_log, output, person

    address = audit_log.address(email)
    deployed = find(stage)
    caller = digest(address)
    events = audit_log.events(deployed, since=time.time() - hours * 3600, containing=caller)
    return output.person(person.look(deployed, address, events), events, caller=caller, raw=raw)


@command(app, "doctor", section=LOOK)
def doctor_(
    stage: Stage,
    *,
    token: Annotated[
        bool, typer.Option("--token", help="also check an ID token, from a prompt or stdin")
    ] = False,
) -> Answer:
    """Check everything from end to end, and name the fix of each finding."""
    from infra.operator import doctor, output, sign_in_token

    deployed = find(stage)
    id_token = secret("ID token") if token else ""
    findings = list(doctor.examine(deployed))
    if token:
        findings += sign_in_token.examine(deployed, id_token)
    return output.findings(findings)


@command(app, "dashboard", section=LOOK)
def dashboard(
    stage: Stage,
    *,
    png: Annotated[bool, typer.Option("--png", help="pictures beside the local pages")] = False,
    hours: Hours = 3,
) -> Answer:
    """Print the dashboards' addresses; draw those of the local stack."""
    from infra.operator import dashboards, output

    deployed = find(stage)
    if stage == LOCAL:
        found = dashboards.drawn(deployed, to=PAGES, png=png, hours=hours)
    else:
        found = dashboards.addresses(deployed)
    return output.addresses(found)


@command(app, "smoke", section=LOOK)
def smoke(
    stage: Stage,
    *,
    as_: Annotated[str, typer.Option("--as", help="sign in as (stage local only)")] = "",
) -> Answer:
    """Vend for an ID token, and say where the time went."""
    from infra.operator import output, vend

    if as_ and stage != LOCAL:
        raise UsageError("--as: only the local stack signs people in")
    deployed = find(stage)
    id_token = vend.local_sign_in(as_) if as_ else secret("ID token")
    return output.smoke(vend.once(deployed, id_token, patience=LOG_PATIENCE))


@command(app, "switch", section=ACT)
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
) -> Answer:
    """Show what is switched, or switch it for the next requests."""
    from infra.operator import output, switches

    if not name:
        return output.switched(switches.board(find(stage)).entries)
    # What was typed is looked at before AWS is asked.
    wanted = (
        switches.ended(name, value, reason=reason)
        if off
        else switches.entry(name, value, until=until, reason=reason, now=time.time())
    )
    deployed = find(stage)
    (switches.clear if off else switches.set_)(deployed, wanted)
    return output.switched(switches.board(deployed).entries)


@command(app, "set-api-key", section=ACT)
def set_api_key(stage: Stage) -> Answer:
    """
    Store Aurora's API key, once Aurora permits it all.

    It comes from a prompt or stdin. Costs up to three of Aurora's requests, without effect.
    """
    from token_vendor.api_key import why_unusable

    from infra.operator import key_rights

    deployed = find(stage)
    settings = deployed.settings
    api_key = secret(f"Aurora API key ({settings.aurora_environment})")
    if wrong := why_unusable(api_key, settings.aurora_environment):
        raise OperatorError(wrong)
    if missing := key_rights.missing_right(settings, api_key):
        raise OperatorError(f"the key was not stored: {missing}")
    deployed.client("secretsmanager").put_secret_value(
        SecretId=deployed.outputs["SecretArn"], SecretString=api_key
    )
    return done(f"stored; every execution environment has it within {settings.api_key_ttl:g} s")


app.add_typer(people, name="people", rich_help_panel=ACT)
app.add_typer(plan, name="plan", rich_help_panel=PREPARE)


@command(people, "list", csv=True)
def holders(stage: Stage) -> Answer:
    """List who holds a token, since when, and until when."""
    from infra.operator import output, tokens

    return output.holders(sorted(tokens.holders(find(stage)), key=lambda each: each.email))


@command(people, "unused", csv=True)
def unused(
    stage: Stage,
    *,
    days: Annotated[int, typer.Option(min=1, help="for how long nothing was vended")] = 30,
) -> Answer:
    """List who has an active seat at Aurora and does not use this service."""
    from infra.operator import output, seats

    return output.seats(seats.unused(find(stage), days=days))


@command(people, "export")
def export(email: Email, stage: Stage) -> Answer:
    """Print all that the table holds of a person, as JSON, without the JWT."""
    from infra.operator import audit_log, output, seats

    found = seats.export(find(stage), audit_log.address(email))
    if not found:
        raise OperatorError(f"the table holds nothing of {email}")
    return output.exported(found)


@command(people, "erase")
def erase(email: Email, stage: Stage, *, yes: Yes = False) -> Answer:
    """Delete all that the table holds of a person, and prove it. Aurora is not told."""
    from infra.operator import audit_log, output, seats

    deployed, address = find(stage), audit_log.address(email)
    if not yes:
        # Without its token the next sign-in generates, which can end an open session.
        typer.confirm(f"Erase all items of {address}?", abort=True)
    return output.erased(seats.erase(deployed, address))


@command(people, "forget")
def forget(
    stage: Stage,
    email: Annotated[str | None, typer.Argument(help="the person")] = None,
    *,
    everybody: Annotated[bool, typer.Option("--all", help="every stored token")] = False,
    yes: Yes = False,
) -> Answer:
    """Drop a stored token: the person's next request generates. Aurora is not told."""
    from infra.operator import audit_log, tokens

    if (email is None) != everybody:
        raise UsageError("name one e-mail, or --all")
    deployed = find(stage)
    whom = [audit_log.address(email)] if email else [h.email for h in tokens.holders(deployed)]
    if not yes:
        # Each one forgotten costs a request to Aurora when its person comes back.
        typer.confirm(f"Forget the tokens of {email or f'{len(whom)} people'}?", abort=True)
    forgotten = sum(tokens.forget(deployed, each) for each in whom)
    if email and not forgotten:
        raise OperatorError(f"{email} holds no token")
    return done(f"{forgotten} forgotten")


@command(plan, "burst")
def burst(
    *,
    users: Annotated[int, typer.Option(min=1, max=20_000, help="people who come")] = 1000,
    known: Annotated[
        float, typer.Option(min=0, max=1, help="share whose Aurora account is known")
    ] = 0.95,
    over: Annotated[float, typer.Option(min=0.1, help="minutes within which they come")] = 10,
    rate: Annotated[
        float | None, typer.Option(min=1, help="request_rate, where it is not the default")
    ] = None,
    prewarmed: Annotated[
        float,
        typer.Option("--prewarm", min=0, max=1, help="also with `prewarm`: share who are expected"),
    ] = 0,
) -> Answer:
    """Simulate a morning without stored tokens: how long people wait, and what Aurora sees."""
    from token_vendor.settings import Options

    from infra.operator import output
    from infra.operator.burst_simulation import simulate

    rate = rate or Options.request_rate
    morning = partial(simulate, users=users, known=known, over=over, rate=rate)
    mornings = {"as it is": morning()}
    if prewarmed:
        mornings["with prewarm"] = morning(prewarmed=prewarmed)
    return output.burst(mornings)


@command(plan, "prewarm")
def prewarm(
    stage: Stage,
    *,
    start: Annotated[
        str, typer.Option("--from", help="when a run would begin: 30m, 14h, or a moment")
    ] = "1m",
) -> Answer:
    """Say whom `prewarm` would serve, when, and how many it covers; nothing is generated."""
    from infra.operator import output, prewarm_plan, switches

    begins_at = switches.moment(start, time.time(), option="--from")
    deployed = find(stage)
    found = prewarm_plan.forecast(deployed, begins_at=begins_at)
    settings = deployed.settings
    covered = prewarm_plan.coverage(rate=settings.request_rate)
    return output.forecast(found, covered, noted=settings.prewarm)
