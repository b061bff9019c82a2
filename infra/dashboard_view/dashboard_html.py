"""
Draw the dashboards as they are deployed, with what the local stack's function has emitted.
"""

import html
import json
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]  # It ships no types.
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from infra.dashboard_view import aws_metrics, logs_insights
from infra.dashboard_view.cloudwatch_math import Query, Samples, alarm_periods, widget_queries
from infra.operator import audit_log
from infra.operator.burst_simulation import Burst
from infra.operator.deployed import LOCAL_OUTPUTS, Deployed, OperatorError
from infra.web.chromium import chromium_arguments, chromium_path

ROW = 46
"""
Pixels of one unit of a widget's height.
"""
WIDTH = 1500
DRAWN_WITHIN = 60
"""
Seconds for Chromium to draw a page.
"""
MINUTE = 60
ROWS = 10
"""
Rows of a query that its widget has room for.
"""
LIBRARY = "plotly.min.js"
# CloudWatch's own palette: the page looks like the dashboard.
COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")
DASHES = ("solid", "dash", "dot")
PATTERNS = ("", "/", "x", ".")
UNIT = {"size": 11, "color": "#5f6b7a"}
ANYBODY = "CALLER_SHA256"
STYLE = f"""
body {{ font: 14px system-ui, sans-serif; background: #f2f3f3; margin: 16px; width: {WIDTH}px }}
main {{ display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: {ROW}px; gap: 8px }}
section {{ background: #fff; border: 1px solid #d5dbdb; padding: 8px 12px; overflow: hidden }}
h2 {{ font-size: 14px; margin: 0 0 4px }} h3 {{ margin: 4px 0 }} li {{ margin-left: 18px }}
table {{ border-collapse: collapse; font-size: 12px }} tr + tr {{ border-top: 1px solid #eaeded }}
th, td {{ text-align: left; padding: 3px 14px 3px 0; white-space: nowrap }}
.none, .note {{ color: #5f6b7a }} .note {{ font-size: 11px; margin: 0 }}
.alarm {{ display: inline-block; padding: 4px 10px; margin: 2px; border-radius: 4px;
          background: #e9f5ec; color: #14532d }}
.alarm.on {{ background: #b91c1c; color: #fff }}
.alarm.was {{ background: #fde8b8; color: #713f12 }}
"""


def render(  # noqa: PLR0913 - what a page is made of.
    deployed: Deployed,
    names: Sequence[str],
    *,
    to: Path,
    png: bool,
    hours: float,
    period: int,
) -> dict[str, Path]:
    """
    Write one page for each dashboard below the folder `to`, and the library that draws them.

    Args:
        deployed: The local stack.
        names: The dashboards.
        to: The folder.
        png: Draw a picture beside each page.
        hours: How far back to look.
        period: Seconds that count as CloudWatch's minute; less than 60 shows a scene played fast.

    """
    since = time.time() - hours * 3600
    lines = list(audit_log.lines(deployed, since=since))
    samples = Samples([*lines, *aws_metrics.lines(deployed, since=since)], period=period)
    cloudwatch = deployed.client("cloudwatch")
    alarms = _alarms_of(deployed.stage)
    to.mkdir(parents=True, exist_ok=True)
    (to / LIBRARY).write_text(get_plotlyjs(), encoding="utf-8")
    written, heights = {}, {}
    for name in names:
        body = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
        written[name] = to / f"{name}.html"
        widgets = body["widgets"]
        written[name].write_text(page(name, widgets, samples, alarms, lines), encoding="utf-8")
        heights[name] = max(widget["y"] + widget["height"] for widget in widgets) * (ROW + 8) + 70
    if png:
        with ThreadPoolExecutor() as pool:
            pictures = [
                pool.submit(picture, file, file.with_suffix(".png"), height=heights[name])
                for name, file in written.items()
            ]
            for each in pictures:
                each.result()
    return written


def _alarms_of(stage: str) -> dict[str, Any]:
    """
    Return the alarms by name, as synthesized: MiniStack has no metric math.
    """
    file = LOCAL_OUTPUTS.parent / "cdk.out" / f"AuroraTokenVendor-{stage}.template.json"
    resources = json.loads(file.read_text())["Resources"].values()
    alarms = [
        resource["Metadata"]["Synthesized"]
        for resource in resources
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]
    return {alarm["AlarmName"]: alarm for alarm in alarms}


def picture(source: Path, png: Path, *, height: int, width: int = WIDTH + 32) -> None:
    """
    Draw a page with Chromium.

    Raises:
        OperatorError: There is no Chromium, or it failed.

    """
    chromium = chromium_path()
    if chromium is None:
        raise OperatorError("no Chromium for the picture: python -m infra.web.chromium")
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
            raise OperatorError(
                f"Chromium could not draw {source.name}: {type(error).__name__}"
            ) from error
    if not png.exists():
        raise OperatorError(f"Chromium drew no {png.name}")


