"""What happens between the arrival of a call at Aurora and its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from tests.integration.conftest import Deployment


def while_aurora_works(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, happens: Callable[[str], object]
) -> None:
    """Let something happen, on being told the operation, while the service waits for the answer."""
    begin = deployment.aurora.begin

    def begin_and_wait(operation: str, about: str) -> Any:
        begun = begin(operation, about)
        happens(operation)
        return begun

    monkeypatch.setattr(deployment.aurora, "begin", begin_and_wait)
