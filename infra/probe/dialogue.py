"""What the operator is asked before a probe, on stderr: what it may do, and with whom."""

import typer
from token_vendor.models import normalised_email
from token_vendor.settings import Settings

from infra.operator.exits import OperatorError
from infra.probe.calls import ALL_CALLS, READING_CALLS
from infra.probe.pacing import LEFT_TO_OTHERS
from infra.probe.tabs import choose

SCREEN = f"""\
Probe of {{origin}}
tenant {{tenant}}, with the key of stage {{stage}}

What may it do?

 1  Read only. Lists users and retrieves one, and asks for an id
    that nobody has. At most {READING_CALLS} calls, without effect.
 2  With a throw-away person, too. You type an address. It
    invites the person as an SDK User, and generates two tokens.
    At most {ALL_CALLS} calls. The person stays in Aurora, and may cost a
    seat, until an Aurora admin removes it.
 0  Nothing.

Each call is reserved like the function's own, and {LEFT_TO_OTHERS} of each
minute's calls are left to others.
"""


def consent(settings: Settings, *, stage: str) -> bool:
    """
    Show in one screen what a probe may do; return whether a throw-away person is allowed.

    If the operator allows nothing, raise `OperatorError`.
    """
    tenant = settings.aurora_tenant_id
    typer.echo(SCREEN.format(origin=settings.aurora_origin, tenant=tenant, stage=stage), err=True)
    chosen = choose("1, 2 or 0", "1", "2", "0")
    if chosen == "0":
        raise OperatorError("Aurora was not asked")
    return chosen == "2"


def production(settings: Settings, *, allowed: bool) -> None:
    """Have the operator confirm that this is production, or raise `OperatorError`."""
    if not allowed:
        origin = settings.aurora_origin
        raise OperatorError(f"{origin} is production: probe a sandbox, or add --production")
    tenant = typer.prompt("This is production. Type the tenant's id", err=True)
    if tenant != settings.aurora_tenant_id:
        raise OperatorError("that is another id; Aurora was not asked")


def address() -> str:
    """Ask for the address of the throw-away person."""

    def read(text: str) -> str:
        try:
            return normalised_email(text)
        except ValueError as error:
            raise typer.BadParameter("that is not an e-mail address") from error

    whom = "An address that is nobody's in Aurora, such as you+probe@example.com"
    return str(typer.prompt(whom, value_proc=read, err=True))


def use_known(address: str) -> bool:
    question = f"{address} is in Aurora already. Generate for this person? It may end a session"
    return bool(typer.confirm(question, default=False, err=True))
