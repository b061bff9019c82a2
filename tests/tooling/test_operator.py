"""What the operator's command line computes by itself: a burst, CloudWatch's arithmetic, alarms."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from token_vendor.problems import AuroraBusyError, TokenStoreUnavailableError
from typer.testing import CliRunner

from infra import terminal
from infra.dashboard_view import charts, dashboard_html
from infra.dashboard_view.cloudwatch_math import (
    Query,
    Samples,
    statistic,
    widget_queries,
)
from infra.fake_aurora.fake_aurora import FakeAurora
from infra.operator import (
    dashboards,
    doctor,
    exits,
    key_rights,
    output,
    sign_in_token,
    tokens,
)
from infra.operator.burst_simulation import simulate
from infra.operator.cli import app
from infra.operator.commands import MOVED
from infra.operator.deployed import Deployed
from infra.operator.doctor import Finding
from infra.operator.person import Known
from infra.operator.prewarm_plan import coverage
from infra.operator.seats import Erased
from infra.operator.vend import Vend
from tests.model.test_request_budget import PROMPT, Morning, coming
from tests.support.program import ended, printed
from tests.support.settings import settings
from tests.support.stage import session_of, stage_of

PREWARM = Path(__file__).parents[2] / "docs" / "prewarm.md"
NOON = 29_201_040
"""A minute since the epoch: Wednesday, 12:00 UTC."""


def emf(minute: int, metric: str, *values: float, **dimensions: str) -> dict[str, Any]:
    dimensions = {"service": "token-vendor-test", **dimensions}
    return {
        "_aws": {
            "Timestamp": minute * 60_000,
            "CloudWatchMetrics": [
                {
                    "Namespace": "AuroraTokenVendor",
                    "Dimensions": [list(dimensions)],
                    "Metrics": [{"Name": metric, "Unit": "Count"}],
                }
            ],
        },
        metric: list(values),
        **dimensions,
    }


# A burst --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crowd", "longest", "calls"),
    [
        # As many as Aurora takes in a minute do not wait.
        ({"users": 80, "known": 1, "over": 0.1}, (0, 0), 80),
        # Newcomers cost two calls, and one reading of the list.
        ({"users": 100, "known": 0, "over": 5}, (0, 62), 1 + 200),
    ],
)
def test_burst(crowd: dict[str, Any], longest: tuple[float, float], calls: int) -> None:
    burst = simulate(**crowd, rate=88)
    assert longest[0] <= burst.longest_wait <= longest[1]
    assert (sum(burst.calls_by_minute), burst.turned_away) == (calls, 0)


class Refusing(Morning):
    """The function's own ring, and how often somebody finds it full."""

    full = 0

    def _request(self, visit: Any, allowance: Any) -> None:
        try:
            super()._request(visit, allowance)
        except AuroraBusyError as busy:
            self.full += busy.turn is None
            raise


@pytest.mark.parametrize(("users", "within"), [(300, 0.03), (1600, 0.1)])
def test_simulated_ring_is_that_of_the_function(users: int, within: float) -> None:
    """It is written again, because it answers at once; of 1,600 people, some find it full twice."""
    played = Refusing(88, 90, [0])
    played.play(coming([PROMPT] * users), [])
    simulated = simulate(users=users, known=1, over=0.0001, rate=88)
    assert simulated.longest_wait == pytest.approx(played.moments[-1], rel=within)
    assert simulated.turned_away == pytest.approx(played.full, rel=within)
    assert (simulated.turned_away > 0) == (users > 300)
    assert simulated.fullest_minute == 90


# Metric math ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Sum", 10), ("SampleCount", 4), ("Minimum", 1), ("Maximum", 4), ("p50", 2), ("p99", 4)],
)
def test_statistics(name: str, expected: float) -> None:
    assert statistic(name, [1, 2, 3, 4]) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("100 * a / (a + b)", 25),
        ("SUM([absent, b])", 3),
        ("SUM([absent])", None),
        ("SUM([absent, TIME_SERIES(0)])", 0),
        ("absent + b", None),
        ("a / 0", None),
        ("IF(b >= 3, 1, 2)", 1),
        ("IF(absent >= 3, 1, 2)", None),
        ("IF(DAY(a) <= 5 AND HOUR(a) >= 6 AND HOUR(a) < 16, a, 7)", 1),
        ("IF(HOUR(a) < 6, a, 7)", 7),
    ],
)
def test_expressions(expression: str, expected: float | None) -> None:
    samples = Samples([emf(NOON, "Generated", 1), emf(NOON, "Invited", 3)])
    rows = [
        ["AuroraTokenVendor", name, "service", "token-vendor-test", {"id": id_, "stat": "Sum"}]
        for id_, name in (("a", "Generated"), ("b", "Invited"), ("absent", "Renewed"))
    ]
    queries = [*widget_queries(rows), Query(expression=expression)]
    assert samples.values(queries, queries[-1]).get(NOON) == expected


