"""
Whatever Aurora does with pages, answers and accounts: everybody is served or refused, in few calls.

Each answer that Aurora's pages leave open is played; each scene counts what Aurora was asked.
"""

import random
from datetime import datetime
from typing import Any

import pytest
from token_vendor.directory import Reading

from infra.fake_aurora.users import JESSICA, ROBERT
from tests.integration.conftest import Deployment
from tests.support.clients import people
from tests.support.crowd import crowd
from tests.support.events import Answer

NEWCOMER = "newcomer@example.com"
OFF = {"id": "off", "email": "off@example.com", "account_status": "inactive"}
MOST_LISTINGS = 40
TTL = 300
COMPANY = people(53)
"""Three pages of twenty, six of ten, or two of fifty."""
PAGINGS: dict[str, dict[str, Any]] = {
    "ignored": {"unpaged_page": "ignored"},
    "refused": {"unpaged_page": "refused"},
    "empty": {"page_size": 20, "past_end": "empty"},
    "last-repeated": {"page_size": 20, "past_end": "last"},
    "wraps": {"page_size": 20, "past_end": "wraps"},
    "with-a-total": {"page_size": 20, "page_form": "page_total"},
    "total-wraps": {"page_size": 20, "page_form": "page_total", "past_end": "wraps"},
    "of-ten": {"page_size": 10},
    "of-fifty": {"page_size": 50},
    "shuffled": {"page_size": 20, "order": "shuffled", "past_end": "wraps"},
    "cursor": {"page_size": 20, "page_form": "cursor"},
    "page-token": {"page_size": 20, "page_form": "token"},
    "link-header": {"page_size": 20, "page_form": "link"},
    "links": {"page_size": 20, "page_form": "links"},
    "next-page": {"page_size": 20, "page_form": "next_page"},
    "offset": {"page_size": 20, "page_form": "offset"},
}
UNREADABLE = ("after_id", "total")
"""Forms in which Aurora says that there is more, and names no page that could be asked for."""


def served(deployment: Deployment, email: str, *, within: float = 3600, **body: Any) -> Answer:
    """Ask as a client does, coming back when told to, until served or refused for good."""
    end = deployment.clock.now + within
    while True:
        answer = deployment.vend(email, **body)
        if "retry_at" not in answer.body or deployment.clock.now > end:
            return answer
        turn = datetime.fromisoformat(answer.body["retry_at"]).timestamp()
        deployment.clock.now = max(deployment.clock.now, turn)


@pytest.fixture(params=PAGINGS.values(), ids=PAGINGS)
def paged(request: pytest.FixtureRequest, deployment: Deployment) -> Deployment:
    """Give a company at an Aurora that answers pages in one of the possible ways."""
    deployment.aurora.set_users(COMPANY)
    deployment.aurora.behave(**request.param)
    return deployment


def test_everybody_is_found_whatever_the_paging(paged: Deployment) -> None:
    """The list is read once, to its end: nobody whom Aurora has is invited."""
    for user in COMPANY[::6]:
        assert served(paged, user["email"]).status == 200
    for number in range(9):
        assert served(paged, f"new-{number}@example.com").status == 200
    calls = paged.calls()
    most = 7 if paged.aurora.behaviour.page_size == 10 else 4
    assert calls["list_users"] <= most
    assert calls["invite_user"] == 9


def test_list_has_one_reader_at_a_time() -> None:
    """Of two who found nobody reading, the one whose write fails applies it to the other's."""
    held = Reading().leased("one", now=1000, until=1009)
    assert held.leased("another", now=1005, until=1014) is held
    assert held.leased("another", now=1010, until=1019).lease_id == "another"


def test_reading_ends_when_every_request_reads_one_page(paged: Deployment) -> None:
    """A queue lets each invocation read one page; what it knows is where the next one finds it."""
    served(paged, people(1)[0]["email"])
    paged.clock.advance(TTL + 1)
    before = paged.calls()["list_users"]
    paged.restart(REQUEST_RATE="20", REQUEST_BURST="1", PATIENCE="0")
    assert served(paged, NEWCOMER).status == 200
    most = 7 if paged.aurora.behaviour.page_size == 10 else 4
    assert paged.calls()["list_users"] - before <= most


def test_people_added_while_it_is_read_do_not_keep_it_going(deployment: Deployment) -> None:
    """A list without pages that grows between two calls repeats most of what it had."""
    deployment.aurora.set_users(COMPANY)
    served(deployment, people(1)[0]["email"])
    deployment.restart(REQUEST_RATE="20", REQUEST_BURST="1", PATIENCE="0")
    deployment.clock.advance(TTL + 1)
    before = deployment.calls()["list_users"]
    for number in range(20):
        answer = deployment.vend(f"new-{number}@example.com")
        deployment.aurora.add_users(
            {"email": f"added-{number}-{each}@example.com"} for each in range(5)
        )
        deployment.clock.advance(3)
        assert answer.status in {200, 503}
    assert deployment.calls()["list_users"] - before <= 4


