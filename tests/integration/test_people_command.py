"""`token-vendor people unused`, `export` and `erase`, on the table that the service writes."""

import json
import time
from datetime import UTC

import pytest
from token_vendor import prewarm
from token_vendor.settings import Settings

from infra import terminal
from infra.operator import output, seats, switches
from infra.operator.deployed import Deployed
from infra.operator.exits import OperatorError
from infra.operator.tokens import forget
from tests.integration.conftest import JESSICA, TABLE, Deployment
from tests.integration.test_switch_command import stage, wanted
from tests.support.settings import ENVIRONMENT

__all__ = ["stage"]

ROBERT = "robert.johnson@aurorasolar.com"
DAY = 86_400


def idle(stage: Deployed, days: int = 10) -> list[str]:
    return [seat.email for seat in seats.unused(stage, days=days).seats]


def test_seat_without_a_vend_is_listed(deployment: Deployment, stage: Deployed) -> None:
    """One that was never vended to, and one that was long ago."""
    deployment.vend()
    assert idle(stage) == [ROBERT]
    deployment.clock.advance(11 * DAY)
    deployment.vend(ROBERT)
    assert idle(stage) == [JESSICA]
    found = seats.unused(stage, days=10)
    assert found.active == 2
    assert found.seats[0].last_generate == pytest.approx(deployment.clock.now - 11 * DAY, abs=60)


def test_who_is_not_active_has_no_seat(deployment: Deployment, stage: Deployed) -> None:
    """Deactivated, or gone from the list since: only the last whole reading counts."""
    deployment.vend()
    users = [user for user in deployment.aurora.users() if user["email"] == JESSICA]
    deployment.aurora.set_users(
        [*users, {"email": "off@example.com", "account_status": "inactive"}]
    )
    deployment.clock.advance(400)
    deployment.vend("newcomer@example.com")
    assert idle(stage) == []


def test_token_that_waits_for_its_owner_is_no_use(deployment: Deployment, stage: Deployed) -> None:
    """It was generated ahead; from the day on which the owner comes for it, it is."""
    deployment.restart(PREWARM="true")
    deployment.vend()
    came = deployment.clock.now
    deployment.clock.advance(7 * DAY - 1200)
    until = deployment.clock.now + 899
    assert prewarm.run(deployment.wired(PREWARM="true"), until=until, zone=UTC) == 1
    found = {seat.email: seat.last_generate for seat in seats.unused(stage, days=5).seats}
    assert found == {JESSICA: pytest.approx(came, abs=30), ROBERT: 0}
    assert deployment.vend().body["source"] == "stored"
    assert idle(stage, days=5) == [ROBERT]


def test_list_that_was_never_read_tells_nothing(stage: Deployed) -> None:
    with pytest.raises(OperatorError, match="never read"):
        seats.unused(stage, days=10)


def test_table_remembers_for_as_long_as_the_stage_says(
    deployment: Deployment, stage: Deployed
) -> None:
    """Also what an operator forgets. A person of before would look as one who never came."""
    longer = ENVIRONMENT | {"AURORA_TENANT_ID": deployment.aurora.tenant_id, "KEPT_DAYS": "90"}
    stage.__dict__["settings"] = Settings.from_environment(longer)
    deployment.restart(KEPT_DAYS="90")
    came = deployment.clock.now
    deployment.vend()
    assert deployment.item()["ttl"] == pytest.approx(came + 90 * DAY, abs=60)
    assert forget(stage, JESSICA)
    assert deployment.item()["ttl"] == pytest.approx(time.time() + 90 * DAY, abs=60)
    deployment.clock.advance(89 * DAY)
    deployment.vend(ROBERT)
    assert [seat.email for seat in seats.unused(stage, days=88).seats] == [JESSICA]
    assert seats.unused(stage, days=90).seats == ()
    with pytest.raises(OperatorError, match=r"90 days at most; set kept_days in cdk\.json"):
        seats.unused(stage, days=91)


