"""Tables for the terminal. Each function takes the document its verb prints with --json and returns something rich can print.

Names come from files, so they are put in as plain Text and never read as rich markup.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from snnport.report import view
from snnport.report.changes import lines as changed_lines
from snnport.report.entrance import Entrance, entrance_words
from snnport.report.event_rates import sentences as event_sentences
from snnport.report.losses_words import losses_table, silent_neurons
from snnport.report.plain import read
from snnport.report.report import Check, Energy, Report, Run, Stage, TargetResult, Violation
from snnport.report.units import count, number, percent, plural, points, printable, shape, si

MOST_LINES = 200
"""Changes that a terminal lists."""
_GOOD, _BAD, _PART = "green", "bold red", "yellow"


def inspection(data: Mapping[str, Any]) -> RenderableType:
    """What a file holds. `data`: the document of `inspect --json`."""
    origin = f"{data['file']}: {data['format']}"
    if data.get("dialect"):
        origin += f", written by {data['dialect']}"
    parts: list[RenderableType] = [_text(origin, style="bold")]
    parts += [_text(f"  because {reason}", style="dim") for reason in _listed(data.get("evidence"))]
    rows = [(str(n["name"]), str(n["type"]), shape(n.get("shape")) if n.get("shape") else "") for n in data["nodes"]]
    parts.append(_table(("node", "type", "shape"), rows))
    parts += [_text(f"repaired: {repair}") for repair in _listed(data.get("repairs"))]
    changes: list[Mapping[str, str]] = data.get("canonical") or []
    parts += [_text(f"canonical: {c['node']}: {c['field']}: {c['file']} becomes {c['canonical']}") for c in changes]
    parts += [_text(f"ambiguous: {open_point}", style=_PART) for open_point in _listed(data.get("ambiguous"))]
    parts += [_text(line) for line in _listed(data.get("derivation"))]
    parts.append(_text(f"{plural(len(data['nodes']), 'node')}, {plural(len(data['edges']), 'edge')}"))
    return Group(*parts)


def check_result(data: Mapping[str, Any]) -> RenderableType:
    """Whether a network fits. `data`: the document of `check --json`. Raises InvalidInput if it is malformed."""
    result = read(Check, data, "check")
    return Group(*_done(data), *_fixes(data), *_seeds(data), _check(result))


def run_result(data: Mapping[str, Any]) -> RenderableType:
    """What a run counted. `data`: the document of `run --json`. Raises InvalidInput if it is malformed."""
    result = read(Run, data, "run")
    right = "" if result.correct is None else f" ({count(result.correct)} of {count(result.samples)})"
    facts = [("target, engine", f"{result.target}, {result.engine}"), ("accuracy", percent(result.accuracy) + right)]
    spikes = [(name, count(n), number(n / result.samples if result.samples else None)) for name, n in result.spikes.items()]
    spikes.append(("in all", count(sum(result.spikes.values())), ""))
    operations = [(name, count(n)) for name, n in result.synaptic_operations.items()]
    operations += [
        ("in all", count(sum(result.synaptic_operations.values()))),
        ("neuron updates", number(result.neuron_updates)),
    ]
    compared = [comparison(data["comparison"])] if data.get("comparison") else []
    return Group(
        *_done(data),
        _table(("run", ""), [*facts, *view.timing(result)], (1,)),
        _table(("population", "spikes", "per sample"), spikes, (1, 2)),
        _table(("projection", "synaptic operations"), operations, (1,)),
        *(_energy(energy, result) for energy in result.energy),
        *(_text(line) for line in (*view.baselines(result), *event_sentences(result.events))),
        *(_text(line, style=_PART) for line in silent_neurons(data)),
        *_seeds(data),
        *compared,
    )


def validation(data: Mapping[str, Any]) -> RenderableType:
    """Where accuracy was lost. `data`: the document of `validate --json`. Raises InvalidInput if a stage is malformed."""
    stages = tuple(read(Stage, s, f"validate.stages[{i}]") for i, s in enumerate(data["stages"]))
    equal, n = data.get("logits_equal"), data.get("logit_mismatches")
    if equal is None:
        verdict = _text("logits were not compared", style=_PART)
    elif equal:
        verdict = _text("logits equal the quantised network's on every sample", style=_GOOD)
    else:
        verdict = _text("logits differ" + ("" if n is None else f" in {plural(n, 'value')}"), style=_BAD)
    parts: list[RenderableType] = [_stages(stages), verdict]
    if data.get("first_divergence"):
        parts.append(_text(f"first divergence: {_divergence(data['first_divergence'])}", style=_BAD))
    return Group(*parts, *losses_table(data.get("losses")), *_seeds(data))


def port_summary(report: Report, files: Sequence[object] = ()) -> RenderableType:
    """Every target in one table, the accuracy by stage, what to do next, and the `files` that were written."""
    head = ("target", "verdict", "accuracy", "latency", "energy", "range", "chips")
    table = _table(head, [], (2, 3, 4, 5, 6))
    for result in report.targets:
        s = view.summary(result)
        style = {"good": _GOOD, "bad": _BAD, "part": _PART}[s.css]
        cells = [s.target, s.verdict, s.accuracy, s.latency, s.energy, s.energy_range, s.chips]
        table.add_row(*(_text(cell, style=style if i == 1 else "") for i, cell in enumerate(cells)))
    parts: list[RenderableType] = [table, _text("latency, energy and its range are those of one sample", style="dim")]
    refused = [s for s in map(view.summary, report.targets) if s.reason]
    parts += [_text(f"{s.target}: why not: {s.reason}", style=_PART if s.fits else _BAD) for s in refused]
    parts += [_text(line, style="dim") for line in _basis(report.targets)]
    if report.stages:
        parts += [_stages(report.stages), _text(view.exactness_sentence(report))]
    parts += [_text(f"{i}. {step.replace('`', '')}") for i, step in enumerate(report.next_steps, start=1)]
    parts.append(_text(view.seeds_sentence(report.seeds), style="dim"))
    parts += [_text(f"wrote {file}", style="dim") for file in files]
    return Group(*parts)


def conversion(data: Mapping[str, Any]) -> RenderableType:
    """What a conversion did. `data`: the document of `convert --json`."""
    rows = []
    for line in data["ledger"]:
        told = "; ".join(f"{step['fate']}{': ' + step['why'] if step['why'] else ''}" for step in line["steps"])
        rows.append((line["node"], line["kind"], ", ".join(line["final"]) or "dropped", told))
    parts: list[RenderableType] = [_text(f"passes: {', '.join(data['passes'])}")]
    parts.append(_text(f"code {data['code']}, calibrated on {data['calibration']}"))
    if data.get("input"):
        parts.append(_text(entrance_words(read(Entrance, data["input"], "input"))))
    parts.append(_table(("source node", "type", "now", "how"), rows))
    parts += [_text(line) for line in _findings(data["findings"])]
    parts += [_text(f"warning: {warning}", style=_PART) for warning in data["warnings"]]
    parts += [_text(line, style=_PART) for line in silent_neurons(data)]
    parts += _seeds(data)
    parts.append(_text(f"wrote {data['output']}"))
    return Group(*parts)


def _findings(findings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the passes measured, as sentences."""
    lines = []
    for spelling, facts in findings.items():
        name = spelling.partition("{")[0]
        if "largest_error" in facts:
            size = f"{facts['largest_error']:.2g} of {facts['largest_output']:.3g}"
            lines.append(f"{name}: outputs moved by at most {size}, on {plural(facts['samples'], 'sample')}")
        if "agreement" in facts:
            lines.append(
                f"{name}: {percent(facts['agreement'])} of the arg maxima stayed, bias correction "
                f"{'on' if facts['correction'] else 'off'}"
            )
        if any(facts.get("zeroed_weights", {}).values()):
            lost = ", ".join(f"{count} in {layer}" for layer, count in facts["zeroed_weights"].items() if count)
            lines.append(f"{name}: weights rounded to zero: {lost}")
    return lines


