"""Who the claims name: in AWS's string forms, in JSON types, and in addresses of all scripts."""

from typing import Any

import pytest
from token_vendor.caller import identify
from token_vendor.models import Caller, normalised_email
from token_vendor.problems import CallerNotIdentifiedError

from tests.support.settings import settings

EMAIL = "jessica.smith@aurorasolar.com"


def caller(
    claims: dict[str, Any], *, verified: bool = True, profile: dict[str, str] | None = None
) -> Caller:
    return identify(
        claims,
        profile or {},
        settings=settings(claim_groups="cognito:groups", require_verified_email=verified),
    )


@pytest.mark.parametrize("verified", [True, "true"], ids=["emulator", "api-gateway"])
def test_verified_address_is_accepted_in_both_forms(verified: Any) -> None:
    assert caller({"email": EMAIL, "email_verified": verified}).email == EMAIL


@pytest.mark.parametrize(
    "verified",
    [None, False, "false", "True", "TRUE", "1", 1, 1.0, "", " true", ["true"], {"true": True}, 0],
    ids=repr,
)
def test_everything_else_is_not_verified(verified: Any) -> None:
    """Only the two forms of JSON's true count: `1 == True` in Python, not in a claim."""
    with pytest.raises(CallerNotIdentifiedError):
        caller({"email": EMAIL, "email_verified": verified})


@pytest.mark.parametrize(
    "email",
    [
        None,
        "",
        " ",
        "@",
        "jessica",
        "@aurorasolar.com",
        "jessica@",
        "a@b@c.example",
        '"a@b"@c.example',
        "jessica smith@aurorasolar.com",
        "jessica@aurorasolar.com\r\nBcc: robert@aurorasolar.com",
        "jessica\x00@aurorasolar.com",
        "jessica\u200b@aurorasolar.com",
        "jessica@aurora\u202esolar.com",
        "jessica@aurora\ud800solar.com",
        "jessica@aurora#solar.com",
        "[jessica@a.example robert@b.example]",
        "j" * 243 + "@example.com",
        42,
        True,
        [EMAIL, "robert@b.example"],
        {"email": EMAIL},
    ],
    ids=ascii,
)
def test_unusable_addresses_are_refused(email: Any) -> None:
    with pytest.raises(CallerNotIdentifiedError) as refused:
        caller({"email": email, "email_verified": "true"})
    assert str(email) not in refused.value.detail or not str(email).strip(" @")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("jessica.smith+b@aurorasolar.com", id="plus-tag"),
        pytest.param("jessicasmith@aurorasolar.com", id="dot"),
        pytest.param("jessica.smith@\u0430urorasolar.com", id="cyrillic-a"),
        pytest.param("jessica.smith@aurora\u017folar.com", id="long-s-in-domain"),
        pytest.param("je\u017fsica.smith@aurorasolar.com", id="long-s"),
        pytest.param("je\u00dfica.smith@aurorasolar.com", id="sharp-s"),
        pytest.param("jessica.smith@aurorasolar.com.", id="trailing-dot"),
        pytest.param("\uff4aessica.smith@aurorasolar.com", id="full-width"),
        pytest.param("jessica.smith@xn--aurorasolar.com", id="punycode"),
    ],
)
def test_look_alikes_are_other_people(other: str) -> None:
    assert normalised_email(other) != EMAIL


@pytest.mark.parametrize(
    "sign", ["\u212a", "\u037e", "\u1fef"], ids=["kelvin", "semicolon", "grave"]
)
def test_sign_that_would_become_an_ascii_one_is_refused(sign: str) -> None:
    """Whoever owns `\u212aate@…` at a provider does not get Kate's tokens."""
    with pytest.raises(ValueError, match="another"):
        normalised_email(f"{sign}ate@exämple.com")


def test_claims_win_over_the_profile() -> None:
    claims = {"email": EMAIL, "email_verified": "true", "given_name": "Jessica"}
    profile = {"first_name": "Robert", "last_name": "Smith", "phone": "(415) 360-9291"}
    found = caller(claims, profile=profile)
    assert (found.first_name, found.last_name, found.phone) == (
        "Jessica",
        "Smith",
        "(415) 360-9291",
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Jessica Smith", ("Jessica", "Smith")),
        ("Jessica Ann Smith", ("Jessica Ann", "Smith")),
        ("Jessica", ("jessica.smith", "Jessica")),
        ("Jessica\r\nX-Injected: yes Smith", ("Jessica X-Injected: yes", "Smith")),
        ("Jes\x00sica \ud800 Smith\u202e", ("Jessica", "Smith")),
        (None, ("jessica.smith", "aurorasolar.com")),
        (42, ("jessica.smith", "aurorasolar.com")),
    ],
    ids=ascii,
)
def test_names_are_one_line_that_can_be_sent(name: Any, expected: tuple[str, str]) -> None:
    found = caller({"email": EMAIL, "email_verified": "true", "name": name})
    assert (found.first_name, found.last_name) == expected


GROUP = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # Two groups, or one whose name has a blank: nobody can tell, and nothing is granted.
        ("[Read-only Admins]", ()),
        ("[designers,admins]", ()),
        ("[Admins]", ("Admins",)),
        (f"[{GROUP} {GROUP[::-1]}]", (GROUP, GROUP[::-1])),
        ("[]", ()),
        ("designers", ("designers",)),
        (["designers", "two words"], ("designers", "two words")),
        ("", ()),
        (None, ()),
        ({"designers": True}, ()),
    ],
    ids=repr,
)
def test_groups_in_every_form(value: Any, expected: tuple[str, ...]) -> None:
    claims = {"email": EMAIL, "email_verified": "true", "cognito:groups": value}
    assert caller(claims).groups == expected


@pytest.mark.parametrize("form", [f"[{EMAIL}]", [EMAIL]], ids=["text", "list"])
def test_address_in_a_list_of_one(form: Any) -> None:
    """Some providers send `emails`; API Gateway hands a list over as text in brackets."""
    assert caller({"email": form, "email_verified": "true"}).email == EMAIL


def test_subject_tells_identities_apart_without_naming_them() -> None:
    claims = {"email": EMAIL, "email_verified": "true", "iss": "https://id.example", "sub": "one"}
    first, again, other = caller(claims), caller(claims), caller(claims | {"sub": "two"})
    assert first.subject == again.subject != other.subject
    assert "one" not in first.subject


def test_verification_can_be_left_to_the_provider() -> None:
    assert caller({"email": EMAIL}, verified=False).email == EMAIL


@pytest.mark.parametrize(
    "spelling",
    [
        "Jessica.Smith@AuroraSolar.com",
        "JESSICA.SMITH@AURORASOLAR.COM",
        " jessica.smith@aurorasolar.com\n",
    ],
)
def test_spellings_of_one_person(spelling: str) -> None:
    assert normalised_email(spelling) == EMAIL


def test_names_are_bounded() -> None:
    found = caller({"email": EMAIL, "email_verified": "true", "name": "n" * 1_000_000})
    assert len(found.last_name) == 100
