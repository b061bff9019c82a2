"""Work around what MiniStack lacks, before and after a deployment; the stack is unaware of it."""

import json
from pathlib import Path
from typing import Any

from infra.local.ministack import MiniStack

CODEDEPLOY = "AWS::CodeDeploy::"


def adapt(template_file: Path) -> bool:
    """Change a template so that MiniStack takes it; tell whether CodeDeploy is left out."""
    template = json.loads(template_file.read_text())
    is_without = _without_codedeploy(template["Resources"])
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            # The operator's pages show the alarm as it was synthesized.
            resource["Metadata"] = {"Synthesized": dict(resource["Properties"])}
            _without_metric_math(resource["Properties"])
    template_file.write_text(json.dumps(template))
    return is_without


def _without_codedeploy(resources: dict[str, Any]) -> bool:
    # The function that CodeDeploy would call stays: all that is gone is who calls it.
    gone = {name for name, each in resources.items() if each["Type"].startswith(CODEDEPLOY)}
    for name in gone:
        del resources[name]
    for each in resources.values():
        if "CodeDeployLambdaAliasUpdate" in each.get("UpdatePolicy", {}):
            del each["UpdatePolicy"]
        document = each.get("Properties", {}).get("PolicyDocument", {})
        if each["Type"] == "AWS::IAM::Policy":
            document["Statement"] = [
                statement
                for statement in document["Statement"]
                if not any(f'"{name}"' in json.dumps(statement) for name in gone)
            ]
    return bool(gone)


def _without_metric_math(alarm: dict[str, Any]) -> None:
    # An alarm over an expression fails the deployment. It watches the expression's first metric
    # instead: MiniStack gets no metrics from the function anyway, so the alarm need only exist.
    stats = [each["MetricStat"] for each in alarm.pop("Metrics", []) if "MetricStat" in each]
    if stats:
        metric = {name: stats[0]["Metric"][name] for name in ("Namespace", "MetricName")}
        alarm.update(metric, Period=stats[0]["Period"], Statistic="Sum")


def apply_cors(aws: MiniStack, api_id: str, template_file: Path) -> None:
    """
    Give the API the template's CORS settings once more.

    MiniStack keeps those of a template under names in another case than its data plane reads.
    """
    template = json.loads(template_file.read_text())
    for resource in template["Resources"].values():
        cors = resource.get("Properties", {}).get("CorsConfiguration")
        if resource["Type"] == "AWS::ApiGatewayV2::Api" and cors:
            aws.client("apigatewayv2").update_api(ApiId=api_id, CorsConfiguration=cors)
