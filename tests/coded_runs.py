"""A network in a code, run three ways: the quantised ANN's integers, the reference's steps, the engine's steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from snnport.convention import coding_of, convention_of
from snnport.encoders import CountEncoder, Stimulus
from snnport.flow.convert import Conversion, ConvertOptions, convert_graph
from snnport.graph import Graph, names_of, predecessors, shapes, the_input, the_output
from snnport.importers.base import Imported
from snnport.passes.base import Context, run_passes
from snnport.passes.unspike import quantised_ann
from snnport.program import Program
from snnport.reference import forward, run_spiking
from snnport.sim.engine import RunResult, run
from snnport.targets.base import resolve_target


def coded_network(graph: Graph, code: str, x: np.ndarray, **options: Any) -> Conversion:
    """`graph` in `code`, calibrated on x."""
    return convert_graph(Imported(graph, "onnx", ()), x, "test", ConvertOptions(code=code, **options))


@dataclass(frozen=True, eq=False)
class ThreeRuns:
    """expected: the quantised ANN's integers. reference, engine: what the two read. spikes: names of unequal populations."""

    expected: np.ndarray
    reference: np.ndarray
    engine: np.ndarray
    unequal: list[str]
    program: Program
    result: RunResult

    @property
    def exact(self) -> bool:
        """Whether all three agree, and every spike of both runs."""
        same = np.array_equal(self.reference, self.expected) and np.array_equal(self.engine, self.expected)
        return same and not self.unequal


def three_runs(graph: Graph, x: np.ndarray, target: str = "cpu", fits: bool = True) -> ThreeRuns:
    """Run a converted graph on samples x, after the passes of `target`. fits: insist that its rules find nothing."""
    chip = resolve_target(target)
    graph = run_passes(graph, chip.passes_for(graph), Context())
    coding = coding_of(graph.metadata)
    assert coding is not None
    encoder = CountEncoder.from_json(coding.encoder)
    counts = encoder.counts(x)
    expected = forward(quantised_ann(graph), counts, integers=True).reshape(len(x), -1)
    raster = encoder.raster(counts, coding.n_steps)
    output = predecessors(graph, the_output(graph))[0]
    fires = isinstance(graph.nodes[output], nir.IF)
    shaped = raster.reshape(*raster.shape[:2], *shapes(graph)[the_input(graph)])
    reference = run_spiking(graph, shaped, convention_of(graph.metadata), coding, [output])
    program = chip.lower(graph) if fits else chip.placing(chip.lowering(graph, chip.chip), chip.chip)
    neurons = names_of(graph, nir.IF)
    result = run(program, Stimulus(raster, None, program.n_steps), record_spikes=[*neurons, output], threads=1)
    unit = (program.meta.get("v_unit") or {}).get(output, 1)
    unequal = [name for name in neurons if not np.array_equal(result.trace.spikes[name], reference.spikes[name])]
    return ThreeRuns(
        expected,
        reference.spikes[output].sum(axis=1) if fires else reference.v[output][:, -1],
        result.spike_counts[output] if fires else result.final_v[output] / unit,
        unequal,
        program,
        result,
    )
