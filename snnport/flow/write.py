"""The verbs that write a file: convert, quantize, lower, export. Each returns the document that its --json prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from snnport.errors import InvalidInput
from snnport.events import write_bytes
from snnport.exporters.nir import write_nir
from snnport.flow.check import lower
from snnport.flow.convert import ConvertOptions
from snnport.flow.entrance import entrance_of
from snnport.flow.export_netx import export_netx, is_loihi
from snnport.flow.export_nir import export_dialect
from snnport.flow.export_samna import export_samna, is_speck
from snnport.flow.finetune import FinetuneOptions, refiner
from snnport.flow.loading import with_lines
from snnport.flow.model import Model
from snnport.flow.prepare import InputOptions, Prepared, calibration_samples, spiking
from snnport.flow.silence import SAMPLES, activity_of
from snnport.flow.stimuli import stimulus_of
from snnport.graph import names_of
from snnport.nodes import AdaptiveLIF
from snnport.passes.alif_to_nir import AlifToNir, taken_together
from snnport.passes.base import Context, Pass, run_passes
from snnport.passes.quantize_snn import QuantizeSnn
from snnport.passes.spec import parse_pass
from snnport.passes.unspike import quantised_ann
from snnport.report.losses import Activity
from snnport.targets.base import resolve_target

FORMATS = ("nir", "netx")


def write_conversion(
    model: Model,
    output: Path,
    ledger: Path | None,
    inputs: InputOptions,
    options: ConvertOptions,
    say: Callable[[str], None] = lambda stage: None,
    finetune: FinetuneOptions | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Convert an ANN and write the spiking network, and the ledger if a path is given. Raises InvalidInput for an SNN."""
    refine = None
    drawn: dict[str, int] = {}
    if finetune is not None and model.is_ann:
        refine, drawn = refiner(model, inputs, options, finetune, progress)
        inputs = replace(inputs, calibration=inputs.calibration or finetune.data[0])
    prepared = spiking(model, inputs, options, say=say, refine=refine)
    conversion = prepared.conversion
    if conversion is None:
        what = "it holds spiking neurons already, there is nothing to convert"
        raise InvalidInput(str(model.path), what, "Use snnport check")
    settled = [entry.to_json() for entry in conversion.ledger]
    write_nir(prepared.graph, output)
    if ledger is not None:
        write_bytes(ledger, json.dumps(settled, indent=1).encode())
    return {
        "schema": 1,
        "output": str(output),
        "code": options.code,
        "calibration": conversion.calibration,
        "input": asdict(entrance) if (entrance := entrance_of(prepared.graph)) is not None else None,
        "passes": list(conversion.passes),
        "findings": conversion.findings,
        "ledger": settled,
        "activity": [asdict(a) for a in _activity(model, inputs, prepared)],
        "warnings": list(prepared.warnings),
        "seeds": {**prepared.seeds, **drawn},
    }


def _activity(model: Model, inputs: InputOptions, prepared: Prepared) -> tuple[Activity, ...]:
    """What the neurons of a converted network do on the first calibration samples."""
    given = calibration_samples(model, inputs, None)
    return activity_of(quantised_ann(prepared.graph), given.x[:SAMPLES])


