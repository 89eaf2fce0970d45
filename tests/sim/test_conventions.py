"""Our count against brute force, and every convention against figures that the tools themselves gave (tests/golden/synops)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_programs import random_program

from snnport.encoders import Stimulus
from snnport.errors import InvalidGraph, InvalidInput
from snnport.program import Conv, Dense, Diagonal, Projection, Sparse, SumPool
from snnport.sim.conventions import LABELS, Calls, Conventions, conventions, exact, fan_out, of_run, pooled
from snnport.sim.engine import run
from snnport.trace import Trace

GOLDEN = Path(__file__).parents[1] / "golden" / "synops"


def golden(name):
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def case(name):
    """(projection, raster (n_samples, n_steps, n), whether the pooling averages) of a case of cases.npz."""
    arrays = {key.rsplit("/", 1)[1]: value for key, value in golden("cases").items() if key.rsplit("/", 1)[0] == name}
    raster, weight, geometry = arrays["raster"], arrays["weight"].astype(np.int64), json.loads(str(arrays["geometry"]))
    flat = raster.reshape(*raster.shape[:2], -1)
    if weight.ndim == 2:
        return Projection("q", "a", "b", Dense(weight)), flat, False
    shape, k = raster.shape[2:], geometry["pool"]
    pool = SumPool(shape, (k, k), (k, k), (0, 0, 0, 0)) if k else None
    seen = (shape[0], shape[1] // k, shape[2] // k) if k else shape
    pair = {name: (geometry[name],) * 2 for name in ("stride", "dilation")}
    conv = Conv(weight, seen, padding=(geometry["padding"],) * 4, groups=geometry["groups"], **pair)
    return Projection("q", "a", "b", conv, pool), flat, geometry["average"]


CASES = sorted({key.rsplit("/", 1)[0] for key in golden("cases")})


def brute_force(projection, raster):
    """Every event, window, output channel and kernel entry by itself."""
    synapse, pool, total = projection.synapse, projection.pool, 0
    for index in np.argwhere(raster):
        events, i = abs(int(raster[tuple(index)])), int(index[2])
        places = [i]
        if pool is not None:
            _, h, w = pool.input_shape
            c, y, x = i // (h * w), i // w % h, i % w
            ph = (h + pool.padding[0] + pool.padding[2] - pool.kernel_size[0]) // pool.stride[0] + 1
            pw = (w + pool.padding[1] + pool.padding[3] - pool.kernel_size[1]) // pool.stride[1] + 1
            places = [
                (c * ph + py) * pw + px
                for py in range(ph)
                for px in range(pw)
                if 0 <= y + pool.padding[0] - py * pool.stride[0] < pool.kernel_size[0]
                and 0 <= x + pool.padding[1] - px * pool.stride[1] < pool.kernel_size[1]
            ]
        for place in places:
            if isinstance(synapse, Dense):
                total += events * synapse.codes.shape[0]
            elif isinstance(synapse, Diagonal):
                total += events
            else:
                total += events * reached(synapse, place)
    return total


def reached(conv, place):
    _, h, w = conv.input_shape
    y, x = place // w % h, place % w
    out, _, kh, kw = conv.codes.shape
    oh = (h + conv.padding[0] + conv.padding[2] - conv.dilation[0] * (kh - 1) - 1) // conv.stride[0] + 1
    ow = (w + conv.padding[1] + conv.padding[3] - conv.dilation[1] * (kw - 1) - 1) // conv.stride[1] + 1
    count = 0
    for oy in range(oh):
        for ox in range(ow):
            for ky in range(kh):
                for kx in range(kw):
                    at = (oy * conv.stride[0] + ky * conv.dilation[0], ox * conv.stride[1] + kx * conv.dilation[1])
                    count += at == (y + conv.padding[0], x + conv.padding[1])
    return count * (out // conv.groups)


@pytest.mark.parametrize("name", CASES)
def test_our_count_is_the_brute_force_count(name):
    projection, raster, _ = case(name)
    small = raster[:1, :2]
    assert exact(projection, small) == brute_force(projection, small)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["binary", "sum-pooled", "multi-spike"])
def test_random_tensors_of_the_usual_shapes(kind, seed):
    rng = np.random.default_rng(seed)
    projection, _, _ = case(kind)
    shape = projection.pool.input_shape if projection.pool else projection.synapse.input_shape
    raster = rng.poisson(0.3, (1, 3, int(np.prod(shape))))
    if kind != "multi-spike":
        raster = np.minimum(raster, 1)
    assert exact(projection, raster) == brute_force(projection, raster)


@pytest.mark.parametrize("name", CASES)
def test_sinabs(name):
    projection, raster, average = case(name)
    own = conventions(projection, raster, Calls(average=average))
    layer, model = golden("sinabs")[name]
    # The hooks give means in float64; a mean times its count is off by a few roundings.
    assert (own.sinabs_layer, own.sinabs) == (pytest.approx(layer, rel=1e-12), pytest.approx(model, rel=1e-12))


@pytest.mark.parametrize("name", CASES)
def test_spikingjelly(name):
    projection, raster, average = case(name)
    modes = [Calls(len(raster), one_call=True, average=average), Calls(len(raster), average=average)]
    own = [conventions(projection, raster, calls).spikingjelly for calls in modes]
    assert np.array_equal(own, golden("spikingjelly")[name])


@pytest.mark.parametrize("name", CASES)
def test_neurobench(name):
    projection, raster, average = case(name)
    n = len(raster)
    modes = [Calls(1, False, average), Calls(n, False, average), Calls(n, True, average)]
    counts = [conventions(projection, raster, calls) for calls in modes]
    own = [[c.neurobench_macs / n, c.neurobench_acs / n, c.neurobench_dense / n] for c in counts]
    assert np.array_equal(own, golden("neurobench")[name])


def test_neurobench_on_a_network_of_three_layers():
    arrays = golden("neurobench")
    total = np.zeros(3, np.int64)
    for name, geometry in (("convolution", {"stride": (1, 1), "padding": (1,) * 4}), ("pooled", None), ("linear", None)):
        raster, weight = arrays[f"network/{name}/raster"], arrays[f"network/{name}/weight"].astype(np.int64)
        geometry = geometry or {"stride": (2, 2), "padding": (0,) * 4}
        synapse = Dense(weight) if weight.ndim == 2 else Conv(weight, raster.shape[2:], **geometry)
        flat = raster.reshape(*raster.shape[:2], -1)
        c = conventions(Projection(name, "a", "b", synapse), flat, Calls(2))
        total += (c.neurobench_macs, c.neurobench_acs, c.neurobench_dense)
    assert np.array_equal(total / 5, arrays["network/counts"])


def test_the_conventions_part_ways_where_they_should():
    projection, raster, _ = case("binary")
    own = conventions(projection, raster)
    assert own.exact == own.sinabs == own.spikingjelly > own.neurobench_acs > 0 == own.neurobench_macs
    # 10 steps x share of neurons that fire x 4 * 36 * 2 * 9 multiplications.
    assert own.rate_flops == pytest.approx(10 * raster.mean() * 2592, rel=1e-12)
    projection, raster, _ = case("average-pooled")
    own = conventions(projection, raster, Calls(average=True))
    assert own.exact == own.sinabs == 4 * own.sinabs_layer
    assert own.spikingjelly == own.neurobench_acs == 0 < own.neurobench_macs


def test_graded_events_count_once():
    projection = Projection("q", "a", "b", Dense(np.ones((3, 2), np.int64)))
    raster = np.array([[[5, -2], [0, 1]]])
    assert (exact(projection, raster), exact(projection, raster, graded=True)) == (24, 9)


def test_sparse_synapses_are_a_linear_layer_of_mostly_zeros_to_the_tools():
    synapse = Sparse(np.array([5, 0, 7]), np.array([0, 1, 2]), np.array([1, 1, 0]), (4, 2))
    own = conventions(Projection("q", "a", "b", synapse), np.array([[[0, 1], [1, 1]]]))
    assert (own.exact, own.sinabs, own.spikingjelly) == (2 + 3, 12, 12)
    assert (own.neurobench_acs, own.neurobench_dense, own.rate_flops) == (1 + 2, 16, 3 / 2 * 8)


def test_a_scaling_is_counted_by_nobody_else():
    own = conventions(Projection("q", "a", "b", Diagonal(np.array([3, 0]))), np.array([[[1, 1]]]))
    assert own == Conventions(2, 0, 0, 0, 0, 0.0, 0, 0.0)


def test_fan_out_with_and_without_zero_codes():
    dense = Dense(np.array([[1, 0], [2, 0]]))
    assert (fan_out(dense, "").tolist(), fan_out(dense, "", zeros=False).tolist()) == ([2, 2], [2, 0])


def test_labels_name_every_field():
    own = conventions(*case("linear")[:2])
    assert list(LABELS) == list(own.to_json())
    assert (own + own).exact == 2 * own.exact


@given(st.integers(0, 10**6))
def test_of_run_gives_the_engine_s_own_count(seed):
    program, raster = random_program(seed, every=True)
    names = [p.name for p in program.populations]
    stimulus = Stimulus(raster.astype(np.int64), None, raster.shape[1])
    result = run(program, stimulus, record_spikes=names, threads=1)
    counted = of_run(program, result.trace, Calls(batch=2))
    assert {name: c.exact for name, c in counted.items()} == dict(result.counts.synaptic_operations)


def test_what_is_refused():
    projection, raster, _ = case("sum-pooled")
    with pytest.raises(InvalidInput, match=r"its input is float64 .*integers \(n_samples, n_steps, n_sources\)"):
        exact(projection, raster.astype(float))
    with pytest.raises(InvalidInput, match="its input has 1151 neurons, it takes 1152"):
        conventions(projection, raster[..., 1:])
    with pytest.raises(InvalidInput, match="a batch of 0 samples"):
        conventions(projection, raster, Calls(batch=0))
    pool = SumPool((2, 24, 24), (3, 3), (3, 3), (0, 0, 0, 0))
    with pytest.raises(InvalidGraph, match=r"its pooling gives \(2, 8, 8\), its synapses take 288"):
        exact(Projection("q", "a", "b", projection.synapse, pool), raster)
    program, _ = random_program(1)
    with pytest.raises(InvalidInput, match="were not recorded"):
        of_run(program, Trace({}, {}))


def test_pooled_sums_windows():
    pool = SumPool((1, 3, 3), (2, 2), (2, 2), (1, 0, 0, 1))
    got = pooled(np.arange(9).reshape(1, 1, 9), pool, "")
    assert got.ravel().tolist() == [0 + 1, 2, 3 + 4 + 6 + 7, 5 + 8]


def test_an_empty_run_counts_nothing():
    projection, raster, _ = case("linear")
    assert conventions(projection, raster[:0]).exact == 0
    assert conventions(projection, raster[:, :0]).neurobench_dense == 0
