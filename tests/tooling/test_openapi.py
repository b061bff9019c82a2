"""
The contract, kept true: every problem is documented, and request and handler agree.

Bodies are made by hypothesis and judged by both the schema and the handler. The judge of the schema
knows only the keywords that the contract uses, and refuses others.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from token_vendor.problems import CATALOGUE, URN, InvalidRequestError
from token_vendor.request_body import BODY_LIMIT, parse_body

ROOT = Path(__file__).parents[2]
CONTRACT: dict[str, Any] = yaml.safe_load((ROOT / "infra" / "openapi.yaml").read_text())
SCHEMAS = CONTRACT["components"]["schemas"]
POST, DELETE = (CONTRACT["paths"]["/token"][method] for method in ("post", "delete"))
TYPES: dict[str, type] = {"object": dict, "string": str, "integer": int}
ANNOTATIONS = {"description", "default", "format"}


def resolved(node: Any) -> Any:
    """Follow a reference inside the contract; one that leads nowhere is a KeyError."""
    while isinstance(node, dict) and "$ref" in node:
        target: Any = CONTRACT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Judge a value by the keywords that the contract uses."""
    schema = resolved(schema)
    verdicts = {
        "type": lambda want: isinstance(value, TYPES[want]) and not isinstance(value, bool),
        "minLength": lambda least: len(value) >= least,
        "maxLength": lambda most: len(value) <= most,
        "minimum": lambda least: value >= least,
        "maximum": lambda most: value <= most,
        "enum": lambda allowed: value in allowed,
        "required": lambda names: set(names) <= set(value),
        "additionalProperties": lambda _: set(value) <= set(schema["properties"]),
        "properties": lambda members: all(
            fits(members[name], each) for name, each in value.items() if name in members
        ),
    }
    # The type comes first: the other keywords take it for granted.
    for keyword in sorted(set(schema) - ANNOTATIONS, key=lambda name: name != "type"):
        if not verdicts[keyword](schema[keyword]):
            return False
    return True


def documented(operation: dict[str, Any]) -> dict[str, int]:
    """Return the slugs of an operation's examples with the status that they stand under."""
    return {
        slug: int(status)
        for status, response in operation["responses"].items()
        for slug in resolved(response)
        .get("content", {})
        .get("application/problem+json", {})
        .get("examples", {})
    }


def test_post_documents_the_whole_catalogue() -> None:
    assert documented(POST) == {slug: problem.status for slug, problem in CATALOGUE.items()}


def test_delete_documents_what_it_can_answer() -> None:
    assert set(documented(DELETE)) == {
        "caller-not-identified",
        "token-store-unavailable",
        "internal-error",
    }


def test_types_are_the_catalogue() -> None:
    types = SCHEMAS["Problem"]["properties"]["type"]["enum"]
    assert sorted(types) == sorted(URN + slug for slug in CATALOGUE)


def test_examples_of_requests_are_requests() -> None:
    examples = POST["requestBody"]["content"]["application/json"]["examples"]
    for name, each in examples.items():
        assert fits(SCHEMAS["TokenRequest"], resolved(each)["value"]), name


@pytest.mark.parametrize("slug", CATALOGUE)
def test_examples_are_what_the_function_says(slug: str) -> None:
    shown = CONTRACT["components"]["examples"][slug]["value"]
    problem = CATALOGUE[slug]
    assert fits(SCHEMAS["Problem"], shown)
    assert (shown["type"], shown["status"]) == (URN + slug, problem.status)
    assert (shown["title"], shown["detail"]) == (problem.title, problem.detail)


def test_retry_after_stands_wherever_waiting_may_help() -> None:
    for status, response in POST["responses"].items():
        slugs = {slug for slug, each in documented(POST).items() if each == int(status)}
        timed = {
            slug
            for slug in slugs
            if "retry_at" in CONTRACT["components"]["examples"][slug]["value"]
        }
        assert bool(timed) == ("Retry-After" in resolved(response).get("headers", {})), status


def accepts(text: str) -> bool:
    try:
        parse_body({"body": text})
    except InvalidRequestError:
        return False
    return True


printable = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=220)
scalar = st.none() | st.booleans() | st.integers(-5, 40_000) | st.floats(0, 2) | printable
profile = st.dictionaries(
    st.sampled_from(["first_name", "last_name", "phone", "email"]), scalar, max_size=3
)
request = st.dictionaries(
    st.sampled_from(["replace", "min_ttl", "profile", "email"]), scalar | profile, max_size=3
)
well_formed = st.fixed_dictionaries(
    {},
    optional={
        "replace": printable,
        "min_ttl": st.integers(-1, 39_601),
        "profile": st.dictionaries(
            st.sampled_from(["first_name", "last_name", "phone"]), printable, max_size=3
        ),
    },
)


@settings(max_examples=500, deadline=None)
@given(request | well_formed | scalar | st.lists(scalar, max_size=3))
@example({"min_ttl": 39_600})
@example({"min_ttl": 39_601})
@example({"min_ttl": True})
@example({"min_ttl": 1.0})
@example({"replace": ""})
@example({"replace": "j" * 200})
@example({"replace": "j" * 201})
@example({"profile": {"first_name": "J" * 200, "last_name": "", "phone": "0"}})
@example({"profile": {"first_name": "J" * 201}})
@example({"profile": {"email": "robert.johnson@aurorasolar.com"}})
@example({"email": "robert.johnson@aurorasolar.com"})
@example(None)
def test_schema_and_handler_agree(body: Any) -> None:
    """JSON Schema calls 1.0 an integer, the handler does not: the one difference, on purpose."""
    text = json.dumps(body)
    if len(text) <= BODY_LIMIT:
        assert accepts(text) == fits(SCHEMAS["TokenRequest"], body)


def test_limit_of_the_body_is_the_documented_one() -> None:
    assert "4,096 bytes" in POST["requestBody"]["description"]
    assert accepts("{}" + " " * 4094)
    assert not accepts("{}" + " " * 4095)


def test_page_lists_the_catalogue() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    rows = {
        slug: int(status)
        for slug, status in re.findall(r"^\| *`?([a-z-]+)`? *\| *(\d{3}) *\|", text, re.MULTILINE)
    }
    assert rows == {slug: problem.status for slug, problem in CATALOGUE.items()}
