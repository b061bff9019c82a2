"""
Read options from JSON with their declared types.
"""

import json
import re
from collections.abc import Mapping
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


class StageError(Exception):
    """
    A stage of cdk.json cannot be deployed; a line for each option says why.
    """


def read_options(cls: Any, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """
    Return the given values that are right, each of its declared type; and what is wrong.
    """
    declared = {each.name: each for each in fields(cls)}
    values: dict[str, Any] = {}
    wrong = {
        key: f"no such option; the nearest is {get_close_matches(key, declared, 1, 0)[0]}"
        for key in given
        if key not in declared
    }
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


def stage_error(stage: object, given: Mapping[str, Any], wrong: Mapping[str, str]) -> StageError:
    """
    Return the error that names each wrong option, its value and what is wrong with it.
    """
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
