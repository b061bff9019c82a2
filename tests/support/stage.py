"""A deployed stage as the operator's commands see it, without asking AWS."""

from types import SimpleNamespace
from typing import Any

from token_vendor.settings import Settings

from infra.operator.deployed import Deployed
from tests.support.settings import ENVIRONMENT


def stage_of(settings: Settings, session: Any = None, **outputs: str) -> Deployed:
    """Give the stage whose function has these settings."""
    found = Deployed(
        stage=settings.stage,
        region="us-east-1",
        outputs={"TableName": ENVIRONMENT["TABLE_NAME"], **outputs},
        status="CREATE_COMPLETE",
        local={},
        session=session,
    )
    vars(found)["settings"] = settings
    return found


def session_of(client: Any) -> Any:
    """Give a session all of whose clients are this one."""
    return SimpleNamespace(client=lambda *_, **__: client)
