"""Draw the dashboards as they are deployed, with what the local stack's function has emitted."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]  # It ships no types.

from infra.dashboard_view import aws_metrics, charts, logs_insights
from infra.dashboard_view.charts import LIBRARY, MINUTE, ROW, WIDTH, picture
from infra.dashboard_view.cloudwatch_math import Samples, alarm_periods, widget_queries

ROWS = 10
"""Rows of a query that its widget has room for."""
ANYBODY = "CALLER_SHA256"


def render(  # noqa: PLR0913 - what a page is made of.
    dashboards: Mapping[str, Sequence[Mapping[str, Any]]],
    samples: Samples,
    alarms: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
    *,
    to: Path,
    png: bool,
) -> dict[str, Path]:
    """
    Write one page for each dashboard below the folder `to`, and the library that draws them.

    Widgets and alarms are by name; `lines` is what was logged, for the queries. A picture that
    cannot be drawn raises `PictureError`.
    """
    to.mkdir(parents=True, exist_ok=True)
    (to / LIBRARY).write_text(get_plotlyjs(), encoding="utf-8")
    written = {name: to / f"{name}.html" for name in dashboards}
    for name, widgets in dashboards.items():
        written[name].write_text(page(name, widgets, samples, alarms, lines), encoding="utf-8")
    if png:
        with ThreadPoolExecutor() as pool:
            pictures = []
            for name, widgets in dashboards.items():
                height = max(each["y"] + each["height"] for each in widgets) * (ROW + 8) + 70
                file = written[name]
                pictures.append(pool.submit(picture, file, file.with_suffix(".png"), height=height))
            for each in pictures:
                each.result()
    return written


def page(
    name: str,
    widgets: Iterable[Mapping[str, Any]],
    samples: Samples,
    alarms: Mapping[str, Any],
    lines: Iterable[Mapping[str, Any]] = (),
) -> str:
    """Return a dashboard as a page that needs nothing but `plotly.min.js` beside it."""
    lines = list(lines)
    somebody = _most_refused(lines)
    shown = []
    for widget in widgets:
        properties = widget["properties"]
        content: dict[str, Any]
        match widget["type"]:
            case "alarm":
                content = {"alarms": _alarms(properties["alarms"], samples, alarms)}
            case "text":
                text = MarkdownIt().render(properties["markdown"])
                content = {"html": Markup(text)}  # noqa: S704 - Without HTML of its own.
            case "log":
                query = properties["query"].replace(ANYBODY, somebody)
                content = _rows(logs_insights.run(query, lines))
            case _:
                content = _graph(widget, samples)
        place = {side: widget[side] for side in ("x", "y", "width", "height")}
        shown.append({"title": properties.get("title", ""), **place, **content})
    title = name if samples.period == MINUTE else f"{name}: {samples.period} s count as a minute"
    return _template().render(
        title=f"{title}, {_days(samples)}UTC",
        library=LIBRARY,
        widgets=shown,
        width=WIDTH,
        row=ROW,
    )


@cache
def _template() -> jinja2.Template:
    source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, trim_blocks=True).from_string(source)


def _graph(widget: Mapping[str, Any], samples: Samples) -> dict[str, Any]:
    queries = widget_queries(widget["properties"]["metrics"])
    metrics = [each.metric for each in queries if each.metric]
    # What AWS itself would count is counted otherwise here.
    notes = [aws_metrics.NOTES.get(each, "") for each in metrics[0][1::-1]] if metrics else []
    note = next(filter(None, notes), "")
    height = widget["height"] * (ROW + 8) - (68 if note else 50)
    if figure := charts.graph(widget, samples, height=height):
        return {"note": note, "html": charts.as_html(figure)}
    return {"note": note, "none": "No data: none of it happened, or AWS alone counts it."}


def _most_refused(lines: Iterable[Mapping[str, Any]]) -> str:
    """Return the caller whom the query about one caller shows: who was refused most often."""
    refused = Counter(
        line["audit"]["caller"]
        for line in lines
        if line.get("message") == "audit" and {"caller", "problem"} <= line["audit"].keys()
    )
    return next((caller for caller, _ in refused.most_common(1)), ANYBODY)


def _rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the first rows of a query, as many as its widget shows."""
    if not rows:
        return {"none": "No rows."}
    columns = [name for name in rows[0] if any(row.get(name) is not None for row in rows)]
    return {
        "columns": [name.removeprefix("audit.") for name in columns],
        "rows": [[_cell(name, row.get(name)) for name in columns] for row in rows[:ROWS]],
        "none": f"{len(rows)} rows in all" if len(rows) > ROWS else "",
    }


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in {"@timestamp", "last"}:
        return f"{datetime.fromtimestamp(value, UTC):%H:%M:%S}"
    return str(value)


def _alarms(
    arns: Iterable[str], samples: Samples, alarms: Mapping[str, Any]
) -> list[list[tuple[str, str, str]]]:
    """Return state, name and words of each alarm, those that are on first."""
    shown: dict[str, list[tuple[str, str, str]]] = {"on": [], "was": [], "": []}
    for arn in arns:
        name = arn.rpartition(":")[2]
        periods = alarm_periods(alarms[name], samples)
        state, said = "", "OK"
        if periods:
            is_on = max(periods) == samples.periods[-1]
            state, said = ("on", "in alarm") if is_on else ("was", "OK, was in alarm")
            said += f" {_when(periods, samples.period)}"
        shown[state].append((state, name, said))
    return [each for each in shown.values() if each]


def _days(samples: Samples) -> str:
    """Return on which days it happened, since the axes tell the time alone."""
    ends = (samples.periods[0], samples.periods[-1]) if samples.periods else ()
    days = [f"{datetime.fromtimestamp(at * samples.period, UTC):%d %b %Y}" for at in ends]
    return " to ".join(dict.fromkeys(days)) + ", " if days else ""


def _when(periods: set[int], period: int) -> str:
    """Return from when to when: the ends of each run of periods."""
    form = "%H:%M" if period == MINUTE else "%H:%M:%S"
    began = sorted(at for at in periods if at - 1 not in periods)
    ended = sorted(at + 1 for at in periods if at + 1 not in periods)
    return ", ".join(
        " to ".join(f"{datetime.fromtimestamp(at * period, UTC):{form}}" for at in run)
        for run in zip(began, ended, strict=True)
    )
