"""
The unknowns of Aurora's API, as statements that a probe sees or contradicts.
"""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["seen", "contradicted", "undetermined"]
Part = Literal["reading", "people", "operator"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """
    A statement about Aurora; `part` is what has to be allowed for an answer.
    """

    name: str
    part: Part
    statement: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """
    What a probe found of one question: never a token, a key or a person's data.

    `found` is for people; `evidence` is what Aurora answered, as statuses and shapes.
    """

    name: str
    verdict: Verdict
    found: str
    evidence: tuple[str, ...] = ()

    @property
    def statement(self) -> str:
        """
        Return the statement that was to be seen.
        """
        return next(each.statement for each in QUESTIONS if each.name == self.name)


_READING = {
    "list": "The key lists users.",
    "list-members": "A row has id, first_name, last_name, email and account_status.",
    "list-body": "The list's body has no member but users.",
    "list-inactive": "The list shows people who are not active, too.",
    "paging": "The list's pages go by number: page=2, page=3.",
    "page-size": "A page without parameters holds 100 people.",
    "per-page": "per_page sets how many people a page holds.",
    "past-end": "A page after the last one is empty.",
    "retrieve": "The key retrieves one user.",
    "retrieve-shape": "Retrieve User wraps its answer in user.",
    "unknown-user": "Retrieve User answers 404 to an unknown id.",
    "generate-unknown": "Generate answers 404 to an unknown id.",
    "other-tenant": "The list of an unknown tenant is answered 404.",
    "rate-limit": "Aurora grants 90 requests a minute.",
    "generate-limit": "generate_token has no limit apart from the key's.",
    "retry-after": "Retry-After is a whole number of seconds.",
    "version": "A header of the request pins the API's version.",
}
_PEOPLE = {
    "invite": "The key invites an SDK User.",
    "invite-status": "An invitation is answered 200, 202 or 204.",
    "invite-id": "The answer to an invitation has the new user's id.",
    "invite-minimal": "An e-mail and a level are enough for an invitation.",
    "invite-again": "A second invitation of an address is answered 422.",
    "invite-active": "A new SDK User is active at once.",
    "generate": "The key generates tokens.",
    "generate-again": "A second generate returns a new token.",
    "claims": "The JWT has id, email, exp and jti.",
    "claim-id": "The JWT's id is the user's.",
    "claim-environment": "The JWT names the environment.",
    "algorithm": "The JWT is signed with HS256.",
    "token-life": "A token lives 12 hours.",
}
_OPERATOR = {
    "loader-option": "The loader takes the JWT as its option token.",
    "session-after-generate": "A second generate leaves the first session open.",
    "second-session": "The second token loads while the first session is open.",
    "session-after-load": "Loading the second token leaves the first session open.",
    "first-token-again": "The first token loads again after the second one did.",
}
_PARTS: tuple[tuple[Part, dict[str, str]], ...] = (
    ("reading", _READING),
    ("people", _PEOPLE),
    ("operator", _OPERATOR),
)
QUESTIONS: tuple[Question, ...] = tuple(
    Question(name=name, part=part, statement=statement)
    for part, statements in _PARTS
    for name, statement in statements.items()
)
