"""How well a program answers as the graph it came from, on unlabelled spikes: what targets choose their scales by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import convention_of
from snnport.encoders import Stimulus
from snnport.graph import Graph, names_of
from snnport.passes.paths import output_populations
from snnport.program import Program
from snnport.reference import run_spiking
from snnport.sim.engine import run

Raster = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Answers:
    """classes (n_samples,), and of every spiking population the spikes (n_samples, n_steps, n), from its first step on."""

    classes: Raster
    spikes: Mapping[str, Raster]

    @classmethod
    def of_graph(cls, graph: Graph, raster: Raster) -> Answers:
        """What the graph says in real numbers to raster (n_samples, n_steps, n_neurons), counts of its one input."""
        output = output_populations(graph)[0]
        (name,) = names_of(graph, nir.Input)
        shape = np.atleast_1d(graph.nodes[name].input_type["input"])
        trace = run_spiking(graph, raster.reshape(*raster.shape[:2], *shape), convention_of(graph.metadata), record_v=[output])
        spiking = {key for key, node in graph.nodes.items() if hasattr(node, "v_threshold")}
        read = trace.spikes[output] if output in spiking else trace.v[output]
        return cls(_classes(read), {key: trace.spikes[key] for key in sorted(spiking)})

    @classmethod
    def of_program(cls, program: Program, raster: Raster, depth: Mapping[str, int]) -> Answers:
        """What a program says, every population moved to its first step. depth: population -> steps that it is late."""
        output, late = program.outputs[0], program.answer_delay
        silent = program.meta["readout"] != "count"
        stimulus = Stimulus(raster, None, raster.shape[1]).followed_by(late)
        result = run(program, stimulus, record_spikes=list(depth), record_v=[output] if silent else [])
        read = (result.trace.v if silent else result.trace.spikes)[output][:, late:]
        return cls(_classes(read), {name: result.trace.spikes[name][:, steps:] for name, steps in depth.items()})

    def met_by(self, other: Answers) -> tuple[float, float]:
        """Fraction of classes that agree, and spikes that coincide among those of either."""
        same = either = 0
        for name, spikes in self.spikes.items():
            theirs = other.spikes[name][:, : spikes.shape[1]] > 0
            ours = spikes[:, : theirs.shape[1]] > 0
            same += int(np.count_nonzero(ours & theirs))
            either += int(np.count_nonzero(ours | theirs))
        return float(np.mean(self.classes == other.classes)), same / max(either, 1)


def _classes(values: Raster) -> Raster:
    return np.asarray(values.sum(axis=1, dtype=np.float64).argmax(axis=1))
