from __future__ import annotations

import nir
import numpy as np
import pytest
from spiking import conv, dense, fire, plain, sum_pool, wired

from snnport.nodes import input_node, output_node
from snnport.passes.paths import output_populations, walk


def test_a_path_names_its_parts() -> None:
    graph = plain(
        (1, 4, 4),
        {
            "p": sum_pool(2),
            "c": conv(np.ones((3, 1, 1, 1))),
            "f": nir.Flatten({"input": np.array([3, 2, 2])}, 0, -1),
            "n": fire((12,)),
        },
    )
    paths, problems = walk(graph)
    assert problems == ()
    assert len(paths) == 1
    path = paths[0]
    assert (path.source, path.target, path.nodes) == ("input", "n", ("p", "c", "f"))
    assert (path.pools, path.weighted, path.tail, path.delays, path.back) == (("p",), "c", ("c", "f"), (), False)
    assert output_populations(graph) == ("n",)


def test_a_loop_is_marked() -> None:
    graph = wired(
        {"input": input_node((2,)), "w": dense(np.eye(2)), "n": fire((2,)), "r": dense(np.eye(2)), "output": output_node()},
        [("input", "w"), ("w", "n"), ("n", "r"), ("r", "n"), ("n", "output")],
    )
    assert [(p.source, p.weighted, p.back) for p in walk(graph)[0]] == [("input", "w", False), ("n", "r", True)]


@pytest.mark.parametrize(
    ("nodes", "where", "message"),
    [
        ({"a": dense(np.eye(4)), "b": dense(np.eye(4)), "n": fire((4,))}, "b", "weights follow those of 'a'"),
        ({"a": dense(np.eye(4)), "n": fire((4,)), "b": dense(np.eye(4))}, "b", "no neuron stands between it and the output"),
        ({}, "output", "it reads the input 'input' itself"),
    ],
)
def test_what_is_no_path_is_said(nodes: dict[str, nir.NIRNode], where: str, message: str) -> None:
    problems = walk(plain((4,), nodes))[1]
    assert [p.where for p in problems] == [where]
    assert message in problems[0].message


def test_pooling_behind_weights_is_said() -> None:
    graph = plain((1, 4, 4), {"c": conv(np.ones((1, 1, 1, 1))), "p": sum_pool(2), "n": fire((1, 2, 2))})
    paths, problems = walk(graph)
    assert paths == ()
    assert (problems[0].where, problems[0].remedy) == ("p", "Pool before the weights")


def test_an_output_of_two_populations_and_a_neuron_without_input_are_said() -> None:
    graph = wired(
        {"input": input_node((2,)), "a": fire((2,)), "b": fire((2,)), "c": fire((2,)), "output": output_node()},
        [("input", "a"), ("input", "b"), ("a", "output"), ("b", "output"), ("c", "c")],
    )
    problems = walk(graph)[1]
    assert [p.where for p in problems] == ["output"]
    assert "adds 2 populations (a, b)" in problems[0].message
    lonely = wired({"input": input_node((2,)), "n": fire((2,)), "output": output_node()}, [("n", "output")])
    assert [(p.where, p.message) for p in walk(lonely)[1]] == [("n", "no Input node and no neuron drives it")]


def test_an_output_that_nothing_reaches_is_said() -> None:
    graph = wired({"input": input_node((2,)), "n": fire((2,)), "output": output_node()}, [("input", "n")])
    assert [(p.where, p.message) for p in walk(graph)[1]] == [("output", "nothing reaches this output")]


def test_a_loop_without_a_population_ends() -> None:
    graph = wired(
        {"input": input_node((2,)), "w": dense(np.eye(2)), "v": dense(np.eye(2)), "n": fire((2,)), "output": output_node()},
        [("input", "w"), ("w", "v"), ("v", "w"), ("w", "n"), ("n", "output")],
    )
    assert [p.nodes for p in walk(graph)[0]] == [("w",)]
