"""A CloudWatch metric filter: what it makes of the lines of a log."""

import operator
import re
from collections.abc import Mapping
from typing import Any

CONDITION = re.compile(r'\(?\$\.([\w.]+) (=|!=|>=) (?:"([^"]*)"|(\d+))\)?')
OPERATORS = {"=": operator.eq, "!=": operator.ne, ">=": operator.ge}


class MetricFilter:
    """Read an `AWS::Logs::MetricFilter`, whose pattern is conditions joined by &&."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        text = properties["FilterPattern"].strip().removeprefix("{").removesuffix("}")
        found = [CONDITION.fullmatch(each.strip()) for each in text.split("&&")]
        assert found
        assert all(found), text
        self._conditions = [each.groups() for each in found if each]
        (transformation,) = properties["MetricTransformations"]
        self._namespace = transformation["MetricNamespace"]
        self._metric = transformation["MetricName"]
        self._value = float(transformation["MetricValue"])

    def sample(self, line: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the metric that a line makes, as EMF without its time."""
        for path, compare, text, number in self._conditions:
            value: Any = line
            for name in path.split("."):
                value = value.get(name) if isinstance(value, dict) else None
            # A comparison with what is not there does not hold.
            if value is None or not OPERATORS[compare](value, text or float(number)):
                return None
        directive = {
            "Namespace": self._namespace,
            "Dimensions": [[]],
            "Metrics": [{"Name": self._metric}],
        }
        return {"_aws": {"CloudWatchMetrics": [directive]}, self._metric: self._value}
