"""Speck's integers: equal to what sinabs 3.1.3 gives (tests/golden/sinabs_speck), its two faults, and what fitting gains."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nir
import numpy as np
import pytest

from snnport.convention import Convention
from snnport.errors import InvalidInput, PassFailed
from snnport.graph import Graph, build
from snnport.importers.nir import read_nir
from snnport.importers.state_dict import read_state_dict
from snnport.nodes import input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.quantize_speck import QuantizeSpeck, best_theta, discretise, rescale_of
from snnport.passes.spec import parse_pass
from snnport.targets.base import resolve_target

GOLDEN = Path(__file__).parents[1] / "golden" / "sinabs_speck"
with np.load(GOLDEN / "layers.npz") as _file:
    LAYERS = dict(_file)
CASES = sorted({key.split("/")[0] for key in LAYERS} - {"rescale"})
REAL = json.loads((GOLDEN / "real.json").read_text())
SINABS = Convention("sinabs", dt=1.0, reset="subtract", comparison=">=", multi_spike=True, v_min=-1.0, integrator_gain="unit")


def of_case(name: str):
    threshold, low, rescale = LAYERS[f"{name}/scalars"].tolist()
    bias, v_mem = LAYERS.get(f"{name}/bias"), LAYERS.get(f"{name}/v_mem")
    return discretise(LAYERS[f"{name}/weight"], bias, threshold, None if np.isnan(low) else low, rescale=rescale, v_mem=v_mem)


@pytest.mark.parametrize("name", CASES)
def test_integers_are_those_of_sinabs(name: str) -> None:
    found = of_case(name)
    assert np.array_equal(found.weight.reshape(-1), LAYERS[f"{name}/out_weight"].reshape(-1))
    assert [found.high, found.low] == LAYERS[f"{name}/out_scalars"].tolist()
    if f"{name}/bias" in LAYERS:
        assert np.array_equal(found.bias, LAYERS[f"{name}/out_bias"])
    if f"{name}/v_mem" in LAYERS:
        assert np.array_equal(found.v_mem, LAYERS[f"{name}/out_v_mem"])


def test_rounding_is_half_to_even() -> None:
    codes = LAYERS["halves/out_weight"].reshape(-1)[1:]
    assert np.any(codes % 2 == 0)
    assert np.all(codes % 2 == 0), "x.5 goes to the even neighbour"
    assert of_case("halves").scale == 1.0


@pytest.mark.parametrize("number", range(3))
def test_conflicting_poolings_rescale_as_sinabs_does(number: int) -> None:
    *scales, first, second = LAYERS[f"rescale/{number}"].tolist()
    assert rescale_of(tuple(scales), 1) == first
    assert rescale_of(tuple(scales), 2) == second
    with pytest.raises(InvalidInput, match="poolings of factors"):
        rescale_of(tuple(scales))


def test_one_pooling_rescales_by_its_own_factor() -> None:
    assert rescale_of(()) == 1.0
    assert rescale_of((0.25, 0.25)) == 0.25


def test_first_fault_of_sinabs_no_lower_bound_zeroes_every_weight() -> None:
    """min_v_mem None becomes -2^15 before scaling, so that the scale is at most 1."""
    found = of_case("no_low")
    assert found.scale == 1.0
    assert found.low == -32768
    assert not LAYERS["no_low/out_weight"].any()
    assert LAYERS["no_low/weight"].any()
    graph, weight = network(LAYERS["no_low/weight"])
    ours = run_passes(with_v_min(graph, None), (QuantizeSpeck(),), Context()).nodes["conv"]
    assert np.abs(np.asarray(ours.weight) - weight).max() <= ours.metadata["scale"]
    assert ours.weight.any()


def test_second_fault_of_sinabs_its_nir_reader_adds_a_lower_bound() -> None:
    """nir.IF has no lower bound; sinabs reads min_v_mem = -v_threshold into it."""
    graph = with_v_min(network(LAYERS["plain/weight"])[0], None)
    target = resolve_target("speck2f")
    floor = {}
    for method in ("sinabs", "fitted"):
        program = target.lower(run_passes(graph, (QuantizeSpeck(method=method),), Context()))
        neuron = program.population("if").neuron
        floor[method] = int(neuron["v_min"]), int(neuron["v_threshold"])
    assert floor["sinabs"][0] == -floor["sinabs"][1]
    assert floor["fitted"][0] == -32768


def network(weight: np.ndarray, bias: np.ndarray | None = None, threshold: float = 1.0) -> tuple[Graph, np.ndarray]:
    out, channels, size, _ = weight.shape
    side = 8 - size + 1
    shape = (out, side, side)
    nodes = {
        "input": input_node((channels, 8, 8)),
        "conv": nir.Conv2d((8, 8), weight, 1, 0, 1, 1, np.zeros(out) if bias is None else bias),
        "if": nir.IF(np.ones(shape), np.full(shape, threshold), np.zeros(shape)),
        "output": output_node(shape),
    }
    return with_v_min(build(nodes, [("input", "conv"), ("conv", "if"), ("if", "output")], {}), -1.0), weight


def with_v_min(graph: Graph, v_min: float | None) -> Graph:
    header = {"version": 1, "coding": None, "convention": SINABS.having(v_min=v_min).to_json()}
    return build(graph.nodes, graph.edges, {"snnport": json.dumps(header)})


@pytest.mark.parametrize("name", ["plain", "bias_binds", "outlier", "negative_binds", "negative_at_128", "threshold_binds"])
def test_the_pass_writes_the_integers_of_sinabs(name: str) -> None:
    graph, _ = network(LAYERS[f"{name}/weight"], LAYERS.get(f"{name}/bias"))
    program = resolve_target("speck2f").lowering(
        run_passes(graph, (QuantizeSpeck(method="sinabs"),), Context()), resolve_target("speck2f").chip
    )
    neuron = program.population("if").neuron
    high, low = LAYERS[f"{name}/out_scalars"].tolist()
    assert np.array_equal(program.projections[0].synapse.codes, LAYERS[f"{name}/out_weight"])
    assert (int(neuron["v_threshold"]), int(neuron["v_min"])) == (high, low)
    if f"{name}/out_bias" in LAYERS:
        bias = np.broadcast_to(neuron["bias"], (4 * 36,)).reshape(4, 36)[:, 0]
        assert np.array_equal(bias, LAYERS[f"{name}/out_bias"])


def test_spelling_round_trips() -> None:
    step = QuantizeSpeck(method="fitted", thresholds="conv:193;dense:12")
    assert parse_pass(step.spelling) == step
    assert step.chosen() == {"conv": 193, "dense": 12}
    assert parse_pass("quantize-speck{method=sinabs}") == QuantizeSpeck(method="sinabs")


@pytest.mark.parametrize(
    ("step", "match"),
    [
        (QuantizeSpeck(method="best"), "no method 'best'"),
        (QuantizeSpeck(thresholds="conv"), "no list of thresholds"),
        (QuantizeSpeck(thresholds="convolution:3"), "no layer 'convolution'"),
    ],
)
def test_refusals(step: QuantizeSpeck, match: str) -> None:
    with pytest.raises(PassFailed, match=match):
        run_passes(network(LAYERS["plain/weight"])[0], (step,), Context())


def test_chosen_thresholds_are_taken() -> None:
    graph, _ = network(LAYERS["plain/weight"])
    done = run_passes(graph, (QuantizeSpeck(thresholds="conv:500"),), Context())
    assert done.nodes["if"].metadata["theta"] == 500
    assert np.abs(done.nodes["conv"].weight / done.nodes["conv"].metadata["scale"]).max() <= 127


def test_an_outlier_that_hardly_counts_is_clipped() -> None:
    """One weight of 5 among 71 of 0.02: a code of sinabs is 0.04, and zeroes most of them."""
    weight = LAYERS["outlier/weight"].astype(np.float64)
    sinabs = of_case("outlier")
    assert np.count_nonzero(sinabs.weight) == 26
    counts = np.where(np.abs(weight) > 1, 1e-6, 1.0)
    theta = best_theta(1.0, [(weight, counts)])
    kept = np.clip(np.rint(weight * theta), -127, 127)
    assert np.count_nonzero(kept) > 60
    assert best_theta(1.0, [(weight, np.ones(1))]) <= 127 / 5, "without that knowledge it is kept whole"


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(n for n in REAL if n.endswith(".nir")))
def test_real_networks_get_the_integers_of_sinabs(name: str, data_dir: Path) -> None:
    imported = read_nir(data_dir / "nir" / name, dialect="sinabs")
    header = {"version": 1, "coding": None, "convention": imported.convention.to_json()}
    graph = build(imported.graph.nodes, imported.graph.edges, {**imported.graph.metadata, "snnport": json.dumps(header)})
    done = run_passes(graph, (QuantizeSpeck(method="sinabs"),), Context())
    checked = 0
    for layer, wanted in REAL[name].items():
        node = done.nodes[layer]
        q = node.metadata["scale"]
        weight, bias = (
            np.rint(np.asarray(x) / q).astype(np.int16)
            for x in (node.weight, getattr(node, "bias", np.zeros(len(node.weight))))
        )
        after = done.nodes[next(b for a, b in done.edges if a == layer)]
        assert hashlib.sha256(weight.tobytes() + bias.tobytes()).hexdigest() == wanted["sha256"], layer
        assert (after.metadata["theta"], after.metadata["v_min"]) == (wanted["high"], wanted["low"])
        checked += 1
    assert checked == len(REAL[name]) > 0


@pytest.mark.data
def test_sinabs_own_mnist_network_gets_its_integers(data_dir: Path) -> None:
    graph = read_state_dict(data_dir / "ann" / "sinabs_mnist_params.pt", "sinabs-mnist").graph
    for layer, wanted in REAL["sinabs_mnist_params.pt"].items():
        rescale = 1.0 if layer in ("conv0", "dense12") else rescale_of((0.25,))
        found = discretise(graph.nodes[layer].weight, None, 1.0, -1.0, rescale=rescale)
        weight = found.weight.astype(np.int16)
        digest = hashlib.sha256(weight.tobytes() + np.zeros(len(weight), np.int16).tobytes()).hexdigest()
        assert digest == wanted["sha256"], layer
        assert (found.high, found.low) == (wanted["high"], wanted["low"])
