"""The way to Aurora: every call is counted, recorded and paced, and the last one is the last."""

from collections.abc import Callable, Mapping
from typing import Any

from token_vendor.aurora_http import retry_after
from token_vendor.models import GENERATE, LIST
from token_vendor.settings import Settings
from urllib3.exceptions import HTTPError

from infra.operator import key_rights
from infra.probe.exchange import Exchange, parsed
from infra.probe.pacing import HaltedError, Reserved


class Line:
    """Make calls with one key; `exchanges` has them by name, in order."""

    def __init__(
        self,
        settings: Settings,
        api_key: str,
        pacing: Reserved,
        *,
        most: int,
        clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.exchanges: dict[str, Exchange] = {}
        self._api_key = api_key
        self._pacing = pacing
        self._left = most
        self._clock = clock

    def ask(  # noqa: PLR0913 - one request has this many parts.
        self,
        name: str,
        call: str,
        operation: str,
        path: str = "",
        *,
        body: Any = None,
        headers: Mapping[str, str] = {},
    ) -> Exchange:
        """
        Make one call and record it; `call` is how reports name it, with ids left out.

        `HaltedError` says that it was not made, or that Aurora is not to be asked again for now.
        """
        if not self._left:
            raise HaltedError("every call that was allowed has been made")
        self._pacing.before(operation)
        self._left -= 1
        method = call.partition(" ")[0]
        try:
            answer = key_rights.request(
                self.settings, self._api_key, method, path, headers, json=body
            )
        except HTTPError as error:
            # Its text may echo the request.
            failure = f"no answer: {type(error).__name__}"
            self.exchanges[name] = Exchange(call=call, failure=failure, ended=self._clock())
            raise HaltedError(f"Aurora gave no answer to {call}") from error
        done = self.exchanges[name] = Exchange(
            call=call,
            status=answer.status,
            headers=dict(answer.headers),
            body=parsed(answer.data),
            ended=self._clock(),
        )
        if done.limited:
            self._rest(name, done, operation)
        return done

    def _rest(self, name: str, refused: Exchange, operation: str) -> None:
        """Find out whether a limit is generate's alone; pass the pause on; call no more."""
        try:
            if operation == GENERATE and self._left:
                # Before the pause is passed on, since that holds the whole queue.
                self.ask(f"after-429-to-{name}", "GET users", LIST)
        finally:
            seconds = retry_after(refused.header("Retry-After"), self._clock())
            self._pacing.pause(seconds, operation)
        raise HaltedError(f"Aurora asked for a pause of {seconds:.0f} s")
