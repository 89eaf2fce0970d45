"""Integer codes for a spiking network that has none."""

from __future__ import annotations

from snnport.errors import InvalidInput
from snnport.flow.model import Model
from snnport.flow.prepare import InputOptions, spiking
from snnport.graph import Graph
from snnport.passes.base import Context, Pass, run_passes
from snnport.passes.quantize_snn import QuantizeSnn
from snnport.targets.base import resolve_target


def quantize(model: Model, target: str | None, bits: int | None) -> tuple[Graph, tuple[str, ...]]:
    """The quantised graph and the passes that made it. Raises InvalidInput for an ANN or for codes that are there already."""
    if model.is_ann:
        raise InvalidInput(str(model.path), "it holds no spiking neuron", "Use snnport convert, which quantises as it converts")
    if model.coding is not None:
        raise InvalidInput(str(model.path), "it has integer codes from its conversion", "Convert again with other --bits")
    graph = spiking(model, InputOptions()).graph
    passes: tuple[Pass, ...] = (QuantizeSnn(bits or 8),)
    if target is not None:
        if bits is not None:
            raise InvalidInput("--bits", f"target {target} has its own widths", "Leave out --bits, or --target")
        passes = resolve_target(target).passes_for(graph)
    return run_passes(graph, passes, Context()), tuple(step.spelling for step in passes)
