"""The wheel in somebody else's CDK app: an empty environment, ten lines, and no repository."""

import json
import os
import shutil
from pathlib import Path

import pytest

from infra.build.lambda_asset import ROOT, build_asset
from infra.build.wheel import build_wheel
from tests.infrastructure.conftest import Template, cfn_lint
from tests.support.program import printed

pytestmark = pytest.mark.nightly

UV = ROOT / ".uv" / "bin" / "uv"
OPTIONS = """issuer="https://sign-in.example.com", audiences=["app"],
    cors_origins=["https://app.example.com"], aurora_environment="sandbox", aurora_tenant_id="t","""
TEN_LINES = f"""
from aurora_token_vendor import StageConfig, TokenVendor
from aws_cdk import App, CfnOutput, Stack, Validations
from cdk_nag import AwsSolutionsChecks

app = App(outdir="out")
Validations.of(app).add_plugins(AwsSolutionsChecks())
stack = Stack(app, "MyApp")
stage = StageConfig.of("prod", {OPTIONS})
vendor = TokenVendor(stack, "Tokens", stage=stage)
CfnOutput(stack, "TokenUrl", value=vendor.token_url)
app.synth()
"""
GIVEN = f"""
from aurora_token_vendor import StageConfig, TokenVendor
from aws_cdk import App, Stack
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk.aws_apigatewayv2_authorizers import HttpIamAuthorizer

app = App(outdir="given")
stack = Stack(app, "MyApp")
stage = StageConfig.of("prod", {OPTIONS})
mine = apigw.HttpApi(stack, "Mine")
TokenVendor(stack, "Tokens", stage=stage, http_api=mine, authorizer=HttpIamAuthorizer())
app.synth()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def home(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder whose virtual environment has the wheel and the CDK, and nothing else."""
    home = tmp_path_factory.mktemp("their app")
    for name in ("pyproject.toml", "uv.lock", ".python-version"):
        shutil.copy(ROOT / name, home)
    environment = {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"], "UV_OFFLINE": "1"}
    for command in (
        ["sync", "--frozen", "--no-install-project", "--no-default-groups", "--group", "infra"],
        ["pip", "install", "--no-deps", "--no-index", str(wheel)],
    ):
        printed(UV, "--quiet", *command, cwd=home, environment=environment)
    return home


@pytest.fixture(scope="module")
def synthesized(home: Path) -> Path:
    """Run both programs, one after the other in one process, for jsii and Node start slowly."""
    (home / "app.py").write_text(f"exec({TEN_LINES!r}, {{}})\nexec({GIVEN!r}, {{}})\n")
    bin_ = home / ".venv" / "bin"
    environment = {"HOME": os.environ["HOME"], "PATH": f"{bin_}:{os.environ['PATH']}"}
    printed(bin_ / "python", "app.py", cwd=home, environment=environment)
    return home


@pytest.fixture(scope="module")
def ten_lines(synthesized: Path) -> Template:
    return Template.read(synthesized / "out" / "MyApp.template.json")


def test_ten_lines_make_a_whole_token_vendor(ten_lines: Template) -> None:
    function = ten_lines.properties("AWS::Lambda::Function")
    assert function["Environment"]["Variables"]["STAGE"] == "prod"
    assert "TokenUrl" in ten_lines.data["Outputs"]
    assets = json.loads(ten_lines.path.with_name("MyApp.assets.json").read_text())["files"]
    folders = [ten_lines.path.parent / each["source"]["path"] for each in assets.values()]
    (packed,) = [folder for folder in folders if folder.is_dir()]
    built = build_asset()
    files = {path.relative_to(built) for path in built.rglob("*") if path.is_file()}
    assert {path.relative_to(packed) for path in packed.rglob("*") if path.is_file()} == files
    assert all((packed / each).read_bytes() == (built / each).read_bytes() for each in files)


def test_judges_have_nothing_to_say_of_it(ten_lines: Template) -> None:
    assert cfn_lint(ten_lines.path) == []
    report = json.loads(ten_lines.path.with_name("validation-report.json").read_text())
    judged = {each["pluginName"]: each.get("violations", []) for each in report["pluginReports"]}
    assert judged["AwsSolutions"] == []


def test_routes_go_into_an_api_that_is_given(synthesized: Path) -> None:
    template = Template.read(synthesized / "given" / "MyApp.template.json")
    assert len(template.every("AWS::ApiGatewayV2::Api")) == 1
    assert template.every("AWS::ApiGatewayV2::Authorizer") == []
    routes = template.every("AWS::ApiGatewayV2::Route")
    assert {each["RouteKey"] for each in routes} == {"POST /token", "DELETE /token"}
    assert {each["AuthorizationType"] for each in routes} == {"AWS_IAM"}
    # This API has other routes, too, and its metrics count them.
    alarms = {each["AlarmName"] for each in template.every("AWS::CloudWatch::Alarm")}
    assert alarms
    assert not [name for name in alarms if name.endswith(("gateway-errors", "rejected-share"))]


def test_the_same_sources_give_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert build_wheel(tmp_path).read_bytes() == wheel.read_bytes()
