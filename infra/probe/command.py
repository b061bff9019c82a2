"""One probe of a stage from consent to report."""

import time
from http import HTTPStatus
from pathlib import Path

import typer
from token_vendor.api_key import why_unusable

from infra.operator import tokens
from infra.operator.deployed import Deployed
from infra.operator.exits import NotDeployedError, OperatorError
from infra.probe import dialogue
from infra.probe.calls import ALL_CALLS, READING_CALLS, Person, make_calls, version_header
from infra.probe.line import Line
from infra.probe.pacing import Reserved
from infra.probe.questions import Record
from infra.probe.reading import answers, facts
from infra.probe.report import Outcome
from infra.probe.stage_file import CDK_JSON, StageFile, replace_file
from infra.probe.tabs import Sessions, Tabs
from infra.stage.probe_facts import implied_options
from infra.web.loopback import serving


def run(deployed: Deployed, person: Person, *, allow_production: bool) -> Outcome:
    """
    Ask the operator, then Aurora, then the operator again; return what was found.

    `person` tells whom the probe has invited. Without a cdk.json no options are compared. An
    `OperatorError` says why nothing was asked, or that Aurora refuses the key.
    """
    settings, api_key = deployed.settings, deployed.api_key()
    try:
        file = StageFile.read(deployed.stage)
    except OperatorError as error:
        file = None
        typer.echo(f"Without cdk.json no options are compared. {error}", err=True)
    if wrong := why_unusable(api_key, settings.aurora_environment):
        raise OperatorError(wrong)
    if settings.aurora_environment == "production":
        dialogue.production(settings, allowed=allow_production)
    if dialogue.consent(settings, stage=deployed.stage):
        person.address = dialogue.address()
    most = ALL_CALLS if person.address else READING_CALLS
    pacing = Reserved(tokens.table(deployed), settings)
    pacing.admit(most)
    line = Line(settings, api_key, pacing, most=most, clock=time.time)
    with serving(Tabs(settings.aurora_origin)) as tabs:
        sessions = Sessions(tabs)
        halted = make_calls(line, person, use_known=dialogue.use_known, sessions=sessions)
    if (listed := line.exchanges.get("list")) is None or not listed.status:
        raise NotDeployedError(f"{settings.aurora_origin}: {halted}")
    if listed.status == HTTPStatus.UNAUTHORIZED:
        raise OperatorError("Aurora answered 401: it does not know the key")
    record = Record(
        exchanges=line.exchanges,
        person=person,
        said=sessions.said,
        version_header=version_header(line),
        halted=halted,
    )
    known = facts(record)
    changes = implied_options(known, file.options(settings), file.given) if file else {}
    return Outcome(
        stage=deployed.stage,
        aurora=settings.aurora_origin,
        at=time.time(),
        halted=halted,
        left_behind=bool(person.left_behind),
        answers=tuple(answers(record)),
        facts=known,
        changes=changes,
        diff=file.diff(changes) if file and changes else "",
        exchanges=tuple(line.exchanges.values()),
    )


def finish(outcome: Outcome, *, write: bool) -> list[str]:
    """Keep the report and, if wanted, change cdk.json as it is by now; return a line for each."""
    try:
        done = [f"kept in {outcome.keep(Path())}"]
        if write and outcome.changes:
            changed = StageFile.read(outcome.stage).changed(outcome.changes)
            replace_file(CDK_JSON, changed)
            done.append(f"{CDK_JSON} has the changes: make deploy STAGE={outcome.stage}")
    except OSError as error:
        raise OperatorError(f"{error.filename} was not written: {error.strerror}") from error
    if write and not outcome.changes:
        done.append("nothing to change in cdk.json")
    return done
