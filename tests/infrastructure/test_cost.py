"""
The bill of a month: counted as AWS bills, below its bar, and the one that the documentation shows.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from token_vendor.observability import Metric

from infra.build.lambda_asset import ROOT
from tests.benchmarks import cost
from tests.infrastructure.conftest import Assembly, filled_in, synthesize

if TYPE_CHECKING:
    from collections.abc import Callable

BAR = 12


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """
    Give the production stage with every alarm, as `make bench` has it.
    """
    folder = tmp_path_factory.mktemp("cost")
    synthesize(folder, filled_in("production", business_hours="6-16"))
    return Assembly(folder).template("production").data


def bill(template: dict[str, Any]) -> cost.Bill:
    return cost.month(template, stored=cost.STORED, generated=cost.GENERATED)


def line(template: dict[str, Any], name: str) -> cost.Line:
    (found,) = [each for each in bill(template).lines if each.name.startswith(name)]
    return found


def test_a_month_stays_below_its_bar(template: dict[str, Any]) -> None:
    assert 0 < bill(template).billed < BAR
    assert bill(template).billed < bill(template).beside_other_functions < bill(template).listed


def test_documentation_shows_the_computed_bill(template: dict[str, Any]) -> None:
    shown = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    computed = bill(template)
    assert computed.markdown() in shown
    for figure in (computed.billed, computed.beside_other_functions, computed.listed):
        assert f"${figure:.2f}" in shown


def test_every_post_of_a_browser_has_its_preflight(template: dict[str, Any]) -> None:
    """Chromium forgets the answer after two hours, whatever the API says."""
    assert line(template, "HTTP API").quantity == 2 * cost.REQUESTS / 1e6


def test_every_metric_has_its_place_in_the_bill() -> None:
    assert set(cost.SERIES) == set(Metric)


def test_every_line_names_its_price_page(template: dict[str, Any]) -> None:
    assert all(each.page.startswith("https://aws.amazon.com/") for each in bill(template).lines)


def changed(template: dict[str, Any], type_: str, change: Callable[[Any], None]) -> dict[str, Any]:
    other = deepcopy(template)
    for resource in other["Resources"].values():
        if resource["Type"] == type_:
            change(resource["Properties"])
    return other


def test_an_alarm_costs_each_metric_that_it_takes(template: dict[str, Any]) -> None:
    def plain(alarm: dict[str, Any]) -> None:
        alarm.pop("Metrics", None)

    alarms = line(changed(template, "AWS::CloudWatch::Alarm", plain), "alarm metrics")
    assert alarms.quantity == 15
    # The alarms on expressions take eighteen metrics instead of six.
    assert line(template, "alarm metrics").quantity == 15 - 6 + 18


def test_a_dashboard_of_more_metrics_is_not_free(template: dict[str, Any]) -> None:
    def grow(dashboard: dict[str, Any]) -> None:
        body = {"widgets": [{"properties": {"metrics": [["N", "M"]] * 51}}]}
        dashboard["DashboardBody"] = json.dumps(body)

    assert line(template, "dashboards").billed == 0
    grown = changed(template, "AWS::CloudWatch::Dashboard", grow)
    assert line(grown, "dashboards").billed == 6


def test_what_a_search_finds_is_counted(template: dict[str, Any]) -> None:
    found, _ = cost.SERIES[Metric.AURORA_CALL]
    body = {"widgets": [{"properties": {"metrics": [["N", "M"], [{"expression": "SEARCH(x)"}]]}}]}
    searching = changed(
        template,
        "AWS::CloudWatch::Dashboard",
        lambda dashboard: dashboard.update(DashboardBody=json.dumps(body)),
    )
    assert cost.dashboard_metrics(searching) == [1 + found, 1 + found]


def test_own_lines_of_lambda_are_counted_where_they_are_let_through(
    template: dict[str, Any],
) -> None:
    loud = changed(
        template, "AWS::Lambda::Function", lambda function: function.pop("LoggingConfig")
    )
    assert line(loud, "logs, function").quantity > line(template, "logs, function").quantity + 0.3


def test_an_unknown_field_of_the_access_log_is_refused(template: dict[str, Any]) -> None:
    longer = changed(
        template,
        "AWS::ApiGatewayV2::Stage",
        lambda stage: stage["AccessLogSettings"].update(Format="$context.unheardOf"),
    )
    with pytest.raises(KeyError, match="unheardOf"):
        bill(longer)


def test_a_key_that_rotates_costs_its_older_versions(template: dict[str, Any]) -> None:
    assert line(template, "KMS key").billed == 3
    still = changed(template, "AWS::KMS::Key", lambda key: key.update(EnableKeyRotation=False))
    assert line(still, "KMS key").billed == 1
