"""
What only a browser shows: the operator looks at two tabs, and says what became of the session.
"""

import typer

from infra.probe.tabs import Tabs

LOOK = """\
Whether a session survives is seen only in a browser on this
machine. Two pages are served here, and each loads the Client
SDK with one of the two tokens.
"""
LOADED = "Open {url}\nDid the Client SDK load?"
AFTER_GENERATE = """\
A second token was generated. Wait half a minute.
Does the session in the first tab still work?"""
SECOND = "Open {url} in a second tab.\nDid the Client SDK load?"
AFTER_LOAD = "Wait half a minute. Does the session in the first tab still work?"
AGAIN = "Close the second tab, and reload the first.\nDid the Client SDK load in it?"


class Sessions:
    """
    Ask about each moment of two sessions; `said` has the answers, None for what was skipped.
    """

    def __init__(self, tabs: Tabs) -> None:
        self._tabs = tabs
        self.said: dict[str, bool | None] = {}

    def first(self, jwt: str) -> None:
        """
        Have the first token loaded.
        """
        typer.echo(LOOK, err=True)
        self.said["loader-option"] = _look(LOADED.format(url=self._tabs.show("first", jwt)))

    def second(self, jwt: str) -> None:
        """
        Have the first session looked at after the second generate, and the second token loaded.
        """
        if not self.said.get("loader-option"):
            return
        survived = self.said["session-after-generate"] = _look(AFTER_GENERATE)
        loaded = _look(SECOND.format(url=self._tabs.show("second", jwt)))
        # Once the first session is over, nothing that comes later is about it.
        if survived:
            self.said["second-session"] = loaded
            if loaded:
                self.said["session-after-load"] = _look(AFTER_LOAD)
        # A token that is refused beside an open session may be as good as before.
        if loaded:
            self.said["first-token-again"] = _look(AGAIN)


def _look(question: str) -> bool | None:
    while True:
        match typer.prompt(f"{question} (yes, no, skip)", err=True).strip().lower():
            case "yes" | "y":
                return True
            case "no" | "n":
                return False
            case "skip" | "s":
                return None
            case _:
                typer.echo("Type yes, no or skip.", err=True)
