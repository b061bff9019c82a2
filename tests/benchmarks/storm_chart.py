"""
Draw the storm: tokens vended over time, ours beside the page's flow run naively.

Both really run on the harness, against a fake Aurora that enforces its limit, at a speed that two
cores sustain. The picture tells the time at Aurora's real 90 requests a minute.
"""

import queue
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import plotly.graph_objects as go  # type: ignore[import-untyped]  # It ships no types.

from infra.dashboard_view.charts import picture
from tests.benchmarks.ours_vs_bare import TIMEOUT, Pair
from tests.support import Harness, token_event
from tests.support.clients import people
from tests.support.environment import Environment
from tests.support.storm import PROCESSES, storm

CALLERS = 300
LIMIT = 1500
"""Calls a minute that the fake grants while this runs."""
REAL_LIMIT = 90
SHOWN = 10
"""Minutes at the real limit that are drawn, and how long the naive flow is watched."""
RELOAD = 60
"""Seconds at the real limit, half to one and a half times, until somebody reloads a page."""
SPEED = LIMIT / REAL_LIMIT
WINDOW, GRACE = 60 / SPEED, 5 / SPEED
"""Seconds of Aurora's minute, and of the default `turn_grace`, at that speed."""
WIDTH, HEIGHT = 1000, 460


def ours() -> list[float]:
    """Return when each caller had their token, in minutes at the real limit."""
    done = storm(limit=LIMIT, known=True, callers=CALLERS, window=WINDOW, grace=GRACE)
    return [second * SPEED / 60 for second in done.served_by()]


def naive() -> list[float]:
    """
    Return the same of list and generate on every page load, which is reloaded where it failed.

    Kinder to it than Aurora may be: the whole list comes in one page, and nobody reloads more
    often than once in half a minute.
    """
    users = people(CALLERS)
    with Harness(processes=0, aurora={"rate_limit": 0, "users": users}) as harness:
        pair = Pair(harness, "bare_generate")
        environments = queue.Queue[Environment]()
        for environment in [pair.start("bare") for _ in range(PROCESSES)]:
            environment.invoke(token_event(users[0]["email"]), timeout=TIMEOUT)
            environments.put(environment)
        harness.reset(users=users, rate_limit=REAL_LIMIT, rate_window=WINDOW)
        started = time.monotonic()
        end = started + SHOWN * 60 / SPEED

        def visit(email: str) -> float | None:
            while time.monotonic() < end:
                environment = environments.get()
                try:
                    answer = environment.invoke(token_event(email), timeout=TIMEOUT)
                finally:
                    environments.put(environment)
                if answer["statusCode"] == 200:
                    return (time.monotonic() - started) * SPEED / 60
                time.sleep(random.uniform(0.5, 1.5) * RELOAD / SPEED)  # noqa: S311 - people.
            return None

        with ThreadPoolExecutor(CALLERS) as pool:
            served = list(pool.map(visit, [user["email"] for user in users]))
        while not environments.empty():
            environments.get().stop()
    return sorted(minute for minute in served if minute is not None and minute <= SHOWN)


def draw(png: Path) -> tuple[float, int, float | None]:
    """
    Run both and draw them.

    Returns:
        After how many minutes ours had served everybody, whom the naive flow had served by then,
        and after how many minutes it had served everybody, or None within those shown.

    """
    lines = {"this service": ours(), "list and generate on every page load": naive()}
    figure = go.Figure()
    figure.add_scatter(
        x=[0, CALLERS / REAL_LIMIT],
        y=[0, CALLERS],
        name="Aurora's limit: 90 calls a minute",
        mode="lines",
        line={"dash": "dot", "color": "#7f7f7f"},
    )
    for (name, minutes), color in zip(lines.items(), ("#1f77b4", "#d62728"), strict=True):
        figure.add_scatter(
            x=[0, *minutes],
            y=[0, *range(1, len(minutes) + 1)],
            name=name,
            line={"shape": "hv", "color": color, "width": 3},
        )
    figure.update_layout(
        width=WIDTH,
        height=HEIGHT,
        template="plotly_white",
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
        title=f"{CALLERS} people sign in at the same moment",
        xaxis={"title": "minutes", "range": [0, SHOWN]},
        yaxis={"title": "people with a token", "range": [0, CALLERS * 1.05]},
        legend={"x": 0.98, "xanchor": "right", "y": 0.1},
    )
    source = png.with_suffix(".html")
    figure.write_html(source, config={"displayModeBar": False})
    picture(source, png, height=HEIGHT + 16, width=WIDTH + 16)
    source.unlink()
    mine, naively = lines.values()
    by_then = sum(minute <= max(mine) for minute in naively)
    return max(mine), by_then, max(naively) if len(naively) == CALLERS else None
