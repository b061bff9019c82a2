"""What the facts of a probe mean for the options of a stage."""

import json
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from math import floor
from pathlib import Path
from typing import Any

from token_vendor.options import WrongValueError, rule_of
from token_vendor.settings import Options

RATE_SHARE = Options.request_rate / Options.aurora_rate_limit
"""Calls made by calls granted; what is left is for jitter on the way."""
LARGEST_MARGIN = 1 / 4
"""Part of a token's life that the function makes of any larger refresh margin."""


class ReportError(Exception):
    """A report cannot be read; says which."""


def newest(folder: Path, stage: str) -> tuple[Path, Mapping[str, Any]] | None:
    """
    Return the newest report of a stage and its facts, or None where there is none.

    A damaged report of the stage raises `ReportError`.
    """
    found = []
    for path in folder.glob(f"probe-{stage}-*.json"):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["stage"] == stage:
                found.append((str(data["at"]), path, dict(data["facts"])))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ReportError(f"{path.name} is no report that can be read") from error
    if not found:
        return None
    _, path, facts = max(found, key=lambda each: each[:1])
    return path, facts


def wrong_options(facts: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """Return the options that the facts contradict, with the values that fit."""
    changes: dict[str, Any] = {}
    limit = _limit(facts)
    if limit and limit < options.aurora_rate_limit:
        burst = min(options.request_burst, limit)
        changes = _limits(limit, burst, min(options.request_rate, _rate(limit)))
    life = facts.get("token_life", 0)
    if life and options.refresh_margin > life * LARGEST_MARGIN:
        changes["refresh_margin"] = int(life * LARGEST_MARGIN)
    return _sound(changes, options)


def implied_options(
    facts: Mapping[str, Any], options: Options, given: Collection[str]
) -> dict[str, Any]:
    """Return the wrong options, and those that could be better; `given` ones are the operator's."""
    changes = wrong_options(facts, options)
    limit = _limit(facts)
    ours = {"aurora_rate_limit", "request_burst", "request_rate"}
    if limit > options.aurora_rate_limit and not ours & set(given):
        changes |= _limits(limit, limit, _rate(limit))
    if facts.get("version_header") and not options.aurora_version_header:
        # The product was looked at under this version, and under no later one.
        changes["aurora_version_header"] = facts["version_header"]
        changes["aurora_version"] = facts["version"]
    return _sound(changes, options)


def _limit(facts: Mapping[str, Any]) -> int:
    names = ("requests_a_minute", "generates_a_minute")
    return min((int(facts[name]) for name in names if name in facts), default=0)


def _rate(limit: int) -> float:
    return floor(limit * RATE_SHARE * 10) / 10


def _limits(limit: int, burst: int, rate: float) -> dict[str, Any]:
    whole = int(rate) if rate == int(rate) else rate
    return {"aurora_rate_limit": limit, "request_burst": burst, "request_rate": whole}


def _sound(changes: dict[str, Any], options: Options) -> dict[str, Any]:
    """Return the changes that change something, or none where a stage could not have them."""
    changes = {name: value for name, value in changes.items() if getattr(options, name) != value}
    try:
        for declared in fields(options):
            if declared.name in changes:
                rule_of(declared).check(changes[declared.name])
    except WrongValueError:
        return {}
    return changes if not list(replace(options, **changes).contradictions()) else {}
