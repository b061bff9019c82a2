"""
What the operator is asked, on stderr: what a probe may do, and what only eyes can see.
"""

import typer
from token_vendor.models import normalised_email

from infra.operator.deployed import OperatorError
from infra.operator.probe.calls import ALL_CALLS, READING_CALLS
from infra.operator.probe.line import Target
from infra.operator.probe.pacing import LEFT_TO_OTHERS, SPACING

NOTHING, READING, PEOPLE = "0", "1", "2"

SCREEN = f"""\
Probe of {{origin}}
tenant {{tenant}}, {{whose}}

What may it do?

 1  Read only. Lists users and retrieves one, and asks for ids
    that nobody has. At most {READING_CALLS} calls, without effect.
 2  With two throw-away people, too. You type their addresses.
    It invites both as SDK Users, and generates two tokens for
    one. At most {ALL_CALLS} calls. The people stay in Aurora, where each
    may cost a seat, until an Aurora admin removes them.
 0  Nothing.

{{pace}}
"""
ON_A_STAGE = f"""\
Each call is reserved like the function's own, and {LEFT_TO_OTHERS} of each
minute's calls are left to others."""
WITHOUT_A_STAGE = f"""\
Nothing is known of others who use this key: the calls are
{SPACING:g} s apart."""

LOOK = """\
Some answers only a browser shows. Two windows are needed that
share nothing: two browsers, or one of them private.

 1. Open {url} in both, and sign in as the same
    test person: not as somebody who is at work in Aurora.
 2. In the first, press "Load the Client SDK".
"""
LOADED = "Did the Client SDK load in the first window?"
AFTER_GENERATE = (
    'In the second, press "This token failed me", which generates. Wait half a minute.\n'
    "Does the session in the first window still work?"
)
SECOND = 'In the second, press "Load the Client SDK". Did it load?'
AFTER_LOAD = "Wait half a minute. Does the session in the first window still work?"
AGAIN = (
    'Close the second window. In the first, press "Load it again" or "Continue here".\n'
    "Did it load with the token that it had (same name under Token)?"
)


def consent(target: Target, *, stage: str) -> bool:
    """
    Show in one screen what a probe may do; return whether throw-away people are allowed.

    Raises:
        OperatorError: The operator allows nothing.

    """
    say(
        SCREEN.format(
            origin=target.origin,
            tenant=target.tenant_id,
            whose=f"with the key of stage {stage}" if stage else "with the key that you gave",
            pace=ON_A_STAGE if stage else WITHOUT_A_STAGE,
        )
    )
    while True:
        match typer.prompt("1, 2 or 0", err=True).strip():
            case "1":
                return False
            case "2":
                return True
            case "0":
                raise OperatorError("Aurora was not asked")
            case _:
                say("Type 1, 2 or 0.")


def production(target: Target, *, allowed: bool) -> None:
    """
    Have the operator confirm that this is production.

    Raises:
        OperatorError: It is not meant.

    """
    if not allowed:
        raise OperatorError(
            f"{target.origin} or the key may be production: probe a sandbox, or add --production"
        )
    if typer.prompt("This is production. Type the tenant's id", err=True) != target.tenant_id:
        raise OperatorError("that is another id; Aurora was not asked")


def addresses() -> tuple[str, str]:
    """
    Ask for the addresses of the two throw-away people.
    """
    say("Take addresses that are nobody's in Aurora, such as you+probe1@example.com.")
    first = _address("First throw-away person", "")
    return first, _address("Second throw-away person", first)


def use_known(address: str) -> bool:
    """
    Ask whether a token may be generated for somebody whom Aurora knows already.
    """
    question = f"{address} is in Aurora already. Generate for this person? It may end a session"
    return bool(typer.confirm(question, default=False, err=True))


def sessions(url: str) -> dict[str, bool | None]:
    """
    Ask what becomes of a Client SDK session on the demo page; None for what was not looked at.
    """
    say(LOOK.format(url=url))
    said = {"loader-option": _look(LOADED)}
    if not said["loader-option"]:
        return said
    said["session-after-generate"] = _look(AFTER_GENERATE)
    second = _look(SECOND)
    # Once the first session is over, nothing that comes later is about it.
    if said["session-after-generate"]:
        said["second-session"] = second
        if second:
            said["session-after-load"] = _look(AFTER_LOAD)
    # A token that is refused beside an open session may be as good as before.
    if second:
        said["first-token-again"] = _look(AGAIN)
    return said


def say(text: str) -> None:
    """
    Print to stderr: stdout is the result's.
    """
    typer.echo(text, err=True)


def _look(question: str) -> bool | None:
    while True:
        match typer.prompt(f"{question} yes, no or skip", err=True).strip().lower():
            case "yes" | "y":
                return True
            case "no" | "n":
                return False
            case "skip" | "s":
                return None
            case _:
                say("Type yes, no or skip.")


def _address(prompt: str, other: str) -> str:
    while True:
        try:
            address = normalised_email(typer.prompt(prompt, err=True))
        except ValueError:
            say("That is not an e-mail address.")
            continue
        if address != other:
            return address
        say("Another one is needed.")
