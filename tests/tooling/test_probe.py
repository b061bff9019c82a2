"""`token-vendor-probe`: every unknown that the fake can play is classified, none guessed."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
import typer
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st
from token_vendor.control import Control
from token_vendor.models import GENERATE, LIST, Deadline
from token_vendor.request_budget import RequestBudget
from token_vendor.settings import Settings
from token_vendor.table import Table
from typer.testing import CliRunner, Result

from infra import terminal
from infra.fake_aurora.fake_aurora import FakeAurora
from infra.fake_aurora.users import JESSICA, ROBERT
from infra.operator import doctor
from infra.operator.deployed import Deployed
from infra.operator.exits import OperatorError
from infra.probe import cli, dialogue
from infra.probe import tabs as looks
from infra.probe.calls import ALL_CALLS, READING_CALLS, Person, make_calls, version_header
from infra.probe.cli import app
from infra.probe.command import finish
from infra.probe.exchange import Exchange, shape
from infra.probe.line import Line
from infra.probe.pacing import HaltedError, Reserved
from infra.probe.questions import QUESTIONS, Record
from infra.probe.reading import answers, facts
from infra.probe.report import Outcome
from infra.probe.stage_file import StageFile
from infra.probe.tabs import Sessions, Tabs
from infra.stage import probe_facts
from infra.stage.probe_facts import implied_options, newest
from infra.web.loopback import serving
from tests.model.memory_table import MemoryTable
from tests.support.chromium import chromium
from tests.support.clock import Clock
from tests.support.settings import ENVIRONMENT
from tests.support.stage import session_of, stage_of

ADDRESS = "you+probe@example.com"


UNPACED: Any = SimpleNamespace(before=lambda _: None, pause=lambda *_: None)
"""Lets every call pass, where no table is needed."""


def probe(
    aurora: FakeAurora,
    *,
    address: str = ADDRESS,
    paced: Reserved | None = None,
    use_known: Callable[[str], bool] = lambda _: False,
    sessions: Sessions | None = None,
    **options: str,
) -> Record:
    """Probe the fake without a dialogue, on a clock that nobody waits for."""
    clock = Clock(time.time())
    person = Person(address=address)
    made = Line(
        replace(SETTINGS, aurora_url=aurora.url, aurora_tenant_id=aurora.tenant_id, **options),
        aurora.api_key,
        paced or UNPACED,
        most=ALL_CALLS if address else READING_CALLS,
        clock=clock,
    )
    halted = make_calls(made, person, use_known=use_known, sessions=sessions)
    return Record(
        exchanges=made.exchanges,
        person=person,
        said=sessions.said if sessions else {},
        version_header=version_header(made),
        halted=halted,
    )


def verdicts(record: Record) -> dict[str, str]:
    return {each.question: each.verdict for each in answers(record)}


# A table of behaviours and answers -------------------------------------------------------------

SEEN, NOT, UNKNOWN = "seen", "contradicted", "undetermined"
READING = dict.fromkeys(("list", "list-members", "retrieve", "unknown-user"), SEEN)
"""What a probe that only reads sees of the fake with its defaults; all else is undetermined."""
OF_TOKENS = dict.fromkeys(
    ("generate", "generate-again", "claims", "claim-id", "token-life"), UNKNOWN
)
OF_INVITATIONS = dict.fromkeys(("invite-id", "invite-again", "invite-active"), UNKNOWN)
WITH_PEOPLE = READING | dict.fromkeys(("invite", *OF_INVITATIONS, *OF_TOKENS), SEEN)
PAGED = {"paging": SEEN}

# Behaviour, and how the answers differ from those to the defaults.
TABLE: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "the defaults": ({}, {}),
    # Two behaviours that answer alike with so few people: neither is proven.
    "not paged, page refused": ({"unpaged_page": "refused"}, {}),
    "paged, several pages": ({"page_size": 2}, PAGED),
    "paged, one page": ({"page_size": 50}, PAGED),
    # The same answers as those of a list without pages, which is the default.
    "one page that comes again": ({"page_size": 50, "past_end": "last"}, {}),
    "pages by a cursor": (
        {"page_size": 2, "page_form": "cursor"},
        {"paging": NOT},
    ),
    "pages by a Link header": ({"page_size": 2, "page_form": "link"}, {"paging": NOT}),
    "pages that nobody names": (
        {"page_size": 2, "page_form": "after_id"},
        {"paging": NOT},
    ),
    "another order": ({"order": "shuffled"}, {}),
    "an unknown id is 403": (
        {"unknown_status": 403},
        {"unknown-user": NOT},
    ),
    "an invitation is its id": ({"invite_answer": "top_level"}, {}),
    "an invitation names no id": ({"invite_answer": "without_id"}, {"invite-id": NOT}),
    "an invitation is 204, empty": (
        {"invite_answer": "nothing", "invite_status": 204},
        {"invite-id": NOT},
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
        | {"unknown-user": UNKNOWN},
    ),
    "an hour of life": ({"token_lifetime": 3600}, {"token-life": NOT}),
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
        {"retrieve": NOT, "unknown-user": UNKNOWN},
    ),
    # A limit that generate has alone, and one of the whole key that is met at a generate.
    "generate's own limit, with a date": (
        {"generate_limit": 1, "retry_after": "http_date"},
        {"generate-limit": NOT, "retry-after": NOT, "generate-again": UNKNOWN}
        | {"invite-again": UNKNOWN},
    ),
    # Without Retry-After the list may have been answered by the next minute.
    "generate's own limit, without a pause": (
        {"generate_limit": 1, "retry_after": "absent"},
        {"retry-after": NOT, "generate-again": UNKNOWN, "invite-again": UNKNOWN},
    ),
    "the key's limit, met at the second generate": (
        {"rate_limit": 7},
        {"retry-after": SEEN, "generate-again": UNKNOWN, "invite-again": UNKNOWN},
    ),
}


def expected(base: dict[str, str], change: dict[str, str]) -> dict[str, str]:
    return dict.fromkeys(QUESTIONS, UNKNOWN) | base | change


@pytest.mark.parametrize(("behaviour", "change"), TABLE.values(), ids=TABLE)
def test_every_behaviour_is_classified(behaviour: dict[str, Any], change: dict[str, str]) -> None:
    with FakeAurora.running(**behaviour) as aurora:
        record = probe(aurora)
        assert verdicts(record) == expected(WITH_PEOPLE, change)
        assert len(aurora.calls()) == len(record.exchanges) <= ALL_CALLS
        assert bool(record.person.left_behind) == (len(aurora.users()) == 3)


READ_ONLY: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "the defaults": ({}, {}),
    "no right to list": (
        {"forbidden": ("list_users",)},
        dict.fromkeys(READING, UNKNOWN) | {"list": NOT},
    ),
    "a limit at once": (
        {"rate_limit": 1, "retry_after": "float"},
        {"retry-after": NOT} | dict.fromkeys(("retrieve", "unknown-user"), UNKNOWN),
    ),
}


@pytest.mark.parametrize(("behaviour", "change"), READ_ONLY.values(), ids=READ_ONLY)
def test_reading_alone(behaviour: dict[str, Any], change: dict[str, str]) -> None:
    """Nobody is invited and nothing is generated."""
    with FakeAurora.running(**behaviour) as aurora:
        assert verdicts(probe(aurora, address="")) == expected(READING, change)
        assert len(aurora.calls()) <= READING_CALLS
        assert len(aurora.users()) == 2
        assert aurora.stats()["calls"]["generate_token"] == 0


def test_calls_are_as_many_as_announced() -> None:
    """The dearest probes; in one with a person there is room for a pause."""
    with FakeAurora.running(version_header="Aurora-Version", invited_status="pending") as aurora:
        probe(aurora, address="")
        assert len(aurora.calls()) == READING_CALLS
        aurora.reset()
        aurora.behave(invited_status="active", listed_after=3600)
        record = probe(aurora)
        assert len(aurora.calls()) == ALL_CALLS - 1
        assert list(record.exchanges)[:2] == ["list", "retrieve"]


def test_a_line_makes_no_call_more_than_allowed(fake_aurora: FakeAurora) -> None:
    clock = Clock()
    settings = replace(SETTINGS, aurora_url=fake_aurora.url)
    made = Line(settings, fake_aurora.api_key, UNPACED, most=2, clock=clock)
    for _ in range(2):
        made.ask("name", "GET users", LIST)
    with pytest.raises(HaltedError, match="every call"):
        made.ask("name", "GET users", LIST)
    assert len(fake_aurora.calls()) == 2


@pytest.mark.parametrize("operation", ["list_users", "invite_user", "generate_token"])
@pytest.mark.parametrize("kind", ["not_json", "missing_fields", "status", "truncated_json"])
def test_an_answer_that_says_nothing_proves_nothing(
    fake_aurora: FakeAurora, operation: str, kind: str
) -> None:
    """A gateway's page, half an answer or a 503 leaves questions open, and contradicts nothing."""
    fake_aurora.fail({"operation": operation, "kind": kind, "times": 99, "status": 503})
    found = verdicts(probe(fake_aurora))
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
    record = probe(fake_aurora)
    assert record.person.left_behind == "may exist"
    assert "no answer" in record.halted
    assert fake_aurora.calls()[-1]["operation"] == "invite_user"