def test_seats_of_a_longer_time_say_when_they_are_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the table had forgotten before the option was raised stays forgotten."""
    for days, told in ((30, False), (90, True)):
        found = seats.Unused(days=days, seats=(), active=1, read_at=0)
        terminal.show(output.seats(found), as_csv=True)
        assert ("been 90 or more for 90 days" in capsys.readouterr().err) == told


@pytest.mark.parametrize("form", ["as_csv", "as_json"])
def test_script_is_told_what_it_does_not_prove(
    capsys: pytest.CaptureFixture[str], form: str
) -> None:
    """Beside what it reads; and a spreadsheet gets no formula."""
    seat = seats.Seat(email="=cmd()@example.com", user_id="id", last_generate=0)
    found = seats.Unused(days=10, seats=(seat,), active=1, read_at=0)
    terminal.show(output.seats(found), **{form: True})
    told = capsys.readouterr()
    assert "absence here proves nothing" in told.err.replace("\n", " ")
    if form == "as_csv":
        assert told.out.splitlines()[1] == "'=cmd()@example.com,id,"
    else:
        assert json.loads(told.out)["seats"][0]["email"] == "=cmd()@example.com"


def test_export_is_everything_but_the_jwt(deployment: Deployment, stage: Deployed) -> None:
    jwt = deployment.vend().body["token"]["jwt"]
    switches.set_(stage, wanted("block", JESSICA))
    found = seats.export(stage, JESSICA)
    assert found.keys() == {"TOKEN", "ACCOUNT", "CONTROL"}
    assert found["TOKEN"]["jti"] == deployment.item()["jti"]
    assert jwt not in json.dumps(found)
    assert seats.export(stage, "nobody@example.com") == {}


def test_erased_person_is_in_no_item(deployment: Deployment, stage: Deployed) -> None:
    """Others keep theirs, also one whose address ends in the same way."""
    for email in (JESSICA, ROBERT, f"x#{JESSICA}"):
        assert deployment.vend(email).status == 200
    erased = seats.erase(stage, JESSICA)
    assert (erased.deleted, erased.left) == (2, ())
    items = deployment.dynamodb.scan(TableName=TABLE)["Items"]
    assert erased.scanned == len(items)
    assert not [item for item in items if item["pk"]["S"].endswith(f"tenant#{JESSICA}")]
    assert seats.export(stage, ROBERT)
    assert seats.export(stage, f"x#{JESSICA}")
    assert deployment.vend().body["source"] == "generated"


def test_scan_finds_what_was_written_meanwhile(deployment: Deployment, stage: Deployed) -> None:
    """The person signs in again between the last deletion and the scan."""
    deployment.vend()

    def signs_in(**_: object) -> None:
        deployment.vend()

    stage.session.events.register_first("before-call.dynamodb.Scan", signs_in)
    assert "TOKEN" in seats.erase(stage, JESSICA).left


def test_block_has_to_be_cleared_first(deployment: Deployment, stage: Deployed) -> None:
    deployment.vend()
    switches.set_(stage, wanted("block", JESSICA))
    with pytest.raises(OperatorError, match="--clear first"):
        seats.erase(stage, JESSICA)
    assert "jwt" in deployment.item()


def test_block_that_has_ended_is_erased_too(deployment: Deployment, stage: Deployed) -> None:
    deployment.vend(ROBERT)
    deployment.switch(("block", JESSICA), lasting=-10)
    assert seats.erase(stage, JESSICA).left == ()
    assert JESSICA not in str(deployment.tenant_item("CONTROL"))


def test_erase_finds_a_person_below_another_tenant_and_in_a_reason(
    deployment: Deployment, stage: Deployed
) -> None:
    deployment.vend()
    old = {"pk": {"S": f"sandbox#old#{JESSICA}"}, "sk": {"S": "TOKEN"}}
    deployment.dynamodb.put_item(TableName=TABLE, Item=old)
    assert seats.erase(stage, JESSICA).left == ("TOKEN",)
