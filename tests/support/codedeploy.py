"""CodeDeploy as its hook sees it at the wire while a version is being deployed, and Lambda."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self
from urllib.parse import unquote

from tests.support.environment import InvocationLostError
from tests.support.loopback import Reply, Request, answering, as_json

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
        url = self._serving.enter_context(answering(self._answer)).url
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

    def _answer(self, request: Request) -> Reply:
        body = json.loads(request.body)
        if target := request.headers.get("X-Amz-Target", ""):
            return self._codedeploy(target.removeprefix(CODEDEPLOY), body)
        *_, function, _ = request.path.split("/")
        return self._lambda(unquote(function), body)

    def _lambda(self, function: str, event: Any) -> Reply:
        if self.refusals or function != VERSION or not self._version:
            self.refusals -= 1
            return 403, b'{"Message": "no policy"}', {"x-amzn-ErrorType": "AccessDeniedException"}
        self.asked.append(event)
        try:
            return 200, self._version(event), {}
        except InvocationLostError:
            crash = {"errorType": "Runtime.ImportModuleError", "errorMessage": "a secret"}
            return 200, json.dumps(crash).encode(), {"X-Amz-Function-Error": "Unhandled"}

    def _codedeploy(self, operation: str, body: Any) -> Reply:
        match operation:
            case "GetDeployment" if self.creator:
                return as_json({"deploymentInfo": {**body, "creator": self.creator}})
            case "PutLifecycleEventHookExecutionStatus":
                self.reported.append(body)
                return as_json({"lifecycleEventHookExecutionId": "e"})
        return as_json({"__type": "AccessDeniedException", "message": "no policy"}, 400)
