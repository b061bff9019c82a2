"""Small parts of the local stack: what MiniStack lacks, signing in, the page's server."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3

from infra.fake_aurora.fake_aurora import FakeAurora
from infra.local import demo
from infra.local.ministack_workarounds import adapt
from infra.local.outputs import Outputs
from infra.local.processes import LocalStackError
from infra.local.sign_in import claims_of, oidc_provider, sign_in
from infra.web.loopback import serving

JESSICA = "jessica.smith@aurorasolar.com"
OUTPUTS = Outputs(
    **{name: name for name in Outputs.__annotations__}
    | {
        "issuer": "http://localhost:9401",
        "aws_endpoint_url": "http://127.0.0.1:4566",
        "aurora_url": "http://127.0.0.1:9400",
    }
)


def test_alarm_over_an_expression_watches_its_first_metric(tmp_path: Path) -> None:
    """MiniStack refuses metric math; other alarms and resources stay as they are."""
    metric = {"Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": [{"Name": "x"}]}
    stat = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "p99"}}
    share = {"Metrics": [{"Id": "e", "Expression": "m / 2"}, stat], "Threshold": 1}
    plain = {"MetricName": "Throttles", "Namespace": "AWS/Lambda", "Statistic": "Sum"}
    file = tmp_path / "template.json"
    resources = {
        "Share": {"Type": "AWS::CloudWatch::Alarm", "Properties": share},
        "Plain": {"Type": "AWS::CloudWatch::Alarm", "Properties": plain},
        "Topic": {"Type": "AWS::SNS::Topic"},
    }
    file.write_text(json.dumps({"Resources": resources}))
    assert not adapt(file)
    adapted = json.loads(file.read_text())["Resources"]
    watched = {"Namespace": "AWS/Lambda", "MetricName": "Errors", "Period": 60, "Statistic": "Sum"}
    assert adapted["Share"]["Properties"] == watched | {"Threshold": 1}
    assert adapted["Plain"]["Properties"] == plain
    assert adapted["Share"]["Metadata"] == {"Synthesized": share}
    assert adapted["Topic"] == resources["Topic"]


def test_codedeploy_is_left_out_and_nothing_names_it_any_more(tmp_path: Path) -> None:
    """MiniStack lacks it: the alias gets a new version at once."""
    file = tmp_path / "template.json"
    kept = {"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": {"Ref": "Log"}}
    group = {"Fn::Join": ["", ["arn:", {"Ref": "Group"}]]}
    policy = {"Statement": [kept, {"Effect": "Allow", "Action": "c:A", "Resource": group}]}
    update = {"CodeDeployLambdaAliasUpdate": {"DeploymentGroupName": {"Ref": "Group"}}}
    resources = {
        "Group": {"Type": "AWS::CodeDeploy::DeploymentGroup"},
        "Policy": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyDocument": policy}},
        "Live": {"Type": "AWS::Lambda::Alias", "UpdatePolicy": update},
    }
    file.write_text(json.dumps({"Resources": resources}))
    assert adapt(file)
    adapted = json.loads(file.read_text())["Resources"]
    assert adapted == {
        "Policy": {
            "Type": "AWS::IAM::Policy",
            "Properties": {"PolicyDocument": {"Statement": [kept]}},
        },
        "Live": {"Type": "AWS::Lambda::Alias"},
    }


@pytest.mark.parametrize(
    ("email", "name"),
    [
        pytest.param(JESSICA, "Jessica Smith", id="two names"),
        pytest.param("jessica.smith+design@aurorasolar.com", "Jessica Smith", id="plus tag"),
        pytest.param("caller-0001@example.com", "Caller-0001 Person", id="one name"),
    ],
)
def test_names_come_from_the_email(email: str, name: str) -> None:
    said = claims_of(email)
    assert (said["name"], said["email"], said["email_verified"]) == (name, email, True)


def test_sign_in_without_a_provider() -> None:
    with pytest.raises(LocalStackError, match="The OIDC provider does not answer"):
        sign_in("http://localhost:9", JESSICA)


def get(url: str) -> Any:
    return urllib3.request("GET", url, retries=False)


@pytest.mark.parametrize(
    "path", ["/demo_files.py", "/../demo_files.py", "/%2e%2e/demo_files.py", "/none.js"]
)
def test_demo_serves_nothing_but_its_files(path: str) -> None:
    with serving(demo.Demo(0)) as server:
        assert get(server.url + path).status == 404


@pytest.mark.parametrize(
    ("origin", "name", "status"),
    [
        ("own", "queue", 200),
        ("own", "something", 404),
        ("https://evil.example", "queue", 403),
        (None, "outage", 403),
    ],
)
def test_demo_page_alone_plays_scenes(origin: str | None, name: str, status: int) -> None:
    with FakeAurora.running() as aurora, serving(demo.Demo(0)) as server:
        server.configure(replace(OUTPUTS, aurora_url=aurora.url))
        own = server.url if origin == "own" else origin
        headers = {"Origin": own} if own else {}
        answer = urllib3.request("POST", f"{server.url}/scenes/{name}", headers=headers, body="{}")
    assert answer.status == status


def test_demo_page_before_a_real_aurora_loads_the_real_sdk() -> None:
    """The helper knows the loader's address, and the policy lets it run."""
    with serving(demo.Demo(0)) as server:
        server.configure(OUTPUTS, environment="sandbox")
        config = get(f"{server.url}/config.json")
        assert config.json().keys() == {"issuer", "client_id", "token_url"}
        policy = config.headers["Content-Security-Policy"]
    assert "https://aurora-sdk.s3.amazonaws.com" in policy
    assert "'unsafe-eval'" in policy
    assert "wss://*.pusher.com" in policy
    assert OUTPUTS.aurora_url not in policy


def test_the_provider_has_its_own_style() -> None:
    """Its usual pages take theirs from a CDN."""
    with oidc_provider(port=0, people=[JESSICA]) as issuer:
        query = "response_type=code&client_id=a&redirect_uri=http://localhost/&scope=openid"
        answer = get(f"{issuer}/oauth2/authorize?{query}")
        wrong = get(f"{issuer}/oauth2/authorize?response_type=code")
    for page in (answer.data.decode(), wrong.data.decode()):
        assert "<title>Sign-in of the local stack</title>" in page
        assert "https://" not in page
    assert f"Authorize as {JESSICA}" in answer.data.decode()
