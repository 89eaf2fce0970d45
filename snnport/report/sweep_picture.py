"""A sweep as scatter plots: accuracy against energy, latency and synaptic operations, the best cells joined by a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from snnport.report.axis import ticks, window
from snnport.report.svg import joined, tag
from snnport.report.sweep import DONE, Row
from snnport.report.units import NONE, between, number, percent, plural, si

WIDTH, HEIGHT = 360, 264
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 30, 40
COLOURS = ("#0b6e99", "#c2571a", "#2f7d4f", "#8a4fbf", "#b3364f", "#6b6f76", "#9a7b12", "#1f4e9e")
STYLE = (
    ".paper{fill:#fff}.axis-line,.guide{stroke:#dfe3e8;stroke-width:1}.front{fill:none;stroke:#1b2027;stroke-width:1.3}"
    "text{font:12px system-ui,'Segoe UI',Roboto,Arial,sans-serif;fill:#1b2027}"
    ".small{font-size:11px;fill:#59626e}.head{font-weight:600}"
)


@dataclass(frozen=True)
class Panel:
    """One plot: what lies across it (an objective), its title, and its unit; "" for plain numbers."""

    objective: str
    title: str
    unit: str


PANELS = (
    Panel("energy_j", "energy per sample", "J"),
    Panel("latency", "latency per sample", "s"),
    Panel("synaptic_operations", "synaptic operations per sample", ""),
)


def picture(rows: Sequence[Row]) -> str:
    """All panels side by side as an SVG document of its own."""
    shown = [panel for panel in PANELS if _points(rows, panel)]
    legend = _legend(rows)
    width = max(1, len(shown)) * WIDTH
    parts = [
        tag("svg", *panel_parts(rows, panel), x=i * WIDTH, y=0, width=WIDTH, height=HEIGHT) for i, panel in enumerate(shown)
    ]
    if not shown:
        parts = [tag("text", "No cell of this sweep ran.", x=LEFT, y=HEIGHT // 2)]
    head = (Markup(f"<style>{STYLE}</style>"), tag("rect", class_="paper", width="100%", height="100%"))
    body = joined([*head, *parts, *legend])
    size = f'width="{width}" height="{HEIGHT + 26}" viewBox="0 0 {width} {HEIGHT + 26}"'
    label = f"Accuracy of {plural(len(rows), 'cell')} of a sweep against what they cost"
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" {size}>{body}</svg>\n'


def panels(rows: Sequence[Row]) -> tuple[tuple[str, Markup], ...]:
    """(title, picture) of every panel that has points, for a page that places them itself."""
    found = []
    for panel in PANELS:
        points = _points(rows, panel)
        if points:
            label = f"Accuracy against {panel.title}, {plural(len(points), 'cell')}"
            parts = panel_parts(rows, panel)
            drawn = tag("svg", *parts, role="img", aria_label=label, class_="scatter", viewBox=f"0 0 {WIDTH} {HEIGHT}")
            found.append((panel.title, drawn))
    return tuple(found)


def colour_of(rows: Sequence[Row]) -> dict[str, str]:
    """Target -> colour, in the order of the rows."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(dict.fromkeys(row.target for row in rows))}


def panel_parts(rows: Sequence[Row], panel: Panel) -> list[Markup]:
    """Axes, front and points of one panel."""
    points = _points(rows, panel)
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    low, high = _decades(xs)
    bottom, top, step = window(ys)

    def across(x: float) -> float:
        return LEFT + (math.log10(x) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (y - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

    parts = [tag("text", "accuracy", class_="small", x=LEFT, y=18)]
    for at, text in ticks(bottom, top, step):
        y = bottom + at * (top - bottom)
        parts.append(tag("line", class_="guide", x1=LEFT, x2=WIDTH - RIGHT, y1=up(y), y2=up(y)))
        parts.append(tag("text", text, class_="small", x=LEFT - 6, y=up(y) + 4, text_anchor="end"))
    for x in _ticks(low, high):
        text = si(x, panel.unit, 1) if panel.unit else si(x, "", 1).strip()
        parts.append(tag("line", class_="guide", x1=across(x), x2=across(x), y1=TOP, y2=HEIGHT - BOTTOM))
        parts.append(tag("text", text, class_="small", x=across(x), y=HEIGHT - BOTTOM + 16, text_anchor="middle"))
    parts.append(tag("text", panel.title, class_="small", x=WIDTH - RIGHT, y=HEIGHT - 6, text_anchor="end"))
    parts.append(_front(points, across, up))
    colours = colour_of(rows)
    for x, y, row in points:
        title = f"{row.name}: {percent(y)}, {words(row, panel)}"
        shape = {"cx": across(x), "cy": up(y), "r": 5 if row.pareto else 3.2, "fill": colours[row.target]}
        ring = {"stroke": "#1b2027", "stroke_width": 1.2} if row.pareto else {"fill_opacity": "0.65"}
        parts.append(tag("circle", tag("title", title), class_="cell-point", **shape, **ring))
    return parts


def words(row: Row, panel: Panel) -> str:
    """A row's figure on a panel, with its range where there is one."""
    value = row.objective(panel.objective)
    if value is None:
        return NONE
    if panel.objective == "energy_j" and row.energy_low_j is not None and row.energy_high_j is not None:
        return f"{si(value, 'J')} ({between(row.energy_low_j, row.energy_high_j, 'J')})"
    return si(value, panel.unit) if panel.unit else number(value)


def _points(rows: Sequence[Row], panel: Panel) -> list[tuple[float, float, Row]]:
    """(across, accuracy, row) of the rows that know both."""
    found = []
    for row in rows:
        x, y = row.objective(panel.objective), row.objective("accuracy")
        if row.status == DONE and x is not None and x > 0 and y is not None:
            found.append((x, y, row))
    return found


def _front(points: Sequence[tuple[float, float, Row]], across: object, up: object) -> Markup:
    """The line over what no other point of this panel beats in both of its figures."""
    assert callable(across)
    assert callable(up)
    best, line = -math.inf, []
    for x, y, _ in sorted(points, key=lambda p: (p[0], -p[1])):
        if y > best:
            line.append(f"{across(x):.1f} {up(y):.1f}")
            best = y
    return tag("polyline", class_="front", points=",".join(line).replace(",", " "))


def _decades(values: Sequence[float]) -> tuple[float, float]:
    """Ends of a logarithmic axis with some room, at least a third of a decade apart."""
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max(0.08 * (high - low), 0.17)
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Round values between 10^low and 10^high, some four of them."""
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        decades = range(math.floor(low), math.ceil(high) + 1)
        found = [d * 10.0**e for e in decades for d in digits if low <= math.log10(d) + e <= high]
        if len(found) >= 3:
            break
    every = -(-len(found) // 5)
    return found[::every]


def _legend(rows: Sequence[Row]) -> list[Markup]:
    parts, x = [], LEFT
    for name, colour in colour_of(rows).items():
        parts.append(tag("circle", cx=x, cy=HEIGHT + 10, r=4, fill=colour))
        parts.append(tag("text", name, class_="small", x=x + 9, y=HEIGHT + 14))
        x += 24 + 7 * len(name)
    return parts