@pytest.mark.parametrize("use", [False, True])
def test_somebody_whom_aurora_knows_is_generated_for_only_after_a_yes(
    fake_aurora: FakeAurora, *, use: bool
) -> None:
    """It may be the person of an earlier probe, or somebody who works with Aurora."""
    asked: list[str] = []
    record = probe(
        fake_aurora, address=JESSICA["email"], use_known=lambda each: asked.append(each) or use
    )
    assert asked == [JESSICA["email"]]
    calls = fake_aurora.stats()["calls"]
    assert (calls["generate_token"], calls["invite_user"]) == (2 * use, 0)
    assert not record.person.left_behind
    found = verdicts(record)
    assert (found["generate-again"], found["invite"]) == (SEEN if use else UNKNOWN, UNKNOWN)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["users", "user", "id", "email", "account_status", "token", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
CLAIMS = st.dictionaries(st.sampled_from(["id", "email", "exp", "jti", "environment"]), JSON)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "RateLimit-Policy", "X-RateLimit-Limit", "Date", "X-Version"]),
    st.sampled_from(["", "nan", "inf", "-1", "5", "1.5", '"a";q=0;w=60', "q=9;w=60", "Mon, 1"]),
)
STATUSES = st.sampled_from([0, 200, 201, 204, 302, 400, 401, 403, 404, 409, 422, 429, 500])
NAMES_OF_CALLS = (
    *("list", "retrieve", "unknown-user", "invite", "list-after", "retrieve-invited", "page-2"),
    *("generate", "generate-again", "after-429-to-generate", "invite-again"),
    *("version-unknown", "version-known"),
)


