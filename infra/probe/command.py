"""
One probe from consent to report.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from token_vendor.api_key import why_unusable
from token_vendor.settings import AURORA_HOSTS, Options

from infra.operator import tokens
from infra.operator.deployed import Deployed
from infra.operator.exits import NotDeployedError, OperatorError
from infra.probe import dialogue
from infra.probe.calls import ALL_CALLS, READING_CALLS, People, make_calls
from infra.probe.line import Line, Target
from infra.probe.pacing import Reserved, Spaced
from infra.probe.questions import Record
from infra.probe.reading import answers, facts
from infra.probe.report import Outcome
from infra.probe.stage_file import CDK_JSON, StageFile
from infra.probe.tabs import Sessions, open_tabs
from infra.stage.probe_facts import implied_options

SANDBOX_KEYS = ("sk_sand_", "rk_sand_")
PRODUCTION_KEYS = ("sk_prod_", "rk_prod_")


@dataclass(frozen=True, kw_only=True)
class Place:
    """
    Where a probe is made: a target, how its calls are paced, and what belongs to it.

    `file` and `options` are a stage's.
    """

    name: str
    target: Target
    pacing: Reserved | Spaced
    is_production: bool
    is_stage: bool = False
    file: StageFile | None = None
    options: Options | None = None


def at_stage(deployed: Deployed) -> Place:
    """
    Return the place that a deployed stage is.

    Raises:
        OperatorError: Its secret holds no key that can be used.

    """
    settings, api_key = deployed.settings, deployed.api_key()
    if wrong := why_unusable(api_key, settings.aurora_environment):
        raise OperatorError(wrong)
    try:
        file = StageFile.read(CDK_JSON, deployed.stage)
    except OperatorError as error:
        file = None
        dialogue.say(f"Without cdk.json no options are compared. {error}")
    return Place(
        name=deployed.stage,
        target=Target(
            origin=settings.aurora_origin,
            tenant_id=settings.aurora_tenant_id,
            api_key=api_key,
            version_header=settings.aurora_version_header,
            version=settings.aurora_version,
        ),
        pacing=Reserved(tokens.table(deployed), settings, clock=time.time, sleep=time.sleep),
        is_production=settings.aurora_environment == "production"
        or api_key.startswith(PRODUCTION_KEYS),
        is_stage=True,
        file=file,
        options=file.options(settings) if file else None,
    )


def at_address(target: Target) -> Place:
    """
    Return the place that an address and a key are; what is not clearly a sandbox is production.

    Raises:
        OperatorError: The key cannot be one, or is of the other environment.

    """
    host = urlsplit(target.origin).hostname or ""
    of_key = "production" if target.api_key.startswith(PRODUCTION_KEYS) else "sandbox"
    of_host = {its_host: environment for environment, its_host in AURORA_HOSTS.items()}
    if wrong := why_unusable(target.api_key, of_host.get(host, of_key)):
        raise OperatorError(wrong)
    sandbox = target.api_key.startswith(SANDBOX_KEYS) or host == AURORA_HOSTS["sandbox"]
    return Place(
        name=host,
        target=target,
        pacing=Spaced(clock=time.time, sleep=time.sleep),
        # A key that fits the production host is production's, or has no prefix.
        is_production=host == AURORA_HOSTS["production"] or not sandbox,
    )


def probe(
    place: Place, people: People, *, allow_production: bool, clock: Callable[[], float] = time.time
) -> Outcome:
    """
    Ask the operator, then Aurora, then the operator again; return what was found.

    `people` holds who was invited, even if this is interrupted.

    Raises:
        OperatorError: Nothing may be asked, or Aurora refuses the key.
        NotDeployedError: Aurora cannot be reached.

    """
    if place.is_production:
        dialogue.production(place.target, allowed=allow_production)
    with_people = dialogue.consent(place.target, stage=place.name if place.is_stage else "")
    if with_people:
        people.addresses = dialogue.addresses()
    most = ALL_CALLS if with_people else READING_CALLS
    place.pacing.admit(most)
    line = Line(place.target, place.pacing, most=most, clock=clock)
    with open_tabs(place.target.origin) as tabs:
        sessions = Sessions(tabs)
        halted = make_calls(line, people, use_known=dialogue.use_known, sessions=sessions)
    if (listed := line.exchanges.get("list")) is None or not listed.status:
        raise NotDeployedError(f"{place.target.origin}: {halted}")
    if listed.status == HTTPStatus.UNAUTHORIZED:
        raise OperatorError("Aurora answered 401: it does not know the key")
    record = Record.of(line, people, sessions.said, halted)
    known = facts(record)
    changes = {}
    if place.file and place.options:
        changes = implied_options(known, place.options, place.file.given)
    return Outcome(
        stage=place.name,
        aurora=place.target.origin,
        at=clock(),
        calls=len(line.exchanges),
        halted=halted,
        left_behind=len(people.left_behind),
        answers=tuple(answers(record)),
        facts=known,
        changes=changes,
        diff=place.file.diff(changes) if place.file and changes else "",
        exchanges=tuple(line.exchanges.values()),
    )


def finish(place: Place, outcome: Outcome, *, write: bool) -> list[str]:
    """
    Keep the report and, if wanted, change cdk.json; return a line for each.

    Raises:
        OperatorError: A file cannot be written.

    """
    try:
        done = [f"kept in {outcome.keep(Path())}"]
    except OSError as error:
        raise OperatorError(f"the report was not written: {error.strerror}") from error
    if write and place.file and outcome.changes:
        place.file.write(outcome.changes)
        done.append(f"{place.file.path} has the changes: make deploy STAGE={place.name}")
    elif write:
        done.append("nothing to change in cdk.json")
    return done
