"""
The real service on a table in memory, in-process, and the fake Aurora over HTTP.

The table and the secret answer botocore's clients where these would send. Races between
environments are tested on MiniStack.
"""

import base64
import functools
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.session import get_session
from token_vendor.handler import Endpoint
from token_vendor.observability import logger, recorder
from token_vendor.settings import Settings
from token_vendor.wiring import DYNAMODB, SECRETS_MANAGER, Parts, wire

from infra.fake_aurora.fake_aurora import FakeAurora
from tests.model.memory_table import MemoryTable
from tests.support.clock import Clock
from tests.support.events import Answer, event
from tests.support.settings import ENVIRONMENT

TABLE = "tokens"
AWS_TEXT = re.compile(r"arn:aws|\b\d{12}\b|DynamoDB|dynamodb|Secrets ?Manager|botocore|Traceback")
JWT = re.compile(r"eyJ[\w-]+\.[\w-]+")
WHY = ({"S": "a test"}, {"S": "arn:aws:iam::123456789012:user/operator"})
JESSICA = "jessica.smith@aurorasolar.com"
create_client = functools.cache(get_session().create_client)
"""All tests of a process share their clients: to make one takes longer than most of them."""


class Watch:
    """Everything that one deployment says: answers, log lines and metrics."""

    def __init__(
        self, deployment: "Deployment", log: io.StringIO, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._deployment = deployment
        self._log = log
        self._capsys = capsys

    def search(self, answer: Answer, *, key: str) -> str:
        """Search all of it, and return what went to logs and metrics."""
        printed = self._capsys.readouterr()
        logged = self._log.getvalue() + printed.out + printed.err
        said = json.dumps([answer.body, answer.headers])
        assert "audit" in logged
        for text in (logged, said):
            assert key not in text
            assert base64.b64encode(key.encode()).decode()[:20] not in text
            assert "Bearer" not in text
            assert "authorization" not in text.lower()
        assert not JWT.search(logged)
        if answer.status != 200:
            assert not JWT.search(said)
            assert not AWS_TEXT.search(said)
            assert not set(answer.body) - {
                "type",
                "title",
                "status",
                "detail",
                "instance",
                "retry_at",
            }
        return logged


@dataclass
class Context:
    """The two things that the handler asks of Lambda's context."""

    remaining: float = 25.0
    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.remaining * 1000)


