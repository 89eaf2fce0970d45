"""Ensembles and their decoders, and the four networks beside Nengo's own on the same input: RMSE below 0.05 of full scale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnport.convention import convention_of
from snnport.encoders import Stimulus
from snnport.errors import InvalidInput
from snnport.graph import chain
from snnport.models.nef import DT, ball, decoders, ensemble, rates_of
from snnport.models.nef_networks import CONVENTION, LEVELS, NETWORKS, TAU_MEMORY, signed_counts
from snnport.models.nef_recipes import IDEAL, MEMORY, SQUARE, filtered
from snnport.models.spiking import lif, told
from snnport.nodes import input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.reference import run_spiking
from snnport.sim.engine import run
from snnport.targets.base import resolve_target
from snnport.training.solved import solved

NENGO = np.load(Path(__file__).parents[1] / "golden" / "nef" / "nengo.npz")
BOUND = 0.05
"""Of full scale, which is 1."""


def recorded(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts (2, n_steps, channels) of Nengo's two inputs, and its outputs (2, n_steps)."""
    x = [signed_counts(NENGO[f"{name}.{k}.x"].astype(np.float64), LEVELS[name]) for k in (0, 1)]
    return np.stack(x), np.stack([NENGO[f"{name}.{k}.y"] for k in (0, 1)])


def errors(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(np.square(a - b), axis=1))


@pytest.mark.parametrize("name", list(NETWORKS))
def test_it_computes_what_nengo_does_in_real_numbers_and_in_8_bits(name: str) -> None:
    x, wanted = recorded(name)
    graph = NETWORKS[name](200, np.random.default_rng(0))
    real = run_spiking(graph, x, CONVENTION, record_v=("read",)).v["read"][..., 0]
    assert errors(real, wanted).max() < BOUND

    cpu = resolve_target("cpu")
    program = cpu.lower(run_passes(graph, cpu.passes_for(graph), Context()))
    result = run(replace(program, n_steps=x.shape[1]), Stimulus(x, None, x.shape[1]), record_v={"read"})
    whole = result.trace.v["read"][..., 0] * program.meta["scale"]["read"]
    assert errors(whole, wanted).max() < BOUND
    assert not any(result.counts.u_wraps.values())
    assert all(np.abs(p.synapse.codes).max() <= 127 for p in program.projections)


def test_rates_are_those_of_the_neuron_that_runs() -> None:
    current = np.array([0.5, 1.0, 1.05, 1.5, 3.0, 40.0])
    graph = chain({"input": input_node((6,)), "lif": lif((6,), 0.02), "output": output_node((6,))}, told(CONVENTION))
    trace = run_spiking(graph, np.tile(current, (1, 4000, 1)), CONVENTION)
    seen = trace.spikes["lif"][0].sum(axis=0) / (4000 * DT)
    assert np.allclose(seen, rates_of(current), rtol=0.02)
    assert seen[0] == 0
    assert seen[-1] == 1 / DT


def test_decoders_read_a_function() -> None:
    rng = np.random.default_rng(1)
    population = ensemble(300, 2, 1.5, rng)
    read = decoders(population, lambda x: x[:, :1] * x[:, 1:], rng)
    x = ball(500, 2, 1.5, rng)
    assert np.abs(np.linalg.norm(x, axis=1)).max() <= 1.5
    error = population.rates(x) @ read.T - x[:, :1] * x[:, 1:]
    assert np.sqrt(np.mean(error**2)) < 0.02 * 1.5**2


def test_counts_carry_on_what_rounding_leaves() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (200, 3))
    counts = signed_counts(x, 5).astype(np.int64)
    told_sum = np.cumsum(counts[:, :3] - counts[:, 3:], axis=0) / 5
    assert np.abs(told_sum - np.cumsum(x, axis=0)).max() <= 0.1 + 1e-9
    assert not (counts[:, :3] * counts[:, 3:]).any()


def test_the_decay_of_a_memory_has_12_bits() -> None:
    assert np.isclose((1 - np.exp(-DT / TAU_MEMORY)) * 4096, 41)


@pytest.mark.parametrize("recipe", [MEMORY, SQUARE], ids=lambda recipe: recipe.name)
def test_a_recipe_is_solved_and_meets_the_function_itself(recipe) -> None:
    splits = recipe.data(None, recipe.network)
    graph, log = solved(recipe, splits, 0)
    assert log["rmse"] < BOUND
    assert convention_of(graph.metadata) == CONVENTION
    again = recipe.build(recipe.network, 0)
    assert all(np.array_equal(node.weight, again.nodes[k].weight) for k, node in graph.nodes.items() if hasattr(node, "weight"))


def test_the_filter_is_that_of_the_output() -> None:
    step = filtered(np.ones((300, 1)), 0.03)
    assert np.isclose(step[29, 0], 1 - np.exp(-1), rtol=1e-6)


def test_the_ideal_functions() -> None:
    x = np.array([[0.5, -0.25], [1.0, 0.5]])
    assert IDEAL["addition"](x)[:, 0].tolist() == [0.25, 1.5]
    assert IDEAL["product"](x)[:, 0].tolist() == [-0.125, 0.5]
    assert np.allclose(IDEAL["memory"](x[:, :1])[:, 0], [0.0005, 0.0015])


def test_an_ensemble_without_neurons() -> None:
    with pytest.raises(InvalidInput, match="0 neurons, 1 dimensions and radius 1 were asked for"):
        ensemble(0, 1, 1.0, np.random.default_rng(0))
