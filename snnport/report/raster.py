"""The spikes of one sample, neuron by neuron, to zoom into; and two traces around the step in which they part."""

from __future__ import annotations

import html
import re
from typing import Any

from markupsafe import Markup

from snnport.report.evidence import Parting, Raster
from snnport.report.interactive import COLOURS
from snnport.report.svg import picture, tag
from snnport.report.units import count, number, plural

ROW, LABEL, WIDTH = 26, 92, 640
GAP = 0.04
"""Share of the height that is left free between two populations."""


def raster_figure(raster: Raster) -> dict[str, Any]:
    """A plotly figure: a dot a spike, steps across, populations above one another, the first at the top."""
    shown = [dots for dots in raster.dots if dots.neurons]
    sizes = [max(dots.neurons, 1) ** 0.5 for dots in shown]
    scale = (1 - GAP * (len(shown) - 1)) / sum(sizes) if sizes else 1.0
    top, traces, ticks = 1.0, [], []
    for i, (dots, size) in enumerate(zip(shown, sizes, strict=True)):
        height = size * scale
        ticks.append((top - height / 2, html.escape(dots.population)))
        ys = [top - height * (n + 0.5) / dots.neurons for n in dots.neuron]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": html.escape(dots.population),
                "x": list(dots.step),
                "y": [round(y, 5) for y in ys],
                "customdata": list(dots.neuron),
                "marker": {"symbol": "line-ns-open", "size": 5, "color": COLOURS[i % len(COLOURS)]},
                "hovertemplate": "neuron %{customdata}, step %{x}",
            }
        )
        top -= height + GAP
    layout = {
        "height": 460,
        "margin": {"l": 110, "r": 12, "t": 12, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "xaxis": {"title": {"text": "step"}, "zeroline": False, "range": [-0.5, raster.steps - 0.5]},
        "yaxis": {
            "tickvals": [at for at, _ in ticks],
            "ticktext": [name if len(name) <= 14 else f"{name[:6]}…{name[-7:]}" for _, name in ticks],
            "range": [-0.01, 1.01],
            "zeroline": False,
            "showgrid": False,
        },
    }
    return {"data": traces, "layout": layout}


def raster_sentence(raster: Raster) -> str:
    """What the raster shows, in words."""
    shown = sum(len(dots.step) for dots in raster.dots)
    thin = [dots for dots in raster.dots if dots.every > 1]
    left = f" Of {', '.join(d.population for d in thin)} each {thin[0].every}th neuron is shown." if thin else ""
    return f"Sample {raster.sample}: {plural(shown, 'dot')}, {plural(raster.steps, 'step')}.{left}"


def parting_picture(parting: Parting) -> Markup:
    """Both traces of the neuron around the step in which they part: spikes, and potentials where they are known."""
    rows = [("expected", parting.expected_spikes, "bar"), ("actual", parting.actual_spikes, "over")]
    steps = max(len(values) for _, values, _ in rows)
    cell = (WIDTH - LABEL) / max(steps, 1)
    at = parting.step - parting.first_step
    bottom = len(rows) * ROW
    parts = [tag("rect", class_="here", x=LABEL + at * cell, y=0, width=cell, height=bottom)]
    for r, (name, values, css) in enumerate(rows):
        parts.append(tag("text", name, class_="axis", x=0, y=r * ROW + 17))
        for t, value in enumerate(values):
            title = tag("title", f"{name}, step {parting.first_step + t}: {number(value)}")
            x, place = LABEL + t * cell, {"y": r * ROW + 4, "height": ROW - 8}
            css_of = css if value else "track"
            parts.append(tag("rect", title, class_=css_of, x=x + 0.5, width=max(cell - 1.0, 0.5), **place))
    if parting.expected_v or parting.actual_v:
        parts += _potentials(parting, cell, bottom + 8)
        bottom += 8 + 120
    for t in range(0, steps, max(1, steps // 6)):
        parts.append(
            tag("text", count(parting.first_step + t), class_="axis", x=LABEL + (t + 0.5) * cell, y=bottom + 15,
                text_anchor="middle")
        )  # fmt: skip
    label = f"Both traces of {parting.population}[{parting.neuron}] around step {parting.step}"
    drawn = picture(label, "100%", 0, *parts)
    # a drawing of its own size that shrinks with the page
    return Markup(re.sub(r' height="0"', f' viewBox="0 0 {WIDTH} {bottom + 22}"', str(drawn), count=1))


def _potentials(parting: Parting, cell: float, top: float) -> list[Markup]:
    values = [*parting.expected_v, *parting.actual_v]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    parts = []
    for name, series, css in (("expected", parting.expected_v, "v-a"), ("actual", parting.actual_v, "v-b")):
        points = " ".join(
            f"{LABEL + (t + 0.5) * cell:.1f} {top + 110 - 100 * (v - low) / span:.1f}" for t, v in enumerate(series)
        )
        if series:
            parts.append(tag("polyline", tag("title", f"v, {name}"), class_=css, points=points))
    parts.append(tag("text", f"v {number(high)}", class_="axis", x=0, y=top + 14))
    parts.append(tag("text", number(low), class_="axis", x=0, y=top + 112))
    return parts