def test_unknown_math_is_refused() -> None:
    samples = Samples([emf(NOON, "Generated", 1)])
    with pytest.raises(ValueError, match="ANOMALY"):
        samples.values([], Query(expression="ANOMALY(1)"))


# The command line, where no stage is needed ------------------------------------------------


def test_prewarm_moves_the_calls_before_the_morning() -> None:
    """By the plan that the function follows: nobody who comes as expected waits."""
    without = simulate(users=1000, known=1, over=5, rate=88)
    ahead = simulate(users=1000, known=1, over=5, prewarmed=0.95, rate=88)
    assert ahead.longest_wait == 0 < without.longest_wait
    assert sum(calls for _, calls in ahead.ahead_by_minute) == 950
    assert sum(ahead.calls_by_minute) == 50
    # The last one ends a lead before its owner comes.
    assert min(minute for minute, _ in ahead.ahead_by_minute) >= 15 - 5
    assert ahead.fullest_minute <= 88


def test_plan_burst_draws_both_curves() -> None:
    arguments = ["plan", "burst", "--users", "3000", "--over", "5", "--prewarm", "0.1"]
    shown = CliRunner().invoke(app, arguments).stdout
    for told in ("The last caller waits", "find the queue full", "With prewarm:", "-15 min"):
        assert told in shown
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert told["prewarm"]["longest_wait"] < told["longest_wait"]
    assert sum(calls for _, calls in told["prewarm"]["ahead_by_minute"]) == 285


def test_coverage_is_what_is_left_of_a_tokens_life() -> None:
    """12 h less 9 h of work, 5 min of margin and 15 min of lead are 160 min, at 79.2 a minute."""
    table = coverage(rate=88)
    assert table[9][5] == 12_672
    assert table[9][60] == 8316
    for shift, row in table.items():
        cells = " | ".join(f"{people:,}" for people in row.values())
        assert f"| {shift} h | {cells} |" in PREWARM.read_text(), "docs/prewarm.md"


ERASED = Erased(deleted=1, scanned=1, left=("TOKEN",))
WRONG_USAGE = (
    "no-such-command",
    "people list",
    "people unused --stage local --days 0",
    "people unused --stage local --days long",
    "people forget --stage local",
    "people forget --stage local a@example.com --all",
    "show --stage local",
    "show 'not an address' --stage local",
    "smoke --stage sandbox --as",
    "smoke --stage sandbox --as a@example.com",
    "switch foo --stage local --reason a",
    "switch stop-inviting --stage local",
    "switch stop-inviting --stage local --clear",
    "switch rate --stage local --reason a",
    "switch block nobody --stage local --reason a",
    "switch block a.org --stage local --reason a --until 5x",
    "plan burst --users 0",
    "plan burst --known 2",
    "plan prewarm --stage local --from 5x",
)
WITHOUT_A_STACK = (
    "doctor --stage local",
    "show a@example.com --stage local",
    "people list --stage local",
    "switch --stage local",
    "plan prewarm --stage local",
)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        *((line, exits.USAGE) for line in WRONG_USAGE),
        *((line, exits.UNREACHABLE) for line in WITHOUT_A_STACK),
        ("plan burst --users 10", exits.DONE),
    ],
)
def test_exit_code(line: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one rule: 0 done, 1 not done, 2 wrong usage, 3 out of reach."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, line)
    assert result.exit_code == code, result.output
    assert bool(result.stderr) == bool(code)
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClientError({"Error": {"Message": "x"}}, "Scan"), 3),
        (EndpointConnectionError(endpoint_url="x"), 3),
        (TokenStoreUnavailableError(cause="x"), 3),
        (ValueError("x"), None),
    ],
)
def test_failure_is_a_line_with_an_exit_code(error: Exception, code: int | None) -> None:
    """A fault of ours keeps its traceback."""
    told = exits.told(error)
    assert (told and told[1]) == code
    assert told is None or "x" in told[0]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (output.findings([]), 0),
        (output.findings([Finding(check="c", state="warn", found="f")]), 0),
        (output.findings([Finding(check="c", state="fail", found="f")]), 1),
        (output.person(None, [], caller="c", raw=False), 1),
        (output.erased(ERASED), 1),
        (output.erased(replace(ERASED, left=())), 0),
    ],
)
def test_answer_has_its_exit_code(answer: terminal.Answer, code: int) -> None:
    assert answer.code == code


