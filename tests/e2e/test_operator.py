"""The commands of `token-vendor` on the deployed local stack: what only a whole stack shows."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infra.dashboard_view import charts
from infra.fake_aurora.users import JESSICA, ROBERT
from infra.local.processes import free_port
from infra.operator.cli import app
from tests.e2e.conftest import Running
from tests.support.program import ended

NOBODY = "nobody@example.com"


@pytest.fixture(autouse=True)
def beside_the_stack(running: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in a folder whose `.local` is that of the running stack, as after `make run`."""
    (tmp_path / ".local").symlink_to(running.directory)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [*arguments, "--stage", "local"], input=stdin)


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
    assert "verified e-mail" not in found
    assert deployed.aurora.stats()["calls"] == {
        "list_users": 1,
        "invite_user": 1,
        "generate_token": 1,
    }
    assert len(deployed.aurora.users()) == 2


# people, show, switch -------------------------------------------------------------


def test_who_holds_a_token_and_forgetting_it(deployed: Running) -> None:
    vended = {each: deployed.vend(each)["token"] for each in (JESSICA["email"], ROBERT["email"])}
    everybody = read("people", "list")
    assert [(each["email"], each["jti"]) for each in everybody] == [
        (email, token["jti"]) for email, token in vended.items()
    ]
    assert "2 hold a token" in run("people", "list").stdout
    assert run("people", "forget", JESSICA["email"], stdin="n\n").exit_code == 1
    assert len(read("people", "list")) == 2
    assert run("people", "forget", JESSICA["email"], stdin="y\n").exit_code == 0
    assert [each["email"] for each in read("people", "list")] == [ROBERT["email"]]
    token = read("show", JESSICA["email"])["state"]["token"]
    assert (token["has_token"], "expires_at" in token) == (False, False)
    assert run("people", "forget", JESSICA["email"], "--yes").exit_code == 1
    assert "1 forgotten" in run("people", "forget", "--all", "--yes").stdout
    assert deployed.vend(ROBERT["email"])["source"] == "generated"


def test_show_has_everything_of_one_person_but_the_jwt(deployed: Running) -> None:
    vended = deployed.vend(JESSICA["email"])
    deployed.vend(ROBERT["email"])
    shown = read("show", "Jessica.Smith@aurorasolar.com")
    assert shown["state"]["token"]["jti"] == vended["token"]["jti"]
    assert shown["state"]["account"]["user_id"] == JESSICA["id"]
    assert (shown["events"][-1]["source"], shown["events"][-1]["jti"]) == (
        "generated",
        vended["token"]["jti"],
    )
    assert {event["caller"] for event in shown["events"]} == {shown["caller"]}
    told, raw = (run("show", JESSICA["email"], *more).stdout for more in ((), ("--raw",)))
    assert vended["token"]["jti"] not in told
    assert {vended["token"]["jti"], shown["caller"]} <= set(raw.replace(".", " ").split())
    assert vended["token"]["jwt"] not in json.dumps(shown) + told + raw
    assert run("show", NOBODY).exit_code == 1


def test_switch_is_obeyed_and_told(deployed: Running) -> None:
    """In the log of the person, too; then cleared."""
    vend = deployed.vend(JESSICA["email"])
    [entry] = read("switch", "block", JESSICA["email"], "--reason", "left", "--until", "1h")
    assert (entry["switch"], entry["value"]) == ("block", JESSICA["email"])
    answers_with(deployed, 403)
    assert JESSICA["email"] in run("switch").stdout
    told = [each for each in read("show", JESSICA["email"])["events"] if "reason" in each]
    assert [(each["by"], each["reason"]) for each in told] == [(entry["by"], "left")]
    assert read("switch", "block", JESSICA["email"], "--clear", "--reason", "is back") == []
    assert run("switch", "block", JESSICA["email"], "--clear", "--reason", "again").exit_code == 1
    answers_with(deployed, 200)
    assert deployed.vend(JESSICA["email"])["token"]["jti"] == vend["token"]["jti"]


