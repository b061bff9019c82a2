"""Read options from JSON with their declared types."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any

from token_vendor.options import Names, Pairs, WrongValueError, rule_of

PLACEHOLDER = re.compile(r"<[^<>]*>")
KINDS: Mapping[Any, str] = {
    str: "a text",
    int: "a whole number, without quotes",
    float: "a number, without quotes",
    bool: "true or false, without quotes",
    Names: "a list of texts",
    Pairs: "an object of texts",
}


REMOVED: Mapping[tuple[str, ...], str] = {
    ("claim_given_name", "claim_family_name", "claim_name", "claim_phone"): (
        "the standard claims are read, and a request's `profile` fills what they leave open"
    ),
    ("throttle_burst",): "it is twice throttle_rate",
    ("aurora_connect_timeout", "aurora_read_timeout"): "a call to Aurora takes 2 + 10 s at most",
    ("patience", "turn_grace", "queue_horizon"): "a queue's times are 5, 5 and 900 s",
    ("cool_down",): "a failure is remembered for 30 s",
    ("api_key_ttl",): "a new key is taken at the first refusal, or within 300 s",
}
"""Options of 0.2 that nobody had to change, and what holds instead."""


class StageError(Exception):
    """A stage of cdk.json cannot be deployed; a line for each option says why."""


def read_options(cls: Any, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the given values that are right, each of its declared type; and what is wrong."""
    declared = {each.name: each for each in fields(cls)}
    values: dict[str, Any] = {}
    wrong = {key: _unknown(key, declared) for key in given if key not in declared}
    for key, each in declared.items():
        rule = rule_of(each)
        if key not in given:
            if each.default is MISSING:
                wrong[key] = f"missing: {rule.meaning}"
            continue
        if PLACEHOLDER.search(json.dumps(given[key])):
            wrong[key] = f"a placeholder; fill in {rule.meaning}"
            continue
        try:
            value = _typed(each.type, given[key], rule.meaning)
            rule.check(value)
            values[key] = value
        except WrongValueError as error:
            wrong[key] = str(error)
    return values, wrong


def _unknown(key: str, declared: Collection[str]) -> str:
    for names, what_to_do in REMOVED.items():
        if key in names:
            return f"gone since 0.3: delete the line; {what_to_do}"
    return f"no such option; the nearest is {get_close_matches(key, declared, 1, 0)[0]}"


def stage_error(stage: object, given: Mapping[str, Any], wrong: Mapping[str, str]) -> StageError:
    lines = []
    for key, why in wrong.items():
        value = f" = {json.dumps(given[key], ensure_ascii=False)}" if key in given else ""
        lines.append(f"stages.{stage}.{key}{value}: {why}")
    return StageError("\n".join(lines))


def _typed(kind: Any, value: Any, meaning: str) -> Any:
    # By its very type: in Python a bool is an int, in cdk.json it is not.
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    if kind == Names and isinstance(value, list) and all(map(_is_entry, value)):
        return tuple(value)
    if (
        kind == Pairs
        and isinstance(value, dict)
        and all(isinstance(each, str) for each in value.values())
    ):
        return tuple(value.items())
    raise WrongValueError(f"must be {KINDS[kind]} ({meaning})")


def _is_entry(entry: object) -> bool:
    # Lists travel to the function as comma-separated text.
    return isinstance(entry, str) and entry.strip() == entry != "" and "," not in entry
