"""Every command of `token-vendor`, against the deployed local stack."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from token_vendor.control import Control
from token_vendor.models import Deadline
from token_vendor.request_budget import RequestBudget
from typer.testing import CliRunner, Result

from infra.dashboard_view import charts
from infra.fake_aurora.users import JESSICA, ROBERT
from infra.local.processes import free_port
from infra.operator import tokens
from infra.operator.cli import app
from infra.operator.deployed import Deployed
from infra.probe.cli import app as probe_app
from tests.support.settings import settings

if TYPE_CHECKING:
    from typer import Typer

    from tests.e2e.conftest import Running

NOBODY = "nobody@example.com"


@pytest.fixture(autouse=True)
def beside_the_stack(running: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in a folder whose `.local` is that of the running stack, as after `make run`."""
    (tmp_path / ".local").symlink_to(running.directory)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, stdin: str | None = None, command: Typer = app) -> Result:
    return CliRunner().invoke(command, [*arguments, "--stage", "local"], input=stdin)


def read(*arguments: str, stdin: str | None = None) -> Any:
    result = run(*arguments, "--json", stdin=stdin)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# doctor ---------------------------------------------------------------------------------


def test_doctor_finds_a_sound_stack(deployed: Running) -> None:
    findings = read("doctor")
    assert not [each for each in findings if each["state"] == "fail"]
    found = {each["check"] for each in findings}
    assert found >= {"stack", "API key", "clocks", "identity provider", "CORS", "table: expiry"}
    assert deployed.aurora.stats()["calls"] == {
        "list_users": 1,
        "invite_user": 1,
        "generate_token": 1,
    }
    assert len(deployed.aurora.users()) == 2


@pytest.mark.usefixtures("deployed")
def test_doctor_for_people() -> None:
    result = run("doctor")
    assert result.exit_code == 0
    assert "0 fail" in result.stdout


@pytest.mark.parametrize("action", ["list_users", "invite_user", "generate_token"])
def test_doctor_names_the_forbidden_action(deployed: Running, action: str) -> None:
    deployed.aurora.behave(forbidden=[action])
    result = run("doctor", "--json")
    assert result.exit_code == 1
    (failed,) = [each for each in json.loads(result.stdout) if each["state"] == "fail"]
    assert action.replace("_", " ") in failed["check"]
    assert "console" in failed["fix"]


def test_doctor_tells_an_unusable_key(unsettled: Running) -> None:
    unsettled.stack.set_api_key("sk_prod_0000")
    result = run("doctor", "--json")
    assert result.exit_code == 1
    (failed,) = [each for each in json.loads(result.stdout) if each["state"] == "fail"]
    assert "other environment" in failed["found"]
    assert "set-api-key" in failed["fix"]
    assert "sk_prod_0000" not in result.output


def test_doctor_warns_of_addresses_that_their_owners_can_change(deployed: Running) -> None:
    functions, name = deployed.stack.aws.client("lambda"), deployed.stack.outputs.function_name
    before = functions.get_function_configuration(FunctionName=name)["Environment"]
    lax = {"Variables": before["Variables"] | {"REQUIRE_VERIFIED_EMAIL": "false"}}
    functions.update_function_configuration(FunctionName=name, Environment=lax)
    try:
        (warned,) = [each for each in read("doctor") if each["check"] == "verified e-mail"]
    finally:
        functions.update_function_configuration(FunctionName=name, Environment=before)
    assert warned["state"] == "warn"
    assert "xms_edov" in warned["fix"]
    assert not [each for each in read("doctor") if each["check"] == "verified e-mail"]


def test_doctor_while_aurora_is_down(deployed: Running) -> None:
    with deployed.aurora.down():
        result = run("doctor", "--json")
    assert result.exit_code == 1
    (failed,) = [each for each in json.loads(result.stdout) if each["state"] == "fail"]
    assert failed["check"] == "Aurora: list users"


def test_doctor_finds_two_stages_with_one_key(
    deployed: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another stage of the account is a stack with a secret; both are looked up as on AWS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", deployed.stack.outputs.aws_endpoint_url)
    for module in ("deployed", "doctor"):
        monkeypatch.setattr(f"infra.operator.{module}.LOCAL", "elsewhere")
    (tmp_path / "cdk.json").write_text('{"context": {"stages": {"local": {}, "other": {}}}}')
    cloudformation = deployed.stack.aws.client("cloudformation")
    secret = {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "other-key"}}
    template = {
        "Resources": {"Secret": secret},
        "Outputs": {"SecretArn": {"Value": {"Ref": "Secret"}}},
    }
    name = "AuroraTokenVendor-other"
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    secrets = deployed.stack.aws.client("secretsmanager")
    try:
        for key, expected in ((deployed.aurora.api_key, 1), ("sk_sand_another", 0)):
            secrets.put_secret_value(SecretId="other-key", SecretString=key)
            findings = json.loads(run("doctor", "--json").stdout)
            assert sum("stage other has the same" in each["found"] for each in findings) == expected
            assert key not in json.dumps(findings)
    finally:
        cloudformation.delete_stack(StackName=name)


