"""
All that one probe has seen and heard, and how a verdict on it is put.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from infra.probe.calls import People, version_header
from infra.probe.exchange import Exchange, plain
from infra.probe.jwt_claims import Claims, claims_of
from infra.probe.line import Line
from infra.probe.questions import Verdict


@dataclass(frozen=True, kw_only=True)
class Record:
    """
    All that a probe has seen and heard; `said` are the operator's answers, None for none.
    """

    exchanges: Mapping[str, Exchange]
    people: People = field(default_factory=People)
    said: Mapping[str, bool | None] = field(default_factory=dict)
    version_header: tuple[str, str] = ("", "")
    halted: str = ""

    @classmethod
    def of(
        cls, line: Line, people: People, said: Mapping[str, bool | None], halted: str
    ) -> "Record":
        """
        Return the record of a probe that has ended.
        """
        return cls(
            exchanges=line.exchanges,
            people=people,
            said=said,
            version_header=version_header(line),
            halted=halted,
        )

    def __getitem__(self, name: str) -> Exchange:
        why = f"not asked: {self.halted}" if self.halted else "not asked"
        return self.exchanges.get(name, Exchange(call=name, failure=why))

    @property
    def whole(self) -> Exchange:
        """
        Return the last list without parameters: with it, what pages hold is compared.
        """
        after = self["list-after"]
        return after if after.rows is not None else self["list"]

    @property
    def person(self) -> str:
        """
        Return the address for which tokens were generated.
        """
        return next((each for each in self.people.addresses if self.people.ids.get(each)), "")

    @property
    def claims(self) -> Claims | None:
        """
        Return what the first JWT says, unverified, or None where none can be read.
        """
        return claims_of(self["generate"])


@dataclass(frozen=True, kw_only=True)
class Found:
    """
    A verdict, and the calls that it rests on.
    """

    verdict: Verdict
    found: str
    by: tuple[Exchange, ...] = ()


Reader = Callable[[Record], Found]


def seen(found: str, *by: Exchange) -> Found:
    """
    Return that the statement holds.
    """
    return Found(verdict="seen", found=found, by=by)


def contradicted(found: str, *by: Exchange) -> Found:
    """
    Return that it does not.
    """
    return Found(verdict="contradicted", found=found, by=by)


def undetermined(found: str, *by: Exchange) -> Found:
    """
    Return that the answers do not tell.
    """
    return Found(verdict="undetermined", found=found, by=by)


def member_names(names: set[str] | list[str]) -> str:
    """
    Return names of members, sorted, as far as they may be told.
    """
    return ", ".join(sorted({plain(name) for name in names}))
