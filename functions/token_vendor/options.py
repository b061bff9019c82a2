"""
Options that are declared once, as dataclass fields.

The function reads them from its environment, the CDK app from cdk.json. Both check a value against
the same declaration. The checks are plain functions: a validation library would double the cold
start.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field
from typing import Any

Names = tuple[str, ...]
Pairs = tuple[tuple[str, str], ...]
ANYTHING = r"(?s:.*)"


class WrongValueError(ValueError):
    """The text says what is wrong with a value, and completes "memory_mb = 128: …"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """
    What an option accepts.

    `meaning` says what the option is for, or what is allowed. `least` and `most` bound numbers.
    `shape` is what each text must match, `problem` what to say where one does not.
    """

    meaning: str
    least: float
    most: float
    shape: Callable[[str], object]
    problem: str

    def check(self, value: Any) -> None:
        """Check a value of the right type; a `WrongValueError` says what is wrong."""
        if isinstance(value, bool):
            return
        if isinstance(value, int | float):
            # This form refuses NaN, which JSON readers accept.
            if not self.least <= value <= self.most:
                raise WrongValueError(
                    f"must be from {self.least:g} to {self.most:g} ({self.meaning})"
                )
            return
        texts = (
            [value] if isinstance(value, str) else [text for each in value for text in _flat(each)]
        )
        if not all(self.shape(text) for text in texts):
            raise WrongValueError(f"must be {self.meaning}{self.problem}")


def option(  # noqa: PLR0913 - what there is to say of an option.
    meaning: str,
    default: Any = MISSING,
    *,
    least: float = 0,
    most: float = 1_000_000,
    shape: str | Callable[[str], bool] = ANYTHING,
    problem: str = "",
) -> Any:
    """Declare an option as a dataclass field; without a default it is required."""
    matches = re.compile(shape).fullmatch if isinstance(shape, str) else shape
    rule = Rule(meaning=meaning, least=least, most=most, shape=matches, problem=problem)
    return field(default=default, metadata={"rule": rule})


def rule_of(declared: Field[Any]) -> Rule:
    """Return what a field declared by `option` accepts."""
    rule: Rule = declared.metadata["rule"]
    return rule


def from_text(kind: Any, text: str) -> Any:
    """Return an environment variable's value as its declared type, or raise `WrongValueError`."""
    return TEXT_READERS[kind](text)


def to_text(value: Any) -> str:
    """Return a value as `from_text` reads it."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return str(int(value)) if value.is_integer() else str(value)
        case tuple() if value and isinstance(value[0], tuple):
            return json.dumps(dict(value))
        case tuple():
            return ",".join(value)
    return str(value)


def _flat(entry: Any) -> tuple[str, ...]:
    return (entry,) if isinstance(entry, str) else tuple(entry)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise WrongValueError("must be a number") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise WrongValueError("must be a whole number") from None


def _switch(text: str) -> bool:
    if text not in {"true", "false"}:
        raise WrongValueError("must be true or false")
    return text == "true"


def _names(text: str) -> Names:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _pairs(text: str) -> Pairs:
    try:
        pairs = json.loads(text).items()
    except (ValueError, AttributeError):
        raise WrongValueError("must be a JSON object of texts") from None
    if not all(isinstance(value, str) for _, value in pairs):
        raise WrongValueError("must be a JSON object of texts")
    return tuple(pairs)


TEXT_READERS: Mapping[Any, Callable[[str], Any]] = {
    str: str,
    int: _whole,
    float: _number,
    bool: _switch,
    Names: _names,
    Pairs: _pairs,
}
