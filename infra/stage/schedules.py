"""
When a stage starts what nobody asks for: the options that EventBridge Scheduler has to take.

The grammar is that of https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import available_timezones

EXPRESSION = re.compile(r"(cron|rate)\(([^()]+)\)")
RATE = re.compile(r"(?:1 (?:minute|hour|day)|(?!1 )[1-9]\d{0,4} (?:minutes|hours|days))")
STEP = re.compile(r"[1-9]\d?")


@dataclass(frozen=True, kw_only=True)
class Field:
    """
    One of the six fields of a cron expression.

    `names` are what its first values are called beside their numbers. `special` is what it takes
    instead of a value.
    """

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    special: str = "(?!)"
    steps: bool = True

    def wrong(self, text: str) -> str:
        """Say what is wrong with the field; nothing where it is right."""
        for term in text.split(","):
            span, slash, step = term.partition("/")
            if slash and not (self.steps and STEP.fullmatch(step) and int(step) <= self.most):
                return f"{self.name} {term!r} has a step that is not taken here"
            if span == "*" or (not slash and re.fullmatch(self.special, span)):
                continue
            first, _, last = span.partition("-")
            values = [self._value(each) for each in ((first, last) if "-" in span else (first,))]
            if None in values:
                names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
                return f"{self.name} {term!r} is none of {self.least}-{self.most}{names}"
            if values != sorted(values, key=lambda each: each or 0):
                return f"{self.name} {term!r} ends before it begins; write two ranges"
        return ""

    def _value(self, text: str) -> int | None:
        if text in self.names:
            return self.least + self.names.index(text)
        value = int(text) if text.isascii() and text.isdigit() else -1
        return value if self.least <= value <= self.most else None


DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
A_DAY = rf"(?:[1-7]|{'|'.join(DAYS)})"
FIELDS = (
    Field(name="minutes", least=0, most=59),
    Field(name="hours", least=0, most=23),
    Field(
        name="day-of-month",
        least=1,
        most=31,
        special=r"\?|L|LW|(?:[1-9]|[12]\d|3[01])W",
    ),
    Field(name="month", least=1, most=12, names=MONTHS),
    Field(
        name="day-of-week",
        least=1,
        most=7,
        names=DAYS,
        special=rf"\?|L|{A_DAY}L|{A_DAY}#[1-5]",
        steps=False,
    ),
    Field(name="year", least=1970, most=2199),
)


def wrong_times(*, time_zone: str, **schedules: str) -> Iterator[tuple[str, str]]:
    """Yield each option that EventBridge Scheduler would refuse, and why."""
    if time_zone not in available_timezones():
        yield "time_zone", "the IANA database has no such time zone"
    for option, expression in schedules.items():
        # An empty one is one that the stage does not have.
        if expression and (why := wrong_expression(expression)):
            yield option, why


def wrong_expression(expression: str) -> str:
    """Say what is wrong with an expression that starts something again and again; else nothing."""
    if not (match := EXPRESSION.fullmatch(expression)):
        once = ": at(…) starts it only once" if expression.startswith("at(") else ""
        return f"must be cron(…) or rate(…){once}"
    kind, inside = match.groups()
    if kind == "rate":
        right = RATE.fullmatch(inside)
        return "" if right else 'must be such as "rate(15 minutes)", "rate(1 hour)", "rate(2 days)"'
    given = inside.split(" ")
    if len(given) != len(FIELDS):
        names = " ".join(each.name for each in FIELDS)
        return f"cron takes six fields, with a blank between two: {names}"
    if wrong := [
        why for each, text in zip(FIELDS, given, strict=True) if (why := each.wrong(text))
    ]:
        return "; ".join(wrong)
    _, _, of_month, _, of_week, _ = given
    if [of_month, of_week].count("?") != 1:
        return 'just one of day-of-month and day-of-week must be "?"'
    return ""
