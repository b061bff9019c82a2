"""
What a caller may send, however it is made: never another's token, never a failure of ours.

The contract is driven here property-style with hypothesis, through the handler and the whole
service; events have the shape that API Gateway gives them, and shapes that it never should.
"""

import base64
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from token_vendor.models import normalised_email

from tests.integration.conftest import JESSICA, Context, Deployment
from tests.support.events import Answer, event

ROBERT = "robert.johnson@aurorasolar.com"
CLAIMS = {"email": JESSICA, "email_verified": "true"}
FIXTURE = settings(
    max_examples=50,
    deadline=None,
    # One service for all examples, as an execution environment serves many requests.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def send_body(deployment: Deployment, body: Any, *, encoded: bool = False) -> Answer:
    return deployment.send(event(CLAIMS) | {"body": body, "isBase64Encoded": encoded})


REFUSED_BODIES = {
    "not-json": "{",
    "megabyte-of-blanks": " " * 1_000_000,
    "deep-lists": "[" * 2000 + "]" * 2000,
    "deeper-than-python": "[" * 4090,
    "member-twice": '{"replace": "a", "replace": "b"}',
    "profile-member-twice": '{"profile": {"phone": "1", "phone": "2"}}',
    "member-twice-by-escape": '{"replace": "a", "\\u0072eplace": "b"}',
    "nan": '{"min_ttl": NaN}',
    "overflow": '{"min_ttl": 1e999}',
    "long-number": '{"min_ttl": ' + "9" * 4000 + "}",
    "list": "[]",
    "half-a-surrogate-as-name": '{"\\ud800": 1}',
    "email": json.dumps({"email": ROBERT}),
    "email-in-profile": json.dumps({"profile": {"email": ROBERT}}),
    "newline-in-profile": json.dumps({"profile": {"first_name": "J\r\nX-Injected: yes"}}),
    "surrogate-in-profile": '{"profile": {"first_name": "\\ud800"}}',
    "not-text": 42,
    "object-for-text": {"replace": "x"},
    "half-a-surrogate": '{"replace": "\ud800"}',
}
REFUSED_BASE64 = {
    "no-base64": "%%%",
    "not-utf-8": base64.b64encode(b"\xff\xfe{").decode(),
    "large": base64.b64encode(b" " * 4097).decode(),
    "not-ascii": "\u00e9",
}


@pytest.mark.parametrize("name", [*REFUSED_BODIES, *REFUSED_BASE64])
def test_body_outside_the_contract(deployment: Deployment, name: str) -> None:
    body = (REFUSED_BODIES | REFUSED_BASE64)[name]
    answer = send_body(deployment, body, encoded=name in REFUSED_BASE64)
    assert (answer.status, answer.slug) == (400, "invalid-request")
    assert "retry-after" not in answer.headers
    assert len(json.dumps(answer.body)) < 1000
    assert deployment.calls() == {"list_users": 0, "invite_user": 0, "generate_token": 0}


def test_base64_encoded_body_is_decoded(deployment: Deployment) -> None:
    jti = deployment.vend().jti
    body = base64.b64encode(json.dumps({"replace": jti}).encode()).decode()
    assert send_body(deployment, body, encoded=True).jti != jti


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"requestContext": None},
        {"requestContext": []},
        {"requestContext": {"authorizer": None}},
        {"requestContext": {"authorizer": {}}},
        {"requestContext": {"authorizer": {"jwt": None}}},
        {"requestContext": {"authorizer": {"jwt": {"claims": None}}}},
        {"requestContext": {"authorizer": {"jwt": {"claims": [JESSICA]}}}},
        # A Lambda authorizer's claims are not those of the JWT authorizer.
        {"requestContext": {"authorizer": {"lambda": CLAIMS}}},
        {"requestContext": {"authorizer": {"claims": CLAIMS}}},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_no_claims_is_nobody(deployment: Deployment, context: Any, method: str) -> None:
    sent = {"routeKey": f"{method} /token", "body": None} | context
    answer = deployment.send(sent)
    assert (answer.status, answer.slug) == (403, "caller-not-identified")


