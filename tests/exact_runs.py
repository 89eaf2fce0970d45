"""How many logits of a converted network differ from the quantised ANN's integers: none, in a lossless code."""

from __future__ import annotations

import numpy as np

from snnport.convention import coding_of
from snnport.encoders import CountEncoder, Stimulus
from snnport.graph import Graph
from snnport.passes.base import Context, run_passes
from snnport.passes.codes.table import code_of
from snnport.passes.unspike import quantised_ann
from snnport.reference import forward
from snnport.sim.engine import run
from snnport.targets.base import resolve_target


def logit_mismatches(graph: Graph, x: np.ndarray, target: str = "cpu") -> int:
    """Logits of the engine that are not those of the quantised ANN, on samples x (n, *input shape).

    Raises DoesNotFit where the target refuses the network: lowering leaves out what its rules refuse.
    """
    chip = resolve_target(target)
    graph = run_passes(graph, chip.passes_for(graph), Context())
    coding = coding_of(graph.metadata)
    assert coding is not None
    encoder = CountEncoder.from_json(coding.encoder)
    expected = forward(quantised_ann(graph), encoder.counts(x), integers=True).reshape(len(x), -1)
    program = chip.lower(graph)
    output = program.outputs[0]
    result = run(program, Stimulus(x, encoder, program.n_steps), threads=1)
    if code_of(coding).messages:
        found = result.payload_sums[output]
    elif program.meta["readout"] == "count":
        found = result.spike_counts[output]
    else:
        found = result.final_v[output] / (program.meta.get("v_unit") or {}).get(output, 1)
    return int(np.count_nonzero(found != expected))
