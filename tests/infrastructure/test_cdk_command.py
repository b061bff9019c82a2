"""What people type: the CDK app and its wrapper, from the command line."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.build import cdk_cli
from infra.build.lambda_asset import ROOT
from infra.local.ministack import ministack
from infra.local.processes import free_port
from tests.infrastructure.conftest import FILLED_IN, cdk_json
from tests.support.loopback import Reply, Request, answering, as_json

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Give what runs the wrapper, as on a machine without AWS settings that reaches no network."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        for name in [each for each in os.environ if each.startswith("AWS_")]:
            monkeypatch.delenv(name)
        nowhere = "http://127.0.0.1:9"
        settings = {
            "HTTP_PROXY": nowhere,
            "HTTPS_PROXY": nowhere,
            "UV_OFFLINE": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **environment,
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["cdk_cli", *arguments])
        code = cdk_cli.main()
        printed = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)

    return run


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["production"], 'stages.production.issuer = "<your-issuer>": a placeholder; fill in'),
        (["prod"], "cdk.json has no stage prod; it has local, production, sandbox"),
        (["sandbox", "--override", "{"], "-c override={"),
    ],
    ids=["placeholder", "unknown stage", "override"],
)
def test_wrong_stage_ends_with_a_line_for_each_option(
    run: Run, arguments: list[str], told: str
) -> None:
    done = run("synth", *arguments)
    lines = done.stderr.splitlines()
    assert any(told in line for line in lines)
    assert all(line.startswith(("stages.", "-c ", "cdk.json ")) for line in lines)
    assert done.stdout == ""
    assert done.returncode == 2


@pytest.mark.nightly
def test_production_synthesizes_without_credentials_and_network(run: Run, tmp_path: Path) -> None:
    done = run(
        *("synth", "production", "--override", json.dumps(FILLED_IN)),
        *("--output", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    template = json.loads((tmp_path / "AuroraTokenVendor-production.template.json").read_text())
    assert template["Outputs"]["TokenUrl"]


@pytest.mark.nightly
def test_bootstrap_prepares_the_account_of_the_credentials(run: Run, tmp_path: Path) -> None:
    with ministack(port=free_port(), log=tmp_path / "ministack.log", scratch=tmp_path) as aws:
        done = run(
            *(
                "bootstrap",
                "production",
                "--override",
                json.dumps(FILLED_IN),
            ),
            *("--output", str(tmp_path / "cdk.out")),
            NO_PROXY="127.0.0.1",
            # The template that comes out on the way is not the subject here.
            CDK_VALIDATION="false",
            **aws.environment(),
        )
        assert done.returncode == 0, done.stderr
        (stack,) = aws.client("cloudformation").describe_stacks(StackName="CDKToolkit")["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE"


# The only stage whose issuer may be on this machine.
LOCAL = {**FILLED_IN, "aurora_url": "http://127.0.0.1:8000"}


def test_deploy_asks_the_issuer_before_aws_does(run: Run) -> None:
    """AWS would find out after minutes, and roll the first deployment back."""
    documents: dict[str, Any] = {}

    def answer(request: Request) -> Reply:
        return as_json(documents.get(request.path), 200 if request.path in documents else 404)

    with answering(answer) as server:
        issuer = server.url
        discovery = {"issuer": f"{issuer}/another", "jwks_uri": f"{issuer}/keys"}
        documents["/.well-known/openid-configuration"] = discovery
        documents["/keys"] = {"keys": [{"kty": "RSA"}]}
        options = json.dumps(LOCAL | {"issuer": issuer})
        done = run("deploy", "local", "--override", options)
        assert done.returncode == 2
        assert f"is of {issuer}/another, not {issuer}" in done.stderr
        documents.clear()
        done = run("deploy", "local", "--override", options)
    assert done.returncode == 2
    assert "no discovery document" in done.stderr


def test_deploy_without_credentials_says_so_before_the_synth(run: Run) -> None:
    options = json.dumps(LOCAL | {"issuer": f"http://127.0.0.1:{free_port()}"})
    done = run("deploy", "local", "--override", options)
    assert done.returncode == 2
    warned, told = done.stderr.splitlines()
    assert "no answer at" in warned
    assert told.startswith("no AWS credentials")


def test_gradual_deployment_that_fails_says_where_the_cause_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CodeDeploy's own failure names no log, no alarm and no key."""
    monkeypatch.setattr(cdk_cli, "CLI", Path("/usr/bin/false"))
    options = LOCAL | {"issuer": f"http://127.0.0.1:{free_port()}", "deployment": "canary"}
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    done = run("deploy", "local", "--override", json.dumps(options), **credentials)
    assert done.returncode != 0
    told = done.stderr.splitlines()[-4:]
    assert told[0].startswith("If CodeDeploy went back")
    assert "token-vendor set-api-key --stage local" in told[3]


def test_feature_flags_are_current() -> None:
    """Every flag that the CDK recommends to a new app is set as it recommends."""
    spec = importlib.util.find_spec("aws_cdk")
    assert spec
    assert spec.origin
    (bundle,) = (Path(spec.origin).parent / "_jsii").glob("aws-cdk-lib@*.tgz")
    with tarfile.open(bundle) as archive:
        member = archive.extractfile("package/recommended-feature-flags.json")
        assert member is not None
        recommended = json.load(member)
    context = cdk_json()["context"]
    flags = {name: value for name, value in context.items() if name.startswith("@aws-cdk")}
    assert flags == recommended


def test_npm_runs_no_install_scripts() -> None:
    """Nothing that npm brings runs code while it is installed; only esbuild would want to."""
    lock = json.loads((ROOT / "infra" / "package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert packages
    wanting = [name for name, each in packages.items() if each.get("hasInstallScript")]
    assert wanting == ["node_modules/esbuild"]
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    installs = re.findall(r"\bnpm ci\b.*", (ROOT / "Makefile").read_text())
    assert installs
    assert all("--ignore-scripts" in each for each in installs)
