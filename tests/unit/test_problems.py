"""The catalogue: every problem has its own class, slug and constant texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from token_vendor import problems
from token_vendor.problems import CATALOGUE

EXPECTED = {
    "invalid-request": 400,
    "caller-not-identified": 403,
    "user-not-eligible": 403,
    "invitation-pending": 409,
    "too-many-renewals": 429,
    "aurora-busy": 503,
    "generating-stopped": 503,
    "aurora-unavailable": 503,
    "aurora-timeout": 504,
    "aurora-invalid-response": 502,
    "aurora-key-rejected": 502,
    "token-store-unavailable": 503,
    "internal-error": 500,
}
PACKAGE = Path(problems.__file__).parent


def test_catalogue_is_the_design() -> None:
    assert {slug: problem.status for slug, problem in CATALOGUE.items()} == EXPECTED


@pytest.mark.parametrize("slug", CATALOGUE)
def test_cause_never_reaches_the_caller(slug: str) -> None:
    """What the log reads and what the caller reads are two strings."""
    problem = CATALOGUE[slug](cause="arn:aws:dynamodb:us-east-1:123456789012:table/tokens")
    assert "arn" not in problem.detail
    assert problem.detail == CATALOGUE[slug].detail
    assert problem.detail.endswith(".")
    assert not problem.title.endswith(".")