def write_quantised(
    model: Model, output: Path, target: str | None, bits: int | None, spelled: Sequence[str] = ()
) -> dict[str, Any]:
    """Give a spiking network integer codes: those of `target`, of the passes `spelled`, or of `bits` bits (default 8).

    Adaptive neurons are one node while that is done, and NIR's own nodes in the file. Raises InvalidInput for an ANN, for codes
    that are there already, and for more than one of target, passes and bits.
    """
    if model.is_ann:
        raise InvalidInput(str(model.path), "it holds no spiking neuron", "Use snnport convert, which quantises as it converts")
    if model.coding is not None:
        raise InvalidInput(str(model.path), "it has integer codes from its conversion", "Convert again with other --bits")
    if target is not None and bits is not None:
        raise InvalidInput("--bits", f"target {target} has its own widths", "Leave out --bits, or --target")
    if spelled and (target is not None or bits is not None):
        raise InvalidInput(f"--pass {spelled[0]}", "--target and --bits choose a pass too", "Give one of the three")
    graph = taken_together(spiking(model, InputOptions()).graph)
    passes: tuple[Pass, ...] = tuple(parse_pass(text) for text in spelled) or (QuantizeSnn(bits or 8),)
    if target is not None:
        passes = resolve_target(target).passes_for(graph)
    if names_of(graph, AdaptiveLIF):
        passes = (*passes, AlifToNir())
    write_nir(run_passes(graph, passes, Context()), output)
    return {"schema": 1, "output": str(output), "done": [step.spelling for step in passes]}


def write_program(model: Model, output: Path, target: str, inputs: InputOptions, options: ConvertOptions) -> dict[str, Any]:
    """Lower a network and write its placed program. Raises DoesNotFit with every violation."""
    program, done = lower(model, target, inputs, options)
    program.save(output)
    return {
        "schema": 1,
        "output": str(output),
        "target": program.chip.name,
        "populations": len(program.populations),
        "neurons": sum(p.size for p in program.populations),
        "cores": len({(s.chip, s.core) for s in program.placements}),
        "steps": program.n_steps,
        "done": list(done),
    }


@dataclass(frozen=True)
class ExportOptions:
    """What `export` is to write: what a chip's own tools load (target), or the network in a format (form), one of the two.

    dialect: whose importer a format is for. input_: the files of a chip hold the events of its first sample too, and a
    network's spikes are compared on it.
    """

    target: str | None = None
    form: str | None = None
    dialect: str | None = None
    input_: Path | None = None

    def __post_init__(self) -> None:
        if (self.target is None) == (self.form is None):
            raise InvalidInput("export", "it needs either --target or --format", f"Formats: {', '.join(FORMATS)}")
        if self.form is not None and self.form not in FORMATS:
            raise InvalidInput(f"--format {self.form}", "there is no such format", f"Known: {', '.join(FORMATS)}")


def write_export(
    model: Model, output: Path, wanted: ExportOptions, inputs: InputOptions, options: ConvertOptions
) -> dict[str, Any]:
    """Write what is wanted, and beside it the lines that load it with its tool.

    Raises InvalidInput for a target that has no files of its own.
    """
    document = _exported(model, output, wanted, inputs, options)
    return with_lines(document, output, None if wanted.target is None else resolve_target(wanted.target).name, wanted.form)


def _exported(
    model: Model, output: Path, wanted: ExportOptions, inputs: InputOptions, options: ConvertOptions
) -> dict[str, Any]:
    target = wanted.target
    if wanted.form == "netx" or is_loihi(target):
        return export_netx(model, output, target or "loihi2", inputs, options)
    if target is not None and is_speck(target):
        return export_samna(model, output, target, inputs, options)
    if target is None:
        prepared = spiking(model, inputs, options)
        if wanted.dialect is not None:
            return export_dialect(model, prepared, output, wanted.dialect, wanted.input_, inputs)
        write_nir(prepared.graph, output)
        return {"schema": 1, "output": str(output), "files": [str(output)], "done": list(prepared.done)}
    chip = resolve_target(target)
    if chip.export is None:
        what = "no tool of this chip's maker reads files that snnport can write"
        raise InvalidInput(f"--target {target}", what, "Use snnport lower for its program")
    program, done = lower(model, target, inputs, options)
    raster = None
    if wanted.input_ is not None:
        samples = inputs.load(wanted.input_, model, labels=inputs.labels)
        raster = stimulus_of(program, samples).raster(0, 1)[0]
    files = chip.export(program, output, raster)
    return {"schema": 1, "output": str(output), "files": [str(path) for path in files], "done": list(done)}