@pytest.mark.parametrize(
    ("claims", "failing"),
    [
        pytest.param({}, set(), id="sound"),
        pytest.param({"groups": [str(uuid4()) for _ in range(200)]}, {"size"}, id="200 groups"),
        pytest.param({"email_verified": False}, {"e-mail"}, id="not verified"),
        pytest.param({"aud": "another-app"}, {"audience"}, id="of another app"),
    ],
)
def test_doctor_checks_an_id_token(
    deployed: Running, claims: dict[str, Any], failing: set[str]
) -> None:
    id_token = deployed.sign_in(JESSICA["email"])
    payload = json.loads(base64.urlsafe_b64decode(id_token.split(".")[1] + "=="))
    changed = base64.urlsafe_b64encode(json.dumps(payload | claims).encode()).decode()
    head, _, signature = id_token.split(".")
    result = run("doctor", "--token", "--json", stdin=f"{head}.{changed}.{signature}")
    findings = [each for each in json.loads(result.stdout) if each["check"].startswith("token: ")]
    assert len(findings) == 5
    failed = {each["check"].removeprefix("token: ") for each in findings if each["fix"]}
    assert failed == failing
    assert result.exit_code == bool(failing)
    assert JESSICA["email"] not in result.stdout


@pytest.mark.usefixtures("deployed")
def test_doctor_says_what_is_no_token() -> None:
    result = run("doctor", "--token", stdin="an-opaque-access-token")
    assert result.exit_code == 1
    assert "no JWT" in result.stderr


# probe ----------------------------------------------------------------------------------


def test_a_probe_is_reserved_kept_and_written(deployed: Running, tmp_path: Path) -> None:
    """From consent to cdk.json, on the stage's table; doctor then warns until it is deployed."""
    shutil.copy(Path(__file__).parents[2] / "cdk.json", tmp_path)
    deployed.aurora.behave(token_lifetime=3600)
    said = "2\nyou+probe@example.com\nskip\n"
    result = run("--write", stdin=said, command=probe_app)
    assert result.exit_code == 0, result.output
    assert "Open http://localhost:" in result.stderr
    ring = deployed.stack.aws.client("dynamodb").get_item(
        TableName=deployed.stack.outputs.table_name,
        Key={"pk": {"S": f"sandbox#{deployed.aurora.tenant_id}"}, "sk": {"S": "RING"}},
    )["Item"]
    assert int(ring["tickets"]["N"]) == len(deployed.aurora.calls()) == 9
    stages = json.loads((tmp_path / "cdk.json").read_text())["context"]["stages"]
    assert stages["local"]["refresh_margin"] == 900
    assert "refresh_margin" not in stages["production"]
    (report,) = tmp_path.glob("probe-local-*.json")
    warned = [each for each in read("doctor") if each["check"] == "probe's report"]
    assert [each["found"] for each in warned] == [
        f"refresh_margin is 3600.0; {report.name} asks for 900"
    ]


def test_a_probe_leaves_a_key_in_use_alone(deployed: Running) -> None:
    """Sixty-three calls of the minute are reserved: six more would come too near."""
    table = tokens.table(Deployed.find("local"))
    budget = RequestBudget(table, settings())
    deadline = Deadline(time.time() + 60, time.time, time.sleep)
    budget.allowance(deadline, Control()).reserve(63)
    result = run(stdin="1\n", command=probe_app)
    assert result.exit_code == 1
    assert "in use: 63 of the 88 calls" in result.stderr
    assert not deployed.aurora.calls()


# set-api-key ----------------------------------------------------------------------------


def stored_key(running: Running) -> str:
    secrets = running.stack.aws.client("secretsmanager")
    answer = secrets.get_secret_value(SecretId=running.stack.outputs.secret_arn)
    return str(answer["SecretString"])


def test_a_good_key_is_stored(unsettled: Running) -> None:
    new = "sk_sand_new"
    unsettled.aurora.behave(api_keys=[unsettled.aurora.api_key, new])
    result = run("set-api-key", stdin=f"{new}\n")
    assert result.exit_code == 0
    assert new not in result.output
    assert stored_key(unsettled) == new


