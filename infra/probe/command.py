"""
One probe of a stage from consent to report.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from token_vendor.api_key import why_unusable

from infra.operator import tokens
from infra.operator.deployed import Deployed
from infra.operator.exits import NotDeployedError, OperatorError
from infra.probe import dialogue
from infra.probe.calls import ALL_CALLS, READING_CALLS, People, make_calls
from infra.probe.line import Line, Target
from infra.probe.pacing import Reserved
from infra.probe.questions import Record
from infra.probe.reading import answers, facts
from infra.probe.report import Outcome
from infra.probe.stage_file import CDK_JSON, StageFile
from infra.probe.tabs import Sessions, open_tabs
from infra.stage.probe_facts import implied_options


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A stage to probe, with the key that is in its secret; `people` are those it has invited."""

    deployed: Deployed
    people: People
    file: StageFile | None

    @classmethod
    def of(cls, deployed: Deployed, people: People) -> "Probe":
        """Return the probe of a stage; without its cdk.json, no options are compared."""
        try:
            file = StageFile.read(CDK_JSON, deployed.stage)
        except OperatorError as error:
            file = None
            dialogue.say(f"Without cdk.json no options are compared. {error}")
        return cls(deployed=deployed, people=people, file=file)

    def run(
        self,
        *,
        allow_production: bool,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Outcome:
        """
        Ask the operator, then Aurora, then the operator again; return what was found.

        Raises:
            OperatorError: Nothing may be asked, or Aurora refuses the key.
            NotDeployedError: Aurora cannot be reached.

        """
        settings, api_key, people = self.deployed.settings, self.deployed.api_key(), self.people
        if wrong := why_unusable(api_key, settings.aurora_environment):
            raise OperatorError(wrong)
        target = Target(
            origin=settings.aurora_origin,
            tenant_id=settings.aurora_tenant_id,
            api_key=api_key,
            version_header=settings.aurora_version_header,
            version=settings.aurora_version,
        )
        if settings.aurora_environment == "production":
            dialogue.production(target, allowed=allow_production)
        with_people = dialogue.consent(target, stage=self.deployed.stage)
        if with_people:
            people.addresses = dialogue.addresses()
        most = ALL_CALLS if with_people else READING_CALLS
        pacing = Reserved(tokens.table(self.deployed), settings, clock=clock, sleep=sleep)
        pacing.admit(most)
        line = Line(target, pacing, most=most, clock=clock)
        with open_tabs(target.origin) as tabs:
            sessions = Sessions(tabs)
            halted = make_calls(line, people, use_known=dialogue.use_known, sessions=sessions)
        if (listed := line.exchanges.get("list")) is None or not listed.status:
            raise NotDeployedError(f"{target.origin}: {halted}")
        if listed.status == HTTPStatus.UNAUTHORIZED:
            raise OperatorError("Aurora answered 401: it does not know the key")
        record = Record.of(line, people, sessions.said, halted)
        known, file = facts(record), self.file
        changes = implied_options(known, file.options(settings), file.given) if file else {}
        return Outcome(
            stage=self.deployed.stage,
            aurora=target.origin,
            at=clock(),
            halted=halted,
            left_behind=len(people.left_behind),
            answers=tuple(answers(record)),
            facts=known,
            changes=changes,
            diff=file.diff(changes) if file and changes else "",
            exchanges=tuple(line.exchanges.values()),
        )

    def finish(self, outcome: Outcome, *, write: bool) -> list[str]:
        """
        Keep the report and, if wanted, change cdk.json; return a line for each.

        Raises:
            OperatorError: A file cannot be written.

        """
        try:
            done = [f"kept in {outcome.keep(Path())}"]
        except OSError as error:
            raise OperatorError(f"the report was not written: {error.strerror}") from error
        if write and self.file and outcome.changes:
            self.file.write(outcome.changes)
            done.append(f"{CDK_JSON} has the changes: make deploy STAGE={outcome.stage}")
        elif write:
            done.append("nothing to change in cdk.json")
        return done
