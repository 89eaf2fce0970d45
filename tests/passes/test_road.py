"""The passes together: what a network computes survives to the last integer."""

from __future__ import annotations

import numpy as np
import pytest
from networks import NETWORKS

from snnport.convention import CODED, coding_of
from snnport.encoders import CountEncoder, encoder_of
from snnport.flow.convert import Conversion, ConvertOptions, convert_graph
from snnport.graph import Graph, predecessors, shapes, the_input, the_output
from snnport.importers.base import Imported
from snnport.ledger import Entry
from snnport.passes.unspike import quantised_ann
from snnport.reference import forward, run_spiking


def converted(name: str, seed: int, signed: bool = False, **options: object) -> tuple[Conversion, np.ndarray]:
    rng = np.random.default_rng(seed)
    graph = NETWORKS[name](rng)
    x = rng.uniform(-1 if signed else 0, 1, (40, *shapes(graph)[the_input(graph)]))
    ledger = tuple(Entry(n, type(node).__name__, "became", (n,), "", "test") for n, node in graph.nodes.items())
    return convert_graph(Imported(graph, "onnx", ledger), x, "test", ConvertOptions(**options)), x


def counts_for(graph: Graph, x: np.ndarray) -> tuple[CountEncoder, np.ndarray]:
    encoder = encoder_of(graph.metadata)
    return encoder, encoder.counts(x)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
def test_the_gate_code_gives_the_quantised_ann_integer_for_integer(name: str, seed: int, signed: bool) -> None:
    conversion, x = converted(name, seed, signed, levels=5, input_levels=3)
    graph = conversion.graph
    coding = coding_of(graph.metadata)
    assert coding is not None
    encoder, counts = counts_for(graph, x[:12])
    expected = forward(conversion.stages["quantised weights"], counts, integers=True).reshape(12, -1)
    raster = encoder.raster(counts, coding.n_steps).reshape(12, coding.n_steps, *counts.shape[1:])
    output = predecessors(graph, the_output(graph))[0]
    trace = run_spiking(graph, raster, CODED, coding, [output])
    actual = trace.spikes[output].sum(axis=1) if name == "spiking_output" else trace.v[output][:, -1]
    assert np.array_equal(actual, expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_counts_of_every_population_are_thermometer_coded_in_their_window(name: str) -> None:
    conversion, x = converted(name, 7, levels=4)
    graph = conversion.graph
    coding = coding_of(graph.metadata)
    assert coding is not None
    encoder, counts = counts_for(graph, x[:8])
    raster = encoder.raster(counts, coding.n_steps).reshape(8, coding.n_steps, *counts.shape[1:])
    trace = run_spiking(graph, raster, CODED, coding)
    for population, spikes in trace.spikes.items():
        window = coding.windows[population]
        inside = spikes[:, window.open : window.open + window.levels]
        assert inside.sum() == spikes.sum()
        assert (np.diff(inside, axis=1) <= 0).all(), "a spike follows a silent step"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_alone_gives_back_its_quantised_ann(name: str) -> None:
    conversion, x = converted(name, 3)
    _, counts = counts_for(conversion.graph, x)
    rebuilt = forward(quantised_ann(conversion.graph), counts, integers=True)
    assert np.array_equal(rebuilt, forward(conversion.stages["quantised weights"], counts, integers=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_many_levels_and_bits_come_close_to_the_float_network(name: str) -> None:
    conversion, x = converted(name, 5, levels=512, input_levels=1024, bits=16)
    _, counts = counts_for(conversion.graph, x)
    exact = forward(conversion.stages["float"], x)
    scale = conversion.graph.nodes[predecessors(conversion.graph, the_output(conversion.graph))[0]].metadata["scale"]
    coarse = forward(conversion.stages["quantised weights"], counts, integers=True) * float(scale)
    unit = conversion.graph.nodes["out"].metadata["theta"] if name == "spiking_output" else 1
    assert np.abs(coarse * unit - exact).max() < 0.02 * np.abs(exact).max()


def test_every_source_node_is_accounted_for() -> None:
    conversion, _ = converted("residual", 0)
    assert {entry.node for entry in conversion.ledger} == set(NETWORKS["residual"](np.random.default_rng(0)).nodes)
    assert all(entry.final for entry in conversion.ledger)
    folded = next(entry for entry in conversion.ledger if entry.node == "n0")
    assert folded.final == ("c0",)
