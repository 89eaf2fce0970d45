from __future__ import annotations

import copy as python_copy
from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs

from snnport import graph as g
from snnport.errors import InvalidGraph
from snnport.graph import Graph, build, chain, shapes
from snnport.nodes import ReLU, input_node, output_node


def neuron(shape: tuple[int, ...]) -> nir.IF:
    return nir.IF(np.ones(shape), np.ones(shape))


def fan(*edges: tuple[str, str], shape: tuple[int, ...] = (3,)) -> Graph:
    """ReLU nodes between 'input' and 'output', on these edges."""
    names = {name for edge in edges for name in edge} - {"input", "output"}
    nodes = {"input": input_node(shape), **{name: ReLU() for name in sorted(names)}, "output": output_node()}
    return build(nodes, edges)


def looped() -> Graph:
    """input -> a -> b -> output, and b -> a."""
    return fan(("input", "a"), ("a", "b"), ("b", "output"), ("b", "a"))


def state_of(graph: Graph) -> Any:
    """Everything a graph holds, arrays as bytes."""

    def plain(value: Any) -> Any:
        if isinstance(value, nir.NIRNode):
            return type(value).__name__, {key: plain(v) for key, v in vars(value).items()}
        if isinstance(value, np.ndarray):
            return value.shape, value.dtype.str, value.tobytes()
        if isinstance(value, dict):
            return {key: plain(v) for key, v in value.items()}
        return python_copy.deepcopy(value)

    return list(graph.nodes), {k: plain(v) for k, v in graph.nodes.items()}, list(graph.edges), plain(graph.metadata)


# ------------------------------------------------------------------------------------------------------------ building


def test_build_keeps_nodes_edges_and_metadata() -> None:
    relu = ReLU()
    graph = build({"input": input_node((2,)), "r": relu}, [("input", "r")], {"a": 1})
    assert graph.nodes["r"] is relu
    assert graph.edges == [("input", "r")]
    assert graph.metadata == {"a": 1}


@pytest.mark.parametrize("edge", [("input", "x"), ("x", "input")])
def test_an_edge_to_nowhere(edge: tuple[str, str]) -> None:
    with pytest.raises(InvalidGraph, match=f"^edge {edge[0]} -> {edge[1]}: there is no node 'x'"):
        build({"input": input_node((1,))}, [edge])


def test_an_edge_given_twice() -> None:
    with pytest.raises(InvalidGraph, match=r"^edge input -> r: it is given twice"):
        build({"input": input_node((1,)), "r": ReLU()}, [("input", "r"), ("input", "r")])


def test_a_graph_does_not_change_with_what_it_was_built_of() -> None:
    nodes, edges, metadata = {"input": input_node((1,))}, [], {}
    graph = build(nodes, edges, metadata)
    nodes["r"], metadata["a"] = ReLU(), 1
    edges.append(("input", "r"))
    assert (list(graph.nodes), graph.edges, graph.metadata) == (["input"], [], {})


def test_a_chain_follows_the_order_of_its_nodes() -> None:
    graph = chain({"input": input_node((2,)), "b": ReLU(), "a": ReLU(), "output": output_node()})
    assert graph.edges == [("input", "b"), ("b", "a"), ("a", "output")]


# -------------------------------------------------------------------------------------------------------------- editing


EDITS: dict[str, Callable[[Graph, str], Graph]] = {
    "copy": lambda graph, name: g.copy(graph),
    "with_nodes": lambda graph, name: g.with_nodes(graph, {name: ReLU()}),
    "without_node": lambda graph, name: g.without_node(graph, name),
    "with_node_on_edge": lambda graph, name: g.with_node_on_edge(graph, graph.edges[0], "fresh", ReLU()),
    "with_metadata": lambda graph, name: g.with_nodes(graph, {name: g.with_metadata(graph.nodes[name], extra=1)}),
}


@pytest.mark.parametrize("edit", EDITS)
@given(graph=graphs(), data=st.data())
def test_editing_leaves_the_graph_it_was_given_alone(edit: str, graph: Graph, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(set(graph.nodes) - {"input", "output"})))
    before = state_of(graph)
    try:
        edited = EDITS[edit](graph, name)
    except InvalidGraph:
        assert edit == "without_node"
        edited = None
    assert state_of(graph) == before
    assert edited is not graph


