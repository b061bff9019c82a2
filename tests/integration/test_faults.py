"""
Every fault of Aurora on every operation, from one table; docs/failures.md says the same.

Each row is tried by somebody without a stored token, and, where the fault is one of generate, by
somebody whose stored token is past its refresh margin but still alive.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.conftest import Deployment, Watch

LIST, INVITE, GENERATE = "list_users", "invite_user", "generate_token"
ALWAYS = 99
NEWCOMER = "caller-0001@example.com"
COOL_DOWN = 30
REFUSED_FOR = 300
UNAVAILABLE, TIMEOUT, INVALID = "aurora-unavailable", "aurora-timeout", "aurora-invalid-response"
KEY, BUSY, NOT_ELIGIBLE = "aurora-key-rejected", "aurora-busy", "user-not-eligible"
STATUS = {UNAVAILABLE: 503, TIMEOUT: 504, INVALID: 502, KEY: 502, BUSY: 503, NOT_ELIGIBLE: 403}


@dataclass(frozen=True)
class Row:
    """
    One fault, and what it must lead to.

    `calls` counts the attempts of the operation that fails; `mark` says whether a generate may
    have happened, so that a stored token must not be served any more.
    """

    operations: tuple[str, ...]
    fault: dict[str, Any]
    slug: str
    calls: int = 1
    retry_after: int | None = COOL_DOWN
    mark: bool = False


def status(code: int, **headers: str) -> dict[str, Any]:
    return {"kind": "status", "status": code, "headers": headers}


def kind(name: str, **members: Any) -> dict[str, Any]:
    return {"kind": name, **members}


ANY, POST, READ = (LIST, INVITE, GENERATE), (INVITE, GENERATE), (LIST, GENERATE)
BEFORE = (LIST, INVITE)
TABLE = {
    "500-get": Row((LIST,), status(500), UNAVAILABLE, calls=3),
    "500-post": Row(POST, status(500), UNAVAILABLE, mark=True),
    "409-get": Row((LIST,), status(409), UNAVAILABLE, calls=3),
    "409-post": Row(POST, status(409), UNAVAILABLE, calls=2),
    "401": Row(ANY, status(401), KEY),
    "403-key": Row(BEFORE, status(403), KEY),
    "404-tenant": Row(BEFORE, status(404), KEY),
    "429-seconds": Row(ANY, status(429, **{"Retry-After": "7"}), BUSY, retry_after=7),
    "429-float": Row(ANY, status(429, **{"Retry-After": "6.5"}), BUSY, retry_after=7),
    "429-absent": Row(ANY, status(429), BUSY, retry_after=60),
    "400": Row(BEFORE, status(400), INVALID),
    "302": Row(ANY, kind("redirect"), INVALID),
    "dropped-get": Row((LIST,), kind("drop"), UNAVAILABLE, calls=3),
    "dropped-post": Row(POST, kind("drop"), UNAVAILABLE, mark=True),
    "answer-dropped-post": Row(POST, kind("drop_after"), UNAVAILABLE, mark=True),
    "late-get": Row((LIST,), kind("delay", seconds=1.5), TIMEOUT, calls=3),
    "late-post": Row(POST, kind("delay_after", seconds=1.5), TIMEOUT, mark=True),
    "drip": Row((GENERATE,), kind("slow_drip", seconds=0.1), TIMEOUT, mark=True),
    "no-json": Row(READ, kind("not_json"), INVALID, mark=True),
    "truncated": Row(READ, kind("truncated_json"), INVALID, mark=True),
    "huge": Row(ANY, kind("huge_body", size=34_000_000), INVALID, mark=True),
    "missing-fields": Row(READ, kind("missing_fields"), INVALID, mark=True),
    "corrupt-jwt": Row((GENERATE,), kind("corrupt_jwt"), INVALID, mark=True),
    "other-user": Row((GENERATE,), kind("other_user_jwt"), INVALID, mark=True),
    **{
        # Retrieve User says that the account is active: then it is not the person's fault.
        f"refused-user-{code}": Row((GENERATE,), status(code), UNAVAILABLE)
        for code in (400, 404, 405, 410, 422)
    },
    "refused-key": Row((GENERATE,), status(403), KEY),
    "refused-invitation": Row((INVITE,), status(422), NOT_ELIGIBLE, retry_after=None),
}
CASES = [
    pytest.param(row, operation, id=f"{operation}-{name}")
    for name, row in TABLE.items()
    for operation in row.operations
]
STALE_CASES = [
    pytest.param(row, id=name) for name, row in TABLE.items() if GENERATE in row.operations
]


def set_fault(deployment: Deployment, row: Row, operation: str) -> None:
    if row.slug == TIMEOUT:
        # Seconds of the machine: nothing else may depend on how busy it is.
        deployment.restart(AURORA_READ_TIMEOUT="0.8")
    deployment.aurora.fail({"operation": operation, "times": ALWAYS} | row.fault)


@pytest.mark.parametrize(("row", "operation"), CASES)
def test_without_a_stored_token(
    deployment: Deployment, watch: Watch, row: Row, operation: str
) -> None:
    set_fault(deployment, row, operation)
    email = NEWCOMER if operation == INVITE else "jessica.smith@aurorasolar.com"

    answer = deployment.vend(email)

    assert (answer.status, answer.slug) == (STATUS[row.slug], row.slug)
    assert answer.headers["content-type"] == "application/problem+json"
    logged = watch.search(answer, key=deployment.aurora.api_key)
    assert email not in logged
    if row is TABLE["refused-key"]:
        assert "Platform API" in logged
    if row.retry_after is None:
        assert "retry-after" not in answer.headers
    else:
        assert int(answer.headers["retry-after"]) == row.retry_after
    assert deployment.calls()[operation] == row.calls
    item = deployment.item(email)
    assert "lease_id" not in item
    if row.slug == BUSY and operation == GENERATE:
        # Aurora's pause costs nobody their place: the call comes again at its end.
        assert len(item["turn_slots"]) == 1
        assert "failure" not in item
    else:
        assert item["failure"] == row.slug
    assert ("generating_since" in item) == (row.mark and operation == GENERATE)

    # Whoever comes next inherits the problem and asks nothing of Aurora, to the end of the pause.
    deployment.aurora.fail()
    before = deployment.calls()
    for passed in (0, (row.retry_after or REFUSED_FOR) - 3):
        deployment.clock.advance(passed)
        assert deployment.vend(email).slug == row.slug
        assert deployment.calls() == before
    # After it everything is well again.
    deployment.clock.advance(4)
    healed = deployment.vend(email)
    assert healed.status == 200
    assert deployment.aurora.token_state(healed.jti) == "live"


@pytest.mark.parametrize("row", STALE_CASES)
def test_with_a_stored_token_that_still_lives(deployment: Deployment, row: Row) -> None:
    stored = deployment.vend().jti
    deployment.clock.advance(11.5 * 3600)
    set_fault(deployment, row, GENERATE)

    answers = [deployment.vend(), deployment.vend()]

    if row.mark:
        assert [answer.slug for answer in answers] == [row.slug] * 2
    else:
        assert [(a.status, a.jti, a.body["source"]) for a in answers] == [
            (200, stored, "stored")
        ] * 2
        refused = deployment.vend(replace=stored)
        assert refused.slug == row.slug
    assert ("generating_since" in deployment.item()) == row.mark
    assert deployment.calls()[GENERATE] == 1 + row.calls


def test_inherited_mark_stays_after_a_clean_failure(deployment: Deployment) -> None:
    """A lost answer, then a 429: the stored token may be dead and is not served."""
    deployment.vend()
    deployment.clock.advance(11.5 * 3600)
    deployment.aurora.fail({"operation": GENERATE, "kind": "drop_after"})
    assert deployment.vend().slug == UNAVAILABLE
    deployment.clock.advance(COOL_DOWN + 1)
    deployment.aurora.fail({"operation": GENERATE, "kind": "status", "status": 429})
    assert deployment.vend().slug == "aurora-busy"
    assert "generating_since" in deployment.item()


@pytest.mark.parametrize(("code", "calls"), [(500, 3), (401, 1)], ids=["no-answer", "key-refused"])
def test_refused_account_whose_retrieval_fails_is_looked_up_in_the_list(
    deployment: Deployment, code: int, calls: int
) -> None:
    """The list says that it is active: a token that is alive is vended, and the key is at fault."""
    stored = deployment.vend().jti
    deployment.aurora.fail(
        {"operation": GENERATE, "times": ALWAYS} | status(403),
        {"operation": "retrieve_user", "times": ALWAYS} | status(code),
    )

    deployment.clock.advance(11.5 * 3600)
    assert deployment.vend().jti == stored
    assert deployment.calls()["retrieve_user"] == calls
    deployment.clock.advance(3600)
    assert deployment.vend().slug == KEY
