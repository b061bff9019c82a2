"""Where the dashboards are; those of the local stack are drawn here, since MiniStack draws none."""

import json
import time
from pathlib import Path
from typing import Any

from infra.dashboard_view import aws_metrics, dashboard_html
from infra.dashboard_view.charts import PictureError
from infra.dashboard_view.cloudwatch_math import Samples
from infra.dashboard_view.wire_tap import TAPPED
from infra.operator import audit_log
from infra.operator.deployed import LOCAL_OUTPUTS, Deployed
from infra.operator.exits import OperatorError
from infra.outbound import request


def addresses(deployed: Deployed) -> dict[str, str]:
    console = f"https://{deployed.region}.console.aws.amazon.com/cloudwatch/home"
    return {
        name: f"{console}?region={deployed.region}#dashboards/dashboard/{name}"
        for name in deployed.outputs["DashboardNames"].split(",")
    }


def drawn(
    deployed: Deployed, *, to: Path, png: bool, hours: float, period: int = 60
) -> dict[str, str]:
    """
    Draw the dashboards with what the local stack has emitted; return where each one is.

    `period` is the seconds that count as CloudWatch's minute: less than 60 shows a scene that was
    played fast. A picture that cannot be drawn raises `OperatorError`.
    """
    since = time.time() - hours * 3600
    logged = list(audit_log.lines(deployed, since=since))
    tapped = request("GET", f"{deployed.local['aws_endpoint_url']}{TAPPED}?{since}", timeout=20)
    counted = aws_metrics.lines(
        deployed.outputs,
        reports=audit_log.messages(deployed, since=since, containing="REPORT RequestId"),
        logged=logged,
        passages=tapped.json(),
    )
    cloudwatch = deployed.client("cloudwatch")
    widgets = {
        name: json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])["widgets"]
        for name in deployed.outputs["DashboardNames"].split(",")
    }
    try:
        written = dashboard_html.render(
            widgets,
            Samples([*logged, *counted], period=period),
            _alarms(deployed.stage),
            logged,
            to=to,
            png=png,
        )
    except PictureError as error:
        raise OperatorError(str(error)) from error
    found = {name: str(path) for name, path in written.items()}
    if png:
        pictures = {name: path.with_suffix(".png") for name, path in written.items()}
        found |= {f"{name} (picture)": str(path) for name, path in pictures.items()}
    return found


def _alarms(stage: str) -> dict[str, Any]:
    """Return the alarms by name, as synthesized: MiniStack has no metric math."""
    file = LOCAL_OUTPUTS.parent / "cdk.out" / f"AuroraTokenVendor-{stage}.template.json"
    resources = json.loads(file.read_text())["Resources"].values()
    alarms = [
        resource["Metadata"]["Synthesized"]
        for resource in resources
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]
    return {alarm["AlarmName"]: alarm for alarm in alarms}
