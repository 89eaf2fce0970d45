"""The one chart that pays for its script: spikes over steps, to zoom into and to pick populations from."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from snnport.report.report import Run

COLOURS = ("#0b6e99", "#c2571a", "#2f7d4f", "#8a4fbf", "#b3364f", "#6b6f76", "#9a7b12", "#1f4e9e")
LISTED = 12
"""With more populations than this, those past it start hidden: they are switched on in the legend."""


def steps_figure(run: Run, sizes: Mapping[str, int]) -> dict[str, Any]:
    """A plotly figure of each population's spikes in each step: a neuron where its size is known, else in all, per sample."""
    known = all(sizes.get(name) for name in run.spikes_per_step) and run.samples > 0
    traces = []
    for i, (name, counts) in enumerate(run.spikes_per_step.items()):
        slots = sizes[name] * run.samples if known else max(run.samples, 1)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                # plotly reads names as markup
                "name": html.escape(name),
                "x": list(range(len(counts))),
                "y": [c / slots for c in counts],
                "line": {"color": COLOURS[i % len(COLOURS)], "width": 2, "shape": "hvh"},
                "visible": True if i < LISTED else "legendonly",
                "hovertemplate": "step %{x}: %{y:.3~%}" if known else "step %{x}: %{y:.4~r}",
            }
        )
    layout = {
        "height": 380,
        "margin": {"l": 56, "r": 12, "t": 30, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "maxheight": 76},
        "xaxis": {"title": {"text": "step"}, "zeroline": False},
        "yaxis": {
            "title": {"text": "spikes per neuron and step" if known else "spikes per sample"},
            "tickformat": "~%" if known else "~s",
            "rangemode": "tozero",
        },
    }
    return {"data": traces, "layout": layout}


def script_json(data: Any) -> Markup:
    """`data` as JSON that may stand inside a <script>: no character in it can end the element or start a tag."""
    text = json.dumps(data, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def library() -> Markup:
    """plotly.js itself, to be embedded once."""
    from plotly.offline import get_plotlyjs

    return Markup(get_plotlyjs())
