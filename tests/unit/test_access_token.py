"""What is believed of a JWT, claim by claim."""

from typing import Any

import jwt
import pytest
from token_vendor.access_token import LONGEST_LIFE, UNDATED_LIFE, access_token
from token_vendor.models import AccessToken, Account
from token_vendor.problems import AuroraInvalidResponseError, ProblemError, UserNotEligibleError

NOW = 1_750_000_000.5
HALF_A_DAY = 43_200
ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
ACCOUNT = Account(user_id=ID, email="jessica.smith@aurorasolar.com", status="active")
GOOD = {"id": ID, "email": ACCOUNT.email, "exp": int(NOW) + HALF_A_DAY, "jti": "c0480b0b-5959"}
ABSENT = object()


def signed(**claims: Any) -> str:
    said = {name: value for name, value in (GOOD | claims).items() if value is not ABSENT}
    return jwt.encode(said, "a secret of Aurora's own, thirty-two bytes", "HS256")


def believed(**claims: Any) -> AccessToken:
    return access_token(signed(**claims), ACCOUNT, NOW)


@pytest.mark.parametrize(
    ("exp", "life"),
    [
        pytest.param(int(NOW) + HALF_A_DAY, HALF_A_DAY, id="as documented"),
        pytest.param(NOW + HALF_A_DAY, HALF_A_DAY, id="a fraction"),
        pytest.param(str(int(NOW) + HALF_A_DAY), HALF_A_DAY, id="as text"),
        pytest.param((int(NOW) + HALF_A_DAY) * 1000, HALF_A_DAY, id="in milliseconds"),
        pytest.param(int(NOW) + 30, 30, id="30 s"),
        pytest.param(int(NOW) + 86_400, LONGEST_LIFE, id="24 h"),
        pytest.param(int(NOW) + 7 * 86_400, LONGEST_LIFE, id="7 d"),
        pytest.param(int(NOW) + 100 * 365 * 86_400, LONGEST_LIFE, id="a hundred years"),
        pytest.param(float("inf"), LONGEST_LIFE, id="for ever"),
    ],
)
def test_life_is_what_the_jwt_says_but_a_day_at_most(exp: object, life: int) -> None:
    token = believed(exp=exp)
    assert (token.expires_at - int(NOW), token.storable) == (life, True)


@pytest.mark.parametrize(
    "exp",
    [
        ABSENT,
        None,
        "tomorrow",
        [int(NOW) + HALF_A_DAY],
        True,
        float("nan"),
        10**400,
        -(10**400),
        float("-inf"),
        int(NOW),
        int(NOW) - 60,
        (int(NOW) - 60) * 1000,
    ],
    ids=lambda exp: "absent" if exp is ABSENT else str(exp)[:20],
)
def test_jwt_that_does_not_say_when_it_ends_is_not_storable(exp: object) -> None:
    token = believed(exp=exp)
    assert (token.expires_at, token.storable) == (int(NOW + UNDATED_LIFE), False)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"email": None}, id="no e-mail"),
        pytest.param({"email": ABSENT}, id="e-mail absent"),
        pytest.param({"email": ACCOUNT.email.upper()}, id="e-mail in capitals"),
        pytest.param({"id": ID.upper()}, id="id in capitals"),
    ],
)
def test_another_form_of_the_same_person(claims: dict[str, Any]) -> None:
    token = believed(**claims)
    assert (token.user_id, token.storable) == (ID, True)


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        pytest.param({"id": ID.replace("3", "4")}, AuroraInvalidResponseError, id="another id"),
        pytest.param({"id": None}, AuroraInvalidResponseError, id="id null"),
        pytest.param({"id": ABSENT}, AuroraInvalidResponseError, id="no id"),
        pytest.param({"id": [ID]}, AuroraInvalidResponseError, id="id in a list"),
        pytest.param({"id": 42}, AuroraInvalidResponseError, id="id a number"),
        pytest.param({"padding": "x" * 20_000}, AuroraInvalidResponseError, id="long"),
        pytest.param({"email": "robert@example.com"}, UserNotEligibleError, id="another e-mail"),
        pytest.param({"email": ""}, UserNotEligibleError, id="e-mail empty"),
        pytest.param({"email": 42}, UserNotEligibleError, id="e-mail a number"),
    ],
)
def test_another_persons_jwt_is_refused(
    claims: dict[str, Any], problem: type[ProblemError]
) -> None:
    with pytest.raises(problem) as refused:
        believed(**claims)
    assert refused.value.in_doubt == "generate_token"


@pytest.mark.parametrize("encoded", [None, 42, "", "..", "a.b.c", signed()[:2] + "X5", b"e30"])
def test_what_is_no_jwt_is_refused(encoded: object) -> None:
    with pytest.raises(AuroraInvalidResponseError):
        access_token(encoded, ACCOUNT, NOW)


def test_case_means_something_in_an_id_that_is_no_uuid() -> None:
    account = Account(user_id="aB3", email=ACCOUNT.email, status="active")
    assert access_token(signed(id="aB3"), account, NOW).user_id == "aB3"
    with pytest.raises(AuroraInvalidResponseError):
        access_token(signed(id="Ab3"), account, NOW)
