from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spiking import PLAIN_IF, conv, currents, dense, fire, gate_mlp, integrate, leaky, plain, sum_pool, wired

from snnport.encoders import Stimulus
from snnport.nodes import input_node, output_node
from snnport.program import Conv, Dense, Diagonal, Projection, SumPool
from snnport.sim.engine import run
from snnport.targets.base import resolve_target
from snnport.targets.intervals import analyse, charge

CPU, LOIHI = resolve_target("cpu"), resolve_target("loihi2")


def projection(synapse: Dense | Diagonal | Conv, pool: SumPool | None = None, exponent: int = 0) -> Projection:
    return Projection("p", "a", "b", synapse, pool, 1, exponent)


def test_charge_of_each_kind_of_synapse() -> None:
    low, high = charge(projection(Dense(np.array([[3, -5, 2], [-1, -1, -1]]))))
    assert (low.tolist(), high.tolist()) == ([-5, -3], [5, 0])
    low, high = charge(projection(Diagonal(np.array([3, -5])), exponent=2))
    assert (low.tolist(), high.tolist()) == ([0, -20], [12, 0])
    codes = np.array([[[[1, -2], [3, 4]]], [[[-1, 0], [0, 0]]]])
    low, high = charge(projection(Conv(codes, (1, 3, 3), (1, 1), (0, 0, 0, 0))))
    assert (low.tolist(), high.tolist()) == ([-2] * 4 + [-1] * 4, [8] * 4 + [0] * 4)
    pool = SumPool((1, 6, 6), (2, 2), (2, 2), (0, 0, 0, 0))
    low, high = charge(projection(Conv(codes, (1, 3, 3), (1, 1), (0, 0, 0, 0)), pool))
    assert (low.tolist(), high.tolist()) == ([-8] * 4 + [-4] * 4, [32] * 4 + [0] * 4)


def test_a_gated_population_spans_from_closed_to_open() -> None:
    found = analyse(CPU.lower(gate_mlp()))
    # n: sums of positive codes times 4 levels are 32 and 8, of negative ones -8 and -28; G = 32 + 4 - 6 + 1 = 31.
    assert found["n"].v == (6 - 6 - 31 - 28, 6 + 4 - 31 + 31 + 32)
    assert found["n"].step == (-7, 31 + 8)
    assert (found["n"].spikes_a_step, found["n"].spikes_a_sample) == (1, 3)
    # out: codes [[1, -1], [2, 2]] times 3 levels on biases 3 and -3.
    assert found["out"].v == (-3, 9)
    assert found["out"].spikes_a_sample == 0
    assert found["n.control"].spikes_a_sample == 1


def test_hard_reset_without_inhibition_is_bounded_for_ever() -> None:
    program = CPU.lower(plain((2,), {"w": dense([[3, 4]]), "n": fire((1,), 10)}))
    bare = replace(program, populations=tuple(_without(p, "v_min", "v_max") for p in program.populations))
    assert analyse(bare)["n"].v == (0, 9 + 7)


def test_inhibition_without_end_has_no_lower_bound() -> None:
    program = CPU.lower(plain((2,), {"w": dense([[3, -4]]), "n": fire((1,), 10)}))
    bare = replace(program, populations=tuple(_without(p, "v_min", "v_max") for p in program.populations))
    assert analyse(bare)["n"].v == (None, 9 + 3)
    assert analyse(replace(bare, n_steps=5))["n"].v == (-20, 12)
    assert analyse(program)["n"].v == (-(1 << 31), 12)


def test_a_soft_reset_that_cannot_keep_up_is_bounded_by_the_steps_alone() -> None:
    soft = PLAIN_IF.having(reset="subtract")
    program = CPU.lower(plain((1,), {"w": dense([[25]]), "n": fire((1,), 10)}, soft))
    bare = replace(program, populations=tuple(_without(p, "v_min", "v_max") for p in program.populations))
    assert analyse(bare)["n"].v == (0, None)
    assert analyse(replace(bare, n_steps=4))["n"].v == (0, 100)
    many = CPU.lower(plain((1,), {"w": dense([[25]]), "n": fire((1,), 10)}, soft.having(multi_spike=True)))
    found = analyse(many)["n"]
    assert (found.v, found.spikes_a_step) == ((0, 34), 3)


def _without(population: object, *names: str) -> object:
    kept = {k: v for k, v in population.neuron.params.items() if k not in names}
    return replace(population, neuron=replace(population.neuron, params=kept))


def test_loihi_currents_and_potentials() -> None:
    found = analyse(LOIHI.lower(plain((2,), {"w": dense([[3, 4]]), "n": leaky((1,), 2.0, 100)})))["n"]
    # dv = 2048 keeps half: v stays below twice what arrives, 7 * 64 a step.
    assert (found.step, found.v) == ((0, 7), (0, 2 * 7 * 64))
    found = analyse(LOIHI.lower(plain((1,), {"w": dense([[-2]]), "n": currents((1,), 4.0, 2.0, 5)})))["n"]
    # du + 1 = 1024: the current reaches 4 * 2 * 64; the potential twice that.
    assert found.v == (-2 * 4 * 2 * 64, 0)


def test_perfect_integrators_on_loihi_fall_without_bound() -> None:
    found = analyse(LOIHI.lower(plain((1,), {"w": dense([[-2]]), "n": fire((1,), 10)})))["n"]
    assert found.v == (None, 0)


@pytest.mark.parametrize("target", ["cpu", "loihi2"])
def test_a_loop_is_analysed_from_its_first_population(target: str) -> None:
    graph = wired(
        {"input": input_node((1,)), "w": dense([[4]]), "n": fire((1,), 10), "r": dense([[6]]), "output": output_node()},
        [("input", "w"), ("w", "n"), ("n", "r"), ("r", "n"), ("n", "output")],
    )
    assert analyse(resolve_target(target).lower(graph))["n"].step == (0, 10)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), soft=st.booleans(), many=st.booleans())
def test_no_run_leaves_the_bounds(seed: int, soft: bool, many: bool) -> None:
    rng = np.random.default_rng(seed)
    convention = PLAIN_IF.having(reset="subtract" if soft else "zero", multi_spike=soft and many)
    graph = plain(
        (1, 4, 4),
        {
            "p": sum_pool(2),
            "c": conv(rng.integers(-9, 10, (2, 1, 2, 2)), padding=(1, 1), bias=rng.integers(-3, 4, 2)),
            "a": fire((2, 3, 3), int(rng.integers(1, 30))),
            "f": nir.Flatten({"input": np.array([2, 3, 3])}, 0, -1),
            "d": dense(rng.integers(-9, 10, (3, 18)), rng.integers(-9, 10, 3)),
            "b": integrate((3,)),
        },
        convention,
    )
    program = replace(CPU.lower(graph), n_steps=12)
    raster = rng.integers(0, 2, (5, 12, 16)).astype(np.uint8)
    result = run(program, Stimulus(raster, None, 12), record_v=["a", "b"], record_spikes=["a"])
    bounds = analyse(program)
    for name in ("a", "b"):
        low, high = bounds[name].v
        assert low is not None
        assert high is not None
        v = result.trace.v[name].astype(np.int64)
        assert low <= v.min()
        assert v.max() <= high
    assert result.trace.spikes["a"].max(initial=0) <= bounds["a"].spikes_a_step
    assert result.trace.spikes["a"].sum(axis=1).max(initial=0) <= bounds["a"].spikes_a_sample