def answers_with(deployed: Running, status: int) -> None:
    """Ask until a switch is obeyed: an environment looks every two seconds."""
    id_token, until = deployed.sign_in(JESSICA["email"]), time.monotonic() + 120
    while deployed.request("POST", id_token).status != status:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_seats_export_and_erasure(deployed: Running) -> None:
    deployed.vend(JESSICA["email"])
    told = run("people", "unused", "--csv").stdout
    assert [line.split(",")[0] for line in told.splitlines()] == ["E-mail", ROBERT["email"]]
    exported = json.loads(run("people", "export", JESSICA["email"]).stdout)
    assert exported["TOKEN"]["user_id"] == JESSICA["id"]
    assert run("people", "erase", JESSICA["email"], stdin="n\n").exit_code == 1
    erased = read("people", "erase", JESSICA["email"], "--yes")
    assert (erased["deleted"], erased["left"]) == (2, [])
    assert run("people", "export", JESSICA["email"]).exit_code == 1


# smoke, plan ----------------------------------------------------------------------------


@pytest.mark.usefixtures("deployed")
def test_smoke_says_where_the_time_went() -> None:
    result = read("smoke", "--as", JESSICA["email"])
    assert (result["status"], result["answer"]["source"]) == (200, "generated")
    assert "jwt" not in result["answer"]["token"]
    assert min(result["event"]["phases_ms"][each] for each in ("account", "aurora")) > 0


def test_smoke_takes_an_id_token_from_stdin(deployed: Running) -> None:
    id_token = deployed.sign_in(JESSICA["email"])
    result = run("smoke", stdin=id_token)
    assert (result.exit_code, id_token in result.output) == (0, False)
    assert "Where the time went" in result.stdout
    result = run("smoke", stdin="eyJhbGciOiJub25lIn0.e30.")
    assert (result.exit_code, "401" in result.stdout) == (1, True)


@pytest.mark.usefixtures("deployed")
def test_prewarm_is_planned_and_nothing_generated() -> None:
    """The local stack has it off: no coming was noted, and the command says so."""
    plan = read("plan", "prewarm", "--from", "14h")
    assert (plan["planned"], plan["noted"]) == ([], False)
    assert "Comings are noted only where" in run("plan", "prewarm").stdout


# dashboard ------------------------------------------------------------------------------


def test_dashboards_are_drawn_from_what_the_stack_emitted(deployed: Running) -> None:
    deployed.vend(JESSICA["email"])
    service, operations = (Path(path) for path in read("dashboard").values())
    page = service.read_text()
    assert "tokens a minute" in page
    # Other tests may just have turned other alarms on.
    assert "token-vendor-local-double-generate: OK" in page
    assert "http" not in page.partition("<script")[0]
    assert "Who burns generates" in operations.read_text()
    # AWS's own metrics are counted on the way to MiniStack.
    assert '"name":"UpdateItem"' in page + operations.read_text()


@pytest.mark.nightly
@pytest.mark.usefixtures("deployed")
def test_dashboards_become_pictures() -> None:
    service, operations, *pictures = (Path(path) for path in read("dashboard", "--png").values())
    assert pictures == [path.with_suffix(".png") for path in (service, operations)]
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


# Wrong stages, and other people's machines ------------------------------------------------


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


def test_outputs_of_a_killed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "stale" / ".local"
    stale.mkdir(parents=True)
    outputs = {"region": "us-east-1", "aws_endpoint_url": f"http://127.0.0.1:{free_port()}"}
    (stale / "outputs.json").write_text(json.dumps(outputs))
    monkeypatch.chdir(stale.parent)
    result = run("people", "list")
    assert result.exit_code == 3
    assert "make run" in result.stderr


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
    for command in (["people", "list"], ["smoke", "--as", JESSICA["email"]]):
        program = Path(sys.executable).with_name("token-vendor")
        line = (program, *command, "--stage", "local")
        done = ended(*line, cwd=folder, environment=os.environ | environment)
        assert done.returncode == 0, (command, done.stderr)
        assert "Traceback" not in done.stderr
        if command[0] == "people":
            assert jti in done.stdout
