"""
Find out what Aurora's pages leave open. Asks first; costs 6 of Aurora's requests, or 13.

Exit codes are those of `token-vendor`: 0 done, 1 not done, 2 wrong usage, 3 out of reach.
"""

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra import terminal
from infra.operator.commands import Stage, command, find, new_app, run
from infra.terminal import Answer, Table

if TYPE_CHECKING:
    from infra.probe.report import Outcome

COLOURS = {"+": "green", "-": "red"}
VERDICTS = {
    "seen": ("✓ seen", "green"),
    "contradicted": ("≠ contradicted", "yellow"),
    "undetermined": ("? undetermined", "dim"),
}

app = new_app(__doc__)


@command(app, "probe")
def probe(
    stage: Stage,
    *,
    production: Annotated[bool, typer.Option("--production", help="allow production")] = False,
    write: Annotated[bool, typer.Option("--write", help="change cdk.json by the outcome")] = False,
) -> Answer:
    """Find out what Aurora's pages leave open. Asks first; costs 6 of its requests, or 13."""
    from infra.probe import command as steps
    from infra.probe.calls import Person

    person = Person()
    try:
        outcome = steps.run(find(stage), person, allow_production=production)
        for line in steps.finish(outcome, write=write):
            terminal.noted(line)
    finally:
        if state := person.left_behind:
            # Also after Ctrl-C: it may cost a seat.
            left = f"throw-away person, {state} in Aurora until an admin removes it."
            typer.echo(f"{person.address}: {left}", err=True)
    return found(outcome)


def found(outcome: "Outcome") -> Answer:
    rows = [(VERDICTS[each.verdict], each.statement, each.found or "-") for each in outcome.answers]
    counts = Counter[str](each.verdict for each in outcome.answers)
    counted = ", ".join(f"{counts[name]} {name}" for name in VERDICTS)
    said: list[Any] = [Table(columns=("", "Statement", "Found"), rows=rows), ""]
    said.append(f"{counted}, by {len(outcome.exchanges)} calls")
    if outcome.halted:
        said.append(f"It ended early: {outcome.halted}.")
    if outcome.diff:
        said += ["", "What follows for cdk.json:", ""]
        said += [((line, COLOURS.get(line[:1], "")),) for line in outcome.diff.splitlines()]
    return Answer(data=outcome.to_json(), said=said)


def main() -> None:
    run(app)
