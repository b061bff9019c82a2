"""
What operators see: the logger, the metrics, and one audit event per request.

Metric names are declared here and nowhere else. The dashboards and alarms of `infra/stack` take
them from this file. No metric has the caller as a dimension, and no log line holds a JWT or a key.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit


class Metric(StrEnum):
    """Every metric that the function emits, in the namespace `AuroraTokenVendor`."""

    VENDED = "Vended"
    STALE_VENDED = "StaleVended"
    GENERATED = "Generated"
    PREWARMED = "Prewarmed"
    INVITED = "Invited"
    FORGOTTEN = "Forgotten"
    RENEWED = "Renewed"
    LEASE_WAITED = "LeaseWaited"
    LEASE_WAIT = "LeaseWait"
    TURN_GIVEN = "TurnGiven"
    PROBLEM = "Problem"
    AURORA_CALL = "AuroraCall"
    AURORA_LATENCY = "AuroraLatency"
    BUDGET_LEFT = "BudgetLeft"
    BUDGET_WAIT = "BudgetWait"
    SWITCHED_OFF = "SwitchedOff"
    DOUBLE_GENERATE = "DoubleGenerate"
    WRONG_ACCOUNT = "WrongAccount"
    UNDATED = "UndatedToken"
    STORE_FAILED = "StoreFailed"
    KEY_REREAD = "KeyReread"
    DIRECTORY_READ = "DirectoryRead"
    LATENCY = "Latency"
    COLD_START = "ColdStart"


MILLISECONDS = {Metric.LEASE_WAIT, Metric.AURORA_LATENCY, Metric.BUDGET_WAIT, Metric.LATENCY}
DIMENSIONS: dict[Metric, tuple[str, ...]] = {
    Metric.VENDED: ("source",),
    Metric.PROBLEM: ("problem",),
    Metric.SWITCHED_OFF: ("switch",),
    Metric.AURORA_CALL: ("operation", "outcome"),
    Metric.AURORA_LATENCY: ("operation",),
}
"""The dimensions of a metric beside `service`; metrics not named here have no other."""
SHARED = {"_aws", "service"}
"""The members that every EMF document of ours has."""

logger = Logger()

LOGGED_BODY = 300
PRIVATE = re.compile(r"eyJ[\w.-]*|[sr]k_[\w-]+|[^\s\"'<>,;:]+@[^\s\"'<>,;:]+|\+?\d[\d ()/.-]{5,}\d")
"""What looks like a JWT, a key, an address or a telephone number."""

MOST_VALUES = 99
"""Values of one metric in a document: at the 100th, Powertools writes it out by itself."""


class Recorder:
    """
    Collect what one request did; an execution environment serves one at a time.

    `count` and `phase` are called by every part, `flush` once by the handler: one audit event
    and the metrics, on every exit path. `timer` gives seconds.
    """

    _values: dict[tuple[tuple[str, str], ...], dict[Metric, list[float]]]

    def __init__(self, timer: Callable[[], float] = time.perf_counter) -> None:
        self.timer = timer
        self._cold = True
        # The plain Metrics class shares its dimensions between all instances.
        self._emitter = EphemeralMetrics()
        self.start("")

    def start(self, request_id: str) -> None:
        """Begin the record of a request."""
        self._started = self.timer()
        self._values = {}
        self._phases: dict[str, float] = {}
        self.event: dict[str, Any] = {"request_id": request_id, "aurora_calls": 0}

    def count(self, metric: Metric, value: float = 1, **dimensions: str) -> None:
        """Add one value of `metric`; `dimensions` must be those that `DIMENSIONS` names."""
        if tuple(dimensions) != DIMENSIONS.get(metric, ()):
            raise ValueError(f"{metric} takes the dimensions {DIMENSIONS.get(metric, ())}")
        group = self._values.setdefault(tuple(dimensions.items()), {})
        group.setdefault(metric, []).append(value)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside to the audit event's `phases_ms`."""
        before = self.timer()
        try:
            yield
        finally:
            spent = (self.timer() - before) * 1000
            self._phases[name] = self._phases.get(name, 0) + spent

    def flush(self, *, timed: bool = True) -> None:
        """
        Write the audit event and the metrics of this request.

        Scheduled work is not `timed`: nobody waits for it, and it takes minutes.
        """
        latency = (self.timer() - self._started) * 1000
        if timed:
            self.count(Metric.LATENCY, latency)
            if self._cold:
                self.count(Metric.COLD_START)
        logger.info(
            "audit",
            extra={
                "audit": self.event
                | {
                    "cold_start": self._cold,
                    "duration_ms": round(latency, 1),
                    "phases_ms": {name: round(ms, 1) for name, ms in self._phases.items()},
                }
            },
        )
        self._cold = False
        self.emit()

    def emit(self) -> None:
        """
        Write the metrics so far: CloudWatch takes them as of now.

        Scheduled work takes minutes and calls this in between. Written at its end, all its calls
        would appear in one minute: more than Aurora takes.
        """
        for document in self._documents():
            # As Powertools does it: CloudWatch takes the documents from the function's log.
            print(json.dumps(document, separators=(",", ":")))  # noqa: T201
        self._values = {}

    def _documents(self) -> list[dict[str, Any]]:
        """
        Return the metrics as EMF documents, as few as possible: each line costs time and money.

        A document has one value for each name. Sets of dimensions share a document unless they
        name the same dimension or the same metric.
        """
        documents: list[dict[str, Any]] = []
        for added in self._sets():
            for document in documents:
                if document.keys() & added.keys() == SHARED:
                    document["_aws"]["CloudWatchMetrics"] += added.pop("_aws")["CloudWatchMetrics"]
                    document.update(added)
                    break
            else:
                documents.append(added)
        return documents

    def _sets(self) -> Iterator[dict[str, Any]]:
        """Yield the values of each set of dimensions, at most `MOST_VALUES` of a metric at once."""
        for dimensions, values in self._values.items():
            for start in range(0, max(map(len, values.values())), MOST_VALUES):
                for name, value in dimensions:
                    self._emitter.add_dimension(name, value)
                for metric, samples in values.items():
                    unit = MetricUnit.Milliseconds if metric in MILLISECONDS else MetricUnit.Count
                    for sample in samples[start : start + MOST_VALUES]:
                        self._emitter.add_metric(metric.value, unit, sample)
                yield dict(self._emitter.serialize_metric_set())
                self._emitter.clear_metrics()


def excerpt(data: bytes, *, secret: str) -> str:
    """Return the start of an answer for the log, without secrets and personal data."""
    text = data.replace(secret.encode(), b"***")[: LOGGED_BODY * 4].decode("utf-8", "replace")
    return PRIVATE.sub("…", text)[:LOGGED_BODY]


def digest(text: str) -> str:
    """
    Return the SHA-256 of `text`, in hex: enough to recognise it, useless for getting in.

    Of an e-mail it is a pseudonym: anybody with a list of the staff can tell who it is.
    """
    return hashlib.sha256(text.encode()).hexdigest()


recorder = Recorder()
