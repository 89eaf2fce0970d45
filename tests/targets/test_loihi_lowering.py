from __future__ import annotations

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spiking import PLAIN_IF, conv, currents, dense, fire, integrate, leaky, plain, sum_pool

from snnport.encoders import Stimulus
from snnport.program import Conv, Dense, Diagonal, Program, Projection, SumPool
from snnport.reference import run_spiking
from snnport.sim.engine import run
from snnport.targets.base import resolve_target
from snnport.targets.decay_codes import decay_code
from snnport.targets.loihi.memory import axon_bits, fan_out

LOIHI = resolve_target("loihi2")
STRICT = PLAIN_IF.having(comparison=">")


def fields(program: Program, name: str = "n") -> dict[str, object]:
    return {key: value.tolist() for key, value in program.population(name).neuron.params.items()}


def test_a_perfect_integrator() -> None:
    program = LOIHI.lower(plain((1,), {"w": dense([[3]], [4]), "n": fire((1,), 10)}))
    assert program.population("n").neuron.family == "cuba"
    assert fields(program) == {"du": 4095, "dv": 0, "vth": 9, "bias_mant": 0, "bias_exp": 0}
    assert [(p.name, p.source, p.synapse.codes.tolist(), p.delay) for p in program.projections] == [
        ("w", "input", [[3]], 1),
        ("n.bias", "bias.source", [[4]], 1),
    ]
    strict = LOIHI.lower(plain((1,), {"w": dense([[3]], [4]), "n": fire((1,), 10)}, STRICT))
    assert fields(strict)["vth"] == 10


def test_a_leaky_neuron_and_one_with_a_current() -> None:
    program = LOIHI.lower(plain((1,), {"w": dense([[10]]), "n": leaky((1,), 25.0, 25)}, STRICT))
    assert fields(program) == {"du": 4095, "dv": 164, "vth": 25, "bias_mant": 0, "bias_exp": 0}
    program = LOIHI.lower(plain((1,), {"w": dense([[10]]), "n": currents((1,), 4.0, 16.0, 25)}, STRICT))
    assert fields(program) == {"du": 1023, "dv": 256, "vth": 25, "bias_mant": 0, "bias_exp": 0}


def test_decays_differ_by_neuron_where_they_do() -> None:
    node = leaky((2,), 4.0, 25)
    node.tau = np.array([4.0, 8.0])
    program = LOIHI.lower(plain((1,), {"w": dense([[10], [10]]), "n": node}, STRICT))
    assert fields(program)["dv"] == [1024, 512]


def test_decay_codes_are_the_nearest() -> None:
    assert decay_code(np.array([0.04, 1.0, 1 / 8192, 3 / 8192, 0.0])).tolist() == [164, 4096, 0, 2, 0]


def test_odd_codes_of_both_signs_stay_as_they_are() -> None:
    """The chip stores them doubled with a weight exponent of -1: the sum of the codes, exactly."""
    program = LOIHI.lower(plain((2,), {"w": dense([[3, -5]]), "n": fire((1,), 10), "v": dense([[1]]), "m": fire((1,), 6)}))
    assert program.projections[0].synapse.codes.tolist() == [[3, -5]]
    assert fields(program)["vth"] == 9
    assert program.meta["scale"] == {"n": 1.0, "m": 1.0}


def test_a_threshold_of_one_code_is_doubled_with_everything_it_meets() -> None:
    program = LOIHI.lower(plain((2,), {"w": dense([[3, -5]], [4]), "n": fire((1,), 1)}))
    assert [p.synapse.codes.tolist() for p in program.projections] == [[[6, -10]], [[8]]]
    assert fields(program)["vth"] == 1
    assert program.meta["scale"] == {"n": 0.5}


def test_readouts() -> None:
    program = LOIHI.lower(plain((2,), {"w": dense([[3, -5]], [4]), "n": integrate((1,))}))
    neuron = program.population("n").neuron
    assert (neuron.family, dict(neuron.params)) == ("integrator", {})
    assert [p.synapse.codes.tolist() for p in program.projections] == [[[3, -5]], [[4]]]
    readout = nir.LI(np.full(1, 4.0), np.full(1, 4.0), np.zeros(1), metadata={"scale": 1.0})
    program = LOIHI.lower(plain((1,), {"w": dense([[3]]), "n": readout}))
    assert fields(program) == {"du": 4095, "dv": 1024, "vth": 131071, "bias_mant": 0, "bias_exp": 0}