@st.composite
def exchanges(draw: st.DrawFn) -> dict[str, Exchange]:
    done = {}
    for name in draw(st.sets(st.sampled_from(NAMES_OF_CALLS), max_size=8)):
        body = draw(JSON)
        if name.startswith("generate") and draw(st.booleans()):
            body = {"token": {"jwt": jwt.encode(draw(CLAIMS), "x" * 32, algorithm="HS256")}}
        done[name] = Exchange(call=name, status=draw(STATUSES), headers=draw(HEADERS), body=body)
    return done


@settings(max_examples=100, deadline=None)
@given(exchanges())
def test_whatever_aurora_answers_is_read(done: dict[str, Exchange]) -> None:
    """No answer makes the probe fail, and what follows from it is an option that a stage takes."""
    person = Person(address=ADDRESS, left_behind="exists")
    record = Record(exchanges=done, person=person, version_header=("X-Version", "1"))
    assert len(answers(record)) == len(QUESTIONS)
    known = facts(record)
    json.dumps(known, allow_nan=False)
    assert not list(replace(SETTINGS, **implied_options(known, SETTINGS, ())).contradictions())


# What only a browser shows -------------------------------------------------------------------

BY_LOOKING = (
    "session-after-generate",
    "second-session",
    "session-after-load",
    "first-token-again",
)
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
    """Do what the operator is told, with the tabs' own tokens and the fake's sessions."""

    def __init__(self, aurora: FakeAurora) -> None:
        self.aurora = aurora
        self.sessions: list[str | None] = []
        self.urls: list[str] = []

    def _load(self, url: str) -> bool:
        page = urllib3.request("GET", url, retries=False)
        found = re.search(r'"jwt": "([^"]+)"', page.data.decode())
        assert found
        session, _ = self.aurora.load(found[1])
        self.sessions.append(session)
        return session is not None

    def __call__(self, question: str, **_: Any) -> str:
        if opened := re.search(r"http://localhost:\S+", question):
            self.urls.append(opened[0])
            seen = self._load(opened[0])
        elif question.startswith((looks.AFTER_GENERATE, looks.AFTER_LOAD)):
            seen = self.aurora.session_state(str(self.sessions[0])) == "live"
        else:
            assert question.startswith(looks.AGAIN)
            # Closing and reloading a tab ends its session.
            for session in self.sessions:
                self.aurora.close_session(str(session))
            seen = self._load(self.urls[0])
        return "yes" if seen else "no"