def burst_picture(burst: Burst, png: Path, *, ahead: Burst | None = None) -> None:
    """
    Draw a simulated burst; beside it the same one with `prewarm`.

    Raises:
        OperatorError: There is no Chromium, or it failed.

    """
    shares = [number / 100 for number in range(1, 101)]
    shown = {"as it is": burst} | ({"with prewarm": ahead} if ahead else {})
    calls = go.Figure(
        [
            go.Bar(
                x=[-minute for minute, _ in each.ahead_by_minute]
                + list(range(len(each.calls_by_minute))),
                y=[calls for _, calls in each.ahead_by_minute] + list(each.calls_by_minute),
                name=name,
                marker_color=color,
            )
            for (name, each), color in zip(shown.items(), COLORS, strict=False)
        ]
    )
    calls.update_layout(title="Aurora's calls by minute", height=380, width=WIDTH - 40)
    waits = go.Figure(
        [
            go.Scatter(
                x=[100 * s for s in shares],
                y=list(map(each.percentile, shares)),
                name=name,
                line_color=color,
            )
            for (name, each), color in zip(shown.items(), COLORS, strict=False)
        ]
    )
    waits.update_layout(title="Seconds that callers wait, by percentile", height=380)
    figures = [_figure(calls, first=True), _figure(waits, first=False)]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "burst.html")
        source.write_text(_document("Simulated burst", figures), encoding="utf-8")
        source.with_name(LIBRARY).write_text(get_plotlyjs(), encoding="utf-8")
        picture(source, png, height=820)


def page(
    name: str,
    widgets: Iterable[Mapping[str, Any]],
    samples: Samples,
    alarms: Mapping[str, Any],
    lines: Iterable[Mapping[str, Any]] = (),
) -> str:
    """
    Return a dashboard as a page that needs nothing but `plotly.min.js` beside it.

    Args:
        name: The dashboard.
        widgets: Its widgets, as synthesized.
        samples: What was emitted.
        alarms: The properties of the stage's alarms, by name.
        lines: What was logged, for the queries.

    """
    sections, first, lines = [], True, list(lines)
    somebody = _most_refused(lines)
    for widget in widgets:
        properties = widget["properties"]
        match widget["type"]:
            case "alarm":
                content = _alarms(properties["alarms"], samples, alarms)
            case "text":
                content = _markdown(properties["markdown"])
            case "log":
                query = properties["query"].replace(ANYBODY, somebody)
                content = _rows(logs_insights.run(query, lines))
            case _:
                content = _note(properties) + _graph(widget, samples, first=first)
                first = False
        title = html.escape(properties.get("title", ""))
        place = (
            f"grid-column: {widget['x'] + 1} / span {widget['width']};"
            f"grid-row: {widget['y'] + 1} / span {widget['height']}"
        )
        heading = f"<h2>{title}</h2>" if title else ""
        sections.append(f'<section style="{place}">{heading}{content}</section>')
    title = name if samples.period == MINUTE else f"{name}: {samples.period} s count as a minute"
    return _document(f"{title}, {_days(samples)}UTC", [f"<main>{''.join(sections)}</main>"])


def _document(title: str, parts: Iterable[str]) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>{''.join(parts)}</html>"
    )


