"""`export --format nir --dialect NAME`: a file that the framework loads and runs with the source's spikes, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnport.convention import coding_of, convention_of
from snnport.errors import DoesNotFit
from snnport.exporters.nir_dialect import INPUT_RULE, Rewriting, changed_spikes, rewritten, write_dialect
from snnport.exporters.nir_fit import Difference
from snnport.flow.model import Model
from snnport.flow.prepare import InputOptions, Prepared
from snnport.flow.run import REFERENCE_CHUNK
from snnport.flow.stimuli import stimulus_for
from snnport.graph import Graph, shapes, the_input


def export_dialect(
    model: Model, prepared: Prepared, output: Path, dialect: str, input_: Path | None, inputs: InputOptions
) -> dict[str, Any]:
    """Write `prepared` for the importer of `dialect`; with `input_` its spikes are counted under both meanings first.

    Raises UnknownName for no dialect; DoesNotFit, naming every rule that differs there and how many spikes of the given input
    would change, where the importer cannot run the network as it is meant. Nothing is written then.
    """
    graph = prepared.graph
    rule = convention_of(graph.metadata)
    found = rewritten(graph, rule, dialect, coding_of(graph.metadata))
    compared = _compared(model, graph, found, input_, inputs)
    if found.differences or (compared and (compared["differing_spikes"] or compared["broken"])):
        raise DoesNotFit(f"--dialect {dialect}", _refusal(found, compared), _remedy(found, input_))
    write_dialect(found, output)
    return {
        "schema": 1,
        "output": str(output),
        "files": [str(output)],
        "done": [*prepared.done, *found.notes],
        "dialect": dialect,
        "importer": found.loader.title,
        "tested": found.loader.tested,
        "load": list(found.call(output)),
        "conditions": list(found.conditions),
        "populations": dict(found.populations),
        "compared": compared,
    }


def _compared(model: Model, graph: Graph, found: Rewriting, input_: Path | None, inputs: InputOptions) -> dict[str, Any] | None:
    """How many spikes the input gives, and how many of them change; None without an input."""
    if input_ is None:
        return None
    coding, rule = coding_of(graph.metadata), convention_of(graph.metadata)
    samples = inputs.load(input_, model, labels=inputs.labels)
    stimulus = stimulus_for(coding.encoder if coding else None, samples, coding.n_steps if coding else 0)
    shape = shapes(graph)[the_input(graph)]
    size = {"samples": stimulus.n_samples, "steps": stimulus.n_steps}
    if not found.runs:
        return {**size, "differing_spikes": None, "populations": {}, "broken": ""}
    changes: dict[str, int] = {}
    broken = ""
    for first in range(0, stimulus.n_samples, REFERENCE_CHUNK):
        raster = stimulus.raster(first, min(first + REFERENCE_CHUNK, stimulus.n_samples))
        if INPUT_RULE in found.conditions and raster.max(initial=0) > 1:
            broken = f"the input holds {raster.max()} spikes in one step, equality was proven for 0 or 1"
        shaped = raster.reshape(*raster.shape[:2], *shape)
        for name, count in changed_spikes(graph, rule, coding, found, shaped).items():
            changes[name] = changes.get(name, 0) + count
    return {**size, "differing_spikes": sum(changes.values()), "populations": changes, "broken": broken}


def _refusal(found: Rewriting, compared: Mapping[str, Any] | None) -> str:
    rounding = Difference("rounding", "graph", "the rules agree, the sums are rounded otherwise")
    broken = compared["broken"] if compared else ""
    differences = found.differences or ((Difference("multi_spike", "input", broken),) if broken else (rounding,))
    what = f"{found.loader.title} would run another network: {'; '.join(map(str, differences))}"
    if compared is None:
        return what
    run = f"{compared['samples']} samples of {compared['steps']} steps"
    if compared["differing_spikes"] is None:
        return f"{what}. It cannot be run there at all ({run} given)"
    parts = ", ".join(f"{name} {count}" for name, count in compared["populations"].items() if count)
    return f"{what}. On the given {run} {compared['differing_spikes']} spikes change{f' ({parts})' if parts else ''}"


def _remedy(found: Rewriting, input_: Path | None) -> str:
    if input_ is None and found.runs:
        return "Give --input to have the spikes counted that would change"
    return "Export it to another dialect, or run it here with --engine reference"
