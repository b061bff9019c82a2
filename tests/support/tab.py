"""
A page with one token source over scripted answers, in a real browser with a clock that tests turn.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from token_vendor.problems import CATALOGUE

if TYPE_CHECKING:
    from playwright.sync_api import Page

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
LIFE = 43_200
JESSICA = {"id": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "email": "jessica.smith@aurorasolar.com"}


def jwt(**claims: Any) -> str:
    """
    Give a caller's token as far as a browser reads it.
    """
    body = {"iss": "https://idp.example.com", "sub": "jessica", "exp": NOW.timestamp() + 600}
    text = json.dumps(body | claims).encode()
    return f"e30.{base64.urlsafe_b64encode(text).decode().rstrip('=')}.c2ln"


def vended(jti: str = "first", *, life: int = LIFE, source: str = "generated") -> dict[str, Any]:
    expires_at = (NOW + timedelta(seconds=life)).isoformat()
    token = {"jwt": f"jwt-{jti}", "jti": jti, "expires_at": expires_at, "expires_in": life}
    return {"status": 200, "body": {"token": token, "user": JESSICA, "source": source}}


def refused(slug: str, retry_after: str | None = None, **headers: str) -> dict[str, Any]:
    problem = CATALOGUE[slug]
    body = {
        "type": f"urn:problem:aurora-token-vendor:{slug}",
        "title": problem.title,
        "detail": problem.detail,
        "status": problem.status,
    }
    if retry_after is not None:
        headers["retry-after"] = retry_after
    return {"status": problem.status, "body": body, "headers": headers}


NETWORK_FAILURE = {"status": 0}


class Tab:
    """
    One page with one token source.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def start(
        self,
        *script: dict[str, Any],
        caller: str | None = None,
        real: bool = False,
        path: str = "/",
        **options: Any,
    ) -> None:
        """
        Open the page and make the source; `real` leaves the browser's own fetch in place.
        """
        self.page.goto(self.url + path)
        self.resume(*script, caller=caller, real=real, **options)

    def resume(
        self,
        *script: dict[str, Any],
        caller: str | None = None,
        real: bool = False,
        **options: Any,
    ) -> None:
        """
        Make the source in the page as it is.
        """
        token = jwt() if caller is None else caller
        answers = None if real else list(script)
        self.run("setUp", {"script": answers, "options": options, "callerToken": token})

    def run(self, function: str, argument: dict[str, Any]) -> None:
        """
        Call a function of tests/web/pages/tab.js, and wait for its end.
        """
        call = "([name, argument]) => import('/tab.js').then((tab) => tab[name](argument))"
        self.page.evaluate(call, [function, argument])

    def begin(self, call: str) -> None:
        """
        Start a call without waiting for its outcome.
        """
        self.page.evaluate(f"window.pending = outcome(source.{call}); 0")

    def end(self) -> dict[str, Any]:
        """
        Wait for the outcome of what was begun.
        """
        outcome: dict[str, Any] = self.page.evaluate("pending")
        return outcome

    def get(self, call: str = "getToken()") -> dict[str, Any]:
        """
        Make a call and give its outcome.
        """
        self.begin(call)
        return self.end()

    def after(self, milliseconds: float, call: str = "getToken()") -> dict[str, Any]:
        """
        Begin a call, let time pass, and give the outcome.
        """
        self.begin(call)
        self.settle()
        self.pass_time(milliseconds)
        return self.end()

    def pass_time(self, milliseconds: float) -> None:
        """
        Let time pass, then let what was due come through.
        """
        self.page.clock.run_for(milliseconds)
        self.settle()
        # To the page, the lock was asked for before that time passed and granted after it.
        self.page.clock.run_for(60)
        self.settle()

    def settle(self) -> None:
        """
        Let locks and answers come through, which take turns of the event loop but no time.
        """
        self.page.evaluate(
            "async () => { for (let i = 0; i < 20; i++) await navigator.locks?.query(); }"
        )

    def wait_for_locks(self, state: str, count: int) -> None:
        """
        Wait until so many locks are held, or pending; wait_for_function waits for no promise.
        """
        while self[f"navigator.locks.query().then((locks) => locks.{state}.length)"] != count:
            self.page.wait_for_timeout(10)

    def __getitem__(self, name: str) -> Any:
        return self.page.evaluate(name)
