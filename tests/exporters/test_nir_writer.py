"""What write_nir writes, nir.read takes with its type check on, and read_nir gives back unchanged."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from snnport.convention import CODED, Coding, Window
from snnport.errors import InvalidGraph, InvalidInput
from snnport.exporters.nir import write_nir
from snnport.graph import Graph, build, chain, shapes
from snnport.importers.nir import read_nir
from snnport.importers.stored import KEY, restore_conv, store_conv
from snnport.nodes import ANN_NODES, MaxPool2d, ReLU, flatten_node, input_node, output_node, output_shape, pair
from snnport.quant import codes_of

RNG = np.random.default_rng(0)


def there_and_back(graph: Graph, folder: Path) -> Graph:
    """Written, read by nir itself with its check, and read by us."""
    path = folder / "net.nir"
    write_nir(graph, path)
    nir.read(path)
    return read_nir(path).graph


def assert_same(graph: Graph, other: Graph) -> None:
    """Equal names, order, edges, parameters and metadata."""
    assert list(other.nodes) == list(graph.nodes)
    assert other.edges == graph.edges
    assert other.metadata == graph.metadata
    for name, node in graph.nodes.items():
        again = other.nodes[name]
        assert type(again) is type(node)
        assert again.metadata == node.metadata
        for key in set(vars(node)) - {"input_type", "output_type", "metadata", "input_shape"}:
            np.testing.assert_array_equal(getattr(again, key), getattr(node, key), err_msg=f"{name}.{key}")
    assert shapes(other) == shapes(graph)


def conv(weight: Any, *, stride: Any = (1, 1), padding: Any = (0, 0), dilation: Any = (1, 1), groups: int = 1, **meta: Any):
    bias = RNG.integers(-99, 99, len(weight)) * meta.get("scale", 1.0)
    return nir.Conv2d(None, weight, stride, padding, dilation, groups, bias, metadata=meta)


def neurons(*shape: int, **meta: Any) -> nir.IF:
    full = np.full(shape, 2.0)
    return nir.IF(r=np.ones(shape), v_threshold=full, v_reset=np.zeros(shape), metadata=meta)


def coded_network() -> Graph:
    """A converted network: two paths that add, a depthwise and a long kernel, a relay, a readout, codes in the metadata."""
    scale = 0.037
    theta = 18
    wide = RNG.integers(-7, 8, (4, 1, 3, 3)) * scale
    long = RNG.integers(-7, 8, (4, 4, 1, 3)) * scale
    dense = RNG.integers(-7, 8, (3, 16)) * scale
    kept: dict[str, Any] = {"scale": scale, "bits": 4}
    nodes: dict[str, nir.NIRNode] = {
        "/input": input_node((2, 4, 4)),
        "conv/10": conv(RNG.integers(-7, 8, (4, 2, 1, 1)) * scale, **kept),
        "conv/2": conv(np.ones((4, 2, 3, 3)) * scale, padding="same", **kept),
        "if_a": neurons(4, 4, 4, scale=scale, theta=theta, levels=3),
        "depthwise": conv(wide, padding=(1, 1), groups=4, **kept),
        "if_b": neurons(4, 4, 4, scale=scale, theta=theta, levels=3),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "relay": neurons(4, 2, 2, scale=1.0, theta=1),
        "long": conv(long, padding=(0, 1), **kept),
        "if_c": neurons(4, 2, 2, scale=scale, theta=theta, levels=3),
        "flatten": flatten_node((4, 2, 2)),
        "dense": nir.Affine(dense, RNG.integers(-99, 99, 3) * scale, metadata=kept),
        "readout": nir.I(np.ones(3), metadata={"scale": scale}),
        "output": output_node((3,)),
    }
    later = [name for name in nodes if name != "conv/2"]
    edges = [*pairwise(later), ("/input", "conv/2"), ("conv/2", "if_a")]
    windows = {name: Window("gated", 1, 4, 3) for name in ("if_a", "if_b", "relay", "if_c")}
    windows |= {"/input": Window("input", 0, 0, 3), "readout": Window("readout", 9, 12, 3)}
    coding = Coding("gate", 13, {"kind": "consecutive", "step": 0.25, "levels": 3, "signed": False}, windows)
    return build(nodes, edges, {"snnport": json.dumps({"version": 1, "coding": coding.to_json(), "pipeline": "spike"})})


def test_a_converted_network_comes_back_as_it_was(tmp_path: Path) -> None:
    graph = coded_network()
    path = tmp_path / "net.nir"
    write_nir(graph, path)
    checked = nir.read(path)
    assert set(checked.nodes) & {"conv_10", "_input"} == {"conv_10", "_input"}
    imported = read_nir(path)
    assert_same(graph, imported.graph)
    assert (imported.dialect, imported.convention, imported.ambiguous, imported.repairs) == ("snnport", CODED, (), ())
    assert imported.coding is not None
    assert imported.coding.to_json() == json.loads(graph.metadata["snnport"])["coding"]
    for name in ("conv/10", "conv/2", "depthwise", "long", "dense"):
        before, after = graph.nodes[name], imported.graph.nodes[name]
        assert isinstance(after.metadata["bits"], int)
        for field in ("weight", "bias"):
            values = [codes_of(getattr(node, field), node.metadata["scale"], name) for node in (before, after)]
            np.testing.assert_array_equal(*values)


def test_a_graph_is_left_alone_and_the_bytes_repeat(tmp_path: Path) -> None:
    graph = coded_network()
    write_nir(graph, tmp_path / "a.nir")
    assert graph.nodes["depthwise"].groups == 4
    assert KEY not in graph.nodes["depthwise"].metadata
    write_nir(graph, tmp_path / "b.nir")
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nir", "b.nir"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="it cannot be written"):
        write_nir(coded_network(), tmp_path / "none" / "net.nir")


# -------------------------------------------------------------------------------------------------------- convolutions


def convolve(x: np.ndarray, node: Any) -> np.ndarray:
    """A convolution of x (in, height, width) straight from its definition, padding (height, width)."""
    weight, groups = node.weight, int(node.groups)
    stride, dilation, padding = pair(node.stride), pair(node.dilation), pair(node.padding)
    channels, height, width = output_shape("conv", node, x.shape)
    padded = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    result = np.zeros((channels, height, width))
    per_group = weight.shape[1]
    for o in range(channels):
        first = o // (channels // groups) * per_group
        for i in range(height):
            for j in range(width):
                rows = i * stride[0] + dilation[0] * np.arange(weight.shape[2])
                columns = j * stride[1] + dilation[1] * np.arange(weight.shape[3])
                result[o, i, j] = (weight[o] * padded[first : first + per_group][:, rows][:, :, columns]).sum()
    return result


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_stored_convolution_computes_the_same_and_is_restored(data: st.DataObject) -> None:
    def two(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.integers(low, high)), data.draw(st.integers(low, high))

    kernel, stride, padding, dilation, size = two(1, 4), two(1, 3), two(0, 2), two(1, 2), two(1, 7)
    groups, outputs, inputs = (data.draw(st.integers(1, 2)) for _ in range(3))
    weight = RNG.integers(-7, 8, (groups * outputs, inputs, *kernel)).astype(np.float32)
    node = conv(weight, stride=stride, padding=padding, dilation=dilation, groups=groups, scale=1.0)
    shape = (groups * inputs, *size)
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    room = [n + 2 * p - r for n, p, r in zip(size, padding, reach, strict=True)]
    assume(min(room) > 0)
    out = output_shape("conv", node, shape)
    if (
        kernel[0] != kernel[1]
        and (reach[0] - reach[1]) % 2
        and all(s == 1 and n > 1 for s, n in zip(stride, out[1:], strict=True))
    ):
        with pytest.raises(InvalidGraph, match=r"nir 1\.0\.8 cannot hold its kernel"):
            store_conv("conv", node, shape)
        return
    stored = store_conv("conv", node, shape)
    assert int(stored.groups) == 1
    assert stored.weight.shape[2] == stored.weight.shape[3]
    np.testing.assert_array_equal(stored.output_type["output"], out)
    x = RNG.integers(0, 9, shape).astype(np.float64)
    np.testing.assert_array_equal(convolve(x, stored), convolve(x, node))
    restored = restore_conv("conv", stored, shape)
    for key in ("weight", "stride", "padding", "dilation", "groups", "bias"):
        np.testing.assert_array_equal(getattr(restored, key), getattr(node, key))
    assert restored.weight.dtype == np.float32
    assert restored.metadata == {"scale": 1.0}


@pytest.mark.parametrize("kernel", [(1, 2), (1, 8), (4, 1), (2, 2), (3, 5)])
def test_same_padding_is_resolved_and_restored(tmp_path: Path, kernel: tuple[int, int]) -> None:
    size = (2, 1 if kernel[0] == 1 else 9, 1 if kernel[1] == 1 else 9)
    graph = chain(
        {"input": input_node(size), "conv": conv(RNG.normal(size=(3, 2, *kernel)), padding="same"), "output": output_node()}
    )
    assert_same(graph, there_and_back(graph, tmp_path))
    stored: Any = store_conv("conv", graph.nodes["conv"], size)
    assert not isinstance(stored.padding, str)


def test_a_kernel_that_nir_cannot_hold(tmp_path: Path) -> None:
    graph = chain({"input": input_node((1, 8, 8)), "conv": conv(np.ones((1, 1, 2, 3))), "output": output_node()})
    with pytest.raises(InvalidGraph, match=r"conv: nir 1\.0\.8 cannot hold its kernel \(2, 3\).*both odd or both even"):
        write_nir(graph, tmp_path / "net.nir")


@pytest.mark.parametrize(("padding", "groups"), [(1, 1), ("same", 1), ("valid", 2), (0, 2)])
def test_one_dimensional_convolutions(tmp_path: Path, padding: Any, groups: int) -> None:
    weight = RNG.normal(size=(4, 4 // groups, 4))
    node = nir.Conv1d(None, weight, 1, padding, 1, groups, np.zeros(4))
    graph = chain({"input": input_node((4, 9)), "conv": node, "output": output_node()})
    assert_same(graph, there_and_back(graph, tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({KEY: "no json"}, "cannot be read"),
        ({KEY: json.dumps({"groups": 2, "kernel": [3, 3]})}, "cannot be read"),
    ],
)
def test_damaged_metadata_of_a_convolution(change: dict[str, str], message: str) -> None:
    node: Any = store_conv("conv", conv(np.ones((2, 1, 3, 3)), groups=2), (2, 5, 5))
    node.metadata = {**node.metadata, **change}
    with pytest.raises(InvalidGraph, match=message):
        restore_conv("conv", node, (2, 5, 5))


def test_an_edited_weight_is_noticed() -> None:
    node: Any = store_conv("conv", conv(np.ones((2, 1, 3, 3)), groups=2), (2, 5, 5))
    node.weight[0, 1] = 5
    with pytest.raises(InvalidGraph, match="its weight is not the one its metadata"):
        restore_conv("conv", node, (2, 5, 5))


# ---------------------------------------------------------------------------------------------------- other nir faults


def test_scalars_integers_and_unset_types(tmp_path: Path) -> None:
    one: Any = np.array(1)
    nodes = {
        "10": input_node((2, 4, 4)),
        "9": nir.LIF(tau=np.array([0.5]), r=np.array([1]), v_leak=np.array([0]), v_threshold=np.array([3])),
        "8": nir.AvgPool2d(np.array(2), np.array(2), np.array(0)),
        "7": nir.Flatten({"input": None}, 0, 1),  # type: ignore[dict-item]
        "6": nir.Scale(np.array(2.0)),
        "5": nir.Delay(np.array(0.0)),
        "4": nir.Threshold(one),
        "3": nir.Flatten({"input": None}, -2, -1),  # type: ignore[dict-item]
        "2": nir.Linear(np.arange(24).reshape(3, 8)),
        "1": output_node(),
    }
    graph = chain(nodes, {"none": None, "flag": True, "table": {"a": 1.5}})
    again = there_and_back(graph, tmp_path)
    assert list(again.nodes) == list(nodes)
    assert shapes(again) == shapes(graph)
    assert again.metadata == {"flag": True, "table": {"a": 1.5}}
    lif: Any = again.nodes["9"]
    np.testing.assert_array_equal(lif.v_threshold, np.full((2, 4, 4), 3.0))
    weight: Any = again.nodes["2"]
    assert weight.weight.dtype == np.float64
    np.testing.assert_array_equal(weight.weight, np.arange(24).reshape(3, 8))


def test_arrays_and_lists_in_metadata(tmp_path: Path) -> None:
    graph = chain({"input": input_node((2,)), "i": nir.I(np.ones(2), metadata={"map": [3, 1]}), "output": output_node((2,))})
    again = there_and_back(graph, tmp_path)
    np.testing.assert_array_equal(again.nodes["i"].metadata["map"], [3, 1])


def test_names_that_hdf5_would_take_for_folders(tmp_path: Path) -> None:
    names = ["a/b", "a_b", ".", "..", "a_b_2", "ö", "/"]
    nodes = {"in": input_node((2,)), **{name: nir.I(np.ones(2)) for name in names}, "out": output_node((2,))}
    graph = chain(nodes)
    assert_same(graph, there_and_back(graph, tmp_path))


def test_loops_and_fan_in(tmp_path: Path) -> None:
    nodes = {
        "input": input_node((3,)),
        "w": nir.Linear(RNG.normal(size=(4, 3))),
        "lif": nir.CubaLIF(*(np.full(4, v) for v in (0.1, 0.2, 1.0, 0.0, 1.0, 0.0, 1.0))),
        "rec": nir.Linear(RNG.normal(size=(4, 4))),
        "output": output_node((4,)),
    }
    edges = [("input", "w"), ("w", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "output")]
    assert_same(build(nodes, edges), there_and_back(build(nodes, edges), tmp_path))


@pytest.mark.parametrize("kind", ANN_NODES)
def test_nodes_that_nir_lacks(tmp_path: Path, kind: Any) -> None:
    options: dict[str, Any] = {
        "ReLU": {},
        "QuantReLU": {"step": 1.0, "levels": 3, "gain": 1.0},
        "BatchNorm": {"scale": np.ones(1), "shift": np.ones(1)},
        "MaxPool2d": {"kernel_size": (1, 1), "stride": (1, 1), "padding": (0, 0, 0, 0)},
    }
    nodes = {"input": input_node((1, 4, 4)), "ann": kind(**options[kind.__name__]), "output": output_node()}
    with pytest.raises(InvalidGraph, match=rf"NIR has no node for ann \({kind.__name__}\). Convert the network to spikes"):
        write_nir(chain(nodes), tmp_path / "net.nir")
    assert not list(tmp_path.iterdir())


def test_all_that_nir_lacks_is_named(tmp_path: Path) -> None:
    nodes = {"input": input_node((1, 4, 4)), "a": ReLU(), "b": MaxPool2d((1, 1), (1, 1), (0, 0, 0, 0)), "output": output_node()}
    with pytest.raises(InvalidGraph, match=r"a \(ReLU\), b \(MaxPool2d\)"):
        write_nir(chain(nodes), tmp_path / "net.nir")


def test_a_node_that_leads_nowhere(tmp_path: Path) -> None:
    with pytest.raises(InvalidGraph, match="i: the output of this node goes nowhere"):
        write_nir(chain({"input": input_node((2,)), "i": nir.I(np.ones(2))}), tmp_path / "net.nir")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"a/b": 1}, "the key 'a/b', which HDF5 cannot hold"),
        ({"a": object()}, "its metadata 'a' are a object"),
        ({"a": ["x"]}, "its metadata 'a' are a list"),
        ({"a": "nul \0"}, "nir refuses the graph"),
    ],
)
def test_metadata_that_hdf5_cannot_hold(tmp_path: Path, metadata: dict[str, Any], message: str) -> None:
    graph = chain({"input": input_node((2,)), "i": nir.I(np.ones(2), metadata=metadata), "output": output_node((2,))})
    with pytest.raises(InvalidGraph, match=message):
        write_nir(graph, tmp_path / "net.nir")