@pytest.mark.parametrize(("added", "page"), [(1, 2), (6, 3)], ids=["one", "most of the last page"])
def test_people_whom_others_moved_to_the_next_page_are_not_invited(
    deployment: Deployment, added: int, page: int
) -> None:
    """New people at the front of the list push rows that were read onto the next page."""
    users, calls = people(45 + added), []
    deployment.aurora.set_users(users[added:])
    deployment.aurora.behave(page_size=20)

    def somebody_is_added(operation: str) -> None:
        calls.append(operation)
        if calls == ["list_users"] * page:
            deployment.aurora.set_users(users)

    deployment.while_aurora_works(somebody_is_added)
    assert deployment.vend(users[-1]["email"]).status == 200
    assert deployment.calls()["invite_user"] == 0


GOES_ON = ("cursor", "token", "link", "links", "next_page", "page_total")
"""Forms in which an empty page does not hide the one after it."""


@pytest.mark.parametrize("empty", [1, 2])
@pytest.mark.parametrize("form", [*GOES_ON, "offset", *UNREADABLE])
def test_empty_page_is_no_end_while_others_follow(
    deployment: Deployment, form: str, empty: int
) -> None:
    """The reading goes on, or fails: nobody whom a later page lists is taken for new."""
    deployment.aurora.set_users(COMPANY)
    deployment.aurora.behave(page_size=20, page_form=form, empty_page=empty)
    last = served(deployment, COMPANY[-1]["email"], within=60)
    if form in GOES_ON:
        assert last.status == 200
        assert served(deployment, NEWCOMER).status == 200
        assert deployment.calls()["list_users"] <= 5
    else:
        assert last.slug == "aurora-invalid-response"
        assert deployment.vend(NEWCOMER).slug == "aurora-invalid-response"
    assert deployment.calls()["invite_user"] == (form in GOES_ON)


def test_total_that_counts_people_who_are_not_listed(deployment: Deployment) -> None:
    """Three pages by number without anybody are the end of a list that has had some."""
    deployment.aurora.set_users(COMPANY)
    deployment.aurora.behave(page_size=20, page_form="page_total", unlisted=500)
    assert served(deployment, COMPANY[-1]["email"]).status == 200
    assert served(deployment, NEWCOMER).status == 200
    assert deployment.calls()["list_users"] == 3 + 3
    assert deployment.calls()["invite_user"] == 1


@pytest.mark.parametrize("form", ["integer_ids", "other_names"])
@pytest.mark.parametrize("pages", [{}, {"page_size": 1}, {"page_size": 1, "page_form": "cursor"}])
def test_rows_of_which_none_can_be_used_are_no_empty_company(
    deployment: Deployment, form: str, pages: dict[str, Any]
) -> None:
    deployment.aurora.behave(row_form=form, **pages)
    assert deployment.vend().slug == "aurora-invalid-response"
    assert deployment.vend(NEWCOMER).slug == "aurora-invalid-response"
    assert deployment.calls()["invite_user"] == 0


@pytest.mark.parametrize(
    ("answer", "email"),
    [
        ("other_user", "given"),
        ("other_user", "absent"),
        ("other_email", "absent"),
        # Nothing that comes with the id contradicts the caller, but the JWT does.
        ("other_id", "given"),
    ],
)
def test_invitation_answered_with_somebody_else(
    deployment: Deployment, answer: str, email: str
) -> None:
    """The list, read after it, decides: nobody gets another person's token, or ends a session."""
    deployment.aurora.behave(invite_answer=answer, email_claim=email)
    vended = served(deployment, NEWCOMER)
    [newcomer] = [user["id"] for user in deployment.aurora.users() if user["email"] == NEWCOMER]
    assert (vended.status, vended.body["user"]["id"]) == (200, newcomer)
    calls = deployment.aurora.calls()
    generated = [call["about"] for call in calls if call["operation"] == "generate_token"]
    assert generated[-1] == newcomer
    assert len(generated) == 1 + (answer == "other_id")
    assert deployment.calls()["invite_user"] == 1