@dataclass
class Deployment:
    """One wired service, its store, and its Aurora."""

    aurora: FakeAurora
    clock: Clock
    dynamodb: MemoryTable
    life: ExitStack
    settings: dict[str, str] = field(default_factory=dict)
    secret: str | bytes | None = field(init=False)
    """What the API key's secret holds; None is a secret without a value."""
    service: Endpoint = field(init=False)
    parts: Parts = field(init=False)

    def __post_init__(self) -> None:
        self.secret = self.aurora.api_key
        self.restart()
        self.hear("before-call.dynamodb", self.dynamodb.answer, last=True)
        self.hear("before-call.secretsmanager", self.answer_secret, last=True)

    def answer_secret(self, **_: Any) -> Any:
        """Answer a client of Secrets Manager."""
        if self.secret is None:
            return SimpleNamespace(status_code=400), {
                "Error": {"Code": "ResourceNotFoundException"}
            }
        member = "SecretString" if isinstance(self.secret, str) else "SecretBinary"
        return SimpleNamespace(status_code=200), {member: self.secret}

    def restart(self, **settings: str) -> None:
        """Begin a new execution environment, with other settings where given."""
        self.settings |= settings
        self.parts = self.wired()
        self.service = Endpoint(self.parts)

    def wired(self, **settings: str) -> Parts:
        """Wire what a scheduled function is made of, with other settings where given."""
        aurora = {"AURORA_URL": self.aurora.url, "AURORA_TENANT_ID": self.aurora.tenant_id}
        chosen = Settings.from_environment(ENVIRONMENT | aurora | self.settings | settings)
        return wire(chosen, clock=self.clock, sleep=self.clock.sleep)

    def hear(self, event: str, handler: Callable[..., Any], *, last: bool = False) -> None:
        """Call a handler at an event of the service's clients, until the test ends."""
        service = event.split(".")[1]
        config = DYNAMODB if service == "dynamodb" else SECRETS_MANAGER
        events = create_client(service, config=config).meta.events
        (events.register_last if last else events.register)(event, handler)
        self.life.callback(events.unregister, event, handler)

    def send(self, event: dict[str, Any], *, remaining: float = 25.0) -> Answer:
        """Hand over one event."""
        return Answer.from_response(self.service.answer(event, Context(remaining=remaining)))

    def vend(self, email: str = JESSICA, **body: Any) -> Answer:
        """Ask for a token as somebody with a verified address."""
        claims = {"email": email, "email_verified": "true", "name": "Jessica Smith"}
        return self.send(event(claims, body or None))

    def vend_elsewhere(self, email: str = JESSICA) -> Answer:
        """Vend as another execution environment, in the middle of a request to this one."""
        # A process has one recorder; the other environment's is another one.
        record = dict(vars(recorder))
        self.restart()
        answer = self.vend(email)
        vars(recorder).update(record)
        return answer

    def while_aurora_works(self, happens: Callable[[str], object]) -> None:
        """Let something happen, on being told the operation, between each call and its answer."""
        begin = self.aurora.begin

        def begin_and_wait(operation: str, about: str) -> Any:
            begun = begin(operation, about)
            happens(operation)
            return begun

        self.aurora.begin = begin_and_wait  # type: ignore[method-assign]

    def lose_the_lease(self, email: str) -> None:
        """Let the next lease end while Aurora works, and another environment generate meanwhile."""
        lost: list[str] = []

        def lose(operation: str) -> None:
            if not lost:
                lost.append(operation)
                self.clock.advance(27)
                assert self.vend_elsewhere(email).body["source"] == "generated"

        self.while_aurora_works(lose)

    def forget(self, email: str = JESSICA) -> Answer:
        """Sign out."""
        return self.send(event({"email": email, "email_verified": "true"}, method="DELETE"))

    def item(self, email: str = JESSICA, sk: str = "TOKEN") -> dict[str, Any]:
        """Return an item as plain values."""
        return self._item(f"sandbox#{self.aurora.tenant_id}#{email}", sk)

    def tenant_item(self, sk: str) -> dict[str, Any]:
        """Return an item that is about nobody in particular."""
        return self._item(f"sandbox#{self.aurora.tenant_id}", sk)

    def _item(self, pk: str, sk: str) -> dict[str, Any]:
        key = {"pk": {"S": pk}, "sk": {"S": sk}}
        item = self.dynamodb.get_item(TableName=TABLE, Key=key).get("Item", {})
        return {
            name: float(value["N"]) if "N" in value else next(iter(value.values()))
            for name, value in item.items()
        }

    def lease_elsewhere(self, seconds: float, email: str = JESSICA) -> None:
        """Write what another execution environment that generates for `email` would have."""
        self.dynamodb.update_item(
            TableName=TABLE,
            Key={"pk": {"S": f"sandbox#{self.aurora.tenant_id}#{email}"}, "sk": {"S": "TOKEN"}},
            UpdateExpression="SET lease_id = :id, lease_until = :until",
            ExpressionAttributeValues={
                ":id": {"S": "another"},
                ":until": {"N": f"{self.clock.now + seconds:.3f}"},
            },
        )

    def switch(self, *switches: tuple[str, str], lasting: float = 86_400) -> None:
        """Let just these (switch, value) be in force; environments look every two seconds."""
        self.clock.advance(2)
        rows = [
            {"L": [{"S": switch}, {"S": value}, {"N": str(self.clock.now + lasting)}, *WHY]}
            for switch, value in switches
        ]
        self.put_control({"version": {"N": "1"}, "entries": {"L": rows}})

    def put_control(self, attributes: dict[str, Any]) -> None:
        """Write the CONTROL item, whatever it then holds."""
        key = {"pk": {"S": f"sandbox#{self.aurora.tenant_id}"}, "sk": {"S": "CONTROL"}}
        self.dynamodb.put_item(TableName=TABLE, Item=key | attributes)

    def calls(self) -> dict[str, int]:
        """Count what Aurora was asked, by operation."""
        counts = dict.fromkeys(("list_users", "invite_user", "generate_token"), 0)
        for call in self.aurora.calls():
            counts[call["operation"]] = counts.get(call["operation"], 0) + 1
        return counts


@contextmanager
def deployed() -> Iterator[Deployment]:
    """Give a service with an empty table, a key in the secret, and Aurora's two sample people."""
    clock = Clock(tick=0.001)
    table = MemoryTable(lambda _: None, clock)
    with (
        pytest.MonkeyPatch.context() as patch,
        FakeAurora.running(clock=clock) as aurora,
        ExitStack() as life,
    ):
        made = SimpleNamespace(create_client=create_client)
        patch.setattr("token_vendor.wiring.get_session", lambda: made)
        yield Deployment(aurora, clock, table, life)


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with deployed() as deployment:
        yield deployment


@pytest.fixture
def watch(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Watch:
    log = io.StringIO()
    # The logger's handler keeps the stream that it was made with.
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    monkeypatch.setattr("sys.stdout", log)
    capsys.readouterr()
    return Watch(deployment, log, capsys)


@pytest.fixture
def aws() -> Iterator[None]:
    """Let moto answer for all other services of AWS."""
    from moto import mock_aws  # It takes a second to import.

    with mock_aws():
        yield
