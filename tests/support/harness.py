"""The parts put together: MiniStack with table and secret, the fake Aurora, N environments."""

import os
import queue
import tempfile
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from infra.build.lambda_asset import build_asset
from infra.fake_aurora.fake_aurora import FakeAurora
from infra.local.ministack import MiniStack, ministack
from infra.local.processes import clean_environment, free_port
from tests.support.environment import Environment, InvocationLostError, runtime_folder
from tests.support.events import Answer, token_event
from tests.support.settings import ENVIRONMENT
from tests.support.table import create_table

TABLE = ENVIRONMENT["TABLE_NAME"]
HANDLER = "token_vendor.handler.handler"
FUNCTION_TIMEOUT = 25.0


class Harness:
    """
    Run the built asset in `processes` environments until the block ends.

    `settings` are the function's environment variables beside those that say where everything is;
    `aurora` are the members of the fake's behaviour. `invoke` may be called from any thread, and
    waits for a free environment.
    """

    def __init__(
        self,
        *,
        processes: int,
        settings: Mapping[str, str] | None = None,
        aurora: Mapping[str, Any] | None = None,
    ) -> None:
        self._processes = processes
        self._settings = dict(settings or {})
        self._stack = ExitStack()
        self._free: queue.Queue[Environment] = queue.Queue()
        self._environments: set[Environment] = set()
        self._lock = threading.Lock()
        self.aurora = FakeAurora(**dict(aurora or {}))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self.log = self.scratch / "function.log"
            self.ministack: MiniStack = stack.enter_context(
                ministack(
                    port=free_port(), log=self.scratch / "ministack.log", scratch=self.scratch
                )
            )
            self.aurora.start()
            stack.callback(self.aurora.stop)
            self.dynamodb = self.ministack.client("dynamodb")
            self.secrets = self.ministack.client("secretsmanager")
            stack.callback(self.dynamodb.close)
            stack.callback(self.secrets.close)
            create_table(self.dynamodb, TABLE)
            self.secret_arn = self.secrets.create_secret(
                Name="aurora-api-key", SecretString=self.aurora.api_key
            )["ARN"]
            stack.callback(self._stop_environments)
            self.asset = build_asset()
            self._runtime = runtime_folder(self.scratch)
            for _ in range(self._processes):
                self._free.put(self.start_environment())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # Requests ---------------------------------------------------------------------------------

    def vend(self, email: str, body: Any = None) -> Answer:
        """Send `POST /token` as somebody with a verified address."""
        return self.invoke(token_event(email, body))

    def invoke(self, event: dict[str, Any]) -> Answer:
        """
        Hand one event to the next free environment.

        Raises:
            InvocationLostError: The environment was killed before it answered; another takes its
                place, as on Lambda.

        """
        environment = self._free.get()
        try:
            answer = Answer.from_response(environment.invoke(event, timeout=FUNCTION_TIMEOUT))
        except InvocationLostError:
            self._end(environment)
            environment = self.start_environment()
            raise
        finally:
            self._free.put(environment)
        return answer

    def warm_up(self) -> None:
        """Let every environment answer once, with a problem that costs no call to AWS."""
        unknown = token_event("nobody@example.com", method="PUT")
        with ThreadPoolExecutor(self._processes) as pool:
            list(pool.map(self.invoke, [unknown] * self._processes))

    # State ------------------------------------------------------------------------------------

    def variables(self, **others: str) -> dict[str, str]:
        """Give the environment variables of the function."""
        return (
            clean_environment(
                PYTHONPATH=os.pathsep.join([str(self.asset), str(self._runtime)]),
                POWERTOOLS_SERVICE_NAME="token-vendor-test",
            )
            | ENVIRONMENT
            | {
                "AURORA_SECRET_ARN": self.secret_arn,
                "AURORA_URL": self.aurora.url,
                "AURORA_TENANT_ID": self.aurora.tenant_id,
            }
            | self.ministack.environment()
            | self._settings
            | others
        )

    def start_environment(self, handler: str = HANDLER, **variables: str) -> Environment:
        """Start one more process; it is not among those that `invoke` uses."""
        environment = Environment(handler, variables=self.variables(**variables), log=self.log)
        with self._lock:
            self._environments.add(environment)
        return environment

    def reset(self, *, users: Iterable[dict[str, Any]], **behaviour: Any) -> None:
        """Empty table and fake; the environments stay as warm as they are."""
        self.dynamodb.delete_table(TableName=TABLE)
        create_table(self.dynamodb, TABLE)
        self.aurora.reset()
        self.aurora.set_users(users)
        self.aurora.behave(**behaviour)
        self.secrets.put_secret_value(SecretId=self.secret_arn, SecretString=self.aurora.api_key)

    def key(self, email: str) -> dict[str, Any]:
        """Give the key of a caller's TOKEN item."""
        return {"pk": {"S": f"sandbox#{self.aurora.tenant_id}#{email}"}, "sk": {"S": "TOKEN"}}

    def tenant_key(self, sk: str) -> dict[str, Any]:
        """Give the key of an item that is about nobody in particular."""
        return {"pk": {"S": f"sandbox#{self.aurora.tenant_id}"}, "sk": {"S": sk}}

    def calls(self) -> dict[str, int]:
        """Count what Aurora was asked, by operation."""
        calls: dict[str, int] = self.aurora.stats()["calls"]
        return calls

    def _end(self, environment: Environment) -> None:
        environment.stop()
        with self._lock:
            self._environments.discard(environment)

    def _stop_environments(self) -> None:
        for environment in list(self._environments):
            self._end(environment)