def steps_done(data: Mapping[str, Any]) -> RenderableType:
    """What a verb that writes a file did. `data`: its --json document: output, done, and facts by name."""
    facts = [f"{name} {_plain(value)}" for name, value in data.items() if name not in ("schema", "output", "done")]
    told = [_text(", ".join(facts))] if facts else []
    return Group(*_done(data), *told, _text(f"wrote {data['output']}"))


def exported(data: Mapping[str, Any]) -> RenderableType:
    """What `export` wrote. `data`: its --json document, with the lines that load the file in the tool that it is for."""
    lines = [_text(line) for line in data.get("load", ())]
    if "importer" not in data:
        if not lines:
            return steps_done(data)
        mark = "" if data.get("tested", True) else ", untested"
        where = f" (also in {data['lines_file']})" if "lines_file" in data else ""
        return Group(*_done(data), _text(f"wrote {data['output']}; it is loaded by{where}{mark}"), *lines)
    told = [_text(f"for {data['importer']}{'' if data['tested'] else ', untested: no round trip was run through it'}")]
    told += [_text(f"equal where {condition}") for condition in data["conditions"]]
    if data["compared"]:
        told.append(_text(f"the same spikes on the given {data['compared']['samples']} samples, by the reference", style=_GOOD))
    else:
        told.append(_text("equal in real numbers; --input compares the spikes, with the rounding of float32"))
    return Group(*_done(data), *told, _text(f"wrote {data['output']}; it is loaded by"), *lines)


