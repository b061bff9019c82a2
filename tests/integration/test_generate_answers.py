"""Whatever Aurora answers to a generate: reloads end at most one session, and cost little."""

from typing import Any

import pytest

from tests.integration.conftest import Deployment

GENERATE = "generate_token"
RENEWALS_PER_HOUR = 6
UNDATED_LIFE = 900
TEN_MINUTES = 600
KILLED = "another token was generated"
# What is believed of a token decides how often one is generated; each of these is served.
TOKENS: dict[str, dict[str, Any]] = {
    "as-documented": {},
    "life-of-24-h": {"token_lifetime": 86_400},
    "life-of-7-d": {"token_lifetime": 7 * 86_400},
    "exp-in-milliseconds": {"exp_claim": "milliseconds"},
    "exp-as-text": {"exp_claim": "text"},
    "email-null": {"email_claim": "null"},
    "no-email": {"email_claim": "absent"},
    "id-in-capitals": {"id_claim": "capitals"},
    "the-same-again": {"second_generate": "same"},
    "kills-when-loaded": {"kill": "when_loaded"},
}
FAULTS: dict[str, dict[str, Any]] = {
    "distant": {"kind": "distant_jwt"},
    "expired": {"kind": "expired_jwt"},
    "corrupt": {"kind": "corrupt_jwt"},
    "other-user": {"kind": "other_user_jwt"},
    "no-json": {"kind": "not_json"},
    "truncated": {"kind": "truncated_json"},
    "missing-fields": {"kind": "missing_fields"},
    "redirect": {"kind": "redirect"},
    "500": {"kind": "status", "status": 500},
    "500-after": {"kind": "status_after", "status": 500},
    "dropped": {"kind": "drop"},
    "dropped-after": {"kind": "drop_after"},
}
CERTAIN = ("redirect",)
"""Aurora certainly did not generate: every cool-down is the first one."""


class Page:
    """A page that is reloaded: each new token that it gets opens a session."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.served = 0
        self.ended = 0
        self._open: dict[str, float] = {}

    def reload(self) -> None:
        answer = self.deployment.vend()
        for session, expires_at in list(self._open.items()):
            state = self.deployment.aurora.session_state(session)
            self.ended += state == KILLED and expires_at > self.deployment.clock.now
            if state != "live":
                del self._open[session]
        if answer.status == 200:
            self.served += 1
            token = answer.body["token"]
            session_id, _ = self.deployment.aurora.load(token["jwt"])
            if session_id:
                self._open[session_id] = self.deployment.clock.now + token["expires_in"]

    def reload_for(self, seconds: float, *, every: float = 10) -> None:
        for _ in range(int(seconds / every)):
            self.reload()
            self.deployment.clock.advance(every)


def reloaded(deployment: Deployment, answers: dict[str, Any], **behaviour: Any) -> tuple[Page, int]:
    """
    Reload for ten minutes while Aurora answers so, over a session on a token near its end.

    Return the page, and how many generates that cost.
    """
    page = Page(deployment)
    page.reload()
    deployment.clock.advance(11.5 * 3600)
    if answers:
        deployment.aurora.fail({"operation": GENERATE, "times": 999} | answers)
    deployment.aurora.behave(**behaviour)
    before = deployment.calls()[GENERATE]
    page.reload_for(TEN_MINUTES)
    return page, deployment.calls()[GENERATE] - before


@pytest.mark.parametrize("name", TOKENS)
def test_token_is_vended_whatever_it_says_of_itself(deployment: Deployment, name: str) -> None:
    page, generates = reloaded(deployment, {}, **TOKENS[name])
    assert (page.served, generates) == (61, 1)
    assert page.ended <= 1


@pytest.mark.parametrize("name", FAULTS)
def test_answer_that_is_no_token_costs_few_generates(deployment: Deployment, name: str) -> None:
    page, generates = reloaded(deployment, FAULTS[name])
    assert generates <= (20 if name in CERTAIN else RENEWALS_PER_HOUR)
    assert page.ended <= 1


def test_short_life_costs_a_generate_for_each_token_that_ended(deployment: Deployment) -> None:
    """30 s: nobody can be served for longer, and no session is ended before its time."""
    page, generates = reloaded(deployment, {}, token_lifetime=30)
    assert (page.served, page.ended) == (61, 1)
    assert generates == 20


@pytest.mark.parametrize(
    "behaviour", [{"exp_claim": "absent"}, {"token_lifetime": -60}], ids=["no-exp", "exp-past"]
)
def test_token_without_a_known_end_is_vended_once(
    deployment: Deployment, behaviour: dict[str, Any]
) -> None:
    """The session that begins with it is not ended by the next reload."""
    page, generates = reloaded(deployment, {}, **behaviour)
    assert (page.served, page.ended, generates) == (2, 1, 1)
    item = deployment.item()
    assert "generating_since" in item
    assert "lease_id" not in item


def test_token_without_a_known_end_says_when_to_ask_again(deployment: Deployment) -> None:
    deployment.aurora.behave(exp_claim="absent")
    answer = deployment.vend()
    assert (answer.status, answer.body["source"]) == (200, "generated")
    assert answer.body["token"]["expires_in"] == UNDATED_LIFE - 1
    assert "jwt" not in deployment.item()
    deployment.clock.advance(60)
    refused = deployment.vend(replace=answer.jti)
    assert (refused.status, refused.slug) == (502, "aurora-invalid-response")
    assert int(refused.headers["retry-after"]) == pytest.approx(UNDATED_LIFE - 60, abs=2)
    deployment.clock.advance(UNDATED_LIFE - 60)
    assert deployment.vend().body["source"] == "generated"


def test_trouble_that_is_over_is_over(deployment: Deployment) -> None:
    """Nobody waits for longer than the trouble has lasted; the next trouble begins anew."""
    for _ in range(2):
        deployment.aurora.fail({"operation": GENERATE, "kind": "drop_after", "times": 3})
        begun = deployment.clock.now
        deployment.vend()
        while (answer := deployment.vend()).status != 200:
            deployment.clock.advance(int(answer.headers["retry-after"]))
        assert deployment.clock.now - begun < 130
        deployment.clock.advance(13 * 3600)
