"""Passes as text, and the frame they run in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from networks import mlp

from snnport.errors import InvalidInput, PassFailed, UnknownName
from snnport.graph import Graph
from snnport.passes.base import Context, Pass, run_passes
from snnport.passes.hoist_relu import HoistReLU
from snnport.passes.quantize_activations import QuantizeActivations
from snnport.passes.spec import parse_pass
from snnport.registry import PASSES


@pytest.mark.parametrize("name", PASSES.names())
def test_every_pass_comes_back_from_its_spelling(name: str) -> None:
    step = PASSES.load(name)()
    assert step.name == name
    assert parse_pass(step.spelling) == step


def test_options_are_read_by_their_type() -> None:
    assert parse_pass("quantize-activations{levels=4, correction=on}") == QuantizeActivations(levels=4, correction="on")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("quantise-weights", UnknownName, "Did you mean 'quantize-weights'"),
        ("quantize-weights{bit=8}", UnknownName, "Did you mean 'bits'"),
        ("quantize-weights{bits=many}", InvalidInput, "'many' is no int"),
        ("quantize-weights{bits}", InvalidInput, "option 'bits' has no value"),
        ("quantize-weights{bits=8", InvalidInput, "it is not spelled"),
    ],
)
def test_misspellings_are_named(text: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        parse_pass(text)


@dataclass(frozen=True)
class Vandal(Pass):
    name: ClassVar[str] = "vandal"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        graph.nodes["a"].weight[0, 0] += 1
        return graph


@dataclass(frozen=True)
class Zero(Pass):
    name: ClassVar[str] = "zero"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        raise PassFailed("zero: a", "it always fails")


def test_a_pass_that_edits_its_input_is_caught() -> None:
    with pytest.raises(PassFailed, match="vandal: it changed its input graph in place"):
        run_passes(mlp(np.random.default_rng(0)), [Vandal()], Context())


def test_a_failure_says_which_passes_had_run() -> None:
    with pytest.raises(PassFailed, match="it always fails") as caught:
        run_passes(mlp(np.random.default_rng(0)), [HoistReLU(), Zero()], Context())
    assert caught.value.__notes__ == ["passes that had run: hoist-relu"]
