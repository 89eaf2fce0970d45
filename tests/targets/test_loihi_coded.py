"""Coded networks on Loihi: the ramp pass, control planes, twins, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest
from coded_runs import coded_network, three_runs
from hypothesis import given
from hypothesis import strategies as st
from networks import NETWORKS, random_network
from spiking import dense, fire, plain

from snnport.chip import Chip
from snnport.convention import coding_of
from snnport.encoders import CountEncoder, Stimulus
from snnport.errors import DoesNotFit, PassFailed
from snnport.flow.windows import require_silence
from snnport.graph import Graph, names_of, shapes, the_input
from snnport.passes.base import Context, run_passes
from snnport.program import Dense, Diagonal, Projection
from snnport.sim.engine import run
from snnport.targets.base import resolve_target
from snnport.targets.intervals import analyse
from snnport.targets.loihi.control import planes
from snnport.targets.loihi.ramp import Fit, Ramp

LOIHI = resolve_target("loihi2")


def coded(name: str, code: str, levels: int = 5) -> tuple[Graph, np.ndarray]:
    rng = np.random.default_rng(3)
    graph = NETWORKS[name](rng)
    x = rng.uniform(0, 1, (8, *shapes(graph)[the_input(graph)]))
    return coded_network(graph, code, x, levels=levels).graph, x


def with_numbers(**changed: int) -> Chip:
    numbers = {name: replace(number, value=changed.get(name, number.value)) for name, number in LOIHI.chip.numbers.items()}
    return replace(LOIHI.chip, numbers=numbers)


@pytest.mark.parametrize("code", ["gate", "ramp"])
@pytest.mark.parametrize("bits", [13, 12, 11])
def test_thresholds_shrink_until_every_sum_fits_and_logits_stay_those_of_the_new_integers(code: str, bits: int) -> None:
    graph, x = coded("residual", code)
    ctx = Context()
    fitted = run_passes(graph, [Ramp(bits, bits + 8)], ctx)
    thetas = ctx.findings[Ramp(bits, bits + 8).spelling]["thetas"]
    assert thetas
    assert all(new < old and new % 2 == 0 for old, new in thetas.values())
    assert all(fitted.nodes[name].metadata["theta"] == new for name, (_, new) in thetas.items())
    for name in thetas:
        assert np.allclose(fitted.nodes[name].v_threshold, graph.nodes[name].v_threshold)
    runs = three_runs(fitted, x, "loihi2")
    assert runs.exact
    for name, bounds in analyse(runs.program).items():
        if runs.program.population(name).neuron.family == "cuba":
            assert -(1 << (bits - 1)) < bounds.step[0]
            assert bounds.step[1] < 1 << (bits - 1), name
    assert not Ramp(bits, bits + 8).needed(fitted)


def test_ttfs_shrinks_too_and_stays_exact() -> None:
    graph, x = coded("mlp", "ttfs")
    fitted = run_passes(graph, [Fit(12, 20)], Context())
    assert any(fitted.nodes[n].metadata != graph.nodes[n].metadata for n in names_of(graph, nir.IF))
    assert three_runs(fitted, x, "loihi2").exact


def test_the_passes_refuse_networks_in_another_code() -> None:
    graph, _ = coded("mlp", "ttfs")
    with pytest.raises(PassFailed, match=r"its code is ttfs, gate or ramp is needed\. Convert with --code ramp"):
        run_passes(graph, [Ramp()], Context())
    bare = plain((1,), {"w": dense([[3]]), "n": fire((1,))})
    with pytest.raises(PassFailed, match="it is in no code, ttfs is needed"):
        run_passes(bare, [Fit()], Context())


@given(st.integers(0, 2**32 - 1))
def test_analysis_of_ramp_programs_holds_in_every_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_network(rng, 3)
    x = rng.uniform(0, 1, (3, *shapes(graph)[the_input(graph)]))
    try:
        made = coded_network(graph, "ramp" if seed % 2 else "ttfs", x, levels=4).graph
    except PassFailed:
        return
    ready = run_passes(made, LOIHI.passes_for(made), Context())
    program = LOIHI.placing(LOIHI.lowering(ready, LOIHI.chip), LOIHI.chip)
    encoder = CountEncoder.from_json(program.meta["encoder"])
    raster = encoder.raster(encoder.counts(x), program.n_steps)
    cuba = [p.name for p in program.populations if p.neuron.family == "cuba"]
    result = run(program, Stimulus(raster, None, program.n_steps), record_v=cuba, threads=1)
    for name, bounds in analyse(program).items():
        if name in cuba:
            low, high = bounds.v
            assert low is not None
            assert high is not None
            assert low <= result.trace.v[name].min()
            assert result.trace.v[name].max() <= high


def test_a_wide_weight_is_split_by_sign_and_into_units_of_128() -> None:
    codes = np.array([[700], [-5], [0], [-384]])
    parts = planes(Projection("c", "g", "n", Dense(codes)))
    assert [(p.name, p.exponent) for p in parts] == [("c+7", 7), ("c+0", 0), ("c-7", 7), ("c-0", 0)]
    assert np.array_equal(sum(p.synapse.codes.astype(int) << p.exponent for p in parts), codes)
    assert all(np.abs(p.synapse.codes).max() <= 255 for p in parts)
    (single,) = planes(Projection("c", "g", "n", Diagonal(np.array([-3, 0]))))
    assert (single.name, single.synapse.codes.tolist()) == ("c-0", [-3, 0])


def test_every_source_of_a_current_has_a_twin_with_opposite_weights() -> None:
    graph, _ = coded("uneven", "ttfs")
    program = LOIHI.lower(graph)
    names = {p.name for p in program.populations}
    assert {"input.twin", "r1.twin", "p1.twin"} - names == {"r1.twin"}
    ends = {p.name: p for p in program.projections if p.name.endswith(".end")}
    for name, end in ends.items():
        partner = next(p for p in program.projections if p.name == name.removesuffix(".end"))
        assert np.array_equal(end.synapse.codes.astype(int), -partner.synapse.codes.astype(int))
        assert (end.delay, end.pool) == (partner.delay, partner.pool)


def test_a_current_that_decays_is_refused_with_its_number() -> None:
    graph, _ = coded("mlp", "ttfs", levels=16)
    found = LOIHI.with_chip(with_numbers(current_offset=1)).check(graph)
    (first, *_) = [v for v in found.violations if v.rule == "persistent-current"]
    assert "codes and decays, exact for 16 levels are less than 17" in first.message
    stays = [w for w in LOIHI.check(graph).warnings if w.rule == "persistent-current"]
    assert "du = -1 in lava-nc" in stays[0].message


@pytest.mark.parametrize(
    ("target", "code", "rule"),
    [
        ("loihi2", "delay", "subtracting-reset"),
        ("loihi2", "rate", "subtracting-reset"),
        ("speck2f", "ramp", "time-base"),
        ("speck2f", "ttfs", "time-base"),
        ("speck2f", "delay", "time-base"),
        ("tinyodin", "ramp", "hard-reset-to-zero"),
        ("tinyodin", "ttfs", "hard-reset-to-zero"),
    ],
)
def test_a_code_that_a_target_cannot_carry_is_refused_by_name(target: str, code: str, rule: str) -> None:
    graph, _ = coded("residual", code)
    chip = resolve_target(target)
    ready = run_passes(graph, chip.passes_for(graph), Context())
    assert rule in {v.rule for v in chip.check(ready).violations}


def test_a_delay_window_that_overflows_is_named() -> None:
    graph, x = coded("residual", "delay")
    program = resolve_target("cpu").lower(graph)
    coding = coding_of(graph.metadata)
    assert coding is not None
    encoder = CountEncoder.from_json(coding.encoder)
    counts = run(program, Stimulus(x, encoder, program.n_steps), threads=1).counts
    require_silence(program, counts)
    name = next(n for n, w in coding.windows.items() if w.role == "free" and counts.spikes[n])
    short = {n: {**vars(w), "levels": 0 if n == name else w.levels} for n, w in coding.windows.items()}
    with pytest.raises(DoesNotFit, match=rf"delay: {name}: {counts.spikes[name]} spikes left it after its window of 0 steps"):
        require_silence(replace(program, meta={**program.meta, "windows": short}), counts)
    require_silence(replace(program, meta={**program.meta, "windows": short, "code": "gate"}), counts)
