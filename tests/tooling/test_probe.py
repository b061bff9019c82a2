"""
`token-vendor probe`: every unknown that the fake Aurora can play is classified, none is guessed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from token_vendor.aurora import GENERATE, LIST
from token_vendor.models import Deadline
from token_vendor.request_budget import RequestBudget
from token_vendor.settings import Settings
from token_vendor.table import Table
from typer.testing import CliRunner, Result

from infra.fake_aurora.fake_aurora import FakeAurora
from infra.fake_aurora.users import JESSICA, ROBERT
from infra.operator import doctor, output
from infra.operator.cli import app
from infra.operator.deployed import Deployed, OperatorError
from infra.operator.probe import dialogue, line, stage_options
from infra.operator.probe.calls import ALL_CALLS, READING_CALLS, People, make_calls
from infra.operator.probe.exchange import shape
from infra.operator.probe.line import HaltedError, Line, Reserved, Spaced, Target
from infra.operator.probe.questions import QUESTIONS, Answer
from infra.operator.probe.reading import Record, answers, facts
from infra.operator.probe.report import Outcome, newest
from infra.operator.probe.stage_options import StageFile, implied_options, wrong_options
from tests.conftest import Clock
from tests.model.memory_table import MemoryTable

if TYPE_CHECKING:
    from collections.abc import Callable

PEOPLE = ("you+probe1@example.com", "you+probe2@example.com")
LAURA = {"email": "caller-0001@example.com", "id": "11111111-5717-4562-b3fc-2c963f66afa6"}
INACTIVE = {
    "email": "caller-0002@example.com",
    "id": "22222222-5717-4562-b3fc-2c963f66afa6",
    "account_status": "inactive",
}


def probe(
    aurora: FakeAurora,
    *,
    people: tuple[str, ...] = PEOPLE,
    pacing: Spaced | Reserved | None = None,
    use_known: Callable[[str], bool] = lambda _: False,
    **target: str,
) -> tuple[Record, People]:
    """
    Probe the fake without a dialogue, on a clock that nobody waits for.
    """
    clock = Clock(time.time())
    known = People(addresses=people)
    made = Line(
        Target(origin=aurora.url, tenant_id=aurora.tenant_id, api_key=aurora.api_key, **target),
        pacing or Spaced(clock=clock, sleep=clock.sleep),
        most=ALL_CALLS if people else READING_CALLS,
        clock=clock,
    )
    halted = make_calls(made, known, use_known)
    return Record.of(made, known, {}, halted), known


def verdicts(record: Record) -> dict[str, str]:
    return {each.name: each.verdict for each in answers(record)}


# A table of behaviours and answers -------------------------------------------------------------

SEEN, NOT, UNKNOWN = "seen", "contradicted", "undetermined"
READING = {
    "list": SEEN,
    "list-members": SEEN,
    "list-body": SEEN,
    "retrieve": SEEN,
    "retrieve-shape": SEEN,
    "unknown-user": SEEN,
    "other-tenant": SEEN,
    "per-page": NOT,
}
"""
What a probe that only reads sees of the fake with its defaults; all else is undetermined.
"""
WITH_PEOPLE = READING | {
    "generate-unknown": SEEN,
    "invite": SEEN,
    "invite-status": NOT,
    "invite-id": SEEN,
    "invite-minimal": NOT,
    "invite-again": SEEN,
    "invite-active": SEEN,
    "generate": SEEN,
    "generate-again": SEEN,
    "claims": SEEN,
    "claim-id": SEEN,
    "claim-environment": NOT,
    "algorithm": SEEN,
    "token-life": SEEN,
}
OF_TOKENS = dict.fromkeys(
    (
        *("generate", "generate-again", "claims", "claim-id", "claim-environment", "algorithm"),
        *("token-life", "generate-unknown"),
    ),
    UNKNOWN,
)
OF_INVITATIONS = dict.fromkeys(
    ("invite-status", "invite-id", "invite-minimal", "invite-again", "invite-active"), UNKNOWN
)
PAGED = {"paging": SEEN, "page-size": NOT, "per-page": SEEN, "past-end": SEEN}
ONE_PAGE = PAGED | {"page-size": UNKNOWN}

# Behaviour, and how the answers differ from those to the defaults.
TABLE: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "the defaults": ({}, {}),
    # Two behaviours that answer alike with so few people: neither is proven.
    "not paged, page refused": ({"unpaged_page": "refused"}, {"per-page": UNKNOWN}),
    "paged, several pages": ({"page_size": 3}, PAGED),
    "paged, one page": ({"page_size": 50}, ONE_PAGE),
    "paged, the last page again": ({"page_size": 3, "past_end": "last"}, PAGED | {"past-end": NOT}),
    "paged, the first page again": (
        {"page_size": 3, "past_end": "wraps"},
        PAGED | {"past-end": NOT},
    ),
    "paged, no page after the end": (
        {"page_size": 3, "past_end": "refused"},
        PAGED | {"past-end": NOT},
    ),
    "one page that comes again": (
        {"page_size": 50, "past_end": "last"},
        ONE_PAGE | {"past-end": NOT},
    ),
    # Page 2 exists with per_page=1 and not without: an unpaged list could not answer so.
    "one page, none after it": (
        {"page_size": 50, "past_end": "refused"},
        ONE_PAGE | {"past-end": NOT},
    ),
    "paged, per_page ignored": (
        {"page_size": 2, "per_page": "ignored"},
        PAGED | {"per-page": NOT},
    ),
    "paged, per_page refused": (
        {"page_size": 2, "per_page": "refused"},
        PAGED | {"per-page": NOT},
    ),
    # The second page has one row anyway.
    "paged, per_page ignored, one on the last page": (
        {"page_size": 3, "per_page": "ignored"},
        PAGED | {"per-page": UNKNOWN},
    ),
    # The same answers as those of a list without pages, which is the default.
    "one page, per_page ignored, comes again": (
        {"page_size": 50, "per_page": "ignored", "past_end": "last"},
        {},
    ),
    "pages by a cursor": ({"page_size": 3, "page_form": "cursor"}, {"list-body": NOT}),
    "another order": ({"order": "shuffled"}, {}),
    "another order, paged": ({"order": "shuffled", "page_size": 3}, PAGED),
    "members that nobody knows": ({"unknown_members": True}, {"list-body": NOT}),
    **{
        f"retrieve answers {status}": (
            {"retrieve_status": status},
            {"retrieve": NOT, "retrieve-shape": UNKNOWN, "unknown-user": UNKNOWN},
        )
        for status in (403, 404, 405)
    },
    "retrieve, not wrapped": ({"retrieve_answer": "top_level"}, {"retrieve-shape": NOT}),
    **{
        f"an unknown id is {status}": (
            {"unknown_status": status},
            {"unknown-user": NOT, "generate-unknown": NOT},
        )
        for status in (400, 403, 422)
    },
    "no names needed": (
        {"invite_required": ("email", "user_level")},
        {"invite-minimal": SEEN},
    ),
    **{
        f"an invitation is {status}": ({"invite_status": status}, {"invite-status": SEEN})
        for status in (200, 202)
    },
    "an invitation is its id": ({"invite_answer": "top_level"}, {}),
    "an invitation names no id": ({"invite_answer": "without_id"}, {"invite-id": NOT}),
    "an invitation is 204, empty": (
        {"invite_answer": "nothing", "invite_status": 204},
        {"invite-id": NOT, "invite-status": SEEN},
    ),
    "a taken address is 409": ({"taken_status": 409}, {"invite-again": NOT}),
    # Whether the key may generate is not known where nobody active was there to try.
    "invited, but not active": (
        {"invited_status": "pending"},
        OF_TOKENS | {"invite-again": UNKNOWN, "invite-active": NOT},
    ),
    "invited, not active, not listed": (
        {"invited_status": "pending", "listed": "active"},
        OF_TOKENS | {"invite-again": UNKNOWN, "invite-active": NOT},
    ),
    "not active, not listed, not retrieved": (
        {"invited_status": "pending", "listed": "active", "retrieve_status": 403},
        OF_TOKENS
        | {"invite-active": UNKNOWN, "invite-again": UNKNOWN, "retrieve": NOT}
        | {"retrieve-shape": UNKNOWN, "unknown-user": UNKNOWN},
    ),
    "an hour of life": ({"token_lifetime": 3600}, {"token-life": NOT}),
    "the environment in the JWT": ({"environment_claim": True}, {"claim-environment": SEEN}),
    "the same token again": ({"second_generate": "same"}, {"generate-again": NOT}),
    "limit told, 90": ({"limit_headers": "policy"}, {"rate-limit": SEEN}),
    "limit told, 60": ({"limit_headers": "policy", "rate_limit": 60}, {"rate-limit": NOT}),
    "limit told, of another window": ({"limit_headers": "policy", "rate_window": 30}, {}),
    "limit told, of no window": ({"limit_headers": "bare"}, {}),
    "generate's limit told": (
        {"limit_headers": "policy", "generate_limit": 30},
        {"rate-limit": SEEN, "generate-limit": NOT},
    ),
    "a version": ({"version_header": "Aurora-Version"}, {"version": SEEN}),
    "no right to invite": (
        {"forbidden": ("invite_user",)},
        OF_TOKENS | OF_INVITATIONS | {"invite": NOT},
    ),
    "no right to generate": (
        {"forbidden": ("generate_token",)},
        OF_TOKENS | {"generate": NOT, "invite-again": UNKNOWN},
    ),
    "no right to retrieve": (
        {"forbidden": ("retrieve_user",)},
        {"retrieve": NOT, "retrieve-shape": UNKNOWN, "unknown-user": UNKNOWN},
    ),
    # A limit that generate has alone, and one of the whole key that is met at a generate.
    "generate's own limit": (
        {"generate_limit": 2},
        {"generate-limit": NOT, "retry-after": SEEN, "generate-again": UNKNOWN}
        | {"invite-again": UNKNOWN},
    ),
    "generate's own limit, with a date": (
        {"generate_limit": 2, "retry_after": "http_date"},
        {"generate-limit": NOT, "retry-after": NOT, "generate-again": UNKNOWN}
        | {"invite-again": UNKNOWN},
    ),
    # Without Retry-After the list may have been answered by the next minute.
    "generate's own limit, without a pause": (
        {"generate_limit": 2, "retry_after": "absent"},
        {"retry-after": NOT, "generate-again": UNKNOWN, "invite-again": UNKNOWN},
    ),
    "the key's limit, met at the second generate": (
        {"rate_limit": 13},
        {"retry-after": SEEN, "generate-again": UNKNOWN, "invite-again": UNKNOWN},
    ),
    "the key's limit, with a fraction": (
        {"rate_limit": 13, "retry_after": "float"},
        {"retry-after": NOT, "generate-again": UNKNOWN, "invite-again": UNKNOWN},
    ),
}


def expected(base: dict[str, str], change: dict[str, str]) -> dict[str, str]:
    return {question.name: UNKNOWN for question in QUESTIONS} | base | change


@pytest.mark.parametrize(("behaviour", "change"), TABLE.values(), ids=TABLE)
def test_every_behaviour_is_classified(behaviour: dict[str, Any], change: dict[str, str]) -> None:
    with FakeAurora.running(**behaviour) as aurora:
        record, people = probe(aurora)
        assert verdicts(record) == expected(WITH_PEOPLE, change)
        assert len(aurora.calls()) == len(record.exchanges) <= ALL_CALLS
        invited = {user["email"] for user in aurora.users()} - {JESSICA["email"], ROBERT["email"]}
        assert set(people.left_behind) == invited


READ_ONLY: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "the defaults": ({}, {}),
    "pages": ({"page_size": 1}, PAGED | {"per-page": UNKNOWN}),
    # Two people in one order may be chance; three are not taken for it.
    "one page": ({"page_size": 50, "past_end": "last"}, {"per-page": SEEN}),
    "no right to list": (
        {"forbidden": ("list_users",)},
        dict.fromkeys(READING, UNKNOWN) | {"list": NOT},
    ),
    # A refusal may mean the unknown id, or that the key lacks the right.
    "no right to generate": ({"forbidden": ("generate_token",)}, {}),
    "an unknown id is 403": ({"unknown_status": 403}, {"unknown-user": NOT}),
    "a limit at once": (
        {"rate_limit": 1, "retry_after": "float"},
        {"retry-after": NOT}
        | dict.fromkeys(
            ("retrieve", "retrieve-shape", "unknown-user", "other-tenant", "per-page"), UNKNOWN
        ),
    ),
    "all that costs calls": ({"version_header": "Aurora-Version"}, {"version": SEEN}),
}


@pytest.mark.parametrize(("behaviour", "change"), READ_ONLY.values(), ids=READ_ONLY)
def test_reading_alone(behaviour: dict[str, Any], change: dict[str, str]) -> None:
    """Nobody is invited and nothing is generated, and ten calls are enough."""
    with FakeAurora.running(**behaviour) as aurora:
        record, _ = probe(aurora, people=())
        assert verdicts(record) == expected(READING, change)
        assert len(aurora.calls()) <= READING_CALLS
        assert len(aurora.users()) == 2
        assert aurora.stats()["answers"]["generate_token"].keys() <= {"404", "403", "429"}


def test_calls_are_as_many_as_announced() -> None:
    """The dearest probes: ten calls to read, and room for a pause in those with people."""
    with FakeAurora.running(version_header="Aurora-Version", unpaged_page="refused") as aurora:
        probe(aurora, people=())
        assert len(aurora.calls()) == READING_CALLS
        aurora.reset()
        record, _ = probe(aurora)
        assert len(aurora.calls()) == 17
        assert list(record.exchanges)[:2] == ["list", "retrieve"]


def test_a_line_makes_no_call_more_than_allowed(fake_aurora: FakeAurora) -> None:
    clock = Clock()
    target = Target(origin=fake_aurora.url, tenant_id="t", api_key=fake_aurora.api_key)
    made = Line(target, Spaced(clock=clock, sleep=clock.sleep), most=2, clock=clock)
    for _ in range(2):
        made.ask("name", "GET users", LIST)
    with pytest.raises(HaltedError, match="every call"):
        made.ask("name", "GET users", LIST)
    assert len(fake_aurora.calls()) == 2
    assert clock.slept == [line.SPACING]


def test_statuses_beside_active_are_named(fake_aurora: FakeAurora) -> None:
    fake_aurora.add_users([INACTIVE])
    record, _ = probe(fake_aurora, people=())
    assert verdicts(record)["list-inactive"] == SEEN
    # Where the list shows only active people, as where there are no others, nothing is known.
    fake_aurora.behave(listed="active")
    record, _ = probe(fake_aurora, people=())
    assert verdicts(record)["list-inactive"] == UNKNOWN


def test_a_hundred_on_a_page() -> None:
    people = [
        LAURA | {"id": f"{n:08d}-0000", "email": f"caller-{n}@example.com"} for n in range(101)
    ]
    with FakeAurora.running(users=people, page_size=100) as aurora:
        assert verdicts(probe(aurora, people=())[0])["page-size"] == SEEN
        aurora.behave(page_size=0)
        # More than a hundred, and still it is not known whether there are pages.
        found = verdicts(probe(aurora, people=())[0])
        assert (found["page-size"], found["paging"]) == (NOT, UNKNOWN)


def test_one_page_of_three_in_one_order() -> None:
    """With per_page=1 page 2 is the second of three, and the order was seen three times."""
    with FakeAurora.running(
        users=[JESSICA, ROBERT, LAURA], page_size=50, past_end="last"
    ) as aurora:
        found = verdicts(probe(aurora, people=())[0])
    assert (found["paging"], found["per-page"], found["past-end"]) == (SEEN, SEEN, NOT)


@pytest.mark.parametrize("operation", ["list_users", "invite_user", "generate_token"])
@pytest.mark.parametrize("kind", ["not_json", "missing_fields", "status", "truncated_json"])
def test_an_answer_that_says_nothing_proves_nothing(
    fake_aurora: FakeAurora, operation: str, kind: str
) -> None:
    """A gateway's page, half an answer or a 503 leaves questions open, and contradicts nothing."""
    fake_aurora.fail({"operation": operation, "kind": kind, "times": 99, "status": 503})
    record, _ = probe(fake_aurora)
    found = verdicts(record)
    known = expected(WITH_PEOPLE, {})
    allowed = {UNKNOWN} | ({NOT} if kind != "status" else set())
    wrong = {
        name: verdict for name, verdict in found.items() if verdict not in {known[name], *allowed}
    }
    assert not wrong
    assert UNKNOWN in found.values()