def probe_looking(aurora: FakeAurora, operator: Callable[..., str]) -> Record:
    """Probe with tabs; a terminal cannot be played with answers that depend on the question."""
    with pytest.MonkeyPatch.context() as patch, serving(Tabs(aurora.url)) as tabs:
        patch.setattr(typer, "prompt", operator)
        return probe(aurora, sessions=Sessions(tabs))


@pytest.mark.parametrize(
    ("behaviour", "known"), SESSIONS.items(), ids=["-".join(b) for b in SESSIONS]
)
def test_sessions_are_classified(behaviour: tuple[str, str], known: tuple[str, ...]) -> None:
    """Two generates and two tabs: what the operator sees of the fake is what is true of it."""
    with FakeAurora.running(kill=behaviour[0], second_session=behaviour[1]) as aurora:
        record = probe_looking(aurora, Browser(aurora))
        assert aurora.stats()["answers"]["generate_token"] == {"200": 2}
    assert verdicts(record) == expected(
        WITH_PEOPLE, {"loader-option": SEEN} | dict(zip(BY_LOOKING, known, strict=True))
    )


def test_the_same_token_is_not_taken_for_two() -> None:
    with FakeAurora.running(second_generate="same") as aurora:
        found = verdicts(probe_looking(aurora, Browser(aurora)))
    assert found["loader-option"] == SEEN
    assert {found[name] for name in BY_LOOKING} == {UNKNOWN}


@pytest.mark.parametrize("answer", ["no", "skip"])
def test_what_was_not_looked_at_is_not_known(fake_aurora: FakeAurora, answer: str) -> None:
    """A loader that does not load may have another reason than the name of its option."""
    asked: list[str] = []
    record = probe_looking(fake_aurora, lambda text, **_: asked.append(text) or answer)
    assert verdicts(record) == expected(WITH_PEOPLE, {})
    assert len(asked) == 1


def test_tabs_are_found_only_by_their_address(fake_aurora: FakeAurora) -> None:
    with serving(Tabs(fake_aurora.url)) as tabs:
        url = tabs.show("first", "e.y.J<")
        assert urllib3.request("GET", url).status == 200
        assert b"J<" not in urllib3.request("GET", url).data
        for other in ("/", "/first", "//first", f"{tabs.folder}second", tabs.folder):
            answer = urllib3.request("GET", f"http://localhost:{tabs.server_port}{other}")
            assert (answer.status, b"e.y.J" in answer.data) == (404, False)
    with serving(Tabs(fake_aurora.url)) as others:
        assert others.folder != tabs.folder
        assert len(others.folder) > 20


@pytest.mark.nightly
def test_two_tabs_in_a_browser(fake_aurora: FakeAurora) -> None:
    """The page loads the stand-in of the SDK by the helper that the product has."""
    fake_aurora.behave(kill="never")
    tokens = [
        fake_aurora.answer(GENERATE, fake_aurora.tenant_id, fake_aurora.api_key, JESSICA["id"])
        for _ in range(2)
    ]
    with serving(Tabs(fake_aurora.url)) as tabs, chromium() as browser:
        context = browser.new_context()
        context.set_default_timeout(120_000)
        pages = []
        for which, token in zip(("first", "second"), tokens, strict=True):
            page = context.new_page()
            page.goto(tabs.show(which, token.body["token"]["jwt"]))
            page.get_by_text("Loaded; the session: live.").wait_for()
            pages.append(page)
        pages[0].get_by_text("another session was opened").wait_for()
        pages[1].close()
        pages[0].reload()
        pages[0].get_by_text("Loaded; the session: live.").wait_for()
        unloadable = context.new_page()
        unloadable.goto(tabs.show("third", "no.j.wt"))
        unloadable.get_by_text("Not loaded.").wait_for()


# The budget ----------------------------------------------------------------------------------


class Stage:
    """A stage's table, and two who use its budget: the function and the probe."""

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
        self.reserved = Reserved(table, self.settings)
        self.function = RequestBudget(table, self.settings)
        # As an environment does before it calls.
        self.function.look()

    def vend(self, calls: int) -> None:
        """Let the function call so often."""
        for _ in range(calls):
            deadline = Deadline(self.clock() + 99, self.clock, self.clock.sleep)
            self.function.allowance(deadline, Control()).take(GENERATE)

    def switch(self, name: str, value: str) -> None:
        """Set a switch for ten minutes."""
        row = [{"S": name}, {"S": value}, {"N": str(int(self.clock()) + 600)}, {"S": ""}, {"S": ""}]
        control = {"entries": {"L": [{"L": row}]}}
        self.memory.items["sandbox#tenant", "CONTROL"] = control

    def item(self, sk: str) -> dict[str, Any]:
        return {
            name: int(value["N"])
            for (_, each), item in self.memory.items.items()
            if each == sk
            for name, value in item.items()
        }


