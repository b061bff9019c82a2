"""Charts in the look of CloudWatch, and pictures of pages."""

import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]  # It ships no types.
from markupsafe import Markup

from infra.dashboard_view.cloudwatch_math import Samples, widget_queries
from infra.web.chromium import chromium_arguments, chromium_path

ROW = 46
"""Pixels of one unit of a widget's height."""
WIDTH = 1500
DRAWN_WITHIN = 60
"""Seconds for Chromium to draw a page."""
MINUTE = 60
LIBRARY = "plotly.min.js"
COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")
DASHES = ("solid", "dash", "dot")
PATTERNS = ("", "/", "x", ".")
UNIT = {"size": 11, "color": "#5f6b7a"}


class PictureError(Exception):
    """Chromium is missing, or drew no picture."""


def graph(widget: Mapping[str, Any], samples: Samples, *, height: int) -> go.Figure | None:
    """Return a widget's chart, or None where it has no data."""
    properties = widget["properties"]
    queries = samples.found(widget_queries(properties["metrics"]))
    # From the period before the first: a single one needs an axis, too.
    periods = range(samples.periods.start - 1, samples.periods.stop)
    times = [datetime.fromtimestamp(at * samples.period, UTC) for at in periods]
    figure, right = go.Figure(), False
    for query in queries:
        values = samples.values(queries, query) if query.shown else {}
        if not values:
            continue
        right = right or query.right
        stacked = properties.get("stacked") and not query.right
        colored = [trace.fillcolor for trace in figure.data]
        # A line breaks where there is no data; a stack has to stand on something.
        absent = 0 if stacked else None
        color = query.color or None
        figure.add_scatter(
            x=times,
            y=[values.get(at, absent) for at in periods],
            name=query.label,
            # The outline of a part that is nothing would hide that of the one below it.
            mode="none" if stacked else "lines+markers",
            # A line that lies on another shows between its dashes.
            line={"dash": DASHES[len(figure.data) % len(DASHES)], "color": color},
            marker={"color": color},
            fillcolor=color if stacked else None,
            # What shares the colour of failure is told apart by its pattern.
            fillpattern={"shape": PATTERNS[colored.count(color) % len(PATTERNS)]},
            cliponaxis=stacked,
            yaxis="y2" if query.right else "y",
            stackgroup="all" if stacked else None,
        )
    if not figure.data:
        return None
    axis, other = properties["yAxis"]["left"], properties["yAxis"].get("right", {})
    figure.update_layout(
        height=height,
        margin={"l": 56, "r": 56 if right else 12, "t": 6, "b": 6},
        colorway=COLORS,
        plot_bgcolor="#fff",
        showlegend=True,
        legend={"orientation": "h", "y": -0.15},
        xaxis={
            "gridcolor": "#eaeded",
            "range": [times[0], times[-1]],
            # As many as fit side by side, and none closer than its label tells.
            "nticks": min(widget["width"] // 2, len(times) - 1),
            "tickangle": 0,
            "tickformat": "%H:%M" if samples.period == MINUTE else "%H:%M:%S",
        },
        yaxis={
            "title": {"text": axis.get("label", ""), "font": UNIT, "standoff": 4},
            "gridcolor": "#eaeded",
            "range": [0, axis["max"]] if "max" in axis else None,
            "rangemode": "tozero",
        },
        yaxis2={
            "title": {"text": other.get("label", ""), "font": UNIT, "standoff": 4},
            "overlaying": "y",
            "side": "right",
            "rangemode": "tozero",
            "showgrid": False,
            # Not at the marks of the left axis, where its numbers would be odd ones.
            "tickmode": "auto",
        },
    )
    return figure


def as_html(figure: go.Figure) -> Markup:
    """Return a chart that needs the `LIBRARY` beside its page."""
    config = {"displayModeBar": False, "responsive": True}
    # It is data escaped by plotly itself.
    return Markup(figure.to_html(full_html=False, include_plotlyjs=False, config=config))  # noqa: S704


def picture(source: Path, png: Path, *, height: int, width: int = WIDTH + 32) -> None:
    """Draw a page with Chromium, or raise `PictureError`."""
    chromium = chromium_path()
    if chromium is None:
        raise PictureError("no Chromium for the picture: python -m infra.web.chromium")
    png.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            # A new profile, because another Chromium may hold the usual one.
            *(chromium, *chromium_arguments(), "--headless", f"--user-data-dir={profile}"),
            *(f"--screenshot={png.resolve()}", f"--window-size={width},{height}"),
            *("--hide-scrollbars", "--virtual-time-budget=10000", source.resolve().as_uri()),
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=DRAWN_WITHIN)
        except (subprocess.SubprocessError, OSError) as error:
            what = f"Chromium could not draw {source.name}: {type(error).__name__}"
            raise PictureError(what) from error
    if not png.exists():
        raise PictureError(f"Chromium drew no {png.name}")
