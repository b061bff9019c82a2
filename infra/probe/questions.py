"""Questions: statements about Aurora, and how each is seen to hold or not in what was recorded."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from infra.probe.calls import Person
from infra.probe.exchange import Exchange, plain


@dataclass(frozen=True, kw_only=True)
class Record:
    """All that a probe has seen and heard; `said` are the operator's answers, None for none."""

    exchanges: Mapping[str, Exchange]
    person: Person = field(default_factory=Person)
    said: Mapping[str, bool | None] = field(default_factory=dict)
    version_header: tuple[str, str] = ("", "")
    halted: str = ""

    def __getitem__(self, name: str) -> Exchange:
        why = f"not asked: {self.halted}" if self.halted else "not asked"
        return self.exchanges.get(name, Exchange(call=name, failure=why))

    @property
    def whole(self) -> Exchange:
        """Return the last list without parameters: with it, what pages hold is compared."""
        after = self["list-after"]
        return after if after.rows is not None else self["list"]


Found = tuple[bool | None, str, *tuple[Exchange, ...]]
"""
Whether the statement holds, None where the answers do not tell; what was found; and in which calls.
"""
Reader = Callable[[Record], Found]


QUESTIONS: dict[str, tuple[str, Reader]] = {}
"""Statement and reader, in the order in which `reading.py` imports those who ask."""


def question(name: str, statement: str) -> Callable[[Reader], Reader]:
    """Make a function the reader of a question."""

    def decorate(read: Reader) -> Reader:
        QUESTIONS[name] = statement, read
        return read

    return decorate


def names(members: Iterable[str]) -> str:
    """Return names of members, sorted, as far as they may be told."""
    return ", ".join(sorted({plain(name) for name in members}))


def is_seen(name: str, record: Record) -> bool:
    _, read = QUESTIONS[name]
    return read(record)[0] is True
