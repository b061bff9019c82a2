"""The whole local stack as one context manager, for `make run`, tests and benchmarks."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infra.fake_aurora.fake_aurora import FakeAurora
from infra.fake_aurora.users import JESSICA, ROBERT
from infra.local import sign_in as oidc
from infra.local.demo import Demo
from infra.local.deployment import TIMEOUT, Deployment
from infra.local.ministack import REGION, MiniStack, ministack
from infra.local.outputs import Outputs
from infra.local.processes import free_port
from infra.web.loopback import serving

Step = Callable[[str], AbstractContextManager[None]]

# Somebody whom the fake Aurora does not know, and so invites.
NEWCOMER = "caller-0001@example.com"
# Where Vite serves infra/web/example, and where dev servers usually serve other people's pages.
EXAMPLE_ORIGIN = "http://localhost:5173"
DEV_ORIGINS = [f"http://localhost:{port}" for port in (3000, 4173, 4200, 5174, 8000, 8080)]
PEOPLE = [JESSICA["email"], ROBERT["email"], NEWCOMER]


@dataclass(frozen=True, kw_only=True)
class Aurora:
    url: str
    tenant_id: str
    environment: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The preferred ports of loopback; another is taken where one is not free. 0 is any."""

    aws: int = 0
    aurora: int = 0
    issuer: int = 0
    demo: int = 0


@dataclass(frozen=True, kw_only=True)
class LocalStack:
    outputs: Outputs
    aws: MiniStack
    # None where another Aurora was named.
    fake_aurora: FakeAurora | None
    is_without_codedeploy: bool

    def sign_in(self, email: str, /, **claims: Any) -> str:
        return oidc.sign_in(self.outputs.issuer, email, **claims)

    def set_api_key(self, api_key: str) -> None:
        secretsmanager = self.aws.client("secretsmanager")
        secretsmanager.put_secret_value(SecretId=self.outputs.secret_arn, SecretString=api_key)


@contextmanager
def local_stack(  # noqa: PLR0913  # Each is optional and named.
    directory: Path,
    *,
    ports: Ports | None = None,
    aurora: Aurora | None = None,
    override: Mapping[str, Any] | None = None,
    with_api_key: bool = True,
    step: Step = lambda _: nullcontext(),
) -> Iterator[LocalStack]:
    """
    Start everything on loopback and deploy the stack; all of it is gone when the block ends.

    Logs and the synthesized stack go to `directory`. Without `aurora`, a fake one is started.
    `override` changes options of stage `local`. `step` is entered around each step, with its name.
    """
    ports = ports or Ports()
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as life:
        scratch = Path(life.enter_context(tempfile.TemporaryDirectory(prefix="token-vendor-")))
        fake = None
        with step("Aurora, OIDC provider and demo page"):
            if aurora is None:
                # It makes a key up: the repository contains nothing that looks like one.
                fake = life.enter_context(FakeAurora.running(port=free_port(ports.aurora)))
                aurora = Aurora(
                    url=fake.url,
                    tenant_id=fake.tenant_id,
                    environment=fake.behaviour.environment,
                    api_key=fake.api_key,
                )
            demo = life.enter_context(serving(Demo(free_port(ports.demo))))
            origins = [demo.url, EXAMPLE_ORIGIN, *DEV_ORIGINS]
            issuer = life.enter_context(
                oidc.oidc_provider(port=free_port(ports.issuer), people=PEOPLE, origins=origins)
            )
        options = {
            "issuer": issuer,
            "audiences": [oidc.CLIENT_ID],
            "cors_origins": origins,
            "aurora_url": aurora.url,
            "aurora_tenant_id": aurora.tenant_id,
            "aurora_environment": aurora.environment,
        }
        deployment = Deployment(directory)
        synthesis = deployment.synthesize(options | dict(override or {}))
        life.callback(synthesis.end)
        with step("AWS (MiniStack), bootstrapped"):
            aws = life.enter_context(
                ministack(
                    port=free_port(ports.aws), log=directory / "ministack.log", scratch=scratch
                )
            )
            bootstrap = deployment.bootstrap(aws)
            life.callback(bootstrap.end)
            bootstrap.join(TIMEOUT)
        with step("CDK app, synthesized"):
            synthesis.join(TIMEOUT)
        with step("cdk deploy"):
            deployed = deployment.deploy(aws)
        outputs = _outputs(deployed, aws=aws, issuer=issuer, aurora=aurora, demo_url=demo.url)
        demo.configure(outputs, environment=None if fake else aurora.environment)
        stack = LocalStack(
            outputs=outputs,
            aws=aws,
            fake_aurora=fake,
            is_without_codedeploy=deployment.is_without_codedeploy,
        )
        if with_api_key:
            with step("API key into the secret"):
                stack.set_api_key(aurora.api_key)
        (directory / "outputs.json").write_text(json.dumps(asdict(outputs), indent=2) + "\n")
        life.callback((directory / "outputs.json").unlink, missing_ok=True)
        yield stack


def _outputs(
    deployed: Mapping[str, str], *, aws: MiniStack, issuer: str, aurora: Aurora, demo_url: str
) -> Outputs:
    # The path form of the address, because not every resolver knows names below `localhost`.
    api_url = f"{aws.url}/_aws/execute-api/{deployed['ApiId']}"
    return Outputs(
        api_url=api_url,
        token_url=f"{api_url}/token",
        issuer=issuer,
        client_id=oidc.CLIENT_ID,
        audience=oidc.CLIENT_ID,
        aurora_url=aurora.url,
        aurora_tenant_id=aurora.tenant_id,
        aws_endpoint_url=aws.url,
        region=REGION,
        table_name=deployed["TableName"],
        secret_arn=deployed["SecretArn"],
        function_name=deployed["FunctionName"],
        log_group=deployed["LogGroupName"],
        demo_url=demo_url,
    )
