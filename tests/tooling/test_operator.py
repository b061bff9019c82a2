"""What the operator's command line computes by itself: a burst, CloudWatch's arithmetic, alarms."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from token_vendor.problems import TokenStoreUnavailableError
from token_vendor.settings import Settings
from typer.testing import CliRunner

from infra import terminal
from infra.dashboard_view import charts, dashboard_html
from infra.dashboard_view.cloudwatch_math import (
    Query,
    Samples,
    alarm_periods,
    statistic,
    widget_queries,
)
from infra.fake_aurora.fake_aurora import FakeAurora
from infra.operator import exits, key_rights, output, tokens
from infra.operator.burst_simulation import simulate
from infra.operator.cli import app
from infra.operator.commands import MOVED
from infra.operator.doctor import Finding
from infra.operator.person import Known
from infra.operator.prewarm_plan import coverage
from infra.operator.seats import Erased
from infra.operator.vend import Vend
from tests.model.test_request_budget import PROMPT, Morning, coming

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


def test_everybody_gets_in_at_the_rate() -> None:
    """1,000 calls take eleven turns of the ring, of 61.4 s each."""
    burst = simulate(users=1000, known=1, over=0.1, rate=88)
    assert 669 < burst.longest_wait < 676
    assert sum(burst.calls_by_minute) == 1000
    assert burst.turned_away == 0


def test_simulated_ring_is_that_of_the_function() -> None:
    """It is written again, because it answers at once: 300 people come to both at one moment."""
    played = Morning(88, 90, [0])
    played.play(coming([PROMPT] * 300), [])
    by_minute = Counter(int(moment // 60) for moment in played.moments)
    simulated = simulate(users=300, known=1, over=0.0001, rate=88)
    assert simulated.calls_by_minute == tuple(by_minute[minute] for minute in range(4))
    assert simulated.longest_wait == pytest.approx(played.moments[-1], abs=5)


def test_newcomers_cost_two_calls_and_one_reading_of_the_list() -> None:
    burst = simulate(users=100, known=0, over=5, rate=88)
    assert sum(burst.calls_by_minute) == 1 + 200


def test_aurora_never_sees_more_than_its_limit_in_a_minute() -> None:
    burst = simulate(users=3000, known=0.5, over=5, rate=88)
    assert burst.fullest_minute == 90
    assert burst.turned_away > 0


def test_few_people_do_not_wait() -> None:
    """Nor do many, as long as Aurora has room for them."""
    assert simulate(users=80, known=1, over=0.1, rate=88).longest_wait == 0


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


ALARM = {
    "Namespace": "AuroraTokenVendor",
    "MetricName": "Generated",
    "Dimensions": [{"Name": "service", "Value": "token-vendor-test"}],
    "Statistic": "Sum",
    "Threshold": 2,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "DatapointsToAlarm": 2,
    "EvaluationPeriods": 3,
}


def test_an_alarm_needs_its_datapoints_and_goes_off_again() -> None:
    counts = {0: 5, 1: 0, 2: 5, 3: 0, 4: 0}
    samples = Samples([emf(NOON + at, "Generated", count) for at, count in counts.items()])
    assert alarm_periods(ALARM, samples) == {NOON + 2}


def test_an_alarm_below_is_not_set_off_by_silence() -> None:
    below = ALARM | {"ComparisonOperator": "LessThanThreshold"}
    samples = Samples([emf(NOON, "Generated", 1), emf(NOON + 5, "Generated", 1)])
    assert alarm_periods(below, samples) == set()


# The command line, where no stage is needed ------------------------------------------------


def test_simulate_burst_for_scripts() -> None:
    result = CliRunner().invoke(app, ["plan", "burst", "--users", "100", "--json"])
    assert result.exit_code == 0
    assert set(json.loads(result.stdout)) >= {"longest_wait", "fullest_minute", "calls_by_minute"}


def test_simulate_burst_for_people() -> None:
    result = CliRunner().invoke(app, ["plan", "burst", "--users", "3000", "--over", "5"])
    assert result.exit_code == 0
    assert "The last caller waits" in result.stdout
    assert "find the queue full" in result.stdout


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


def test_simulate_burst_draws_both_curves() -> None:
    arguments = ["plan", "burst", "--users", "500", "--over", "5", "--prewarm", "0.9"]
    shown = CliRunner().invoke(app, arguments).stdout
    assert "With prewarm:" in shown
    assert "-15 min" in shown
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert told["prewarm"]["longest_wait"] < told["longest_wait"]
    assert sum(calls for _, calls in told["prewarm"]["ahead_by_minute"]) == 428


def test_coverage_is_what_is_left_of_a_tokens_life() -> None:
    """12 h less 9 h of work, 5 min of margin and 15 min of lead are 160 min, at 79.2 a minute."""
    table = coverage(rate=88)
    assert table[9][5] == 12_672
    assert table[9][60] == 8316
    for shift, row in table.items():
        cells = " | ".join(f"{people:,}" for people in row.values())
        assert f"| {shift} h | {cells} |" in PREWARM.read_text(), "docs/prewarm.md"


ERASED = Erased(deleted=1, scanned=1, left=("TOKEN",))
EXITS: dict[str, tuple[list[str], int]] = {
    **{
        " ".join(arguments): (arguments, exits.USAGE)
        for arguments in (
            ["no-such-command"],
            ["people", "list"],
            ["people", "unused", "--stage", "local", "--days", "0"],
            ["people", "forget", "--stage", "local"],
            ["people", "forget", "--stage", "local", "a@example.com", "--all"],
            ["show", "--stage", "local"],
            ["smoke", "--stage", "sandbox", "--as"],
            ["smoke", "--stage", "sandbox", "--as", "a@example.com"],
            ["switch", "foo", "--stage", "local", "--reason", "a test"],
            ["switch", "stop-inviting", "--stage", "local"],
            ["switch", "stop-inviting", "--stage", "local", "--clear"],
            ["switch", "rate", "--stage", "local", "--reason", "a test"],
            ["switch", "block", "nobody", "--stage", "local", "--reason", "a test"],
            ["switch", "block", "a.org", "--stage", "local", "--reason", "a", "--until", "5x"],
            ["plan", "burst", "--users", "0"],
            ["plan", "burst", "--known", "2"],
            ["plan", "prewarm", "--stage", "local", "--from", "5x"],
        )
    },
    **{
        " ".join(arguments): (arguments, exits.UNREACHABLE)
        for arguments in (
            ["doctor", "--stage", "local"],
            ["show", "a@example.com", "--stage", "local"],
            ["people", "list", "--stage", "local"],
            ["switch", "--stage", "local"],
            ["plan", "prewarm", "--stage", "local"],
        )
    },
    "plan burst": (["plan", "burst", "--users", "10"], exits.DONE),
}
"""Commands where no local stack runs, and their exit codes."""


@pytest.mark.parametrize(("arguments", "code"), EXITS.values(), ids=EXITS)
def test_exit_code(
    arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one rule: 0 done, 1 not done, 2 wrong usage, 3 out of reach."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    assert bool(result.stderr) == bool(code)
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exits.OperatorError("x"), 1),
        (exits.UsageError("x"), 2),
        (exits.NotDeployedError("x"), 3),
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
        (output.smoke(Vend(status=200, body={}, seconds=1, event=None)), 0),
        (output.smoke(Vend(status=403, body={}, seconds=1, event=None)), 1),
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
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    loaded = set(done.stdout.decode().splitlines()[-1].split())
    assert "typer" in loaded
    assert not loaded & {"boto3", "botocore", "plotly", "rich.console", "token_vendor", "urllib3"}


@pytest.mark.parametrize(
    ("period", "when"),
    [(60, "12:05 to 12:07, 12:09 to 12:10"), (2, "00:40:10 to 00:40:14, 00:40:18 to 00:40:20")],
)
def test_an_alarm_that_was_on_says_when(period: int, when: str) -> None:
    noon = NOON if period == 60 else 1200
    assert dashboard_html._when({noon + 5, noon + 6, noon + 9}, period) == when


@pytest.mark.parametrize("invitations", [True, False])
def test_a_stage_without_invitations_needs_no_right_to_invite(*, invitations: bool) -> None:
    with FakeAurora.running() as aurora:
        aurora.behave(forbidden=["invite_user"])
        settings = Settings.from_environment(
            {
                "STAGE": "test",
                "TABLE_NAME": "tokens",
                "AURORA_SECRET_ARN": "aurora-api-key",
                "AURORA_URL": aurora.url,
                "AURORA_TENANT_ID": aurora.tenant_id,
                "AURORA_ENVIRONMENT": "sandbox",
                "INVITATIONS": str(invitations).lower(),
            }
        )
        assert bool(key_rights.missing_right(settings, aurora.api_key)) == invitations
        assert len(aurora.calls()) == 2 + invitations


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
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    assert done.returncode == 130
    assert done.stderr == b""
