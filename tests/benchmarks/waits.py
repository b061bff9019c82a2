"""What a person waits: requests to the deployed local stack, with a slow Aurora."""

import time
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import urllib3

from infra.local.stack import LocalStack, local_stack
from tests.support.clients import people

LATENCIES = (0.3, 1.0)
"""Seconds that Aurora takes for each call."""
PEOPLE = 40
"""For each latency; together with the readings of the list, fewer than the ring gives at once."""
VISITS = 5
"""Times that each person comes back."""


def waits() -> dict[str, dict[str, Any]]:
    """Give a row for each latency and source: the median in milliseconds, and p99 in its note."""
    rows: dict[str, dict[str, Any]] = {}
    with TemporaryDirectory() as folder, local_stack(Path(folder)) as stack:
        assert stack.fake_aurora
        everybody = people(len(LATENCIES) * PEOPLE)
        stack.fake_aurora.set_users(everybody)
        tokens = [stack.sign_in(user["email"]) for user in everybody]
        _spent(stack, tokens[-1])  # Starts the execution environment, and reads the list.
        for number, latency in enumerate(LATENCIES):
            stack.fake_aurora.behave(latency=latency)
            theirs = tokens[number * PEOPLE :][: PEOPLE - 1]
            spent = {
                "generated": [_spent(stack, token) for token in theirs],
                "stored": [_spent(stack, token) for token in theirs * VISITS],
            }
            for source, times in spent.items():
                rows[f"{source}_ms, Aurora at {latency * 1000:g} ms"] = {
                    "value": round(median(times)),
                    "note": f"p50 of {len(times)} requests; p99 {quantiles(times, n=100)[-1]:.0f}",
                }
    return rows


def _spent(stack: LocalStack, id_token: str) -> float:
    """Return the milliseconds until a person has the answer."""
    started = time.perf_counter()
    answer = urllib3.request(
        "POST",
        stack.outputs.token_url,
        headers={"Authorization": f"Bearer {id_token}"},
        retries=False,
        timeout=60,
    )
    assert answer.status == 200, answer.data
    return (time.perf_counter() - started) * 1000
