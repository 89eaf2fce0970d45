"""A report as Markdown: the same answers as the page, in the same order, in words and tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from snnport.report import event_rates, view
from snnport.report.core_use import fullest, traffic_sentence
from snnport.report.losses_words import LAYER_HEADS, curve_heads, curve_rows, curve_sentence, layer_rows
from snnport.report.report import Check, Energy, Report, Run, TargetResult, Violation
from snnport.report.units import count, number, percent, plural, points, printable, shape, si

MOST_LISTED = 16
"""Cores in the table of the fullest."""
_SPECIAL = re.compile(r"([\\`*\[\]|~#])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_TAGS = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;"})


def render(report: Report) -> str:
    """The report as GitHub-flavoured Markdown."""
    parts = [_head(report), _fit(report), _accuracy(report), _cost(report), _next(report), _network(report)]
    parts += [_chips(report), _activity(report), _divergence(report), _ledger(report), _card(report)]
    return "\n\n".join("\n\n".join(part) for part in parts) + "\n"


def text(value: str) -> str:
    """`value` so that Markdown shows it as it is, on one line."""
    escaped = _SPECIAL.sub(lambda found: "\\" + found.group(0), " ".join(value.split()))
    return printable(escaped.translate(_TAGS))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table; the columns numbered in `right` are set to the right. Cells are escaped."""
    lines = [_line(head), "|" + "|".join("---:" if i in right else "---" for i in range(len(head))) + "|"]
    return "\n".join(lines + [_line(row) for row in rows])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(text(cell) for cell in cells) + " |"


def _head(report: Report) -> Iterator[str]:
    yield f"# {text(report.source.file)}: snnport report"
    samples = plural(report.data.n_samples, "sample")
    yield text(f"{report.source.format}, input {shape(report.source.input_shape)}, {samples}, {report.created}")


def _fit(report: Report) -> Iterator[str]:
    yield "## Does it fit?"
    head = ("target", "verdict", "accuracy", "latency per sample", "energy per sample", "range", "by", "chips", "why not")
    lines = (view.summary(t) for t in report.targets)
    rows = [
        (s.target, s.verdict, s.accuracy, s.latency, s.energy, s.energy_range, s.energy_basis, s.chips, s.reason) for s in lines
    ]
    yield table(head, rows, (2, 3, 4, 5, 7))
    for result in report.targets:
        if result.check.violations:
            yield f"### {text(result.target)}: {plural(len(result.check.violations), 'violation')}"
            yield _findings(result.check.violations)


def _findings(findings: Sequence[Violation]) -> str:
    return table(("rule", "where", "what", "remedy"), ((v.rule, v.where, v.message, v.remedy) for v in findings))


def _accuracy(report: Report) -> Iterator[str]:
    yield "## What accuracy, and where was it lost?"
    yield text(f"{view.accuracy_sentence(report)} {view.exactness_sentence(report)}")
    if report.stages:
        rows = [
            (s.name, percent(s.accuracy), "" if change is None else points(change), percent(s.agreement))
            for s, change in view.losses(report.stages)
        ]
        yield table(("stage", "accuracy", "change", "agreement"), rows, (1, 2, 3))
    if report.losses is not None and report.losses.layers:
        yield table(LAYER_HEADS, layer_rows(report.losses), (1, 2, 3, 4, 5, 6))
    if report.losses is not None and report.losses.curve is not None:
        curve = report.losses.curve
        yield table(curve_heads(curve), curve_rows(curve), (0, 1, 2, 3, 4))
        yield text(curve_sentence(curve))


def _cost(report: Report) -> Iterator[str]:
    yield "## What latency and energy, and how sure?"
    if not any(result.run for result in report.targets):
        yield "Nothing ran, so nothing was counted."
    for result in report.targets:
        if result.run is None:
            continue
        yield f"### {text(result.run.target)}"
        yield table(("latency", ""), view.timing(result.run), (1,))
        for note in result.notes:
            yield text(note)
        for energy in result.run.energy:
            yield from _energy(energy, result.run)
        for line in (*view.baselines(result.run), *event_rates.sentences(result.run.events)):
            yield text(line)


def _energy(energy: Energy, run: Run) -> Iterator[str]:
    node = "" if energy.node_nm is None else f", {number(energy.node_nm)} nm"
    yield f"Energy by **{text(energy.model)}** ({text(energy.provenance)}{node}), {plural(run.samples, 'sample')} in all:"
    rows = [(name, count(t.count), si(t.low_j, "J"), si(t.mid_j, "J"), si(t.high_j, "J")) for name, t in energy.terms.items()]
    rows.append(("in all", "", si(energy.low_j, "J"), si(energy.mid_j, "J"), si(energy.high_j, "J")))
    yield table(("term", "count", "low", "middle", "high"), rows, (1, 2, 3, 4))
    if energy.unpriced:
        yield f"**Not priced:** {text(', '.join(energy.unpriced))}. The figure leaves these out."