SETTINGS = Settings.from_environment(ENVIRONMENT | {"STAGE": "sandbox"})


@pytest.mark.parametrize(
    ("in_use", "calls", "fits"),
    [(55, ALL_CALLS, True), (56, ALL_CALLS, False), (62, READING_CALLS, True), (63, 6, False)],
)
def test_a_key_in_use_is_left_to_those_who_use_it(in_use: int, calls: int, *, fits: bool) -> None:
    """Twenty calls of the minute stay free, whatever the probe does."""
    stage = Stage()
    stage.vend(in_use)
    if fits:
        stage.reserved.admit(calls)
    else:
        with pytest.raises(OperatorError, match=f"in use: {in_use} of the 88 calls"):
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
    stage.vend(66)
    # The sixty-eighth call is the last that leaves twenty.
    stage.reserved.before(LIST)
    with pytest.raises(HaltedError, match="others"):
        stage.reserved.before(LIST)
    assert stage.item("RING")["tickets"] == 68
    stage.clock.advance(62)
    stage.reserved.before(LIST)


def test_a_small_ring_waits_for_its_places(fake_aurora: FakeAurora) -> None:
    stage = Stage(request_burst=3, request_rate=80)
    stage.reserved.admit(READING_CALLS)
    record = probe(fake_aurora, address="", paced=stage.reserved)
    assert not record.halted
    # After a wait all three places have rested.
    assert stage.clock.slept == [2.25]
    assert stage.item("RING")["tickets"] == len(fake_aurora.calls())


@pytest.mark.parametrize(("switch", "value"), [("rate", "44"), ("burst", "45")])
def test_lowered_rate_is_the_probes_too(switch: str, value: str) -> None:
    """Half of the rate is 44 calls a minute: twenty of them are left to others."""
    stage = Stage()
    stage.switch(switch, value)
    stage.vend(10)
    stage.reserved.admit(14)
    with pytest.raises(OperatorError, match="10 of the 44 calls"):
        stage.reserved.admit(15)
    stage.clock.advance(600)
    stage.reserved.admit(ALL_CALLS)


def test_rate_that_is_lowered_meanwhile_slows_the_probe() -> None:
    """From its next call on, and ends it where too few calls of a minute are left."""
    stage = Stage(request_burst=3, request_rate=80)
    stage.reserved.admit(READING_CALLS)
    for _ in range(3):
        stage.reserved.before(LIST)
    stage.switch("rate", "40")
    stage.reserved.before(LIST)
    assert stage.clock.slept == [4.5]
    stage.switch("rate", "4")
    with pytest.raises(HaltedError, match="others"):
        stage.reserved.before(LIST)


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
        record = probe(aurora, paced=stage.reserved)
        assert "pause" in record.halted
        assert aurora.calls()[-1]["operation"] == last
    assert stage.item("RING")[attribute] > stage.clock() * 1_000_000 + 50_000_000


def test_a_key_that_rests_is_not_probed() -> None:
    stage = Stage()
    stage.function.pause(40, GENERATE)
    with pytest.raises(OperatorError, match="rests for 40 s"):
        stage.reserved.admit(READING_CALLS)


# What follows for cdk.json --------------------------------------------------------------------

CDK_JSON = """\
{
  "app": "python -m infra.app",
  "context": {
    "stages": {
      "sandbox": {
        "audiences": ["a", "b"],
        "refresh_margin": 3600
      },
      "other": {"refresh_margin": 3600, "issuer": "}{"}
    },
    "@aws-cdk/core:x":   ["aws", "aws-cn"]
  }
}
"""
LOWER = {"aurora_rate_limit": 60, "request_burst": 60, "request_rate": 58.6}


