"""The bill of a month: counted as AWS bills, below its bar, and as documented."""

import pytest
from token_vendor.observability import Metric

from infra.build.lambda_asset import ROOT
from tests.benchmarks import cost
from tests.infrastructure.conftest import EVERY_ALARM, Assembly

BAR = 12


@pytest.fixture(scope="module")
def bill(assembly: Assembly) -> cost.Bill:
    """Compute the bill of the stage that `make bench` has."""
    template = assembly.template(EVERY_ALARM).data
    return cost.month(template, stored=cost.STORED, generated=cost.GENERATED)


def test_a_month_stays_below_its_bar(bill: cost.Bill) -> None:
    assert 0 < bill.billed < BAR
    assert bill.billed < bill.beside_other_functions < bill.listed


def test_documentation_shows_the_computed_bill(bill: cost.Bill) -> None:
    shown = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    assert bill.markdown() in shown
    for figure in (bill.billed, bill.beside_other_functions, bill.listed):
        assert f"${figure:.2f}" in shown


def test_every_metric_has_its_place_in_the_bill() -> None:
    assert set(cost.SERIES) == set(Metric)