def test_a_lost_answer_ends_the_probe(fake_aurora: FakeAurora) -> None:
    """The person may have been invited all the same, and is named."""
    fake_aurora.fail({"operation": "invite_user", "kind": "drop_after"})
    record, people = probe(fake_aurora)
    assert people.left_behind == {PEOPLE[0]: "may exist"}
    assert "no answer" in record.halted
    assert fake_aurora.calls()[-1]["operation"] == "invite_user"


def test_somebody_who_works_with_aurora_keeps_the_session(fake_aurora: FakeAurora) -> None:
    """An address that Aurora knows is neither invited nor generated for without a yes."""
    mine = (JESSICA["email"], PEOPLE[1])
    asked: list[str] = []
    record, people = probe(fake_aurora, people=mine, use_known=lambda each: asked.append(each))  # type: ignore[func-returns-value,arg-type]
    assert asked == [JESSICA["email"]]
    generated = [
        call["about"]
        for call in fake_aurora.calls()
        if call["operation"] == "generate_token" and call["answer"] == 200
    ]
    assert JESSICA["id"] not in generated
    assert len(generated) == 2
    assert set(people.left_behind) == {PEOPLE[1]}
    assert verdicts(record)["generate-again"] == SEEN


def test_people_of_an_earlier_probe_are_used_again(fake_aurora: FakeAurora) -> None:
    probe(fake_aurora)
    record, people = probe(fake_aurora, use_known=lambda _: True)
    found = verdicts(record)
    assert (found["generate-again"], found["invite"]) == (SEEN, UNKNOWN)
    assert not people.left_behind
    assert len(fake_aurora.users()) == 4