@pytest.mark.parametrize("route", [None, "", "GET /token", "$default", "POST /token/", 42])
def test_other_routes_are_refused(deployment: Deployment, route: Any) -> None:
    answer = deployment.send(event(CLAIMS) | {"routeKey": route})
    assert (answer.status, answer.slug) == (400, "invalid-request")


# Properties ---------------------------------------------------------------------------------

json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
any_claims = st.dictionaries(
    st.sampled_from(
        ["email", "email_verified", "name", "given_name", "family_name", "phone_number", "sub"]
    )
    | st.text(max_size=8),
    json_value | st.just(JESSICA) | st.just("true"),
)
any_body = (
    st.none()
    | st.text(max_size=200)
    | json_value.map(json.dumps)
    | st.fixed_dictionaries(
        {},
        optional={
            "replace": json_value | st.just("c0480b0b-5959-4549-8125-b67de2ec3e70"),
            "min_ttl": json_value | st.integers(0, 39_600),
            "profile": json_value | st.dictionaries(st.just("first_name"), st.text(max_size=9)),
        },
    ).map(json.dumps)
)
CLIENT_PROBLEMS = {"invalid-request", "caller-not-identified", "user-not-eligible"}
# The service's own limits may be met by so many requests in so little time, and are no failures.
LIMITS = {"too-many-renewals", "aurora-busy"}


@FIXTURE
@given(claims=any_claims, body=any_body, encoded=st.booleans(), method=st.sampled_from("PD"))
def test_no_input_is_a_failure_of_ours(
    deployment: Deployment, claims: dict[str, Any], body: str | None, encoded: Any, method: str
) -> None:
    """Whatever comes in, out goes a token, nothing, or the caller's own problem."""
    deployment.aurora.behave(rate_limit=0)
    route = {"P": "POST /token", "D": "DELETE /token"}[method]
    sent = event(claims) | {"body": body, "isBase64Encoded": encoded, "routeKey": route}
    answer = deployment.send(sent)
    deployment.clock.advance(3)
    if answer.status in {200, 204}:
        assert claims["email_verified"] in (True, "true")
    else:
        assert answer.slug in CLIENT_PROBLEMS | LIMITS
        assert answer.headers["content-type"] == "application/problem+json"
    if answer.status == 200:
        assert answer.body["user"]["email"] == normalised_email(claims["email"])


@FIXTURE
@given(sent=st.dictionaries(st.sampled_from(sorted(event(CLAIMS))), json_value))
def test_no_event_is_left_without_an_answer(deployment: Deployment, sent: dict[str, Any]) -> None:
    response = deployment.service.answer(sent, Context())
    assert response["statusCode"] in {400, 403}


names = st.text(
    st.sampled_from("aAbB+.\u00df\u00e9\u0301e\u0430\u017fs\u212aKk\u0130i"), min_size=1, max_size=3
)
addresses = st.builds("{}@{}.example".format, names, names)


def person(address: str) -> str:
    """Say who is meant: the letters, composed or not, in either case; nothing else is the same."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFC", address).lower())


@FIXTURE
@given(one=addresses, another=addresses, body=any_body)
def test_nobody_is_vended_anothers_token(
    deployment: Deployment, one: str, another: str, body: str | None
) -> None:
    """Two people, one after the other, through the same environment and table."""
    deployment.aurora.behave(rate_limit=0)
    deployment.clock.advance(5)
    mine = deployment.send(event(CLAIMS | {"email": one}))
    theirs = deployment.send(event(CLAIMS | {"email": another}, body))
    if mine.status == theirs.status == 200:
        same = person(one) == person(another)
        assert (mine.body["user"]["id"] == theirs.body["user"]["id"]) == same
        if not same:
            assert mine.jti != theirs.jti
            assert mine.body["token"]["jwt"] != theirs.body["token"]["jwt"]
