"""Networks that others trained for Speck and Loihi, from their own .nir files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from snnport.encoders import Stimulus
from snnport.graph import Graph, build, the_input
from snnport.importers.nir import read_nir
from snnport.passes.base import Context, run_passes
from snnport.program import Program
from snnport.sim.engine import run
from snnport.targets.base import resolve_target

SPECK_FILES = (
    "snntorch__examples-scnn_mnist__89e0a618.nir",
    "inNuCE_BRANDY-2025__cnn_sinabs__e75ac8ec.nir",
    "inNuCE_BRANDY-2025__exported_models-10__a031194d.nir",
)


def read(path: Path, **choices: object) -> Graph:
    """The graph of a file with its convention in the metadata."""
    found = read_nir(path, **choices)
    assert found.convention is not None
    meaning = {"version": 1, "coding": None, "convention": found.convention.to_json()}
    return build(found.graph.nodes, found.graph.edges, {"snnport": json.dumps(meaning)})


def lowered(graph: Graph, name: str) -> Program:
    target = resolve_target(name)
    return target.lower(run_passes(graph, resolve_target("speck2f").passes_for(graph), Context()))


@pytest.mark.data
@pytest.mark.parametrize("name", SPECK_FILES)
def test_networks_made_for_speck_fit_and_run_as_on_cpu(name: str, data_dir: Path) -> None:
    graph = read(data_dir / "nir" / name, dialect="sinabs", reset="subtract")
    result = resolve_target("speck2f").check(run_passes(graph, resolve_target("speck2f").passes_for(graph), Context()))
    assert result.violations == ()
    programs = [lowered(graph, target) for target in ("speck2f", "cpu")]
    assert len({s.core for s in programs[0].placements}) == len(programs[0].placements) <= 9
    size = programs[0].population(the_input(graph)).size
    raster = (np.random.default_rng(0).random((2, 12, size)) < 0.2).astype(np.uint8)
    output = programs[0].outputs[0]
    neurons = [p.name for p in programs[0].populations if p.neuron.family == "if"]
    spikes = [run(p, Stimulus(raster, None, 12), record_spikes=neurons).trace.spikes for p in programs]
    assert spikes[0][neurons[0]].sum() > 0
    assert output in neurons
    for neuron in neurons:
        assert np.array_equal(spikes[0][neuron], spikes[1][neuron])


@pytest.mark.data
def test_what_keeps_the_braille_network_off_a_chip_is_said_at_once(data_dir: Path) -> None:
    graph = read(data_dir / "nir/NIR__paper-03_rnn-braille_noDelay_bias_zero__5e2efd7b.nir", reset="zero")

    def rules(name: str) -> list[str]:
        target = resolve_target(name)
        return [v.rule for v in target.check(run_passes(graph, target.passes_for(graph), Context())).violations]

    assert rules("loihi2") == []
    assert rules("speck2f") == ["supported-nodes", "supported-nodes", "recurrence"]
    assert rules("cpu") == []