@pytest.mark.parametrize("form", ["cursor", "link"])
def test_reading_begins_anew_where_a_named_page_is_refused(
    deployment: Deployment, form: str
) -> None:
    """A cursor that was kept for the next request is over: that is not the end of the list."""
    deployment.aurora.set_users(COMPANY)
    deployment.aurora.behave(page_size=20, page_form=form)
    deployment.restart(REQUEST_RATE="20", REQUEST_BURST="1", PATIENCE="0")
    assert deployment.vend(NEWCOMER).status == 503
    deployment.aurora.behave(cursors="refused")
    deployment.clock.advance(3)
    assert deployment.vend(NEWCOMER).slug == "aurora-invalid-response"
    deployment.aurora.behave(cursors="kept")
    deployment.clock.advance(3)
    assert served(deployment, COMPANY[-1]["email"]).status == 200
    assert served(deployment, NEWCOMER).status == 200
    assert deployment.calls()["list_users"] == 2 + 3
    assert deployment.calls()["invite_user"] == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"invite_status": 200, "invite_answer": "top_level"},
        {"invite_status": 201, "invite_answer": "with_id"},
        {"invite_status": 202, "invite_answer": "without_id"},
        {"invite_status": 204, "invite_answer": "nothing"},
    ],
    ids=lambda each: f"{each['invite_status']}-{each['invite_answer']}",
)
def test_one_invitation_whatever_it_is_answered(
    deployment: Deployment, answer: dict[str, Any]
) -> None:
    """Fifty pages of a second: the reading after an invitation is longer than an invocation."""
    deployment.while_aurora_works(lambda _: deployment.clock.advance(1))
    deployment.aurora.set_users(people(100))
    deployment.aurora.behave(page_size=2, latency=0, rate_limit=0, **answer)
    deployment.restart(PATIENCE="0")
    assert served(deployment, NEWCOMER).status == 200
    calls = deployment.calls()
    assert (calls["invite_user"], calls["generate_token"]) == (1, 1)
    named = answer["invite_answer"] in {"with_id", "top_level"}
    assert calls["list_users"] <= (51 if named else 51 + 52)


@pytest.mark.parametrize(("kind", "invitations"), [("drop_after", 1), ("drop", 2)])
def test_lost_invitation_is_not_sent_again_until_a_reading_decides(
    deployment: Deployment, kind: str, invitations: int
) -> None:
    """The list, read after it, has the person whom Aurora invited, and else does not."""
    deployment.vend()
    deployment.aurora.fail({"operation": "invite_user", "kind": kind})
    assert deployment.vend(NEWCOMER).slug == "aurora-unavailable"
    deployment.clock.advance(31)
    assert deployment.vend(NEWCOMER).status == 200
    assert deployment.calls()["invite_user"] == invitations


def test_pending_person_whom_the_list_hides_is_invited_once(deployment: Deployment) -> None:
    deployment.aurora.behave(listed="active")
    deployment.restart(INVITE_LEVEL="Team Member")
    for _ in range(60):
        assert deployment.vend(NEWCOMER).slug == "invitation-pending"
        deployment.clock.advance(60)
    assert deployment.calls()["invite_user"] == 1


def test_person_who_was_switched_off_and_is_no_longer_listed_is_not_invited(
    deployment: Deployment,
) -> None:
    deployment.aurora.add_users([JESSICA | {"account_status": "inactive"}])
    assert deployment.vend().slug == "user-not-eligible"
    deployment.aurora.behave(listed="active")
    deployment.clock.advance(TTL + 1)
    assert deployment.vend().slug == "user-not-eligible"
    assert deployment.calls()["invite_user"] == 0


@pytest.mark.parametrize("retrieve", [200, 403, 404, 405])
def test_person_who_vanished_is_refused_in_few_calls(deployment: Deployment, retrieve: int) -> None:
    """Aurora answers 404 to the stored account and no longer lists it."""
    deployment.vend()
    deployment.clock.advance(12 * 3600)
    deployment.aurora.behave(retrieve_status=retrieve)
    deployment.aurora.set_users([ROBERT])
    before = deployment.calls()
    for _ in range(29):
        assert deployment.vend().slug == "user-not-eligible"
        deployment.clock.advance(10)
    after = deployment.calls()
    assert after["list_users"] - before["list_users"] == 2
    assert after["generate_token"] - before["generate_token"] == 1
    assert after.get("retrieve_user", 0) == 1
    # Later, the list alone says that nothing has changed.
    deployment.clock.advance(TTL)
    assert deployment.vend().slug == "user-not-eligible"
    assert deployment.calls()["invite_user"] == 0
    assert deployment.calls()["generate_token"] == after["generate_token"]