def _graph(widget: Mapping[str, Any], samples: Samples, *, first: bool) -> str:
    properties = widget["properties"]
    figure = go.Figure()
    queries = samples.found(widget_queries(properties["metrics"]))
    # From the period before the first: a single one needs an axis, too.
    periods = range(samples.periods.start - 1, samples.periods.stop)
    times = [datetime.fromtimestamp(at * samples.period, UTC) for at in periods]
    drawn: list[Query] = []
    for query in queries:
        values = samples.values(queries, query) if query.shown else {}
        if values:
            drawn.append(query)
            stacked = properties.get("stacked") and not query.right
            colored = [trace.fillcolor for trace in figure.data]
            # A line breaks where there is no data; a stack has to stand on something.
            absent = 0 if stacked else None
            color = query.color or None
            figure.add_trace(
                go.Scatter(
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
            )
    if not figure.data:
        return '<p class="none">No data: none of it happened, or AWS alone counts it.</p>'
    axis, other = properties["yAxis"]["left"], properties["yAxis"].get("right", {})
    noted = bool(_note(properties))
    figure.update_layout(
        height=widget["height"] * (ROW + 8) - (68 if noted else 50),
        margin={"l": 56, "r": 56 if any(q.right for q in drawn) else 12, "t": 6, "b": 6},
        colorway=COLORS,
        plot_bgcolor="#fff",
        showlegend=True,
        legend={"orientation": "h", "y": -0.15},
        xaxis={
            "gridcolor": "#eaeded",
            "range": [times[0], times[-1]],
            # As many as fit side by side.
            "nticks": widget["width"] // 2,
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
    return _figure(figure, first=first)


def _note(properties: Mapping[str, Any]) -> str:
    """
    Return what a widget shows of AWS's own metrics, where it has some.
    """
    metrics = [each.metric for each in widget_queries(properties["metrics"]) if each.metric]
    notes = [aws_metrics.NOTES.get(each, "") for each in metrics[0][1::-1]] if metrics else []
    note = next(filter(None, notes), "")
    return f'<p class="note">{html.escape(note)}</p>' if note else ""


def _most_refused(lines: Iterable[Mapping[str, Any]]) -> str:
    """
    Return the caller whom the query about one caller is shown for: who was refused most often.
    """
    refused = Counter(
        line["audit"]["caller"]
        for line in lines
        if line.get("message") == "audit" and {"caller", "problem"} <= line["audit"].keys()
    )
    return next((caller for caller, _ in refused.most_common(1)), ANYBODY)


def _figure(figure: go.Figure, *, first: bool) -> str:
    # The library is a file beside the pages: they need no network.
    library = "directory" if first else False
    config = {"displayModeBar": False, "responsive": True}
    return str(figure.to_html(full_html=False, include_plotlyjs=library, config=config))


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """
    Return the first rows of a query as a table, as many as its widget shows.
    """
    if not rows:
        return '<p class="none">No rows.</p>'
    columns = [name for name in rows[0] if any(row.get(name) is not None for row in rows)]
    heads = "".join(f"<th>{html.escape(name.removeprefix('audit.'))}</th>" for name in columns)
    cells = "".join(
        "<tr>" + "".join(f"<td>{_cell(name, row.get(name))}</td>" for name in columns) + "</tr>"
        for row in rows[:ROWS]
    )
    more = f'<p class="none">{len(rows)} rows in all</p>' if len(rows) > ROWS else ""
    return f"<table><tr>{heads}</tr>{cells}</table>{more}"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in {"@timestamp", "last"}:
        return f"{datetime.fromtimestamp(value, UTC):%H:%M:%S}"
    return html.escape(str(value))


def _alarms(arns: Iterable[str], samples: Samples, alarms: Mapping[str, Any]) -> str:
    shown: dict[str, list[str]] = {"on": [], "was": [], "": []}
    for arn in arns:
        name = arn.rpartition(":")[2]
        periods = alarm_periods(alarms[name], samples)
        state, said = "", "OK"
        if periods:
            is_on = max(periods) == samples.periods[-1]
            state, said = ("on", "in alarm") if is_on else ("was", "OK, was in alarm")
            said += f" {_when(periods, samples.period)}"
        shown[state].append(f'<span class="alarm {state}">{html.escape(name)}: {said}</span>')
    return "<br>".join("".join(each) for each in shown.values() if each)


def _days(samples: Samples) -> str:
    """
    Return on which days it happened, since the axes tell the time alone.
    """
    ends = (samples.periods[0], samples.periods[-1]) if samples.periods else ()
    days = [f"{datetime.fromtimestamp(at * samples.period, UTC):%d %b %Y}" for at in ends]
    return " to ".join(dict.fromkeys(days)) + ", " if days else ""


def _when(periods: set[int], period: int) -> str:
    """
    Return from when to when: the ends of each run of periods.
    """
    form = "%H:%M" if period == MINUTE else "%H:%M:%S"
    began = sorted(at for at in periods if at - 1 not in periods)
    ended = sorted(at + 1 for at in periods if at + 1 not in periods)
    return ", ".join(
        " to ".join(f"{datetime.fromtimestamp(at * period, UTC):{form}}" for at in run)
        for run in zip(began, ended, strict=True)
    )


def _markdown(text: str) -> str:
    """
    Return the few marks that our text widgets use, as HTML.
    """
    text = html.escape(re.sub(r"\n(?=[^\n#-])", " ", text.strip()))
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"\*(.+?)\*", r"<i>\1</i>", text)
    text = re.sub(r"`(.+?)`", r"<code>\1</code>", text)
    lines = [
        re.sub(r"^### (.*)", r"<h3>\1</h3>", re.sub(r"^- (.*)", r"<li>\1</li>", line))
        for line in text.split("\n")
    ]
    return "".join(lines)