def comparison(data: Mapping[str, Any]) -> RenderableType:
    """Whether two traces or two reports are equal. `data`: the document of `compare --json`."""
    if data["equal"]:
        compared = f", {plural(data['spikes_compared'], 'spike')} compared" if "spikes_compared" in data else ""
        return _text(f"equal{compared}", style=_GOOD)
    if data.get("first"):
        return _text(f"first difference: {_divergence(data['first'])}", style=_BAD)
    rows = changed_lines(data["changes"])
    left = f", {plural(len(rows) - MOST_LINES, 'line')} more in --json" if len(rows) > MOST_LINES else ""
    words = f"{plural(len(data['changes']), 'entry', 'entries')} changed{left}"
    return Group(_table(("entry", "A", "B"), rows[:MOST_LINES]), _text(words, style=_BAD))


def replayed(data: Mapping[str, Any]) -> RenderableType:
    """What a replay found. `data`: the document of `port --replay --json`."""
    notes = [_text(f"note: {c['entry']} was {_plain(c['a'])}, is {_plain(c['b'])}", style=_PART) for c in data["notes"]]
    if data["equal"]:
        return Group(*notes, _text("every number is the recorded one", style=_GOOD))
    return Group(*notes, comparison(data))


def target_list(data: Mapping[str, Any]) -> RenderableType:
    """All targets. `data`: the document of `targets --json`."""
    return _table(("target", "description"), [(t["name"], t["description"]) for t in data["targets"]])


def target_card(data: Mapping[str, Any]) -> RenderableType:
    """One target. `data`: the document of `targets NAME --json`: numbers with their sources, and rules."""
    rows = [(name, _plain(n["value"]), n["unit"], n["confidence"], n["source"]) for name, n in data["numbers"].items()]
    return Group(
        _text(data["name"], style="bold"),
        _text(data["description"]),
        _table(("number", "value", "unit", "confidence", "source"), rows, (1,)),
        _table(("rule", "what it asks"), [(rule["name"], rule["text"]) for rule in data["rules"]]),
    )


def health(data: Mapping[str, Any]) -> RenderableType:
    """What is installed. `data`: the document of `doctor --json`."""
    table = _table(("part", "version", "needed for", "to add it"), [])
    for part in data["parts"]:
        missing = _BAD if part["required"] else _PART
        version = _text(part["version"] or "missing", style="" if part["version"] else missing)
        remedy = "" if part["version"] else part["remedy"]
        table.add_row(_text(part["name"]), version, _text(part["needed_for"]), _text(remedy))
    return table


def _done(data: Mapping[str, Any]) -> list[Text]:
    """The steps that went before the verb's own."""
    return [_text(f"done: {step}", style="dim") for step in data.get("done", ())]


def _seeds(data: Mapping[str, Any]) -> list[Text]:
    """What was drawn at random; nothing of a document of an older snnport."""
    return [_text(view.seeds_sentence(data["seeds"]), style="dim")] if "seeds" in data else []