@pytest.mark.parametrize(
    ("known", "given", "implied", "wrong"),
    [
        ({}, {}, {}, {}),
        ({"requests_a_minute": 90}, {}, {}, {}),
        ({"requests_a_minute": 60}, {}, LOWER, LOWER),
        ({"requests_a_minute": 90, "generates_a_minute": 60}, {}, LOWER, LOWER),
        (
            {"requests_a_minute": 180},
            {},
            {"aurora_rate_limit": 180, "request_burst": 180, "request_rate": 176},
            {},
        ),
        # What the operator has set below Aurora's limit may be shared with others.
        ({"requests_a_minute": 180}, {"aurora_rate_limit": 90}, {}, {}),
        (
            {"requests_a_minute": 60},
            {"request_burst": 3, "request_rate": 80},
            {"aurora_rate_limit": 60, "request_rate": 58.6},
            {"aurora_rate_limit": 60, "request_rate": 58.6},
        ),
        ({"requests_a_minute": 10_000_000}, {}, {}, {}),
        ({"token_life": 43_200}, {}, {}, {}),
        ({"token_life": 3600}, {}, {"refresh_margin": 900}, {"refresh_margin": 900}),
        (
            {"version_header": "Aurora-Version", "version": "2024-06-01"},
            {},
            {"aurora_version_header": "Aurora-Version", "aurora_version": "2024-06-01"},
            {},
        ),
    ],
)
def test_options_follow_only_where_they_are_implied(
    known: dict[str, Any], given: dict[str, Any], implied: dict[str, Any], wrong: dict[str, Any]
) -> None:
    """Wrong is what Aurora contradicts; implied is that, and what is still a default."""
    options = replace(SETTINGS, **given)
    assert implied_options(known, options, given) == implied
    assert probe_facts.wrong_options(known, options) == wrong
    assert not list(replace(options, **implied).contradictions())


@pytest.mark.parametrize(
    ("behaviour", "known"),
    [
        ({"token_lifetime": 3600}, {"token_life": 3600}),
        (
            {"limit_headers": "policy", "rate_limit": 60, "generate_limit": 30},
            {"token_life": 43_200, "requests_a_minute": 60, "generates_a_minute": 30},
        ),
        ({"limit_headers": "bare"}, {"token_life": 43_200}),
        # Pinned is only what was seen to matter, and what looks like a version.
        (
            {"version_header": "Aurora-Version"},
            {"token_life": 43_200, "version_header": "Aurora-Version", "version": "2024-06-01"},
        ),
        ({"version_header": "Aurora-Version", "version": "sk_sand_x"}, {"token_life": 43_200}),
        ({"version_header": "Aurora-Version", "version": "1900-01-01"}, {"token_life": 43_200}),
    ],
)
def test_facts_are_what_was_seen(behaviour: dict[str, Any], known: dict[str, Any]) -> None:
    with FakeAurora.running(**behaviour) as aurora:
        assert facts(probe(aurora)) == known


def test_a_pinned_version_is_sent_with_every_call(fake_aurora: FakeAurora) -> None:
    """Whether the pin matters is seen even where no answer names a version."""
    fake_aurora.behave(version_header="Aurora-Version")
    pinned = {"aurora_version_header": "Aurora-Version", "aurora_version": "2024-06-01"}
    record = probe(fake_aurora, address="", **pinned)
    assert verdicts(record)["version"] == SEEN
    record = probe(fake_aurora, address="", **pinned | {"aurora_version": "2023"})
    assert set(verdicts(record).values()) == {UNKNOWN, NOT}
    assert record["list"].status == 400


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str = CDK_JSON) -> StageFile:
    Path("cdk.json").write_text(text)
    return StageFile.read("sandbox")


def test_only_what_is_meant_changes(here: Path) -> None:
    """The file is written as json.dumps formats it, also where somebody changed it meanwhile."""
    file = written()
    meanwhile = json.loads(CDK_JSON)
    meanwhile["context"]["stages"]["other"]["issuer"] = "https://id.example.com"
    Path("cdk.json").write_text(json.dumps(meanwhile))
    changes = {"refresh_margin": 900, "aurora_version": "2024"}
    finish(replace(outcome(1_750_000_000), changes=changes), write=True)
    meanwhile["context"]["stages"]["sandbox"] |= changes
    assert Path("cdk.json").read_text() == json.dumps(meanwhile, indent=2) + "\n"
    assert len(list(here.iterdir())) == 2, "the report, and nothing half-written"
    changed = [line for line in file.diff({"refresh_margin": 900}).splitlines() if line[0] in "+-"]
    assert changed[2:] == ['-        "refresh_margin": 3600', '+        "refresh_margin": 900']


def test_the_repositorys_own_file_is_formatted_as_the_probe_writes_it() -> None:
    """Or its diffs would show more than what changes."""
    text = (Path(__file__).parents[2] / "cdk.json").read_text()
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("{", "can be read"),
        ("[]", "can be read"),
        ("{}", "can be read"),
        ('{"context": {"stages": {"sandbox": {}}}}', "has no options"),
    ],
)
def test_a_file_without_the_stage_is_named(here: Path, text: str | None, said: str) -> None:
    if text is not None:
        (here / "cdk.json").write_text(text)
    with pytest.raises(OperatorError, match=said):
        StageFile.read("sandbox")


