"""Graphs that bring their registers: lowered as they are, with warnings where only Lava holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from netx_files import conv, dense, neuron, write

from snnport.errors import InvalidGraph
from snnport.flow.netx import header_of
from snnport.graph import Graph, with_metadata, with_node_on_edge, with_nodes
from snnport.importers.netx import read_netx
from snnport.program import Dense, Sparse
from snnport.targets.base import resolve_target

LOIHI2 = resolve_target("loihi2")


def graph(path: Path, *layers: dict[str, Any]) -> Graph:
    return read_netx(write(path / "n.net", *layers)).graph


def test_registers_and_codes_are_taken_as_they_are(tmp_path: Path) -> None:
    program = LOIHI2.lower(graph(tmp_path, dense([[41, -20], [61, 80]], neuron=neuron(iDecay=7, vDecay=11, vThMant=13))))
    cell = program.population("layer0").neuron
    assert {key: int(value) for key, value in cell.params.items()} == {"du": 6, "dv": 11, "vth": 13}
    assert program.target == "loihi2"
    synapse = program.projections[0].synapse
    assert isinstance(synapse, Dense)
    np.testing.assert_array_equal(synapse.codes, [[41, -20], [61, 80]])
    assert program.projections[0].delay == 1


def test_synapses_that_differ_in_delay_are_listed(tmp_path: Path) -> None:
    found = LOIHI2.lower(graph(tmp_path, dense([[2, 4], [6, 8]], delay=[[0, 1], [1, 0]]))).projections
    assert [q.delay for q in found] == [1, 2]
    listed = [q.synapse for q in found if isinstance(q.synapse, Sparse)]
    assert [synapse.codes.tolist() for synapse in listed] == [[2, 8], [4, 6]]
    by_target = LOIHI2.lower(graph(tmp_path, dense([[2, 4], [6, 8]], delay=[3, 0]))).projections
    assert [(q.delay, q.synapse.codes.tolist()) for q in by_target] == [(1, [6, 8]), (4, [2, 4])]


def test_what_only_lavas_model_holds_is_a_warning(tmp_path: Path) -> None:
    found = LOIHI2.check(graph(tmp_path, dense([[2, 4]], neuron=neuron(iDecay=0, vDecay=4096, vThMant=0))))
    assert found.fits
    told = {warning.message.split(",")[0] for warning in found.warnings if warning.rule == "own-registers"}
    assert told == {"its du spans -1..-1", "its dv spans 4096..4096", "its vth spans 0..0"}
    assert any(warning.rule == "state-range" for warning in found.warnings)


def test_contradictions_are_refused(tmp_path: Path) -> None:
    whole = graph(tmp_path, dense([[2, 4]]))
    bare = with_nodes(whole, {"layer0": with_metadata(whole.nodes["layer0"], loihi=3)})
    with pytest.raises(InvalidGraph, match="its metadata hold no registers"):
        LOIHI2.lowering(bare, LOIHI2.chip)
    fractions = with_nodes(whole, {"layer0.synapse": with_metadata(nir.Linear(np.full((1, 2), 0.5)), scale=1.0)})
    with pytest.raises(InvalidGraph, match="its weights are no integers"):
        LOIHI2.lowering(fractions, LOIHI2.chip)
    maps = graph(tmp_path, {"type": "input", "shape": [1, 1, 2]}, conv([[[[1]]]], [1, 1, 2]))
    late = with_node_on_edge(maps, ("layer1.synapse", "layer1"), "d", nir.Delay(np.array([[[1e-3, 2e-3]]])))
    with pytest.raises(InvalidGraph, match="which a convolution cannot"):
        LOIHI2.lowering(late, LOIHI2.chip)


def test_a_damaged_header_is_refused() -> None:
    assert header_of({}) is None
    with pytest.raises(InvalidGraph, match="metadata 'netx': it cannot be read"):
        header_of({"netx": "{"})
