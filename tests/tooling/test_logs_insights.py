"""The saved queries, run on audit events as the function logs them."""

from typing import Any

from infra.dashboard_view import logs_insights

JESSICA, ROBERT = "a" * 64, "b" * 64


def audit(at: int, caller: str, **event: Any) -> dict[str, Any]:
    return {"@timestamp": at, "message": "audit", "audit": {"caller": caller, **event}}


LINES = [
    audit(1, JESSICA, source="generated", aurora_calls=2, duration_ms=900),
    audit(2, JESSICA, source="generated", aurora_calls=1, duration_ms=300),
    audit(3, ROBERT, source="generated", aurora_calls=1, duration_ms=500),
    audit(4, ROBERT, source="stored", aurora_calls=0, duration_ms=5),
    audit(5, ROBERT, problem="aurora-busy", status=503, duration_ms=7),
    audit(6, ROBERT, problem="aurora-busy", status=503, duration_ms=8, email="r@example.com"),
    {"@timestamp": 7, "message": "something else", "audit": {"problem": "never"}},
]


def run(title: str) -> list[dict[str, Any]]:
    from infra.stack.log_queries import QUERIES

    (query,) = [lines for name, lines in QUERIES.items() if name.startswith(title)]
    return logs_insights.run("SOURCE 'group' | " + "\n| ".join(query), LINES)


def test_who_was_refused() -> None:
    assert run("Who was refused") == [
        {"problem": "aurora-busy", "caller": ROBERT, "times": 1, "last": 5},
        {"problem": "aurora-busy", "caller": "r@example.com", "times": 1, "last": 6},
    ]


def test_who_burns_generates() -> None:
    assert run("Who burns") == [
        {"caller": JESSICA, "generates": 2, "calls": 3},
        {"caller": ROBERT, "generates": 1, "calls": 1},
    ]


def test_the_slowest_first() -> None:
    assert [row["audit.duration_ms"] for row in run("The slowest")] == [900, 500, 300, 8, 7, 5]