@given(graphs())
def test_a_copy_is_equal_and_shares_nothing(graph: Graph) -> None:
    twin = g.copy(graph)
    assert state_of(twin) == state_of(graph)
    for name, node in graph.nodes.items():
        assert twin.nodes[name] is not node
        for key, value in vars(node).items():
            if isinstance(value, np.ndarray):
                assert not np.shares_memory(value, getattr(twin.nodes[name], key))
    assert twin.nodes is not graph.nodes
    assert twin.edges is not graph.edges


def test_with_nodes_changes_only_the_named_node() -> None:
    graph, relu = fan(("input", "a"), ("a", "b")), ReLU(6.0)
    edited = g.with_nodes(graph, {"a": relu})
    assert edited.nodes["a"] is relu
    assert edited.nodes["b"] is graph.nodes["b"]
    assert edited.edges == graph.edges


def test_with_metadata_adds_and_keeps() -> None:
    node = nir.IF(np.ones(2), np.ones(2), metadata={"scale": 0.5, "theta": 1})
    edited = g.with_metadata(node, theta=4, levels=8)
    assert edited.metadata == {"scale": 0.5, "theta": 4, "levels": 8}
    assert node.metadata == {"scale": 0.5, "theta": 1}


def test_without_a_node_its_sources_lead_to_its_targets() -> None:
    graph = fan(("input", "a"), ("input", "b"), ("a", "m"), ("b", "m"), ("m", "x"), ("m", "y"))
    edited = g.without_node(graph, "m")
    assert "m" not in edited.nodes
    assert edited.edges == [("input", "a"), ("input", "b"), ("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]


def test_without_a_node_that_feeds_itself() -> None:
    graph = fan(("input", "a"), ("a", "a"), ("a", "b"))
    assert g.without_node(graph, "a").edges == [("input", "b")]


def test_a_node_beside_a_shortcut_is_not_removed() -> None:
    graph = fan(("input", "a"), ("input", "b"), ("a", "b"))
    with pytest.raises(InvalidGraph, match=r"^edge input -> b: it is given twice"):
        g.without_node(graph, "a")


def test_a_node_on_an_edge() -> None:
    graph, relu = fan(("input", "a"), ("input", "b"), ("a", "b")), ReLU()
    edited = g.with_node_on_edge(graph, ("input", "b"), "m", relu)
    assert edited.nodes["m"] is relu
    assert edited.edges == [("input", "a"), ("a", "b"), ("input", "m"), ("m", "b")]
    assert g.without_node(edited, "m").edges == [("input", "a"), ("a", "b"), ("input", "b")]


def test_fresh_name() -> None:
    graph = fan(("input", "a"), ("a", "a_2"))
    assert [g.fresh_name(graph, wish) for wish in ("b", "a", "a_2")] == ["b", "a_3", "a_2_2"]


# ------------------------------------------------------------------------------------------------------------ questions


def test_neighbours_are_in_the_order_of_the_edges() -> None:
    graph = fan(("input", "b"), ("input", "a"), ("b", "c"), ("a", "c"))
    assert g.successors(graph, "input") == ("b", "a")
    assert g.predecessors(graph, "c") == ("b", "a")
    assert g.predecessors(graph, "input") == ()


def test_names_of_kinds_come_in_topological_order() -> None:
    graph = fan(("input", "z"), ("z", "a"), ("a", "output"))
    assert g.names_of(graph, ReLU) == ("z", "a")
    assert g.names_of(graph, nir.Input, nir.Output) == ("input", "output")


def test_the_input_and_the_output() -> None:
    graph = fan(("input", "a"), ("a", "output"))
    assert (g.the_input(graph), g.the_output(graph)) == ("input", "output")


@pytest.mark.parametrize(("question", "kind"), [(g.the_input, "Input"), (g.the_output, "Output")])
def test_there_must_be_one_input_and_one_output(question: Callable[[Graph], str], kind: str) -> None:
    with pytest.raises(InvalidGraph, match=f"graph: it has 0 {kind} nodes, 1 is needed here"):
        question(build({"r": ReLU()}, []))
    two = {"i": input_node((1,)), "j": input_node((1,)), "o": output_node(), "p": output_node()}
    with pytest.raises(InvalidGraph, match=f"graph: it has 2 {kind} nodes"):
        question(build(two, []))


@given(graphs())
def test_every_node_comes_once_and_after_its_sources(graph: Graph) -> None:
    order = g.topological_order(graph)
    assert sorted(order) == sorted(graph.nodes)
    assert all(order.index(a) < order.index(b) for a, b in graph.edges)
    assert g.back_edges(graph) == frozenset()


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde")), unique=True))
def test_any_graph_has_an_order_once_its_back_edges_are_left_out(edges: list[tuple[str, str]]) -> None:
    graph = build({name: ReLU() for name in "abcde"}, edges)
    order, back = g.topological_order(graph), g.back_edges(graph)
    assert sorted(order) == list("abcde")
    assert all(order.index(a) < order.index(b) for a, b in edges if (a, b) not in back)
    assert back <= set(edges)


def test_the_edge_that_closes_the_loop_is_the_back_edge() -> None:
    assert g.back_edges(looped()) == {("b", "a")}
    assert g.topological_order(looped()) == ("input", "a", "b", "output")
    assert g.back_edges(fan(("input", "a"), ("a", "a"))) == {("a", "a")}


def test_a_long_chain_is_no_deep_recursion() -> None:
    names = [f"n{i}" for i in range(3000)]
    graph = chain({"input": input_node((1,)), **{name: ReLU() for name in names}})
    assert g.back_edges(graph) == frozenset()


# --------------------------------------------------------------------------------------------------------------- shapes


@given(graphs())
def test_every_node_of_a_graph_has_a_shape(graph: Graph) -> None:
    found, taken = shapes(graph), g.input_shapes(graph)
    assert found.keys() == graph.nodes.keys()
    assert taken.keys() == graph.nodes.keys() - {"input"}
    assert all(found[a] == taken[b] for a, b in graph.edges)


def test_a_node_without_input() -> None:
    with pytest.raises(InvalidGraph, match="lonely: this ReLU has no input"):
        shapes(build({"input": input_node((3,)), "lonely": ReLU()}, []))


def test_inputs_that_differ_cannot_be_added() -> None:
    nodes = {"input": input_node((3,)), "w": nir.Linear(np.ones((2, 3))), "sum": ReLU()}
    graph = build(nodes, [("input", "w"), ("input", "sum"), ("w", "sum")])
    with pytest.raises(InvalidGraph, match=r"sum: the inputs it adds differ in shape: \(\d,\), \(\d,\)"):
        shapes(graph)


def test_the_shape_along_a_loop() -> None:
    assert shapes(looped())["b"] == (3,)


def test_a_loop_that_comes_back_in_another_shape() -> None:
    nodes = {"input": input_node((3,)), "a": ReLU(), "w": nir.Linear(np.ones((2, 3)))}
    graph = build(nodes, [("input", "a"), ("a", "w"), ("w", "a")])
    with pytest.raises(InvalidGraph, match=r"a: the inputs it adds differ in shape: \(3,\), \(2,\) \(the loop from w\)"):
        shapes(graph)


def test_a_loop_without_input_takes_its_shape_from_its_parameters() -> None:
    graph = build({"n": neuron((4,)), "w": nir.Linear(np.ones((4, 4)))}, [("n", "w"), ("w", "n")])
    assert shapes(graph) == {"n": (4,), "w": (4,)}


def test_a_loop_without_input_that_comes_back_in_another_shape() -> None:
    graph = build({"n": neuron((4,)), "w": nir.Linear(np.ones((2, 4)))}, [("n", "w"), ("w", "n")])
    with pytest.raises(InvalidGraph, match=r"n: the inputs it adds differ in shape: \(4,\), \(2,\) \(the loop from w\)"):
        shapes(graph)


def test_a_loop_without_input_and_without_a_shape() -> None:
    with pytest.raises(InvalidGraph, match="a: it is fed by a loop alone, and its parameters do not tell its shape"):
        shapes(fan(("a", "b"), ("b", "a")))
