"""NIR files as they are found: read with every repair told, or refused with place and reason, never with a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snnport.convention import Convention
from snnport.errors import InvalidGraph, InvalidInput, SnnportError, UnknownName, UnsupportedNode
from snnport.exporters.nir import write_nir
from snnport.graph import build, chain, shapes
from snnport.importers import nirfile, nirnodes
from snnport.importers.nir import NODES_KEY, read_nir
from snnport.nodes import input_node, output_node

LIF = {"type": "LIF", "tau": np.full(3, 0.01), "r": np.ones(3), "v_leak": np.zeros(3), "v_threshold": np.ones(3)}
LINEAR = {"type": "Linear", "weight": np.arange(6.0).reshape(3, 2)}


def conv(**changes: Any) -> dict[str, Any]:
    whole = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
    return {"type": "Conv2d", "weight": np.ones((4, 2, 3, 3)), "bias": np.zeros(4), **whole, **changes}


def ends(source: list[int], target: list[int]) -> dict[str, Any]:
    return {"input": {"type": "Input", "shape": source}, "output": {"type": "Output", "shape": target}}


def graph(nodes: dict[str, Any], edges: str) -> dict[str, Any]:
    """A graph as HDF5 holds it; `edges` is written "a>b b>c"."""
    return {"type": "NIRGraph", "nodes": nodes, "edges": np.array([edge.split(">") for edge in edges.split()], object)}


def put(group: Any, content: dict[str, Any]) -> None:
    for key, value in content.items():
        if isinstance(value, dict):
            put(group.create_group(key), value)
        elif isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype == object):
            group.create_dataset(key, data=value, dtype=h5py.string_dtype())
        elif isinstance(value, h5py.SoftLink | h5py.ExternalLink):
            group[key] = value
        else:
            group.create_dataset(key, data=value)


def saved(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "net.nir"
    with h5py.File(path, "w") as file:
        put(file, {"version": "0.2.0", "node": content})
    return path


def one(folder: Path, node: dict[str, Any], source: list[int], target: list[int]) -> Path:
    """A file with a single node between Input and Output."""
    return saved(folder, graph({**ends(source, target), "n": node}, "input>n n>output"))


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"PK\3\4" + bytes(99), "it is a zip archive, such as torch.save writes"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "it is a git-lfs pointer"),
        (b"\x08\x07\x12\x0bpytorch", "it is no NIR file: it starts with 08 07 12"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "net.nir"
    path.write_bytes(content)
    with pytest.raises(InvalidGraph, match=message):
        read_nir(path)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidGraph, match="there is no such file"):
        read_nir(tmp_path / "none.nir")
    with pytest.raises(InvalidGraph, match="it cannot be read: Is a directory"):
        read_nir(tmp_path)


def test_hdf5_without_a_graph(tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    with h5py.File(path, "w") as file:
        file["layer"] = 1
    with pytest.raises(InvalidGraph, match="an HDF5 file without a NIR graph"):
        read_nir(path)


def test_files_cut_short(tmp_path: Path) -> None:
    path = one(tmp_path, LIF, [3], [3])
    content = path.read_bytes()
    for length in range(100, len(content), 997):
        path.write_bytes(content[:length])
        with pytest.raises(InvalidGraph, match=r"damaged|cut short|no NIR file"):
            read_nir(path)


def test_flipped_bytes_never_give_another_kind_of_error(tmp_path: Path) -> None:
    path = one(tmp_path, LIF, [3], [3])
    content, rng = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(rng.randrange(1, 12)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            read_nir(path)
        except SnnportError:
            refused += 1
    assert refused > 20


def test_a_damaged_heap_of_texts_is_refused_and_not_read_for_ever(tmp_path: Path) -> None:
    path = one(tmp_path, LIF, [3], [3])
    content = bytearray(path.read_bytes())
    content[content.find(b"GCOL") + 16 + 8] = 0
    for at in range(content.find(b"GCOL") + 16, content.find(b"GCOL") + 32):
        content[at] = 0
    path.write_bytes(content)
    with pytest.raises(InvalidGraph, match="damaged: a heap ends wrongly"):
        read_nir(path)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({**LIF, "tau": np.array([0.1, np.nan, 0.1])}, "n: tau holds nan"),
        ({**LIF, "r": np.array([1, np.inf, 1])}, "n: r holds inf"),
        ({**LIF, "tau": np.array([0.1, -3, 0.1])}, "n: tau is -3 at its least, a time constant is more than 0"),
        ({**LIF, "tau": np.zeros(3)}, "n: tau is 0 at its least"),
        ({**LIF, "v_reset": np.ones(3)}, "n: v_threshold 1 is not above v_reset 1: it would fire for ever"),
        ({**LIF, "v_threshold": np.zeros(3)}, "n: v_threshold 0 is not above v_reset 0"),
        ({"type": "Delay", "delay": np.array([1.0, -1.0, 0.0])}, "n: delay is -1 at its least"),
        ({key: LIF[key] for key in ("type", "tau", "r", "v_leak")}, "n: this LIF has no 'v_threshold'"),
        ({**LIF, "r": np.ones(4)}, r"n: its r has shape \(4,\), its input \(3,\)"),
        ({**LIF, "r": "much"}, "n: its 'r' is no array of numbers"),
        ({"type": "Linear", "weight": np.ones((4, 5))}, r"n: its input is \(3,\), its weight \(4, 5\) takes \(5,\)"),
        ({"type": "Linear", "weight": np.ones((3, 5))}, "It looks transposed"),
        ({"type": "Linear", "weight": np.ones(3)}, r"n: its weight has shape \(3,\), wanted are 2 axes"),
        ({"type": "Affine", "weight": np.ones((2, 3)), "bias": np.ones(5)}, r"n: its bias has shape \(5,\), its weight has 2"),
        ({"type": "Linear", "weight": np.ones((4, 3))}, r"output: it declares \(3,\) and gets \(4,\)"),
    ],
)
def test_nodes_that_cannot_be(tmp_path: Path, node: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidGraph, match=message):
        read_nir(one(tmp_path, node, [3], [3]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stride": [0, 1]}, r"n: its 'stride' is \[0.0, 1.0\], wanted are 2 integers from 1 on"),
        ({"padding": [0.5, 1]}, "n: its 'padding' is"),
        ({"padding": "full"}, "n: its padding is 'full'. Known: same, valid"),
        ({"padding": "same", "stride": [2, 2]}, r"padding 'same' with stride \(2, 2\)"),
        ({"groups": 3}, r"takes 6 channels in 3 groups"),
        ({"weight": np.ones((4, 2, 3))}, "wanted are 4 axes"),
        ({"weight": np.ones((4, 2, 9, 9))}, "is larger than its padded input"),
    ],
)
def test_convolutions_that_cannot_be(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidGraph, match=message):
        read_nir(one(tmp_path, conv(**changes), [2, 5, 5], [4, 3, 3]))


def test_a_convolution_wants_a_map(tmp_path: Path) -> None:
    with pytest.raises(InvalidGraph, match=r"n: it needs an input of 3 axes and gets \(50,\)"):
        read_nir(one(tmp_path, conv(), [50], [4, 3, 3]))


def test_all_faults_of_all_nodes_are_told_at_once(tmp_path: Path) -> None:
    bad = {**LIF, "tau": -np.ones(3), "r": np.full(3, np.nan)}
    path = saved(tmp_path, graph({**ends([3], [3]), "a": bad, "b": {**LIF, "tau": np.zeros(3)}}, "input>a a>b b>output"))
    with pytest.raises(InvalidGraph, match=r"a: r holds nan; a: tau is -1 at its least.*; b: tau is 0"):
        read_nir(path)


def test_all_unknown_types_are_listed(tmp_path: Path) -> None:
    inner = graph({**ends([3], [3]), "x": {"type": "Magic"}}, "input>x x>output")
    path = saved(tmp_path, graph({**ends([3], [3]), "s": inner, "y": {"type": "MaxPool2d"}}, "input>s s>y y>output"))
    with pytest.raises(UnsupportedNode, match=r"s\.x \(Magic\), y \(MaxPool2d\)"):
        read_nir(path)


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        (
            {**ends([3], [3]), "n": LIF},
            "input>n n>m m>output",
            r"nodes that are not there \(m\): n -> m, m -> output",
        ),
        ({**ends([3], [3]), "n": LIF}, "input>n input>n n>output", "it is given twice"),
        ({**ends([3], [3]), "n": LIF, "m": LIF}, "input>n n>output m>output", "m: this LIF has no input"),
        (
            {**ends([2], [3]), "n": LINEAR},
            "input>n n>output input>output",
            r"output: the inputs it adds.*\(2,\), \(3,\)",
        ),
        (
            {**ends([2], [3]), "n": LINEAR, "l": LIF, "w": {"type": "Linear", "weight": np.ones((2, 3))}},
            "input>n n>l l>w w>l l>output",
            r"l: the inputs it adds differ in shape: \(3,\), \(2,\) \(the loop from w\)",
        ),
        ({"a": LIF, "b": LIF}, "", "it has no Input node, and 2 nodes could stand beside it: a, b"),
        ({}, "", "the graph has no nodes"),
        ({"n": {"type": "SumPool2d"}}, "", "n: its parameters do not tell the shape of its input"),
        ({**ends([0], [3]), "n": LIF}, "input>n n>output", r"input: this Input declares \(0,\)"),
        ({**ends([1 << 20, 1 << 20], [3]), "n": LIF}, "input>n n>output", "wanted are 1 to 268435456 neurons"),
        ({**ends([3], [3]), "n": LIF, "input": {"type": "Input"}}, "input>n n>output", "input: this Input has no 'shape'"),
        ({**ends([3], [3]), "input": {"type": "Input", "shape": [1.5]}}, "input>output", "which is no shape"),
    ],
)
def test_graphs_that_cannot_be(tmp_path: Path, nodes: dict[str, Any], edges: str, message: str) -> None:
    with pytest.raises(InvalidGraph, match=message):
        read_nir(saved(tmp_path, graph(nodes, edges)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"type": "NIRGraph", "nodes": {}, "edges": np.arange(4)}, "has no list of edges"),
        ({"type": "NIRGraph", "nodes": {"a": 1}, "edges": np.zeros(0)}, "'/node/nodes/a' is no node"),
        ({"type": "NIRGraph", "nodes": {"a": h5py.SoftLink("/node")}, "edges": np.zeros(0)}, "'/node/nodes/a' is no node"),
        ({"nodes": {}}, "node '/node' has no type"),
        ({"type": "LIF", "tau": h5py.ExternalLink("other.h5", "/tau")}, "'/node/tau' is a link to another place"),
        ({"type": "LIF", "tau": h5py.Empty("f8")}, "'/node/tau' is empty"),
        ({"type": "LIF", "tau": np.ones(2, complex)}, "'/node/tau' is of type complex128"),
        ({"type": "LIF", "tau": np.dtype("f4")}, "'/node/tau' is no field"),
        ({"type": "LIF", "metadata": {"a": h5py.SoftLink("/node")}}, "'/node/metadata/a' is no entry of metadata"),
    ],
)
def test_odd_hdf5(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    path = tmp_path / "net.nir"
    with h5py.File(path, "w") as file:
        group = file.create_group("node")
        if isinstance(content.get("tau"), np.dtype):
            group["tau"] = content.pop("tau")
        put(group, content)
    with pytest.raises(InvalidGraph, match=message):
        read_nir(path)


def test_data_in_other_files_sizes_and_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.nir"
    with h5py.File(path, "w") as file:
        put(file, {"node": {"type": "LIF"}})
        file["node"].create_dataset("tau", (3,), "f8", external=[("raw.bin", 0, 24)])
    with pytest.raises(InvalidGraph, match="'/node/tau' lies in another file"):
        read_nir(path)
    with h5py.File(path, "w") as file:
        put(file, {"node": {"type": "LIF"}})
        file["node"].create_dataset("tau", (1 << 40,), "f8", chunks=(1 << 20,))
    with pytest.raises(InvalidGraph, match=r"take over \d+ bytes, at '/node/tau' of shape \(1099511627776,\)"):
        read_nir(path)
    monkeypatch.setattr(nirfile, "MAX_DEPTH", 1)
    inner = graph({**ends([3], [3]), "s": graph(ends([3], [3]), "input>output")}, "input>s s>output")
    with pytest.raises(InvalidGraph, match="its graphs are nested more than 1 deep"):
        read_nir(saved(tmp_path, graph({**ends([3], [3]), "s": inner}, "input>s s>output")))
    with pytest.raises(InvalidGraph, match="its metadata are nested more than 1 deep"):
        read_nir(saved(tmp_path, {**LIF, "metadata": {"a": {"b": {"c": 1}}}}))


def test_subgraphs_that_cannot_be_read(tmp_path: Path) -> None:
    two = {"i": {"type": "Input", "shape": [3]}, "n": LIF, **ends([3], [3])}
    inner = graph(two, "input>n i>n n>output")
    with pytest.raises(UnsupportedNode, match="s: this subgraph has 2 inputs and 1 outputs"):
        read_nir(saved(tmp_path, graph({**ends([3], [3]), "s": inner}, "input>s s>output")))
    taken = {**ends([3], [3]), "s": graph({**ends([3], [3]), "n": LIF}, "input>n n>output"), "s.n": LIF}
    with pytest.raises(InvalidGraph, match=r"s: its inner node 's\.n' has the name of another node"):
        read_nir(saved(tmp_path, graph(taken, "input>s s>s.n s.n>output")))


def test_a_loop_alone_with_no_shape(tmp_path: Path) -> None:
    nodes = {**ends([3], [3]), "a": {"type": "SumPool2d"}, "b": {"type": "SumPool2d"}}
    with pytest.raises(InvalidGraph, match="its parameters do not tell the shape"):
        read_nir(saved(tmp_path, graph(nodes, "input>output a>b b>a")))


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"dialect": "snntorsh"}, UnknownName, "Did you mean 'snntorch'"),
        ({"reset": "hard"}, UnknownName, "reset 'hard'"),
        ({"dt": 0.0}, InvalidInput, "--dt: 0.0 is no time step"),
        ({"dialect": "snnport"}, InvalidInput, "snnport did not write this file"),
    ],
)
def test_choices_that_cannot_be(tmp_path: Path, options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        read_nir(one(tmp_path, LIF, [3], [3]), **options)


# ------------------------------------------------------------------------------------------------------------- repairs


def test_a_plain_file_needs_no_repair_but_v_reset(tmp_path: Path) -> None:
    imported = read_nir(one(tmp_path, {**LIF, "metadata": {"note": "x", "n": 3}}, [3], [3]))
    assert imported.repairs == ("n: v_reset: not in the file, 0 taken, as nir does",)
    assert imported.graph.nodes["n"].metadata == {"note": "x", "n": 3}
    assert [(entry.node, entry.fate, entry.into) for entry in imported.ledger] == [
        ("input", "became", ("input",)),
        ("n", "became", ("n",)),
        ("output", "became", ("output",)),
    ]
    assert "written by nir 0.2.0" in imported.evidence


def test_a_batch_axis_is_taken_away_everywhere(tmp_path: Path) -> None:
    neuron = {"type": "IF", "r": np.ones((1, 4, 3, 3)), "v_threshold": np.ones((1, 4, 3, 3))}
    flat = {"type": "Flatten", "start_dim": 1, "end_dim": -1, "input_type": [0, 0, 0, 0]}
    dense = {"type": "Affine", "weight": np.ones((5, 36)), "bias": np.bool_(False)}
    nodes = {**ends([1, 2, 5, 5], [1, 5]), "0": conv(), "1": neuron, "2": flat, "3": dense}
    imported = read_nir(saved(tmp_path, graph(nodes, "input>0 0>1 1>2 2>3 3>output")))
    assert [shapes(imported.graph)[name] for name in ("input", *"0123")] == [(2, 5, 5), (4, 3, 3), (4, 3, 3), (36,), (5,)]
    text = " | ".join(imported.repairs)
    for part in (
        "input: its shape (1, 2, 5, 5) fits no layer; read as (2, 5, 5)",
        "1: r, v_threshold: of shape (1, 4, 3, 3), read as (4, 3, 3)",
        "2: it flattens from axis 1, counted with the batch axis; from axis 0 here",
        "3: its one bias, 0, was taken for all 5 outputs",
        "output: it declares (1, 5) and gets (5,)",
    ):
        assert part in text


def test_flatten_without_batch_axis_before_a_dense_layer(tmp_path: Path) -> None:
    flat = {"type": "Flatten", "start_dim": 1, "end_dim": -1}
    nodes = {**ends([2, 3], [4]), "f": flat, "d": {"type": "Linear", "weight": np.ones((4, 6))}}
    imported = read_nir(saved(tmp_path, graph(nodes, "input>f f>d d>output")))
    assert "f: it flattens (2, 3) from axis 1 on before a dense layer; all axes were flattened" in imported.repairs
    kept = {**ends([2, 3, 4], [2, 12]), "f": flat}
    assert shapes(read_nir(saved(tmp_path, graph(kept, "input>f f>output"))).graph)["f"] == (2, 12)


def test_scalars_channelwise_numbers_and_integers(tmp_path: Path) -> None:
    node = {
        "type": "LIF",
        "tau": np.float32(0.1),
        "r": np.ones((3, 1, 1), int),
        "v_leak": np.zeros(1),
        "v_threshold": np.array(2),
    }
    imported = read_nir(one(tmp_path, node, [3, 2, 2], [3, 2, 2]))
    lif: Any = imported.graph.nodes["n"]
    for key in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
        assert getattr(lif, key).shape == (3, 2, 2)
    assert (lif.tau.dtype, lif.r.dtype, lif.v_threshold.dtype) == (np.float32, np.float64, np.float64)
    assert "n: tau, v_leak, v_threshold: given once, taken for all (3, 2, 2) neurons" in imported.repairs
    assert "n: r: of shape (3, 1, 1), spread over (3, 2, 2)" in imported.repairs


def test_subgraphs_are_flattened_and_their_borders_forgotten(tmp_path: Path) -> None:
    inner = graph(
        {**ends([99], [3]), "lif": LIF, "w": {"type": "Linear", "weight": np.ones((3, 3))}}, "input>lif lif>w w>lif lif>output"
    )
    imported = read_nir(saved(tmp_path, graph({**ends([3], [3]), "s": inner}, "input>s s>output")))
    assert set(imported.graph.edges) == {("input", "s.lif"), ("s.lif", "s.w"), ("s.w", "s.lif"), ("s.lif", "output")}
    assert imported.repairs[0].startswith("subgraph 's' was flattened into")
    assert {entry.node for entry in imported.ledger if entry.fate == "dropped"} == {"s.input", "s.output"}


def test_edges_that_name_a_flattened_subgraph(tmp_path: Path) -> None:
    nodes = {**ends([3], [3]), "s.input": ends([3], [3])["input"], "s.output": ends([3], [3])["output"], "s.lif": LIF}
    imported = read_nir(saved(tmp_path, graph(nodes, "input>s s>s s>output s.input>s.lif s.lif>s.output")))
    assert set(imported.graph.edges) == {("input", "s.lif"), ("s.lif", "output")}
    assert "graph: the edge s -> s was dropped: the loop is inside 's.*' already" in imported.repairs


def test_one_missing_name_and_one_idle_node_are_the_same(tmp_path: Path) -> None:
    imported = read_nir(saved(tmp_path, graph({**ends([3], [3]), "lif1": LIF}, "input>lif lif>output")))
    assert imported.graph.edges == [("input", "lif1"), ("lif1", "output")]
    assert "edges name 'lif', which is not there; the one node without edges, 'lif1', was taken" in imported.repairs[0]


def test_input_and_output_are_put_where_they_are_missing(tmp_path: Path) -> None:
    imported = read_nir(saved(tmp_path, graph({"input": LIF, "w": {"type": "Linear", "weight": np.ones((4, 3))}}, "input>w")))
    assert imported.graph.edges == [("input", "w"), ("input_of_input", "input"), ("w", "output")]
    assert shapes(imported.graph)["output"] == (4,)
    alone = read_nir(saved(tmp_path, LIF))
    assert list(alone.graph.nodes) == ["node", "input", "output"]
    kernel = read_nir(saved(tmp_path, graph({"c": conv(groups=2, input_shape=[5, 5])}, "")))
    assert shapes(kernel.graph)["input"] == (4, 5, 5)


def test_a_population_fed_by_a_loop_alone(tmp_path: Path) -> None:
    nodes = {**ends([3], [3]), "a": LIF, "b": {"type": "Linear", "weight": np.ones((3, 3))}}
    imported = read_nir(saved(tmp_path, graph(nodes, "input>output a>b b>a a>output")))
    assert "a: it is fed by a loop alone, its shape (3,) is that of its parameters" in imported.repairs
    assert shapes(imported.graph)["a"] == (3,)


def test_one_dimensional_convolution_and_fields_that_nir_lacks(tmp_path: Path) -> None:
    node = {"type": "Conv1d", "weight": np.ones((4, 2, 3)), "bias": np.zeros(4), "stride": [2], "padding": [1], "dilation": [1]}
    imported = read_nir(one(tmp_path, {**node, "groups": 1, "input_shape": 8, "dt": 1.0}, [2, 7], [4, 4]))
    assert imported.repairs == (
        "n: it declares an input_shape of (8,), its input is (7,)",
        "n: dt: no field of NIR's Conv1d, ignored",
    )
    assert imported.convention is None
    assert imported.ambiguous == ()


def test_a_bias_with_a_batch_axis(tmp_path: Path) -> None:
    node = {"type": "Affine", "weight": np.ones((2, 3)), "bias": np.array([[4.0, 5.0]])}
    imported = read_nir(one(tmp_path, node, [3], [2]))
    affine: Any = imported.graph.nodes["n"]
    np.testing.assert_array_equal(affine.bias, [4.0, 5.0])
    assert imported.repairs == ("n: its bias of shape (1, 2) was read as (2,)",)


def test_a_pool_and_a_missing_field(tmp_path: Path) -> None:
    pool = {"type": "SumPool2d", "kernel_size": [2, 2], "stride": 2, "padding": [0, 0]}
    assert shapes(read_nir(one(tmp_path, pool, [3, 4, 4], [3, 2, 2])).graph)["n"] == (3, 2, 2)
    del pool["padding"]
    with pytest.raises(InvalidGraph, match="n: this SumPool2d has no 'padding'"):
        read_nir(one(tmp_path, pool, [3, 4, 4], [3, 2, 2]))


# ------------------------------------------------------------------------------------------------ files that snnport wrote


def plain_graph(metadata: dict[str, Any]) -> Any:
    neuron: Any = nirnodes.build_node("n", nirfile.RawNode("LIF", {k: v for k, v in LIF.items() if k != "type"}), (3,), [])
    return chain({"input": input_node((3,)), "n": neuron, "output": output_node((3,))}, metadata)


def test_a_convention_in_the_metadata_leaves_nothing_open(tmp_path: Path) -> None:
    own = Convention("norse", dt=1e-3, reset="zero")
    write_nir(
        plain_graph({"snnport": json.dumps({"version": 1, "coding": None, "convention": own.to_json()})}), tmp_path / "a.nir"
    )
    imported = read_nir(tmp_path / "a.nir")
    assert (imported.dialect, imported.convention, imported.ambiguous) == ("norse", own, ())
    assert read_nir(tmp_path / "a.nir", dt=0.5).convention == own.having(dt=0.5)
    with pytest.raises(InvalidInput, match="its neurons reset by 'zero'"):
        read_nir(tmp_path / "a.nir", reset="subtract")
    assert read_nir(tmp_path / "a.nir", dialect="spyx").dialect == "spyx"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"snnport": "{"}, "metadata 'snnport'"),
        ({"snnport": json.dumps({"coding": None, "convention": {"name": "x"}})}, "its convention cannot be read"),
        ({"snnport": json.dumps({"coding": {"code": "gate"}})}, "metadata 'snnport'"),
        (
            {"snnport": json.dumps({"coding": {"code": "gate", "n_steps": 1, "encoder": {}, "windows": {
                "gone": {"role": "gated", "arrival": 0, "open": 1, "levels": 1}}}})},
            "it has windows for nodes that are not there: gone",
        ),
    ],
)  # fmt: skip
def test_damaged_metadata(tmp_path: Path, metadata: dict[str, str], message: str) -> None:
    write_nir(plain_graph(metadata), tmp_path / "a.nir")
    with pytest.raises(InvalidGraph, match=message):
        read_nir(tmp_path / "a.nir")


@pytest.mark.parametrize(
    ("table", "message"),
    [("[1]", "it cannot be read"), (json.dumps([["n", "input"]]), "it gives two nodes the same name")],
)
def test_a_damaged_table_of_names(tmp_path: Path, table: str, message: str) -> None:
    path = tmp_path / "a.nir"
    write_nir(plain_graph({}), path)
    with h5py.File(path, "a") as file:
        del file["node/metadata"][NODES_KEY]
        file["node/metadata"][NODES_KEY] = table
    with pytest.raises(InvalidGraph, match=message):
        read_nir(path)


def test_nodes_added_by_another_tool_come_last(tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    write_nir(plain_graph({}), path)
    with h5py.File(path, "a") as file:
        put(file["node/nodes"], {"extra": LIF})
        edges = [*file["node/edges"].asstr()[()].tolist(), ["n", "extra"]]
        del file["node/edges"]
        put(file["node"], {"edges": np.array(edges, object)})
    assert list(read_nir(path).graph.nodes) == ["input", "n", "output", "extra"]


# ----------------------------------------------------------------------------------------------------------- real files

REAL = {
    "NIRTorch__tests-feedback_graph__67750031": ("nir", ("dt", "reset"), "fed by a loop alone"),
    "NIR__paper-01_lif-debug_spike_representation-two_lif_neurons__b23438d4": ("nir", ("dt", "reset"), "v_reset"),
    "NIR__paper-01_lif-lif_rockpool__d70a32c1": ("rockpool", (), "it declares (1, 1, 1) and gets (1,)"),
    "NIR__paper-02_cnn-scnn_mnist__669fbfad": ("sinabs", ("reset",), "read as (2, 34, 34)"),
    "NIR__paper-03_rnn-Braille_snntorch__3049cfa1": (InvalidGraph, (), "it is a zip archive"),
    "NIR__paper-03_rnn-braille__c381ba29": (InvalidGraph, (), "fc2: its input is (16,), its weight (63, 63)"),
    "NIR__paper-03_rnn-braille__f4edd0a1": ("nir", ("dt", "reset"), "edges name 'lif1'"),
    "NIR__paper-03_rnn-braille_noDelay_bias_zero__5e2efd7b": ("snntorch", ("reset",), "v_reset"),
    "NIR__paper-lif_norse__2b0feb3d": ("nir", ("dt", "reset"), "v_reset"),
    "NIR__paper-lif_norse__3a3afb6f": ("nir", ("dt", "reset"), "given once, taken for all (1000,) neurons"),
    "inNuCE_BRANDY-2025__cnn_sinabs__e75ac8ec": ("sinabs", ("reset",), "v_reset"),
    "inNuCE_BRANDY-2025__exported_models-100__35ab69b9": ("sinabs", ("reset",), "v_reset"),
    "inNuCE_BRANDY-2025__exported_models-10__a031194d": ("sinabs", ("reset",), "v_reset"),
    "nir4s__src-test-scala-nir-samples-conv1-network__f75a86db": ("nir", (), ""),
    "nir4s__src-test-scala-nir-samples-li-network__3eda0f53": ("norse-1.1.0", (), ""),
    "nir4s__src-test-scala-nir-samples-lif-network__8ac1c942": ("norse-1.1.0", ("reset",), ""),
    "nirviz__srnn__6e91c5ce": (InvalidGraph, (), "cu1: tau_mem is -1.27593 at its least"),
    "rockpool__tests-tests_default-nir_graphs-braille__ccffe66b": ("spyx", ("reset",), "subgraph 'hidden' was flattened"),
    "snntorch__examples-scnn_mnist__89e0a618": ("sinabs", ("reset",), "v_reset"),
    "snntorch__tests-lif__ce5f8e1c": ("nir", ("dt", "reset"), "v_reset"),
    "spyx__docs-examples-nir-rsnn-braille_noDelay_bias_zero_subgraph__0d0f6843": ("snntorch", ("reset",), "flattened"),
    "spyx__docs-examples-nir-rsnn-braille_noDelay_bias_zero_subgraph__24057376": ("snntorch", ("reset",), "edges name 'lif'"),
    "spyx__research-paper-spyx_shd__8764a759": (InvalidGraph, (), "LIF_1: tau is -2307.1 at its least"),
}


@pytest.mark.data
def test_every_real_file_is_in_the_table(data_dir: Path) -> None:
    assert {path.stem for path in (data_dir / "nir").glob("*.nir")} == set(REAL)


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real_files(data_dir: Path, tmp_path: Path, name: str) -> None:
    path = data_dir / "nir" / f"{name}.nir"
    dialect, open_points, told = REAL[name]
    if not isinstance(dialect, str):
        with pytest.raises(dialect) as refusal:
            read_nir(path)
        assert told in str(refusal.value)
        return
    imported = read_nir(path)
    assert imported.dialect == dialect
    assert tuple(point.split(":")[0] for point in imported.ambiguous) == open_points
    assert all("settle with --" in point for point in imported.ambiguous)
    assert told in " | ".join(imported.repairs)
    neurons = any(hasattr(node, "r") for node in imported.graph.nodes.values())
    assert (imported.convention is None) == (bool(open_points) or not neurons)
    settled = read_nir(path, dt=1e-4, reset="zero")
    assert settled.ambiguous == ()
    write_nir(imported.graph, tmp_path / "again.nir")
    again = read_nir(tmp_path / "again.nir")
    assert again.graph.edges == imported.graph.edges
    assert again.ambiguous == imported.ambiguous
    for key, node in imported.graph.nodes.items():
        for field in set(vars(node)) - {"input_type", "output_type", "metadata"}:
            np.testing.assert_array_equal(getattr(again.graph.nodes[key], field), getattr(node, field))


def test_back_edges_are_checked_by_shapes_too() -> None:
    nodes = {"input": input_node((3,)), "n": plain_graph({}).nodes["n"], "output": output_node((3,))}
    wide = nirnodes.build_node("w", nirfile.RawNode("Linear", {"weight": np.ones((2, 3))}), (3,), [])
    with pytest.raises(InvalidGraph, match=r"differ in shape: \(3,\), \(2,\) \(the loop from w\)"):
        shapes(build({**nodes, "w": wide}, [("input", "n"), ("n", "w"), ("w", "n"), ("n", "output")]))
    fields = {key: np.ones(2) for key in ("kernel_size", "stride", "padding")}
    pool = nirnodes.build_node("p", nirfile.RawNode("SumPool2d", fields), (1, 2, 2), [])
    with pytest.raises(InvalidGraph, match="fed by a loop alone"):
        shapes(build({**nodes, "p": pool}, [("input", "n"), ("n", "output"), ("p", "p")]))


def test_a_graph_without_ends_gets_one_at_every_open_place(tmp_path: Path) -> None:
    nodes = {"a": LIF, "b": LIF, "sum": LIF, "c": LIF}
    imported = read_nir(saved(tmp_path, graph(nodes, "a>sum b>sum sum>c")), dialect="nir", dt=1e-3, reset="zero")
    edges = set(imported.graph.edges)
    assert {("input_of_a", "a"), ("input_of_b", "b"), ("c", "output")} <= edges
    assert [note for note in imported.repairs if "no Input" in note] == [
        "the graph has no Input node; 'input_of_a' was put at a",
        "the graph has no Input node; 'input_of_b' was put at b",
    ]
    assert shapes(imported.graph)["output"] == (3,)


def test_a_ring_without_ends_has_no_place_for_them(tmp_path: Path) -> None:
    with pytest.raises(InvalidGraph, match="it has no Input node, and 0 nodes could stand beside it"):
        read_nir(saved(tmp_path, graph({"a": LIF, "b": LIF}, "a>b b>a")))