@pytest.mark.parametrize("retrieve", [200, 403, 404, 405])
@pytest.mark.parametrize("status", [400, 403, 410, 422])
def test_person_who_was_created_anew_is_served_in_one_request(
    deployment: Deployment, retrieve: int, status: int
) -> None:
    """Under a new id, which the next call must have too: never the old account's token again."""
    old = deployment.vend()
    deployment.aurora.behave(retrieve_status=retrieve, inactive_status=status)
    anew = JESSICA | {"id": "another-id", "account_status": "active"}
    # Retrieve User would say "inactive"; a person who was deleted is not there at all.
    before = [] if retrieve == 200 else [JESSICA | {"account_status": "inactive"}]
    deployment.aurora.set_users([*before, anew])
    answer = deployment.vend(replace=old.jti)
    assert (answer.status, answer.body["user"]["id"]) == (200, "another-id")
    assert deployment.vend().body["user"]["id"] == "another-id"


def test_key_without_the_right_to_generate_does_not_cost_readings(deployment: Deployment) -> None:
    """It makes everybody's account look wrong, whether Aurora retrieves users or not."""
    users = people(60)
    deployment.aurora.set_users(users)
    deployment.vend(users[0]["email"])
    for retrieve in (200, 403):
        deployment.aurora.behave(forbidden=["generate_token"], retrieve_status=retrieve)
        deployment.clock.advance(TTL + 1)
        before = deployment.calls()["list_users"]
        for user in users[1:]:
            assert deployment.vend(user["email"]).slug in {"aurora-key-rejected", "aurora-busy"}
            deployment.clock.advance(4)
        # A reading is one call, and rests for twenty.
        assert deployment.calls()["list_users"] - before <= 4 * 60 / 13 + 2


def test_sixty_pages_are_read_four_times_an_hour(deployment: Deployment) -> None:
    """A long list is kept longer: a reading takes at most a twentieth of the calls."""
    deployment.aurora.set_users(people(120))
    deployment.aurora.behave(page_size=2, rate_limit=0)
    deployment.restart(PATIENCE="0")
    assert served(deployment, people(120)[-1]["email"]).status == 200
    before = deployment.calls()
    assert before["list_users"] == 61
    deployment.clock.advance(700)
    newcomer = deployment.vend(NEWCOMER)
    assert newcomer.status == 200
    after = deployment.calls()
    assert after["list_users"] == before["list_users"]
    assert (after["invite_user"], after["generate_token"]) == (1, 2)


@pytest.mark.parametrize("number", [5000, pytest.param(20_000, marks=pytest.mark.nightly)])
def test_thousands_of_people_without_pages(deployment: Deployment, number: int) -> None:
    """Writing obeys the deadline, and goes on where it stopped."""
    deployment.aurora.set_users(people(number))
    deployment.aurora.behave(rate_limit=0)
    slow = deployment.parts.directory.table

    put_all, written = slow.put_all, []

    def slowly(items: Any) -> None:
        deployment.clock.advance(20_000 / number)
        written.append(len(items))
        put_all(items)

    slow.put_all = slowly
    assert served(deployment, people(number)[-1]["email"]).status == 200
    assert sum(written) == number
    assert 2 <= deployment.calls()["list_users"] <= 6
    assert deployment.calls()["invite_user"] == 0


@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(n, marks=pytest.mark.nightly) for n in range(12, 100))]
)
def test_other_environments_at_any_moment_invite_nobody_again(
    deployment: Deployment, seed: int
) -> None:
    """While Aurora works, somebody else asks elsewhere; and two of its answers are lost."""
    chance = random.Random(seed)  # noqa: S311 - a pattern, no secret.
    newcomers = [f"new-{number}@example.com" for number in range(2)]
    deployment.aurora.set_users([*COMPANY, OFF])
    deployment.aurora.behave(
        rate_limit=0,
        invite_answer=chance.choice(["with_id", "without_id"]),
        retrieve_status=chance.choice([200, 404]),
        **chance.choice(list(PAGINGS.values())),
    )
    faults = [
        {"operation": operation, "kind": chance.choice(["none", "drop", "drop_after"]), "times": 1}
        for operation in ("list_users", "invite_user") * 2
    ]
    deployment.aurora.fail(*faults)
    depth = 0

    def somebody_asks(_operation: str) -> None:
        nonlocal depth
        if depth < 3 and chance.random() < 0.5:
            depth += 1
            deployment.vend_elsewhere(chance.choice([*newcomers, OFF["email"]]))
            depth -= 1

    deployment.while_aurora_works(somebody_asks)
    met = crowd(deployment.clock, deployment.vend, [*newcomers, OFF["email"]], within=1800)
    assert met.served.keys() == set(newcomers)
    assert met.refused == {OFF["email"]: "user-not-eligible"}
    lost = sum(each["operation"] == "invite_user" and each["kind"] == "drop" for each in faults)
    assert deployment.calls()["invite_user"] <= 2 + lost
    assert deployment.calls()["list_users"] <= MOST_LISTINGS