@pytest.mark.usefixtures("here")
def test_values_that_are_no_values_wait_for_the_synth() -> None:
    file = written(CDK_JSON.replace("3600\n", '"<seconds>"\n'))
    assert file.options(SETTINGS).refresh_margin == SETTINGS.refresh_margin
    # cdk.json counts, not what was deployed from it before.
    file = written()
    assert file.options(replace(SETTINGS, refresh_margin=60)).refresh_margin == 3600


# doctor --------------------------------------------------------------------------------------


def outcome(at: float, stage: str = "sandbox", **known: Any) -> Outcome:
    return Outcome(
        stage=stage,
        aurora="https://api-sandbox.aurorasolar.com",
        at=at,
        halted="",
        left_behind=False,
        answers=tuple(answers(Record(exchanges={}))),
        facts=known,
        changes={},
        diff="",
        exchanges=(),
    )


def findings(options: Settings) -> list[tuple[str, str]]:
    return [(each.state, each.found) for each in doctor._probe(stage_of(options))]


def test_doctor_holds_options_against_the_newest_report(here: Path) -> None:
    assert findings(SETTINGS) == []
    noon = 1_750_000_000
    for at, life in ((noon + 60, 3600), (noon, 43_200), (noon - 86_400, 43_200)):
        outcome(at, token_life=life).keep(here)
    outcome(noon + 120, stage="sandbox-2", token_life=43_200).keep(here)
    [(state, found)] = findings(SETTINGS)
    assert state == "warn"
    assert found.startswith("refresh_margin is 3600; probe-sandbox-2025-06-15")
    assert found.endswith("asks for 900")
    [(state, found)] = findings(replace(SETTINGS, refresh_margin=900))
    assert state == "ok"
    assert len(list(here.glob("probe-sandbox-2025-06-15*.json"))) == 2


def test_doctor_names_a_damaged_report(here: Path) -> None:
    kept = outcome(1_750_000_000).keep(here)
    kept.write_text(kept.read_text().replace('"facts"', '"fact"'))
    [(state, found)] = findings(SETTINGS)
    assert (state, "can be read" in found) == ("warn", True)


# The command ----------------------------------------------------------------------------------


def run(
    aurora: FakeAurora,
    *arguments: str,
    said: str,
    key: str = "",
    memory: MemoryTable | None = None,
) -> Result:
    """Run the command on a stage that calls this Aurora, with a table in memory."""
    options = replace(
        SETTINGS,
        aurora_url=aurora.url,
        aurora_tenant_id=aurora.tenant_id,
        aurora_environment=aurora.behaviour.environment,
    )
    deployed = stage_of(options, session_of(memory or MemoryTable(lambda _: None, time.time)))
    with pytest.MonkeyPatch.context() as patch:
        # AWS has neither the stack nor the secret here.
        patch.setattr(Deployed, "find", lambda _: deployed)
        patch.setattr(Deployed, "api_key", lambda _: key or aurora.api_key)
        return CliRunner().invoke(app, ["--stage", "sandbox", *arguments], input=said)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "said",
    ["0\n", "", "x\n\n3\n0\n", "2\n", "2\nnobody\n"],
    ids=["no", "nothing", "neither", "no address", "no e-mail address"],
)
def test_without_consent_nothing_is_asked(fake_aurora: FakeAurora, said: str) -> None:
    assert run(fake_aurora, said=said).exit_code == 1
    assert not fake_aurora.calls()


@pytest.mark.parametrize(
    ("flag", "said", "calls"),
    [
        ([], "{tenant}\n1\n", 0),
        (["--production"], "1\n1\n1\n", 0),
        (["--production"], "{tenant}x\n1\n", 0),
        (["--production"], "{tenant}\n0\n", 0),
        (["--production"], "{tenant}\n1\n", 4),
    ],
)
def test_production_is_meant_twice(here: Path, flag: list[str], said: str, calls: int) -> None:
    with FakeAurora.running(api_keys=["rk_prod_0123"], environment="production") as aurora:
        result = run(aurora, *flag, said=said.format(tenant=aurora.tenant_id))
        assert len(aurora.calls()) == calls
    assert result.exit_code == (0 if calls else 1)
    assert len(list(here.iterdir())) == (1 if calls else 0)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("key", ["sk_sand_wrong", "sk_sand with blanks"])
def test_a_key_that_aurora_does_not_know(fake_aurora: FakeAurora, key: str) -> None:
    result = run(fake_aurora, said="1\n", key=key)
    assert result.exit_code == 1
    assert key not in result.output
    assert len(fake_aurora.calls()) == (1 if key == "sk_sand_wrong" else 0)


