"""A sweep as one self-contained HTML page: the front, every cell, the pictures, and what it rests on."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from snnport.report import interactive, units
from snnport.report.html import style_sheet, templates
from snnport.report.sweep import DONE, UNFIT, Row, SweepReport
from snnport.report.sweep_picture import PANELS, colour_of, panels, words


def render(report: SweepReport, interactive_charts: bool = True) -> str:
    """The page; `interactive_charts` adds one plot that needs plotly.js (4.8 MB)."""
    drawn = panels(report.rows)
    figure = interactive.script_json(scatter(report.rows)) if drawn and interactive_charts else None
    page = (
        templates()
        .get_template("sweep.html.j2")
        .render(
            report=report,
            style=style_sheet(),
            front=front(report.rows),
            lead=sentence(report.rows),
            figures=words_of,
            panels=drawn,
            colours=colour_of(report.rows),
            figure=figure,
            plotly=interactive.library() if figure else None,
        )
    )
    return page.encode("utf-8", "replace").decode()


def front(rows: Sequence[Row]) -> list[Row]:
    """What no other cell beats, the most accurate first."""
    return sorted((r for r in rows if r.pareto), key=lambda r: (-(r.objective("accuracy") or 0.0), r.energy_j or 0.0))


def sentence(rows: Sequence[Row]) -> str:
    """How the sweep went, in words."""
    ran, unfit = (sum(row.status == status for row in rows) for status in (DONE, UNFIT))
    failed = len(rows) - ran - unfit
    best = front(rows)
    text = f"{units.plural(len(rows), 'cell')}: {ran} ran, {unfit} do not fit, {failed} could not be computed."
    if best:
        kept = units.plural(len(best), "cell is", "cells are")
        text += f" {kept} beaten by no other in accuracy, energy, latency and operations."
    return text


def words_of(row: Row) -> dict[str, str]:
    """The figures of a row as texts."""
    found = {panel.objective: words(row, panel) for panel in PANELS}
    if row.latency_s is None and row.steps is not None and row.status == DONE:
        found["latency"] = units.plural(row.steps, "step")
    shown = row.objective("accuracy")
    return {"accuracy": units.percent(shown) + (" agree" if row.accuracy is None and shown is not None else ""), **found}


def scatter(rows: Sequence[Row]) -> dict[str, Any]:
    """A plotly figure: a trace a target; a menu chooses what lies across."""
    colours = colour_of(rows)
    shown = [panel for panel in PANELS if any(r.status == DONE and r.objective(panel.objective) for r in rows)]
    by_target = {name: [r for r in rows if r.target == name and r.status == DONE] for name in colours}
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": html.escape(name),
            "x": [r.objective(shown[0].objective) for r in own],
            "y": [r.objective("accuracy") for r in own],
            "text": [html.escape(r.name) for r in own],
            "marker": {
                "color": colours[name],
                "size": [12 if r.pareto else 8 for r in own],
                "line": {"width": [2 if r.pareto else 0 for r in own], "color": "#1b2027"},
            },
            "hovertemplate": "%{text}<br>%{y:.2%}, %{x:.3~s}<extra></extra>",
        }
        for name, own in by_target.items()
        if own
    ]
    buttons = [
        {
            "label": panel.title,
            "method": "update",
            "args": [
                {"x": [[r.objective(panel.objective) for r in own] for own in by_target.values() if own]},
                {"xaxis.title.text": f"{panel.title}{f' ({panel.unit})' if panel.unit else ''}"},
            ],
        }
        for panel in shown
    ]
    unit = f" ({shown[0].unit})" if shown[0].unit else ""
    layout = {
        "height": 460,
        "margin": {"l": 60, "r": 12, "t": 60, "b": 50},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "legend": {"orientation": "h", "x": 0, "y": -0.18},
        "xaxis": {"type": "log", "title": {"text": shown[0].title + unit}, "tickformat": "~s"},
        "yaxis": {"title": {"text": "accuracy"}, "tickformat": "~%"},
        "updatemenus": [{"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}],
    }
    return {"data": traces, "layout": layout}
