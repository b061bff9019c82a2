"""
Options that are declared once, as dataclass fields, and read from JSON with their types.
"""

import json
import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, field
from difflib import get_close_matches
from typing import Any, get_origin

PLACEHOLDER = re.compile(r"<[^<>]*>")


class StageError(Exception):
    """
    A stage of cdk.json that cannot be deployed; one line says which option and why.
    """


def option(
    allowed: str,
    default: Any = MISSING,
    *,
    least: float = 0,
    most: float = 1_000_000,
    shapes_stack: bool = False,
) -> Any:
    """
    Declare an option of cdk.json.

    Args:
        allowed: what may stand there, in words that complete an error message.
        default: the value when cdk.json leaves the option out; without it the option is required.
        least: the smallest number accepted.
        most: the largest number accepted.
        shapes_stack: the option is CloudFormation's business; without it, the function reads the
            option from the environment variable of the same name in capitals.

    """
    metadata = {"allowed": allowed, "least": least, "most": most, "shapes_stack": shapes_stack}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def read_options(
    stage: str,
    given: Mapping[str, Any],
    declared: Mapping[str, Field[Any]],
    types_of: Mapping[str, Any],
) -> dict[str, Any]:
    """
    Return the given values, each of its declared type; those left out are left out here too.

    Raises:
        StageError: for an unknown, missing, wrongly typed or placeholder value.

    """
    for key in given:
        if key not in declared:
            near = get_close_matches(key, declared, 1, 0)[0]
            raise StageError(f"stages.{stage}.{key}: no such option; the nearest is {near}")
    values = {}
    for key, each in declared.items():
        if key in given:
            values[key] = _typed(stage, key, given[key], types_of[key], each.metadata)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise StageError(f"stages.{stage}.{key} is missing: {each.metadata['allowed']}")
    return values


def refusal(stage: str, key: str, value: object, allowed: str) -> StageError:
    """
    Return the error whose line names the option, its value and what is allowed.
    """
    shown = json.dumps(value, ensure_ascii=False, default=dict)
    return StageError(f"stages.{stage}.{key} = {shown}: {allowed}")


def _typed(
    stage: str, key: str, value: Any, type_: Any, metadata: types.MappingProxyType[str, Any]
) -> Any:
    wrong = refusal(stage, key, value, metadata["allowed"])
    if PLACEHOLDER.search(json.dumps(value)):
        raise refusal(stage, key, value, f"a placeholder; fill in {metadata['allowed']}")
    kind = get_origin(type_) or type_
    if kind is tuple:
        if not isinstance(value, list) or not all(map(_is_entry, value)):
            raise wrong
        return tuple(value)
    if kind is Mapping:
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise wrong
        return types.MappingProxyType(value)
    # In Python a bool is an int and an int is no float; in cdk.json neither is so.
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or isinstance(value, bool) != (kind is bool):
        raise wrong
    # Written so that NaN, which JSON readers let through, fails.
    if not isinstance(value, str) and not metadata["least"] <= value <= metadata["most"]:
        bounds = f"{metadata['least']:g} to {metadata['most']:g}"
        raise refusal(stage, key, value, f"{bounds} ({metadata['allowed']})")
    return value


def _is_entry(entry: object) -> bool:
    # Lists travel to the function as comma-separated text.
    return isinstance(entry, str) and entry.strip() != "" and "," not in entry


def as_text(value: object) -> str:
    """
    Return a value as the function reads it from its environment.
    """
    match value:
        case bool():
            return str(value).lower()
        case float() | int():
            return str(int(value)) if value == int(value) else str(value)
        case tuple():
            return ",".join(value)
        case Mapping():
            return json.dumps(dict(value), sort_keys=True)
    return str(value)