@pytest.mark.parametrize("comparison", [">", ">="])
@pytest.mark.parametrize("seed", range(3))
def test_perfect_integrators_run_as_the_reference_does(comparison: str, seed: int) -> None:
    """IF networks are exact on the chip, biases too; each layer is one step later."""
    rng = np.random.default_rng(seed)
    convention = PLAIN_IF.having(comparison=comparison)
    graph = plain(
        (1, 4, 4),
        {
            "p": sum_pool(2),
            "c": conv(rng.integers(-9, 10, (2, 1, 2, 2)), bias=[1, -2], padding=(1, 1)),
            "a": fire((2, 3, 3), 7),
            "f": nir.Flatten({"input": np.array([2, 3, 3])}, 0, -1),
            "d": dense(rng.integers(-9, 10, (3, 18)), rng.integers(-2, 3, 3)),
            "b": fire((3,), [5, 9, 14]),
        },
        convention,
    )
    raster = np.zeros((6, 20, 16), np.uint8)
    raster[:, :17] = rng.integers(0, 2, (6, 17, 16))
    result = run(LOIHI.lower(graph), Stimulus(raster, None, 20), record_spikes=["a", "b"])
    expected = run_spiking(graph, raster.reshape(6, 20, 1, 4, 4), convention)
    assert expected.spikes["b"].sum() > 0
    assert np.array_equal(result.trace.spikes["a"][:, 1:], expected.spikes["a"][:, :-1])
    assert np.array_equal(result.trace.spikes["b"][:, 2:], expected.spikes["b"][:, :-2])


def test_synapse_lists_take_the_published_sizes() -> None:
    """64 and 1024 dense targets of 8 bits: 576 and 9216 bits; 1024 sparse ones with 12-bit indices: 21504."""
    sizes = np.array([1, 64, 65, 1024])
    assert axon_bits(sizes, LOIHI.chip, sparse=False).tolist() == [64, 576, 640, 9216]
    assert axon_bits(np.array([1, 1024]), LOIHI.chip, sparse=True).tolist() == [64, 21504]


def brute_fan_out(projection: Projection, size: int, targets: int, start: int, stop: int) -> list[int]:
    """By pushing one spike of each source through a network of ones."""
    counts = []
    for source in range(size):
        x = np.zeros(size, np.int64)
        x[source] = 1
        pool, synapse = projection.pool, projection.synapse
        if pool is not None:
            node = nir.SumPool2d(np.array(pool.kernel_size), np.array(pool.stride), np.array(pool.padding[:2]))
            x = _forward(node, x.reshape(pool.input_shape)).reshape(-1)
        if isinstance(synapse, Conv):
            ones = np.ones(synapse.codes.shape)
            node = nir.Conv2d(
                None, ones, synapse.stride, synapse.padding[:2], synapse.dilation, synapse.groups, np.zeros(len(ones))
            )
            x = _forward(node, x.reshape(synapse.input_shape)).reshape(-1)
        counts.append(int(x[start:stop].sum()))
    return counts


def _forward(node: nir.NIRNode, x: np.ndarray) -> np.ndarray:
    from snnport.reference import forward

    return forward(plain(x.shape, {"n": node}), x[None])[0].astype(np.int64)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_fan_out_counts_the_targets_of_each_source(data: st.DataObject) -> None:
    draw = data.draw
    groups = draw(st.sampled_from([1, 2]))
    kernel, stride, pad, dilation = (draw(st.integers(*r)) for r in ((1, 3), (1, 2), (0, 2), (1, 2)))
    pool = SumPool((2, 8, 8), (2, 2), (2, 2), (0, 0, 0, 0)) if draw(st.booleans()) else None
    size = (2, 4, 4) if pool else (2, 6, 6)
    if size[1] + 2 * pad < dilation * (kernel - 1) + 1:
        return
    synapse = Conv(
        np.ones((4, 2 // groups, kernel, kernel), np.int64), size, (stride,) * 2, (pad,) * 4, (dilation,) * 2, groups
    )
    projection = Projection("p", "a", "b", synapse, pool)
    side = (size[1] + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
    targets = 4 * side * side
    start = draw(st.integers(0, targets - 1))
    stop = draw(st.integers(start + 1, targets))
    sources = 128 if pool else 72
    assert fan_out(projection, start, stop).tolist() == brute_fan_out(projection, sources, targets, start, stop)


def test_fan_out_of_dense_and_diagonal_synapses() -> None:
    assert fan_out(Projection("p", "a", "b", Dense(np.ones((5, 3), np.int64))), 1, 4).tolist() == [3, 3, 3]
    assert fan_out(Projection("p", "a", "b", Diagonal(np.ones(4, np.int64))), 1, 3).tolist() == [0, 1, 1, 0]
