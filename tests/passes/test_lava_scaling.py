from __future__ import annotations

import nir
import numpy as np
import pytest
from spiking import PLAIN_IF, dense, leaky, plain

from snnport.encoders import Stimulus
from snnport.errors import PassFailed, UnsupportedNode
from snnport.graph import Graph
from snnport.importers.dialect_table import LAVA_FIXED
from snnport.passes.base import Context, run_passes
from snnport.passes.lava_scaling import LavaScaling
from snnport.reference import run_spiking
from snnport.reference.fixed import as_stored
from snnport.sim.engine import run
from snnport.targets.base import resolve_target


def network(weight: object, tau: float, theta: float) -> Graph:
    w = dense(np.asarray(weight, np.float32))
    n = leaky((len(np.asarray(weight)),), tau, theta)
    for field in ("tau", "v_threshold"):
        setattr(n, field, np.asarray(getattr(n, field), np.float32))
    w.metadata, n.metadata = {}, {}
    return plain((np.shape(weight)[1],), {"w": w, "n": n}, LAVA_FIXED)


def test_the_recorded_integers() -> None:
    ctx = Context()
    graph = run_passes(network([[1.0]], 0.0025, 0.1), (LavaScaling(),), ctx)
    program = resolve_target("loihi2").lower(graph)
    fields = {key: value.tolist() for key, value in program.population("n").neuron.params.items()}
    assert program.projections[0].synapse.codes.tolist() == [[10]]
    assert fields == {"du": 4095, "dv": 163, "vth": 25, "bias_mant": 0, "bias_exp": 0}
    assert [entry.why for entry in ctx.entries] == [
        "codes 10..10: int(W dt / tau * 256)",
        "dv 163..163 = int(dt / tau * 4095), vth 25..25 = int(v_threshold * 131071) >> 9",
    ]


def test_weights_as_lava_stores_them() -> None:
    """Of both signs the lowest bit is cut off, toward minus infinity (lava-nc 0.10.0, utils/weightutils.py)."""
    mixed = np.array([101, -53, 254, -255, 300, -300])
    assert as_stored(mixed).tolist() == [100, -54, 254, -256, 254, -256]
    assert as_stored(np.array([53, 300])).tolist() == [53, 255]
    assert as_stored(np.array([-256, -7])).tolist() == [-255, -7]


@pytest.mark.parametrize("seed", range(4))
def test_the_program_does_what_the_reference_of_the_dialect_does(seed: int) -> None:
    """Spikes and potentials, with decays, thresholds and weights of both signs as nir_to_lava truncates them."""
    rng = np.random.default_rng(seed)
    graph = network(rng.uniform(-8, 20, (3, 4)), float(rng.uniform(3e-4, 5e-2)), float(rng.uniform(0.05, 0.9)))
    target = resolve_target("loihi2")
    program = target.lower(run_passes(graph, target.passes_for(graph), Context()))
    raster = rng.integers(0, 2, (3, 60, 4)).astype(np.uint8)
    result = run(program, Stimulus(raster, None, 60), record_spikes=["n"], record_v=["n"])
    expected = run_spiking(graph, raster, LAVA_FIXED, record_v=["n"])
    assert expected.spikes["n"].sum() > 0
    assert np.array_equal(result.trace.spikes["n"], expected.spikes["n"])
    assert np.array_equal(result.trace.v["n"], expected.v["n"])


def test_a_time_constant_beyond_the_register_keeps_all() -> None:
    graph = run_passes(network([[1.0]], 10.0, 0.1), (LavaScaling(),), Context())
    assert resolve_target("loihi2").lower(graph).population("n").neuron["dv"].tolist() == 0


def test_what_nir_to_lava_refuses_is_refused() -> None:
    with pytest.raises(PassFailed, match="the graph's convention is"):
        run_passes(plain((1,), {"w": dense([[1.0]]), "n": leaky((1,), 4.0, 1.0)}), (LavaScaling(),), Context())
    biased = plain((1,), {"w": dense([[1.0]], [1.0]), "n": leaky((1,), 4.0, 1.0)}, LAVA_FIXED)
    with pytest.raises(UnsupportedNode, match="takes no bias"):
        run_passes(biased, (LavaScaling(),), Context())
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    pooled = plain((1, 2, 2), {"p": pool}, LAVA_FIXED)
    with pytest.raises(UnsupportedNode, match="SumPool2d has no fixed-point form"):
        run_passes(pooled, (LavaScaling(),), Context())
    assert PLAIN_IF.dtype != "lava-fixed"
