"""
Choose the function's memory: Lambda gives CPU in proportion to it, a whole one at 1,769 MB.

    python -m tests.benchmarks.memory

Runs the environment under the kernel's quota of CPU, as Lambda does, at several sizes, and prints
latency and cost. Needs root and a cgroup (version 1) with the controller `cpu`; a cold start on
Lambda may be quicker than here, because its initialization is often given more CPU.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from infra.fake_aurora.users import JESSICA
from infra.local.ministack import CREDENTIALS
from tests.benchmarks.cost import LAMBDA_ARM_GB_SECOND, LAMBDA_REQUESTS_PER_MILLION, MILLION
from tests.support import Harness, token_event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.environment import Environment

CGROUP = Path("/sys/fs/cgroup/cpu/aurora-token-vendor")
WHOLE_CPU_MB = 1769
"""AWS's guide, "Configure Lambda function memory"."""
SIZES = (256, 512, 1024, 1769)
PERIOD_US = 20_000
COLD, WARM = 7, 400
TIMEOUT = 25
EMAIL = JESSICA["email"]


@contextmanager
def limited_to(memory_mb: int) -> Iterator[None]:
    """
    Let whoever is put into the cgroup have the CPU that goes with the memory.
    """
    CGROUP.mkdir(exist_ok=True)
    (CGROUP / "cpu.cfs_period_us").write_text(str(PERIOD_US))
    (CGROUP / "cpu.cfs_quota_us").write_text(str(PERIOD_US * memory_mb // WHOLE_CPU_MB))
    try:
        yield
    finally:
        CGROUP.rmdir()


def started(harness: Harness) -> Environment:
    """
    Start an environment inside the cgroup.
    """
    environment = harness.start_environment()
    (CGROUP / "cgroup.procs").write_text(str(environment.pid))
    return environment


def measured(harness: Harness) -> tuple[float, list[float]]:
    """
    Return the median cold start and every warm request, in milliseconds; the token is stored.
    """
    cold = []
    for _ in range(COLD):
        before = time.perf_counter()
        environment = started(harness)
        environment.invoke(token_event(EMAIL), timeout=TIMEOUT)
        cold.append((time.perf_counter() - before) * 1000)
        environment.stop()
    environment, warm = started(harness), []
    for _ in range(WARM):
        before = time.perf_counter()
        environment.invoke(token_event(EMAIL), timeout=TIMEOUT)
        warm.append((time.perf_counter() - before) * 1000)
    environment.stop()
    return median(cold), warm


def main() -> None:
    """
    Print the table.
    """
    print("| memory | cold start | stored, p50 | stored, p99 | a million stored |")  # noqa: T201
    print("| --- | --- | --- | --- | --- |")  # noqa: T201
    with Harness(processes=1) as harness:
        harness.vend(EMAIL)
        for size in SIZES:
            with limited_to(size):
                cold, warm = measured(harness)
            p99 = quantiles(warm, n=100)[98]
            gb_seconds = size / 1024 * sum(warm) / len(warm) / 1000
            cost = MILLION * gb_seconds * LAMBDA_ARM_GB_SECOND + LAMBDA_REQUESTS_PER_MILLION
            cells = (
                f"{size} MB",
                *(f"{ms:.1f} ms" for ms in (cold, median(warm), p99)),
                f"${cost:.2f}",
            )
            print(f"| {' | '.join(cells)} |")  # noqa: T201


if __name__ == "__main__":
    os.environ.update(CREDENTIALS)
    sys.exit(main())