@pytest.mark.parametrize("old", MOVED)
def test_old_name_says_the_new_one(old: str) -> None:
    """For one version: a line, and what the shell sees is wrong usage."""
    result = CliRunner().invoke(app, [old, "--stage", "sandbox"])
    assert result.exit_code == exits.USAGE
    assert len(result.stderr.splitlines()) == 1
    assert f"token-vendor {old} is now: token-vendor" in result.stderr


def test_help_is_ten_lines_in_three_groups() -> None:
    told = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).stdout
    groups = re.split(r"^(Look|Act|Prepare):\n", told, flags=re.MULTILINE)
    assert groups[1::2] == ["Look", "Act", "Prepare"]
    listed = [line for group in groups[2::2] for line in group.splitlines() if line.strip()]
    assert len(listed) <= 10
    assert max(map(len, told.splitlines())) <= 80


def test_help_loads_neither_aws_nor_the_drawing() -> None:
    """What decides how long `--help` takes are its imports."""
    program = (
        "import sys; from infra.operator.cli import app; "
        "app(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    loaded = set(printed(sys.executable, "-c", program).splitlines()[-1].split())
    assert "typer" in loaded
    assert not loaded & {"boto3", "botocore", "plotly", "rich.console", "token_vendor", "urllib3"}


@pytest.mark.parametrize(
    ("period", "when"),
    [(60, "12:05 to 12:07, 12:09 to 12:10"), (2, "00:40:10 to 00:40:14, 00:40:18 to 00:40:20")],
)
def test_an_alarm_that_was_on_says_when(period: int, when: str) -> None:
    noon = NOON if period == 60 else 1200
    assert dashboard_html._when({noon + 5, noon + 6, noon + 9}, period) == when


# What needs a secret, or nothing of AWS -------------------------------------------------


class Secrets:
    """AWS, as far as a stage's secret is concerned; and a table that tells no time."""

    exceptions = SimpleNamespace(ResourceNotFoundException=LookupError)

    def __init__(self, value: str) -> None:
        self.value = value

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        return {"SecretString": self.value}

    def describe_table(self, **_: Any) -> dict[str, Any]:
        return {"ResponseMetadata": {"HTTPHeaders": {}}}

    def put_secret_value(self, *, SecretString: str, **_: Any) -> None:  # noqa: N803 - AWS's name.
        self.value = SecretString


def sandbox(aurora: FakeAurora | None = None, secrets: Any = None, **options: Any) -> Deployed:
    if aurora:
        options |= {"aurora_url": aurora.url, "aurora_tenant_id": aurora.tenant_id}
    outputs = {"SecretArn": "arn", "DashboardNames": "service,operations"}
    return stage_of(settings(stage="sandbox", **options), session_of(secrets), **outputs)


@pytest.fixture
def secrets(fake_aurora: FakeAurora, monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Give the secret of a stage that calls the fake Aurora."""
    found = Secrets(fake_aurora.api_key)
    monkeypatch.setattr(Deployed, "find", lambda _: sandbox(fake_aurora, found))
    return found


NEW = "rk_sand_new"


@pytest.mark.parametrize(
    ("key", "forbidden", "said"),
    [
        ("", "", "nothing came on stdin"),
        ("sk_prod_0000", "", "environment"),
        ("sk_sand with spaces", "", "key"),
        ("sk_sand_unknown", "", "401 to list users"),
        (NEW, "list_users", "not stored: Aurora answered 403 to list users"),
        (NEW, "generate_token", "; a production key has to include access to the Platform API"),
        (NEW, "invite_user", "; allow it in Aurora's console, or set invitations: false"),
    ],
)
def test_a_bad_key_changes_nothing(
    secrets: Secrets, fake_aurora: FakeAurora, key: str, forbidden: str, said: str
) -> None:
    """Aurora lists for a key that may not generate, so that only the other calls tell."""
    old = fake_aurora.api_key
    fake_aurora.behave(api_keys=[old, NEW], forbidden=[forbidden] if forbidden else [])
    result = CliRunner().invoke(app, ["set-api-key", "--stage", "sandbox"], input=f"{key}\n")
    assert result.exit_code == (1 if key else 2)
    [line] = result.stderr.splitlines()
    assert said in line
    assert not key or key not in result.output
    assert secrets.value == old


@pytest.mark.parametrize("failing", ["", "generate_token", "invite_user"])
def test_a_good_key_is_stored(secrets: Secrets, fake_aurora: FakeAurora, failing: str) -> None:
    """Whatever else Aurora answers for nobody."""
    fake_aurora.behave(api_keys=[fake_aurora.api_key, NEW])
    if failing:
        fake_aurora.fail({"operation": failing, "kind": "status", "status": 503})
    result = CliRunner().invoke(app, ["set-api-key", "--stage", "sandbox"], input=f"{NEW}\n")
    assert (result.exit_code, NEW in result.output) == (0, False)
    assert secrets.value == NEW
    calls = fake_aurora.stats()["calls"]
    assert calls == {"list_users": 1, "invite_user": 1, "generate_token": 1}


@pytest.mark.parametrize("invitations", [True, False])
def test_a_stage_without_invitations_needs_no_right_to_invite(
    fake_aurora: FakeAurora, *, invitations: bool
) -> None:
    fake_aurora.behave(forbidden=["invite_user"])
    chosen = sandbox(fake_aurora, invitations=invitations).settings
    assert bool(key_rights.missing_right(chosen, fake_aurora.api_key)) == invitations
    assert len(fake_aurora.calls()) == 2 + invitations


@pytest.mark.parametrize(
    ("key", "forbidden", "told"),
    [
        ("sk_prod_0000", [], ("API key", "other environment", "set-api-key --stage sandbox")),
        ("", ["list_users"], ("list users", "403", "console")),
        ("", ["generate_token"], ("generate token", "403", "console")),
        ("", ["invite_user"], ("invite user", "403", "console")),
    ],
)
def test_doctor_names_what_is_wrong_with_the_key(
    secrets: Secrets, fake_aurora: FakeAurora, key: str, forbidden: list[str], told: tuple[str, ...]
) -> None:
    secrets.value = key or secrets.value
    fake_aurora.behave(forbidden=forbidden)
    findings = list(doctor._aurora(Deployed.find("sandbox")))
    [failed] = [each for each in findings if each.state == "fail"]
    for part, text in zip(told, (failed.check, failed.found, failed.fix), strict=True):
        assert part in text
    assert secrets.value not in str(findings)


def test_doctor_while_aurora_is_down(secrets: Secrets, fake_aurora: FakeAurora) -> None:
    assert secrets.value
    with fake_aurora.down():
        *_, failed = doctor._aurora(Deployed.find("sandbox"))
    assert (failed.check, failed.state) == ("Aurora: list users", "fail")
    assert failed.fix.startswith("look at this machine's network")


@pytest.mark.parametrize("required", [True, False])
def test_doctor_warns_of_addresses_that_their_owners_can_change(
    monkeypatch: pytest.MonkeyPatch, *, required: bool
) -> None:
    monkeypatch.setattr(Deployed, "authorizer", lambda _: {"Issuer": "http://127.0.0.1:9"})
    unanswered, *warned = doctor._issuer(sandbox(require_verified_email=required))
    assert unanswered.state == "fail"
    assert [("xms_edov" in each.fix, each.state) for each in warned] == [(True, "warn")] * (
        not required
    )


def test_doctor_finds_two_stages_with_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"sandbox": "key-1", "other": "key-1", "third": "key-2"}
    monkeypatch.setattr(doctor, "stages", lambda: [*keys, "local"])
    monkeypatch.setattr(Deployed, "find", lambda name: replace(sandbox(), stage=name))
    monkeypatch.setattr(Deployed, "api_key", lambda stage: keys[stage.stage])
    [finding] = doctor._shared_key(sandbox())
    assert finding.found.startswith("stage other has the same one")
    assert "key-1" not in str(finding)


ISSUER = "https://id.example.com"


@pytest.mark.parametrize(
    ("claims", "failing"),
    [
        pytest.param({}, set(), id="sound"),
        pytest.param({"groups": ["g" * 36] * 200}, {"size"}, id="200 groups"),
        pytest.param({"email_verified": False}, {"e-mail"}, id="not verified"),
        pytest.param({"aud": "another-app"}, {"audience"}, id="of another app"),
        pytest.param({"iss": f"{ISSUER}/"}, {"issuer"}, id="of another issuer"),
        pytest.param({"exp": 1}, {"expiry"}, id="expired"),
    ],
)
def test_doctor_checks_an_id_token(
    claims: dict[str, Any], failing: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {"Issuer": ISSUER, "Audience": ["app"]}
    monkeypatch.setattr(Deployed, "authorizer", lambda _: expected)
    sound = {"iss": ISSUER, "aud": "app", "exp": 10**10, "email": "a@b.de", "email_verified": True}
    token = jwt.encode(sound | claims, "k" * 32, algorithm="HS256")
    found = list(sign_in_token.examine(sandbox(), token))
    assert len(found) == 5
    assert {each.check.removeprefix("token: ") for each in found if each.fix} == failing
    assert "a@b.de" not in str(found)


def test_doctor_says_what_is_no_token() -> None:
    with pytest.raises(exits.OperatorError, match="no JWT"):
        list(sign_in_token.examine(sandbox(), "an-opaque-access-token"))


def test_dashboards_on_aws_are_addresses() -> None:
    assert dashboards.addresses(sandbox())["service"].endswith(
        "us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#dashboards/dashboard/service"
    )


def test_a_stage_that_cdk_json_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cdk.json").write_text('{"context": {"stages": {"sandbox": {}, "local": {}}}}')
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["doctor", "--stage", "nope"])
    assert result.exit_code == 3
    assert result.stderr.strip().endswith("cdk.json has no stage nope; it has sandbox, local")


def test_a_network_failure_is_not_blamed_on_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    result = CliRunner().invoke(app, ["people", "list", "--stage", "sandbox"])
    assert result.exit_code == 3
    assert "AWS was not reached" in result.stderr
    assert "AWS_PROFILE" not in result.stderr


# How it is printed ------------------------------------------------------------------------

NOW = 1_750_000_000.0


def test_people_read_times_and_scripts_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    token = {"expires_at": NOW, "turn_at": 0, "renewals": (NOW,)}
    known = Known(verdict="Fine.", fix="", token=token, account={})
    terminal.show(output.person(known, [], caller="c", raw=True))
    said = capsys.readouterr().out
    assert said.startswith("Fine.")
    assert said.count("2025-06-15 15:06:40") == 2
    terminal.show(output.person(known, [], caller="c", raw=False), as_json=True)
    assert json.loads(capsys.readouterr().out)["state"]["token"]["expires_at"] == NOW


def test_doctor_fits_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finding a line; what to do stands below it, and only where there is something to do."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    found = [
        Finding(check="stack", state="ok", found="is there"),
        Finding(check="CORS", state="warn", found="words " * 20, fix="more words " * 20),
    ]
    terminal.show(output.findings(found))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert plain[0] == "✓ stack: is there"
    assert max(map(len, plain)) <= 80
    assert plain[-1] == "1 ok, 1 warn, 0 fail"


LOOKS_LIKE_MARKUP = "a[/b]@[red]x[/] [a-zA-Z]+ arn:aws:kms:key:id \\"
EVENT = {
    "at": NOW,
    "problem": LOOKS_LIKE_MARKUP,
    "status": 403,
    "aurora_calls": 0,
    "duration_ms": 1.5,
    "request_id": LOOKS_LIKE_MARKUP,
}


def known(**parts: Any) -> Known:
    return Known(**{"verdict": "", "fix": "", "token": {}, "account": {}} | parts)


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        (terminal.done, 1),
        (lambda data: output.holders([holder(data)]), 2),
        (lambda data: output.findings([finding(data)]), 3),
        (lambda data: output.person(known(verdict=data), [], caller="", raw=False), 1),
        (lambda data: output.person(known(token={data: data}), [EVENT], caller="", raw=True), 4),
        (lambda data: output.smoke(vend(403, {"detail": data}, None)), 1),
        (lambda data: output.smoke(vend(200, {"source": data}, timed(data))), 2),
        (lambda data: output.addresses({data: data}), 2),
    ],
    ids=["done", "holders", "findings", "verdict", "person", "problem", "vended", "addresses"],
)
def test_data_is_printed_as_it_is(
    answer: Any, times: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """People and AWS may write what looks like the markup or an emoji of the terminal's library."""
    monkeypatch.setenv("COLUMNS", "500")
    terminal.show(answer(LOOKS_LIKE_MARKUP))
    assert capsys.readouterr().out.count(LOOKS_LIKE_MARKUP) == times


def vend(status: int, body: dict[str, Any], event: dict[str, Any] | None) -> Vend:
    return Vend(status=status, body=body, seconds=1, event=event)


def holder(data: str) -> tokens.Holder:
    return tokens.Holder(email=data, user_id="id", jti=data, since=int(NOW), until=int(NOW))


def finding(data: str) -> Finding:
    return Finding(check=data, state="fail", found=data, fix=data)


def timed(data: str) -> dict[str, Any]:
    return EVENT | {"phases_ms": {data: 1.0}}


def test_one_moment_makes_a_page() -> None:
    """Just after the start there is one period: no axis to draw it on, but a page."""
    samples = Samples([emf(NOON, "Latency", 5)])
    assert "No data" in dashboard_html.page("service", [graph("Other")], samples, {})
    assert "plotly" in dashboard_html.page("service", [graph("Latency")], samples, {})


@pytest.mark.parametrize("minutes", [1, 2, 5])
def test_axis_has_no_label_twice(minutes: int) -> None:
    """Marks are a minute apart at least, since their labels tell no seconds."""
    samples = Samples([emf(NOON + at, "Latency", 5) for at in range(minutes)])
    drawn = charts.graph(graph("Latency"), samples, height=200)
    assert drawn.layout.xaxis.nticks == min(6, minutes)
    assert drawn.layout.xaxis.tickformat == "%H:%M"


def test_page_says_units_and_what_is_counted() -> None:
    """The unit of each axis and the day, and of AWS's own metrics where they come from."""
    own, aws = graph("Latency"), graph("Invocations")
    own["properties"]["yAxis"] = {"left": {"label": "ms"}, "right": {"label": "calls a minute"}}
    aws["properties"]["metrics"] = [["AWS/Lambda", "Invocations", "FunctionName", "f"]]
    page = dashboard_html.page("service", [own], Samples([emf(NOON, "Latency", 5)]), {})
    assert '"text":"ms"' in page
    assert '"text":"calls a minute"' in page
    assert "09 Jul 2025, UTC" in page
    assert "Locally" not in page
    page = dashboard_html.page("operations", [aws], Samples([]), {})
    assert "from Lambda&#39;s reports" in page


def test_query_about_one_caller_is_shown_for_the_most_refused() -> None:
    widget = graph("Failures") | {"type": "log"}
    widget["properties"]["query"] = """SOURCE 'log' | filter audit.caller = "CALLER_SHA256"
| display audit.request_id"""
    lines = [
        {"message": "audit", "audit": {"caller": caller, "request_id": number, **problem}}
        for number, (caller, problem) in enumerate(
            [("a", {}), ("a", {}), ("b", {"problem": "p"}), ("b", {}), ("", {"problem": "p"})]
        )
    ]
    page = dashboard_html.page("operations", [widget], Samples([]), {}, lines)
    assert "<td>2</td>" in page
    assert "<td>3</td>" in page
    assert "<td>0</td>" not in page
    assert "No rows" in dashboard_html.page("operations", [widget], Samples([]), {}, [])


@pytest.mark.parametrize(
    ("term", "found"),
    [("", "ok 503"), (' NOT outcome="ok"', "503"), (' outcome="ok"', "ok")],
)
def test_search_finds_what_its_terms_say(term: str, found: str) -> None:
    schema = "{AuroraTokenVendor,service,operation,outcome}"
    wanted = f'MetricName="AuroraCall" operation="list_users"{term}'
    search = Query(
        label="${PROP('Dim.outcome')}", expression=f"SEARCH('{schema} {wanted}', 'Sum', 60)"
    )
    samples = Samples(
        emf(NOON, "AuroraCall", 1, operation=operation, outcome=outcome)
        for operation in ("list_users", "invite_user")
        for outcome in ("ok", "503")
    )
    labels = [query.label for query in samples.found([search])]
    assert sorted(labels, reverse=True) == found.split()


def graph(name: str) -> dict[str, Any]:
    metrics = [["AuroraTokenVendor", name, "service", "token-vendor-test", {"stat": "Sum"}]]
    place = {"x": 0, "y": 0, "width": 12, "height": 6}
    return {
        **place,
        "type": "metric",
        "properties": {"title": name, "metrics": metrics, "yAxis": {"left": {"min": 0}}},
    }


def test_ctrl_c_while_the_command_loads_is_no_traceback() -> None:
    program = """
import sys

class Interrupt:
    def find_spec(self, name, *_):
        if name == "infra.operator.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
from infra.operator.start import main
main()
"""
    done = ended(sys.executable, "-c", program)
    assert (done.returncode, done.stderr) == (130, "")
