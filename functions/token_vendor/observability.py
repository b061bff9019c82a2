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


class Metric(StrEnum):
    """Every metric that the function emits."""

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


NAMESPACE = "AuroraTokenVendor"
UNITS = dict.fromkeys(
    (Metric.LEASE_WAIT, Metric.AURORA_LATENCY, Metric.BUDGET_WAIT, Metric.LATENCY), "Milliseconds"
)
"""The units of what is no count."""
DIMENSIONS: dict[Metric, tuple[str, ...]] = {
    Metric.VENDED: ("source",),
    Metric.PROBLEM: ("problem",),
    Metric.SWITCHED_OFF: ("switch",),
    Metric.AURORA_CALL: ("operation", "outcome"),
    Metric.AURORA_LATENCY: ("operation",),
}
"""The dimensions of a metric beside `service`; metrics not named here have no other."""

logger = Logger()

LOGGED_BODY = 300
PRIVATE = re.compile(r"eyJ[\w.-]*|[sr]k_[\w-]+|[^\s\"'<>,;:]+@[^\s\"'<>,;:]+|\+?\d[\d ()/.-]{5,}\d")
"""What looks like a JWT, a key, an address or a telephone number."""

MOST_VALUES = 100
"""Values of one metric in a document, as CloudWatch takes them."""


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
        """Add the time spent inside, a block or a function, to the audit event's `phases_ms`."""
        before = self.timer()
        try:
            yield
        finally:
            spent = (self.timer() - before) * 1000
            self._phases[name] = self._phases.get(name, 0) + spent

    def flush(self, *, timed: bool = True) -> None:
        """
        Write the audit event and the metrics of this request.

        They share a line, because each line costs time and money. Scheduled work is not `timed`:
        nobody waits for it, and it takes minutes.
        """
        latency = round((self.timer() - self._started) * 1000, 1)
        if timed:
            self.count(Metric.LATENCY, latency)
            if self._cold:
                self.count(Metric.COLD_START)
        audit = self.event | {
            "cold_start": self._cold,
            "duration_ms": latency,
            "phases_ms": {name: round(ms, 1) for name, ms in self._phases.items()},
        }
        self._cold = False
        self.emit({"level": "INFO", "message": "audit", "audit": audit})

    def emit(self, event: dict[str, Any] | None = None) -> None:
        """
        Write the metrics so far, as of now, and the event in the line of the first ones.

        Scheduled work takes minutes, and calls it often.
        """
        first, *others = self._documents() or [{}]
        for document in ((event or {}) | first, *others):
            if document:
                # CloudWatch takes the documents from the function's log.
                print(json.dumps(document, separators=(",", ":")))  # noqa: T201
        self._values = {}

    def _documents(self) -> list[dict[str, Any]]:
        """
        Return the metrics as EMF documents, as few as possible: each line costs time and money.

        A document has one value for each name. Sets of dimensions share a document unless they
        name the same dimension or the same metric. (Powertools writes a line for each set.)
        """
        documents: list[dict[str, Any]] = []
        for dimensions, values in self._values.items():
            for start in range(0, max(map(len, values.values())), MOST_VALUES):
                samples = {name: each[start : start + MOST_VALUES] for name, each in values.items()}
                members = dict(dimensions) | {name: some for name, some in samples.items() if some}
                for document in documents:
                    if not document.keys() & members.keys():
                        break
                else:
                    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": []}
                    document = {"_aws": about, "service": logger.service}
                    documents.append(document)
                document |= members
                document["_aws"]["CloudWatchMetrics"].append(
                    {
                        "Namespace": NAMESPACE,
                        "Dimensions": [["service", *dict(dimensions)]],
                        "Metrics": [
                            {"Name": name, "Unit": UNITS.get(name, "Count")}
                            for name, some in samples.items()
                            if some
                        ],
                    }
                )
        return documents


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