# What only a browser shows -------------------------------------------------------------------

SESSIONS: dict[tuple[str, str], tuple[str, str, str, str]] = {
    # kill, second_session: after generate, second session, after load, first token again
    ("at_once", "takes_over"): (NOT, UNKNOWN, UNKNOWN, NOT),
    ("at_once", "refused"): (NOT, UNKNOWN, UNKNOWN, NOT),
    ("when_loaded", "takes_over"): (SEEN, SEEN, NOT, NOT),
    ("never", "takes_over"): (SEEN, SEEN, NOT, SEEN),
    # What the second token would have done, had it loaded, is not seen.
    ("when_loaded", "refused"): (SEEN, NOT, UNKNOWN, UNKNOWN),
    ("never", "refused"): (SEEN, NOT, UNKNOWN, UNKNOWN),
}


class Browser:
    """
    Do what the operator is told, with the fake's own sessions, and answer truly.
    """

    def __init__(self, aurora: FakeAurora) -> None:
        self.aurora = aurora
        self.first = self._generate()
        self.second = ""
        self.sessions: list[str | None] = []

    def _generate(self) -> str:
        reply = self.aurora.answer(
            GENERATE, self.aurora.tenant_id, self.aurora.api_key, JESSICA["id"]
        )
        return str(reply.body["token"]["jwt"])

    def _load(self, jwt: str) -> bool:
        session, _ = self.aurora.load(jwt)
        self.sessions.append(session)
        return session is not None

    def _first_lives(self) -> bool:
        return self.aurora.session_state(str(self.sessions[0])) == "live"

    def __call__(self, question: str, **_: Any) -> str:
        if dialogue.LOADED in question:
            seen = self._load(self.first)
        elif dialogue.AFTER_GENERATE in question:
            self.second = self._generate()
            seen = self._first_lives()
        elif dialogue.SECOND in question:
            seen = self._load(self.second)
        elif dialogue.AFTER_LOAD in question:
            seen = self._first_lives()
        else:
            assert dialogue.AGAIN in question
            self.aurora.close_session(str(self.sessions[1]))
            seen = self._load(self.first)
        return "yes" if seen else "no"