def _check(result: Check) -> RenderableType:
    parts: list[RenderableType] = []
    if result.usage:
        table = _table(("resource", "where", "used", "limit", "share"), [], (2, 3, 4))
        for u in result.usage:
            over = u.limit is not None and u.used > u.limit
            cells = (u.resource, u.where, *view.usage_text(u))
            table.add_row(*(_text(cell, style=_BAD if over else "") for cell in cells))
        parts.append(table)
    parts += [_finding(v, _BAD) for v in result.violations]
    parts += [_finding(v, _PART) for v in result.warnings]
    parts.append(_text(view.fit_sentence(result), style=_GOOD if result.fits else _BAD))
    return Group(*parts)


def _fixes(data: Mapping[str, Any]) -> list[Text]:
    """The rewritings that `check` did or offers, with their price and their proof."""
    lines = []
    for fix in data.get("fixes") or ():
        head = f"{'fixed' if fix['applied'] else 'could fix'}: {fix['name']}: {fix['where']}: {_sentence(fix['cost'])}"
        verdict = ""
        if fix["applied"] and fix["exact"]:
            verdict = f" {plural(fix['compared'], 'output spike')} compared, {fix['changed']} differ."
        elif not fix["exact"]:
            verdict = " Not exact" + (f", {fix['changed']} entries of the output differ." if fix["applied"] else ".")
        style = _GOOD if fix["proven"] else _BAD if fix["proven"] is False else _PART
        lines.append(_text(head + verdict, style=style))
    return lines


def _finding(found: Violation, style: str) -> Text:
    line = _text(f"{found.rule}:", style=style).append_text(
        _text(f" {found.where}: {_sentence(found.message)}", "not bold default")
    )
    return line.append_text(_text(f" {_sentence(found.remedy)}", "not bold dim")) if found.remedy else line


def _stages(stages: Sequence[Stage]) -> Table:
    rows = [
        (
            s.name if s.samples is None else f"{s.name} ({plural(s.samples, 'sample')})",
            percent(s.accuracy),
            "" if change is None else points(change),
            percent(s.agreement),
        )
        for s, change in view.losses(tuple(stages))
    ]
    return _table(("stage", "accuracy", "change", "agreement"), rows, (1, 2, 3))


def _energy(energy: Energy, result: Run) -> RenderableType:
    rows = [(name, count(t.count), si(t.low_j, "J"), si(t.mid_j, "J"), si(t.high_j, "J")) for name, t in energy.terms.items()]
    rows.append(("in all", "", si(energy.low_j, "J"), si(energy.mid_j, "J"), si(energy.high_j, "J")))
    each = si(view.per_sample(energy.mid_j, result), "J")
    node = "" if energy.node_nm is None else f", {number(energy.node_nm)} nm"
    lines = [_text(f"{energy.model} ({energy.provenance}{node}): {each} a sample ({view.energy_range(energy, result)})")]
    if energy.unpriced:
        lines.append(_text(f"not priced: {', '.join(energy.unpriced)}", style=_PART))
    return Group(_table(("energy", "count", "low", "middle", "high"), rows, (1, 2, 3, 4)), *lines)


def _basis(targets: Iterable[TargetResult]) -> list[str]:
    """Where each energy comes from, each basis once."""
    lines = (f"{s.target}: energy by {s.energy_basis}" for s in map(view.summary, targets) if s.energy_basis)
    return list(dict.fromkeys(lines))


def _divergence(first: Any) -> str:
    if not isinstance(first, Mapping):
        return str(first)
    return ", ".join(f"{key} {_plain(value)}" for key, value in first.items() if value not in (None, "", []))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(head):
        table.add_column(name, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    return table


def _listed(value: Any) -> list[str]:
    """A text or a list of texts, as a list."""
    if not value:
        return []
    return [value] if isinstance(value, str) else [str(v) for v in value]


def _text(words: str, style: str = "") -> Text:
    """`words` as they are: neither markup nor control characters in them count. Blanks before them stay."""
    return Text(" " * (len(words) - len(words.lstrip(" "))) + printable(words), style=style)


def _plain(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value, 6)
    return value if isinstance(value, str) else json.dumps(value)


def _sentence(words: str) -> str:
    return words if words.endswith((".", "?", "!")) else f"{words}."
