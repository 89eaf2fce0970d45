"""What a plan refuses, and the choices it makes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sim_programs import fed

from snnport.errors import InvalidGraph
from snnport.program import Dense, Neuron, Population, Projection, SumPool
from snnport.sim.plan import make_plan

pytestmark = pytest.mark.usefixtures("unexpected_overflow")

PROGRAM = fed("if", [1, 2, 3], v_threshold=5)
CELL = PROGRAM.populations[1]
WIRE = PROGRAM.projections[0]
BACK = Projection("back", "cell", "cell", Dense(np.ones((1, 1), np.int8)), delay=0)


def with_cell(**params):
    neuron = Neuron("if", {name: np.asarray(value) for name, value in params.items()})
    return replace(PROGRAM, populations=(PROGRAM.populations[0], replace(CELL, neuron=neuron)))


def control(**params):
    extra = Population("control", (2,), Neuron("generator", {name: np.asarray(value) for name, value in params.items()}))
    return replace(PROGRAM, populations=(*PROGRAM.populations, extra))


@pytest.mark.parametrize(
    ("program", "match"),
    [
        (replace(PROGRAM, populations=(*PROGRAM.populations, CELL)), "two populations share a name"),
        (replace(PROGRAM, projections=(WIRE, WIRE)), "two projections share a name"),
        (replace(PROGRAM, projections=(replace(WIRE, source="x"),)), "it joins 'x' to 'cell'"),
        (replace(PROGRAM, projections=(replace(WIRE, source="cell", target="in"),)), "emits a fixed list of spikes"),
        (replace(PROGRAM, projections=(replace(WIRE, delay=-1),)), "its delay is -1"),
        (replace(PROGRAM, projections=(replace(WIRE, synapse=None),)), "no synapse kind 'NoneType'"),
        (replace(PROGRAM, outputs=("x",)), "its inputs and outputs name 'x'"),
        (replace(PROGRAM, inputs=()), "family 'input' and the program's list of inputs do not agree"),
        (replace(PROGRAM, projections=(BACK,)), "projections without delay close a loop among cell"),
        (control(time=[0, 1], index=[0]), "are not equally long lists"),
        (control(time=[0], index=[2]), "a spike lies outside neurons 0..1"),
        (control(time=[-1], index=[0]), "before step 0"),
        (control(time=[0, 1], index=[0, 1], value=[3]), "is not one 32-bit number a spike"),
        (control(time=[0], index=[0], value=[1 << 31]), "is not one 32-bit number a spike"),
        (with_cell(v_threshold=1, v_init=1 << 62), "a potential may reach 4611686018427"),
        (with_cell(v_threshold=1, max_spikes=1 << 40, v_init=1 << 33), "may fire 85899346.. times in a step"),
    ],
)
def test_refused_programs(program, match):
    with pytest.raises(InvalidGraph, match=match):
        make_plan(program, 3, 1)


def test_windows_that_overflow_are_refused():
    pooled = replace(WIRE, pool=SumPool((1, 1, 3), (1, 3), (1, 1), (0, 0, 0, 0)), synapse=Dense(np.ones((1, 1), np.int8)))
    program = replace(PROGRAM, projections=(pooled,))
    assert make_plan(program, 3, (1 << 31) // 3).pooled_size == 1
    with pytest.raises(InvalidGraph, match="a window may hold 2147483649 spikes"):
        make_plan(program, 3, (1 << 31) // 3 + 1)


def test_potentials_take_64_bits_only_where_they_may_need_them():
    assert make_plan(PROGRAM, 3, 1).initial.dtype == np.int32
    assert make_plan(PROGRAM, 3, 1 << 29).initial.dtype == np.int64
    bounded = with_cell(v_threshold=5, v_min=-100, v_max=100)
    assert make_plan(bounded, 1 << 40, 1 << 20).initial.dtype == np.int32
    assert make_plan(with_cell(v_threshold=5, v_max=100), 1 << 30, 1 << 20).initial.dtype == np.int64


def test_codes_stay_narrow():
    codes = [code.itemsize for code in make_plan(PROGRAM, 3, 1).codes]
    assert codes == [1, 2, 4]
    assert make_plan(PROGRAM, 3, 1).codes[0].size == 3 * 16 + 1


def test_populations_without_delay_run_in_topological_order():
    backwards = replace(PROGRAM, populations=PROGRAM.populations[::-1])
    assert [p.name for p in make_plan(backwards, 3, 1).order] == ["in", "cell"]


def test_a_long_delay_keeps_no_more_lists_than_there_are_steps():
    late = replace(PROGRAM, projections=(replace(WIRE, delay=1 << 40),))
    assert make_plan(late, 3, 1).ring_size == 3 * 3 + 3 * 1
