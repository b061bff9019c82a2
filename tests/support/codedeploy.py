"""CodeDeploy as its hook sees it at the wire while a version is being deployed, and Lambda."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

from infra.web.loopback import serving
from tests.support.environment import InvocationLostError
from tests.support.loopback import Handler

VERSION = "arn:aws:lambda:us-east-1:000000000000:function:token-vendor:7"
DEPLOYMENT = {"DeploymentId": "d-EXAMPLE", "LifecycleEventHookExecutionId": "an-execution"}
CODEDEPLOY = "CodeDeploy_20141006."


class CodeDeploy:
    """
    Play one deployment until the block ends, with `version` as the version to try.

    `version` gets each event and returns bytes; `InvocationLostError` says that it crashed.
    Without it, Lambda is somewhere else. `reported` is what CodeDeploy was told, `asked` what the
    version was. The first `refusals` invocations are refused, as by an IAM that has not heard of
    the version. `creator` began the deployment; GetDeployment is refused where it is empty.
    """

    def __init__(
        self,
        version: Callable[[Any], bytes] | None = None,
        *,
        creator: str = "user",
        refusals: int = 0,
    ) -> None:
        self.creator = creator
        self.refusals = refusals
        self.asked: list[Any] = []
        self.reported: list[dict[str, str]] = []
        self._version = version

    def __enter__(self) -> Self:
        self._serving = ExitStack()
        server = self._serving.enter_context(serving(_Server(("127.0.0.1", 0), _Handler)))
        server.codedeploy = self
        url = f"http://127.0.0.1:{server.server_port}"
        self.variables = {"AWS_ENDPOINT_URL_CODEDEPLOY": url}
        if self._version:
            self.variables["AWS_ENDPOINT_URL_LAMBDA"] = url
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.close()

    @property
    def statuses(self) -> list[str]:
        """Return what CodeDeploy was told of this very execution."""
        assert all(
            each["deploymentId"] == DEPLOYMENT["DeploymentId"]
            and each["lifecycleEventHookExecutionId"] == "an-execution"
            for each in self.reported
        )
        return [each["status"] for each in self.reported]

    def invoke(self, function: str, event: Any) -> tuple[int, dict[str, str], bytes]:
        """Answer as Lambda's Invoke."""
        if self.refusals or function != VERSION or not self._version:
            self.refusals -= 1
            return 403, {"x-amzn-ErrorType": "AccessDeniedException"}, b'{"Message": "no policy"}'
        self.asked.append(event)
        try:
            return 200, {}, self._version(event)
        except InvocationLostError:
            crash = {"errorType": "Runtime.ImportModuleError", "errorMessage": "a secret"}
            return 200, {"X-Amz-Function-Error": "Unhandled"}, json.dumps(crash).encode()

    def call(self, operation: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        """Answer as CodeDeploy."""
        match operation:
            case "GetDeployment" if self.creator:
                info = {"deploymentInfo": {**body, "creator": self.creator}}
                return 200, {}, json.dumps(info).encode()
            case "PutLifecycleEventHookExecutionStatus":
                self.reported.append(body)
                return 200, {}, json.dumps({"lifecycleEventHookExecutionId": "e"}).encode()
        return 400, {}, b'{"__type": "AccessDeniedException", "message": "no policy"}'


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    codedeploy: CodeDeploy


class _Handler(Handler, BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.body())
        target = self.headers.get("X-Amz-Target", "")
        if target:
            status, headers, content = self.server.codedeploy.call(
                target.removeprefix(CODEDEPLOY), body
            )
        else:
            *_, function, _ = self.path.split("/")
            status, headers, content = self.server.codedeploy.invoke(unquote(function), body)
        self.answer(status, content, headers)