@pytest.mark.parametrize("key", ["sk_prod_0000", "sk_sand_unknown", "sk_sand with spaces"])
def test_a_bad_key_changes_nothing(deployed: Running, key: str) -> None:
    result = run("set-api-key", stdin=f"{key}\n")
    assert result.exit_code == 1
    assert key not in result.output
    assert stored_key(deployed) == deployed.aurora.api_key


@pytest.mark.parametrize(
    ("action", "mends"),
    [
        ("list_users", ""),
        ("generate_token", "; a production key has to include access to the Platform API"),
        ("invite_user", "; allow it in Aurora's console, or set invitations: false"),
    ],
)
def test_a_key_without_a_right_changes_nothing(unsettled: Running, action: str, mends: str) -> None:
    """Aurora lists for such a key, so that only the other calls tell; one line names the right."""
    new, old = "rk_sand_new", unsettled.aurora.api_key
    unsettled.aurora.behave(api_keys=[old, new], forbidden=[action])
    result = run("set-api-key", stdin=f"{new}\n")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert f"not stored: Aurora answered 403 to {action.replace('_', ' ')}{mends}" in line
    assert stored_key(unsettled) == old


@pytest.mark.parametrize("action", ["generate_token", "invite_user"])
def test_a_key_is_stored_whatever_else_aurora_answers_for_nobody(
    unsettled: Running, action: str
) -> None:
    new = "rk_sand_new"
    unsettled.aurora.behave(api_keys=[unsettled.aurora.api_key, new])
    unsettled.aurora.fail({"operation": action, "kind": "status", "status": 503})
    assert run("set-api-key", stdin=f"{new}\n").exit_code == 0
    assert stored_key(unsettled) == new
    assert unsettled.aurora.stats()["calls"] == {
        "list_users": 1,
        "invite_user": 1,
        "generate_token": 1,
    }


# people, show, switch -------------------------------------------------------------


def test_who_holds_a_token(deployed: Running) -> None:
    jessica, robert = (deployed.vend(person["email"]) for person in (JESSICA, ROBERT))
    everybody = read("people", "list")
    assert [each["email"] for each in everybody] == [JESSICA["email"], ROBERT["email"]]
    assert [each["jti"] for each in everybody] == [
        each["token"]["jti"] for each in (jessica, robert)
    ]
    assert "2 hold a token" in run("people", "list").stdout


def test_show_has_everything_but_the_jwt(deployed: Running) -> None:
    vended = deployed.vend(JESSICA["email"])
    shown = read("show", "Jessica.Smith@aurorasolar.com")
    assert shown["state"]["token"]["jti"] == vended["token"]["jti"]
    assert shown["state"]["account"]["user_id"] == JESSICA["id"]
    assert shown["events"][-1]["source"] == "generated"
    for output in (json.dumps(shown), run("show", JESSICA["email"]).stdout):
        assert vended["token"]["jwt"] not in output


@pytest.mark.usefixtures("deployed")
def test_show_nobody() -> None:
    assert run("show", NOBODY).exit_code == 1
    assert run("show", "not an address").exit_code == 2


def test_forget_one(deployed: Running) -> None:
    deployed.vend(JESSICA["email"])
    assert run("people", "forget", JESSICA["email"], stdin="n\n").exit_code == 1
    assert len(read("people", "list")) == 1
    assert run("people", "forget", JESSICA["email"], stdin="y\n").exit_code == 0
    assert read("people", "list") == []
    shown = read("show", JESSICA["email"])["state"]["token"]
    assert not shown["has_token"]
    assert "expires_at" not in shown
    assert run("people", "forget", JESSICA["email"], "--yes").exit_code == 1


def test_forget_all(deployed: Running) -> None:
    deployed.vend(JESSICA["email"])
    deployed.vend(ROBERT["email"])
    result = run("people", "forget", "--all", "--yes")
    assert result.exit_code == 0
    assert "2 forgotten" in result.stdout
    assert deployed.vend(JESSICA["email"])["source"] == "generated"


