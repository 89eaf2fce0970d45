"""Inline SVG: escaped elements, and the row chart that most pictures are.

A row chart places its marks in percent of its width, so that its letters keep their size from 400 to 1400 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from snnport.report.units import shortened

ROW = 44
BAR = 12
AXIS = 22
LINE_CHARS = 48
"""Letters of label and value together that fit side by side at 360 pixels."""


@dataclass(frozen=True)
class Bar:
    """A bar from `start` to `stop`, fractions of the width. css: its class. title: shown on hovering."""

    start: float
    stop: float
    css: str = "bar"
    title: str = ""


@dataclass(frozen=True)
class Tick:
    """A stroke across the bar at `at`, a fraction of the width."""

    at: float
    css: str = "tick"
    title: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a row chart: its label on the left, its value in words on the right, its marks below them."""

    label: str
    value: str
    marks: tuple[Bar | Tick, ...] = ()
    css: str = ""


def tag(name: str, *children: str | Markup, **attributes: object) -> Markup:
    """An element. Attribute names: a trailing underscore falls away, others become hyphens. Everything given is escaped."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value not in (None, "")
    )
    # the only place that declares text safe: the parts are escaped above and in join
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")


def joined(parts: Sequence[str | Markup]) -> Markup:
    """The parts in a row, each escaped unless it is markup already."""
    return Markup("").join(parts)


def picture(label: str, width: object, height: float, *children: str | Markup, css: str = "chart") -> Markup:
    """An <svg> that assistive technology reads as one picture called `label`."""
    return tag("svg", *children, role="img", aria_label=label, class_=css, width=width, height=height)


def row_chart(label: str, rows: Sequence[Row], ticks: Sequence[tuple[float, str]] = ()) -> Markup:
    """A chart of `rows` under each other. ticks: (fraction of the width, text) of the axis below them."""
    bottom = len(rows) * ROW
    parts = [tag("line", class_="guide", x1=_percent(at), x2=_percent(at), y1=0, y2=bottom) for at, _ in ticks]
    parts += [_row(row, i * ROW) for i, row in enumerate(rows)]
    parts += [
        tag("text", text, class_="axis", x=_percent(at), y=bottom + AXIS - 7, text_anchor=_anchor(at)) for at, text in ticks
    ]
    return picture(label, "100%", bottom + (AXIS if ticks else 0), *parts)


def _row(row: Row, top: float) -> Markup:
    label = tag(
        "text",
        shortened(row.label, max(12, LINE_CHARS - len(row.value))),
        tag("title", row.label),
        class_="label",
        x=0,
        y=top + 15,
    )
    value = tag("text", row.value, class_="value", x="100%", y=top + 15, text_anchor="end")
    track = tag("rect", class_="track", x=0, y=top + 22, width="100%", height=BAR, rx=2)
    return tag("g", label, value, track, *(_mark(mark, top + 22) for mark in row.marks), class_=row.css)


def _mark(mark: Bar | Tick, top: float) -> Markup:
    title = tag("title", mark.title) if mark.title else Markup("")
    if isinstance(mark, Tick):
        return tag("line", title, class_=mark.css, x1=_percent(mark.at), x2=_percent(mark.at), y1=top - 3, y2=top + BAR + 3)
    start, stop = sorted((_inside(mark.start), _inside(mark.stop)))
    return tag("rect", title, class_=mark.css, x=_percent(start), y=top, width=_percent(stop - start), height=BAR, rx=2)


def _inside(fraction: float) -> float:
    return min(max(fraction, 0.0), 1.0)


def _percent(fraction: float) -> str:
    return f"{100 * _inside(fraction):.2f}%"


def _anchor(at: float) -> str:
    if at < 0.06:
        return "start"
    return "end" if at > 0.94 else "middle"


def _number(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value
