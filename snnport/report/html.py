"""A report as one self-contained HTML page: it opens offline and asks the network for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from snnport.report import charts, core_use, event_rates, interactive, losses_words, raster, units, view
from snnport.report.curve_picture import curve_picture
from snnport.report.graph_picture import graph_picture
from snnport.report.losses import Losses
from snnport.report.report import Energy, Report, Run, TargetResult

_HERE = Path(__file__).parent
MOST_LISTED = 16
"""Cores in the table of the fullest."""


def render(report: Report, interactive_charts: bool = True) -> str:
    """The page. Every picture is inline SVG; `interactive_charts` adds one chart a target that needs plotly.js (4.8 MB)."""
    targets = [_target(result, report, interactive_charts) for result in report.targets]
    plotted = any(t["figure"] or t["dots"] for t in targets)
    page = (
        templates()
        .get_template("page.html.j2")
        .render(
            report=report,
            view=view,
            style=style_sheet(),
            targets=targets,
            waterfall=charts.waterfall(report.stages) if any(s.accuracy is not None for s in report.stages) else None,
            losses=_losses(report.losses or Losses()),
            network=graph_picture(report.graph) if report.graph.nodes else None,
            plotly=interactive.library() if plotted else None,
        )
    )
    # names from files may hold half characters, which no encoding can write
    return page.encode("utf-8", "replace").decode()


def templates() -> Environment:
    """The templates of this folder, with the words of units.py as filters. Whatever they are given is escaped."""
    loader = Environment(
        autoescape=True, loader=FileSystemLoader(_HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    loader.filters |= {
        "count": units.count,
        "number": units.number,
        "percent": units.percent,
        "points": units.points,
        "si": units.si,
        "shape": units.shape,
        "plural": units.plural,
        "plain": _plain,
    }
    return loader


def style_sheet() -> Markup:
    """page.css; it is ours, so it may stand unescaped."""
    return Markup((_HERE / "page.css").read_text(encoding="utf-8"))


def _losses(losses: Losses) -> dict[str, Any]:
    """What the template shows of the layers and of the curve."""
    curve = losses.curve
    return {
        "heads": losses_words.LAYER_HEADS,
        "rows": losses_words.layer_rows(losses),
        "first": losses.first,
        "samples": losses.samples,
        "curve": curve_picture(curve) if curve and curve.points else None,
        "curve_heads": losses_words.curve_heads(curve) if curve else (),
        "curve_rows": losses_words.curve_rows(curve) if curve else (),
        "recommended": losses_words.curve_sentence(curve) if curve else "",
        "tolerance": losses_words.tolerance_words(curve) if curve else "",
        "against": curve.against if curve else "",
    }


def _target(result: TargetResult, report: Report, interactive_charts: bool) -> dict[str, Any]:
    """What the template shows of one target."""
    run = result.run
    layers = view.layers(result, report.graph)
    sizes = view.sizes(result, report.graph)
    stepwise = bool(run and any(run.spikes_per_step.values()))
    return {
        "result": result,
        "check": result.check,
        "run": run,
        "summary": view.summary(result),
        "usage": charts.usage_bars(result.check) if any(u.limit for u in result.check.usage) else None,
        "chips": [charts.core_map(result, chip) for chip in sorted({p.chip for p in result.placements})],
        "uses": [core_use.use_map(result, chip) for chip in sorted({use.chip for use in result.core_use})],
        "fullest": core_use.fullest(result)[:MOST_LISTED],
        "traffic": core_use.traffic_sentence(run) if run else "",
        "events": event_rates.sentences(run.events) if run else [],
        "cores": view.cores_of(result),
        "energies": [(e, charts.energy_ranges(e, run.samples)) for e in _ordered(run)] if run else [],
        "layers": layers,
        "bars": charts.spike_bars(layers) if layers else None,
        "rates": charts.rate_bars(layers) if any(layer.rate is not None for layer in layers) else None,
        "cycles": charts.core_bars(result),
        "dots": (
            interactive.script_json(raster.raster_figure(result.raster)) if result.raster and interactive_charts else None
        ),
        "dots_words": raster.raster_sentence(result.raster) if result.raster else "",
        "agreement": view.agreement_sentence(result),
        "parting": (
            raster.parting_picture(result.agreement.parting) if result.agreement and result.agreement.parting else None
        ),
        "strip": charts.step_strip(run, sizes) if run and stepwise else None,
        "figure": (
            interactive.script_json(interactive.steps_figure(run, sizes)) if run and stepwise and interactive_charts else None
        ),
    }


def _ordered(run: Run) -> list[Energy]:
    """The estimates, that which the summary quotes first."""
    return sorted(run.energy, key=lambda energy: energy is not view.quoted(run))


def _plain(value: Any) -> str:
    """An option's value as text."""
    return value if isinstance(value, str) else json.dumps(value)