def test_switch_is_obeyed_and_told(deployed: Running) -> None:
    """Shown by the command, the doctor and the log of the person; then cleared."""
    assert "Nothing is switched." in run("switch").stdout
    vend = deployed.vend(JESSICA["email"])
    assert run("switch", "block", JESSICA["email"]).exit_code == 2, "without a reason"
    [entry] = read("switch", "block", JESSICA["email"], "--reason", "left", "--until", "1h")
    assert (entry["switch"], entry["value"]) == ("block", JESSICA["email"])
    assert entry["by"].startswith("arn:")
    answers_with(deployed, 403)
    assert JESSICA["email"] in run("switch").stdout
    [finding] = [each for each in read("doctor") if each["check"] == "switches"]
    assert (finding["state"], "left" in finding["found"]) == ("warn", True)
    told = [each for each in read("show", JESSICA["email"])["events"] if "reason" in each]
    assert [(each["by"], each["reason"]) for each in told] == [(entry["by"], "left")]
    assert read("switch", "block", JESSICA["email"], "--clear", "--reason", "is back") == []
    assert run("switch", "block", JESSICA["email"], "--clear", "--reason", "again").exit_code == 1
    answers_with(deployed, 200)
    assert deployed.vend(JESSICA["email"])["token"]["jti"] == vend["token"]["jti"]


def answers_with(deployed: Running, status: int) -> None:
    """Ask until a switch is obeyed: an environment looks every two seconds."""
    id_token, until = deployed.sign_in(JESSICA["email"]), time.monotonic() + 60
    while deployed.request("POST", id_token).status != status:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_seats_export_and_erasure(deployed: Running) -> None:
    jwt = deployed.vend(JESSICA["email"])["token"]["jwt"]
    told = run("people", "unused", "--csv")
    assert [line.split(",")[0] for line in told.stdout.splitlines()] == ["E-mail", ROBERT["email"]]
    assert "proves nothing" in told.stderr
    assert run("people", "unused", "--days", "90").exit_code == 1
    assert run("people", "unused", "--days", "long").exit_code == 2
    exported = json.loads(run("people", "export", JESSICA["email"]).stdout)
    assert exported["TOKEN"]["user_id"] == JESSICA["id"]
    assert jwt not in json.dumps(exported)
    assert run("people", "erase", JESSICA["email"], stdin="n\n").exit_code == 1
    erased = read("people", "erase", JESSICA["email"], "--yes")
    assert (erased["deleted"], erased["left"]) == (2, [])
    assert run("people", "export", JESSICA["email"]).exit_code == 1
    assert "0 items deleted" in run("people", "erase", JESSICA["email"], "--yes").stdout
    assert deployed.vend(JESSICA["email"])["source"] == "generated"


@pytest.mark.usefixtures("deployed")
def test_prewarm_is_planned_and_nothing_generated() -> None:
    """The local stack has it off: no coming was noted, and the command says so."""
    plan = read("plan", "prewarm", "--from", "14h")
    assert (plan["planned"], plan["noted"]) == ([], False)
    told = run("plan", "prewarm").stdout
    assert "Comings are noted only where" in told
    assert "12,672" in told


def test_show_tells_the_events_of_one_caller(deployed: Running) -> None:
    vended = deployed.vend(JESSICA["email"])
    deployed.vend(ROBERT["email"])
    shown = read("show", JESSICA["email"])
    assert shown["events"][-1]["jti"] == vended["token"]["jti"]
    assert {event["caller"] for event in shown["events"]} == {shown["caller"]}
    assert vended["token"]["jti"] not in run("show", JESSICA["email"]).stdout
    assert shown["caller"] in run("show", JESSICA["email"], "--raw").stdout


# smoke ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("deployed")
def test_smoke_says_where_the_time_went() -> None:
    result = read("smoke", "--as", JESSICA["email"])
    assert result["status"] == 200
    assert result["answer"]["source"] == "generated"
    assert "jwt" not in result["answer"]["token"]
    assert min(result["event"]["phases_ms"][each] for each in ("account", "aurora")) > 0
    assert "Where the time went" in run("smoke", "--as", JESSICA["email"]).stdout


def test_smoke_takes_an_id_token_from_stdin(deployed: Running) -> None:
    id_token = deployed.sign_in(JESSICA["email"])
    result = run("smoke", stdin=id_token)
    assert result.exit_code == 0
    assert id_token not in result.output


@pytest.mark.usefixtures("deployed")
def test_smoke_with_a_token_that_nobody_signed() -> None:
    result = run("smoke", stdin="eyJhbGciOiJub25lIn0.e30.")
    assert result.exit_code == 1
    assert "401" in result.stdout


# dashboard ------------------------------------------------------------------------------