NAMES = ("session-after-generate", "second-session", "session-after-load", "first-token-again")


@pytest.mark.parametrize(
    ("behaviour", "known"), SESSIONS.items(), ids=["-".join(b) for b in SESSIONS]
)
def test_sessions_are_classified(
    behaviour: tuple[str, str], known: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator is asked of what can be seen; what follows is true of the fake."""
    with FakeAurora.running(kill=behaviour[0], second_session=behaviour[1]) as aurora:
        # A terminal cannot be played with answers that depend on the question.
        monkeypatch.setattr(typer, "prompt", Browser(aurora))
        said = dialogue.sessions("http://localhost:1")
    found = verdicts(Record(exchanges={}, said=said))
    assert tuple(found[name] for name in NAMES) == known
    assert found["loader-option"] == SEEN


def test_what_was_not_looked_at_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loader that does not load may have another reason than the name of its option."""
    for answer in ("no", "skip"):
        monkeypatch.setattr(typer, "prompt", lambda *_, answer=answer, **__: answer)
        found = verdicts(Record(exchanges={}, said=dialogue.sessions("http://localhost:1")))
        assert set(found.values()) == {UNKNOWN}


# The budget ----------------------------------------------------------------------------------


class Stage:
    """
    A stage's table, and two who use its budget: the function and the probe.
    """

    def __init__(self, **options: Any) -> None:
        self.clock = Clock(time.time())
        self.memory = MemoryTable(lambda _: None, self.clock)
        memory: Any = self.memory
        self.settings = replace(SETTINGS, **options)
        table = Table(
            memory,
            name="tokens",
            partition="sandbox#tenant",
            clock=self.clock,
            sleep=self.clock.sleep,
        )
        self.reserved = Reserved(table, self.settings, clock=self.clock, sleep=self.clock.sleep)
        self.function = RequestBudget(
            table,
            rate=self.settings.request_rate,
            burst=self.settings.request_burst,
            grace=5,
            patience=5,
            queue_horizon=900,
            sleep=self.clock.sleep,
        )
        # As an environment does before it calls.
        self.function.look()

    def vend(self, calls: int) -> None:
        """Let the function call so often."""
        for _ in range(calls):
            deadline = Deadline(self.clock() + 99, self.clock, self.clock.sleep)
            self.function.allowance(deadline).take(GENERATE)

    def item(self, sk: str) -> dict[str, Any]:
        return {
            name: int(value["N"])
            for (_, each), item in self.memory.items.items()
            if each == sk
            for name, value in item.items()
        }

    @property
    def places_used(self) -> int:
        return sum("PLACE#" in sk for _, sk in self.memory.items)


SETTINGS = Settings(
    stage="sandbox",
    aurora_environment="sandbox",
    aurora_tenant_id="tenant",
    table_name="tokens",
    aurora_secret_arn="secret",
)


def test_each_call_is_reserved_like_the_functions_own(fake_aurora: FakeAurora) -> None:
    stage = Stage()
    stage.reserved.admit(ALL_CALLS)
    record, _ = probe(fake_aurora, pacing=stage.reserved)
    assert not record.halted
    calls = len(fake_aurora.calls())
    assert calls == 15
    assert stage.item("RING")["tickets"] == calls
    assert stage.places_used == calls


@pytest.mark.parametrize(
    ("in_use", "calls", "fits"),
    [(45, ALL_CALLS, True), (46, ALL_CALLS, False), (60, READING_CALLS, True), (61, 10, False)],
)
def test_a_key_in_use_is_left_to_those_who_use_it(in_use: int, calls: int, *, fits: bool) -> None:
    """Twenty calls of the minute stay free, whatever the probe does."""
    stage = Stage()
    stage.vend(in_use)
    if fits:
        stage.reserved.admit(calls)
    else:
        with pytest.raises(OperatorError, match=f"in use: {in_use} of this minute's 90"):
            stage.reserved.admit(calls)
    assert stage.item("RING")["tickets"] == in_use
    # A minute and a half later they do not count any more.
    stage.clock.advance(90)
    stage.reserved.admit(calls)


def test_a_small_ring_is_counted_with_all_that_it_may_have_let_through() -> None:
    """A place of three says when it was used last, not how often in the minute."""
    stage = Stage(request_burst=3, request_rate=80)
    stage.vend(3)
    with pytest.raises(OperatorError, match="in use: 81 of"):
        stage.reserved.admit(READING_CALLS)


def test_a_probe_ends_when_others_begin() -> None:
    stage = Stage()
    stage.reserved.admit(READING_CALLS)
    stage.reserved.before(LIST)
    stage.vend(68)
    # The seventieth call is the last that leaves twenty.
    stage.reserved.before(LIST)
    with pytest.raises(HaltedError, match="others"):
        stage.reserved.before(LIST)
    assert stage.item("RING")["tickets"] == 70
    stage.clock.advance(62)
    stage.reserved.before(LIST)


def test_a_small_ring_waits_for_its_places(fake_aurora: FakeAurora) -> None:
    stage = Stage(request_burst=3, request_rate=80)
    stage.reserved.admit(READING_CALLS)
    record, _ = probe(fake_aurora, people=(), pacing=stage.reserved)
    assert not record.halted
    # After a wait all three places have rested.
    assert stage.clock.slept == [2.25, 2.25]
    assert stage.item("RING")["tickets"] == len(fake_aurora.calls())


@pytest.mark.parametrize(
    ("behaviour", "attribute", "last"),
    [
        ({"rate_limit": 2}, "retrieve_user_until", "retrieve_user"),
        ({"generate_limit": 1}, "held_until", "list_users"),
    ],
    ids=["of another call", "of generate"],
)
def test_auroras_pause_reaches_everybody(
    behaviour: dict[str, Any], attribute: str, last: str
) -> None:
    """A 429 to the probe is written where the function looks, and ends the probe."""
    stage = Stage()
    stage.reserved.admit(ALL_CALLS)
    with FakeAurora.running(**behaviour) as aurora:
        record, _ = probe(aurora, pacing=stage.reserved)
        assert "pause" in record.halted
        assert aurora.calls()[-1]["operation"] == last
    assert stage.item("RING")[attribute] > stage.clock() * 1_000_000 + 50_000_000


def test_a_key_that_rests_is_not_probed() -> None:
    stage = Stage()
    stage.function.pause(40, GENERATE)
    with pytest.raises(OperatorError, match="rests for 40 s"):
        stage.reserved.admit(READING_CALLS)
