"""A network as a netx file for lava-dl, by way of a Loihi program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snnport.errors import InvalidInput
from snnport.exporters.netx import write_netx
from snnport.flow.check import own_program
from snnport.flow.convert import ConvertOptions
from snnport.flow.model import Model
from snnport.flow.prepare import InputOptions, spiking
from snnport.passes.base import Context, run_passes
from snnport.program import Program
from snnport.targets.base import Target, resolve_target
from snnport.targets.prepare import quantising

TARGETS = ("loihi1", "loihi2")
WIDTHS = ("weight_bits", "threshold_bits", "bias_bits")


def is_loihi(target: str | None) -> bool:
    """Whether `target`, a name or the path of a .toml, is a Loihi."""
    return target is not None and resolve_target(target).name in TARGETS


def export_netx(model: Model, output: Path, target: str, inputs: InputOptions, options: ConvertOptions) -> dict[str, Any]:
    """Write `model` as netx file; the document of `export --json`, with the lines that load the file under "load".

    Raises DoesNotFit, before anything is written, for what the chip or netx cannot hold; InvalidInput for another target.
    """
    chip = resolve_target(target)
    if chip.name not in TARGETS:
        raise InvalidInput(f"--target {target}", "netx files are for Loihi", f"Use --target {TARGETS[-1]}")
    program, done = _program(model, chip, inputs, options)
    lines = write_netx(program, output)
    return {"schema": 1, "output": str(output), "files": [str(output)], "done": list(done), "load": list(lines)}


def _program(model: Model, chip: Target, inputs: InputOptions, options: ConvertOptions) -> tuple[Program, tuple[str, ...]]:
    """The program, with one scale a population: netx adds no planes of weights."""
    if model.program is not None:
        return own_program(model, chip), ()
    prepared = spiking(model, inputs, options)
    bits, threshold_bits, bias_bits = (int(chip.chip[key]) for key in WIDTHS)
    passes = quantising(prepared.graph, bits=bits, threshold_bits=threshold_bits, bias_bits=bias_bits)
    passes = passes or chip.passes_for(prepared.graph)
    graph = run_passes(prepared.graph, passes, Context())
    return chip.lower(graph), (*prepared.done, *(step.spelling for step in passes))