def test_dashboards_are_drawn_from_what_the_stack_emitted(deployed: Running) -> None:
    deployed.vend(JESSICA["email"])
    written = read("dashboard", "--png")
    service, operations, *pictures = (Path(path) for path in written.values())
    assert pictures == [path.with_suffix(".png") for path in (service, operations)]
    page = service.read_text()
    assert "tokens a minute" in page
    # Other tests may just have turned other alarms on.
    assert "token-vendor-local-double-generate: OK" in page
    assert "http" not in page.partition("<script")[0]
    assert "Who burns generates" in operations.read_text()
    # AWS's own metrics are counted on the way to MiniStack.
    assert '"name":"UpdateItem"' in page + operations.read_text()
    for path in pictures:
        picture = path.read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 20_000


@pytest.mark.usefixtures("deployed")
def test_without_a_browser_there_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "chromium_path", lambda: None)
    result = run("dashboard", "--png")
    assert result.exit_code == 1
    assert "infra.web.chromium" in result.stderr


# Wrong stages ---------------------------------------------------------------------------


def test_a_stage_that_cdk_json_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cdk.json").write_text('{"context": {"stages": {"sandbox": {}, "local": {}}}}')
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["doctor", "--stage", "nope"])
    assert result.exit_code == 3
    assert result.stderr.strip().endswith("cdk.json has no stage nope; it has sandbox, local")


def test_a_stage_that_is_not_deployed(deployed: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", deployed.stack.outputs.aws_endpoint_url)
    # boto3 by itself reads AWS_DEFAULT_REGION alone.
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    result = CliRunner().invoke(app, ["show", NOBODY, "--stage", "sandbox"])
    assert result.exit_code == 3
    [line] = result.stderr.splitlines()
    assert "AuroraTokenVendor-sandbox is not deployed (eu-west-1" in line
    assert "make deploy STAGE=sandbox" in line


def test_a_network_failure_is_not_blamed_on_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    result = CliRunner().invoke(app, ["people", "list", "--stage", "sandbox"])
    assert result.exit_code == 3
    assert "AWS was not reached" in result.stderr
    assert "AWS_PROFILE" not in result.stderr


def test_outputs_of_a_killed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "stale" / ".local"
    stale.mkdir(parents=True)
    outputs = {"region": "us-east-1", "aws_endpoint_url": f"http://127.0.0.1:{free_port()}"}
    (stale / "outputs.json").write_text(json.dumps(outputs))
    monkeypatch.chdir(stale.parent)
    result = run("people", "list")
    assert result.exit_code == 3
    assert "make run" in result.stderr


def test_an_empty_stdin_is_named(deployed: Running) -> None:
    for command in ("set-api-key", "smoke"):
        result = run(command, stdin="")
        assert result.exit_code == 2
        assert "nothing came on stdin" in result.stderr
    assert stored_key(deployed) == deployed.aurora.api_key


# Other people's machines ----------------------------------------------------------------


def test_commands_under_a_usual_environment(deployed: Running, tmp_path: Path) -> None:
    """A proxy that is not for loopback, an unknown profile, and a narrow old terminal."""
    environment = {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "AWS_PROFILE": "not-configured",
        "PYTHONIOENCODING": "ascii",
        "COLUMNS": "60",
    }
    jti = deployed.vend(JESSICA["email"])["token"]["jti"]
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / ".local").symlink_to(deployed.directory)
    for command in (
        ["doctor"],
        ["people", "list"],
        ["show", JESSICA["email"]],
        ["smoke", "--as", JESSICA["email"]],
        ["dashboard", "--hours", "0.1"],
    ):
        done = subprocess.run(
            [Path(sys.executable).with_name("token-vendor"), *command, "--stage", "local"],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, (command, done.stderr)
        assert b"Traceback" not in done.stderr
        if command[0] == "people":
            assert jti.encode() in done.stdout


def test_show_reads_every_attribute_of_a_token(deployed: Running) -> None:
    vended = deployed.vend(JESSICA["email"])
    result = run("show", JESSICA["email"], "--raw")
    assert result.exit_code == 0, result.output
    assert vended["token"]["jti"] in result.stdout


def test_dashboards_on_aws_are_addresses(
    deployed: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The console's address, as a stage on AWS gets it; only the name of this stage is local."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", deployed.stack.outputs.aws_endpoint_url)
    monkeypatch.setattr("infra.operator.cli.LOCAL", "elsewhere")
    assert os.environ["AWS_REGION"] == "us-east-1"
    addresses = read("dashboard")
    assert addresses["token-vendor-local-service-us-east-1"].endswith(
        "region=us-east-1#dashboards/dashboard/token-vendor-local-service-us-east-1"
    )
