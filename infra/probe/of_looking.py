"""What the operator saw of the Client SDK in two tabs."""

from infra.probe.questions import Found, Record, question

STATEMENTS = {
    "loader-option": "The loader takes the JWT as its option token.",
    "session-after-generate": "A second generate leaves the first session open.",
    "second-session": "The second token loads while the first session is open.",
    "session-after-load": "Loading the second token leaves the first session open.",
    "first-token-again": "The first token loads again after the second one did.",
}


def _ask(name: str, statement: str) -> None:
    @question(name, statement)
    def _said(record: Record) -> Found:
        said = record.said.get(name)
        if said is None:
            return None, "the operator did not look"
        found = "the operator saw it" if said else "the operator saw the contrary"
        # A loader that does not load may have another reason.
        if name == "loader-option" and not said:
            return None, found
        return said, found


for _name, _statement in STATEMENTS.items():
    _ask(_name, _statement)