def _next(report: Report) -> Iterator[str]:
    yield "## What to do next"
    lines = []
    for i, step in enumerate(report.next_steps, start=1):
        words = "".join(f"`{printable(part)}`" if code else _kept(part) for part, code in view.spans(step))
        lines.append(f"{i}. {words}")
    yield "\n".join(lines) or "There is nothing to suggest."


def _kept(part: str) -> str:
    """Escaped, with the blanks around it kept, since code stands beside it."""
    inner = text(part)
    return f"{' ' if part[:1].isspace() else ''}{inner}{' ' if part[-1:].isspace() and inner else ''}"


def _network(report: Report) -> Iterator[str]:
    yield "## The spiking network"
    after: dict[str, list[str]] = {}
    for a, b in report.graph.edges:
        after.setdefault(a, []).append(b)
    rows = [(n.name, n.type, shape(n.shape) if n.shape else "", ", ".join(after.get(n.name, []))) for n in report.graph.nodes]
    yield table(("node", "type", "shape", "leads to"), rows)


def _chips(report: Report) -> Iterator[str]:
    yield "## On the chips"
    for result in report.targets:
        yield f"### {text(result.target)}"
        yield text(view.fit_sentence(result.check))
        yield from _chip(result, result.check)


def _chip(result: TargetResult, check: Check) -> Iterator[str]:
    if check.usage:
        rows = [(u.resource, u.where, *view.usage_text(u)) for u in check.usage]
        yield table(("resource", "where", "used", "limit", "share"), rows, (2, 3, 4))
    if result.placements:
        yield table(("population", "cores"), view.cores_of(result))
    if result.core_use:
        yield table(("core", "fullest in", "used", "share"), fullest(result)[:MOST_LISTED], (3,))
    if result.run is not None and (sentence := traffic_sentence(result.run)):
        yield sentence
    if check.warnings:
        yield f"{plural(len(check.warnings), 'warning')}:"
        yield _findings(check.warnings)


def _activity(report: Report) -> Iterator[str]:
    yield "## Spikes and operations"
    for result in report.targets:
        if result.run is None:
            continue
        yield f"### {text(result.run.target)}"
        rows = [
            (layer.name, number(layer.size), count(layer.spikes), number(layer.per_sample), percent(layer.rate))
            for layer in view.layers(result, report.graph)
        ]
        yield table(("population", "neurons", "spikes in all", "per sample", "per neuron and step"), rows, (1, 2, 3, 4))
        operations = result.run.synaptic_operations
        counts = [(name, count(n)) for name, n in operations.items()]
        counts += [("in all", count(sum(operations.values()))), ("neuron updates", number(result.run.neuron_updates))]
        yield table(("projection", "synaptic operations"), counts, (1,))
        if rates := event_rates.rate_rows(result.run.events):
            yield table(event_rates.RATE_HEAD, rates, (2, 3, 4))


def _divergence(report: Report) -> Iterator[str]:
    yield "## Where does the program leave the reference?"
    for result in report.targets:
        sentence = view.agreement_sentence(result)
        if sentence:
            yield text(f"{result.target}: {sentence}")


def _ledger(report: Report) -> Iterator[str]:
    yield "## What became of every source node"
    rows = []
    for line in report.ledger:
        told = [f"{s.fate} {', '.join(s.into)}".strip() + (f": {s.why}" if s.why else "") + f" ({s.by})" for s in line.steps]
        rows.append((line.node, line.kind, ", ".join(line.final) or "dropped", "; ".join(told)))
    yield table(("source node", "type", "now", "how"), rows)


def _card(report: Report) -> Iterator[str]:
    yield "## Card"
    rows = [("network", report.source.file), ("sha256", report.source.sha256)]
    for file in report.data.files:
        rows += [("data", file.file), ("sha256", file.sha256)]
    rows += [(f"sha256 of {name}", sha) for name, sha in report.cost_models.items()]
    rows += [(f"seed of {name}", str(seed)) for name, seed in report.seeds.items()]
    rows += [] if report.seeds else [("seeds", "none, nothing was drawn at random")]
    rows += [("samples", count(report.data.n_samples)), ("input scaling", report.data.scaling)]
    rows += [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in report.options.items()]
    rows += [("passes", ", ".join(report.passes)), ("created", report.created), *report.versions.items()]
    yield table(("what", ""), rows)