@pytest.mark.usefixtures("here")
def test_an_aurora_that_is_not_there(fake_aurora: FakeAurora) -> None:
    with fake_aurora.down():
        assert run(fake_aurora, said="1\n").exit_code == 3


def test_a_probe_is_reserved_kept_and_written(here: Path) -> None:
    """From consent to cdk.json; doctor then warns until it is deployed."""
    (here / "cdk.json").write_text(CDK_JSON)
    memory = MemoryTable(lambda _: None, time.time)
    with FakeAurora.running(token_lifetime=3600) as aurora:
        result = run(aurora, "--write", said=f"2\n{ADDRESS}\nskip\n", memory=memory)
        calls = len(aurora.calls())
    assert result.exit_code == 0, result.output
    assert "Open http://localhost:" in result.stderr
    [ring] = [item for (_, sk), item in memory.items.items() if sk == "RING"]
    assert int(ring["tickets"]["N"]) == calls == 9
    stages = json.loads((here / "cdk.json").read_text())["context"]["stages"]
    assert [each["refresh_margin"] for each in stages.values()] == [900, 3600]
    [(state, found)] = findings(SETTINGS)
    assert (state, "asks for 900" in found) == ("warn", True)


@pytest.mark.usefixtures("here")
def test_a_key_in_use_is_not_probed() -> None:
    stage = Stage()
    stage.vend(63)
    with FakeAurora.running(tenant_id="tenant") as aurora:
        result = run(aurora, said="1\n", memory=stage.memory)
        assert not aurora.calls()
    assert (result.exit_code, "in use: 63 of the 88 calls" in result.stderr) == (1, True)


def test_nothing_private_is_told_or_kept(here: Path) -> None:
    """Neither a token, nor the key, nor anything of a person; addresses only to who typed them."""
    hostile = JESSICA | {"account_status": "Jessica Smith <jessica.smith@aurorasolar.com>"}
    with FakeAurora.running(users=[hostile, ROBERT], invite_answer="top_level") as aurora:
        result = run(aurora, "--json", said=f"2\n{ADDRESS}\nskip\n")
        key, everybody = aurora.api_key, aurora.users()
    assert result.exit_code == 0
    (kept,) = here.iterdir()
    told = result.stdout[result.stdout.index("{") :]
    private = {key, "eyJ", "essica", ADDRESS} | {
        user[name] for user in everybody for name in ("id", "email", "last_name")
    }
    for text in (kept.read_text(), told):
        assert not {each for each in private if each in text}
    assert json.loads(told)["left_behind"] is True
    assert not {each for each in private - {ADDRESS} if each in result.stderr}
    assert f"{ADDRESS}: throw-away person, exists" in result.stderr
    assert newest(here, "sandbox") is not None


@pytest.mark.parametrize(
    "body",
    [
        {"Jessica Smith": {"eyJhbGciOi": 1}, "3fa85f64-5717": [], "a@example.com": None},
        {"jessica.smith": 1, "a" * 50: 1, "+49 30 123": 1},
    ],
)
def test_names_that_are_data_are_left_out(body: dict[str, Any]) -> None:
    assert set(re.findall(r"[^{}…:,\s\[\]]+", shape(body))) <= {"number", "null", "0"}


def test_a_narrow_terminal_shows_every_statement_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 60 columns a block for each question, no line of which is cut by the table."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal.show(cli.found(outcome(1_750_000_000)))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert {statement for statement, _ in QUESTIONS.values()} <= {
        each.removeprefix("Statement: ") for each in plain.splitlines()
    }
    assert max(map(len, dialogue.SCREEN.splitlines())) <= 64


@pytest.mark.usefixtures("here")
def test_ctrl_c_says_who_was_invited() -> None:
    """Stopped while Aurora answers the invitation."""
    with FakeAurora.running() as aurora:
        aurora.fail({"operation": "invite_user", "kind": "delay_after", "seconds": 30})

        def interrupt() -> None:
            give_up = time.monotonic() + 120
            while len(aurora.users()) < 3 and time.monotonic() < give_up:
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        # A shell starts what runs in the background with the signal ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=interrupt, daemon=True).start()
        try:
            result = run(aurora, said=f"2\n{ADDRESS}\n")
        finally:
            signal.signal(signal.SIGINT, before)
    assert result.exit_code not in {0, None}
    assert f"{ADDRESS}: throw-away person, may exist" in result.stderr
