from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from spiking import dense, fire, gate_mlp, plain

from snnport.chip import Chip
from snnport.program import Neuron, Population, Program
from snnport.targets.base import resolve_target
from snnport.targets.placement import _Room, core_loads, on_chip, place_greedily

CHIP = Chip("c", "c", "", {})


def program_of(sizes: list[int]) -> Program:
    populations = tuple(Population(f"p{i}", (n,), Neuron("if", {"v_threshold": np.asarray(1)})) for i, n in enumerate(sizes))
    stimulus = Population("in", (3,), Neuron("input", {}))
    return Program("c", CHIP, (stimulus, *populations), (), (), ("in",), (), 1)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    words=st.lists(st.integers(0, 9), min_size=6, max_size=6),
    neurons=st.integers(1, 20),
    memory=st.integers(1, 60),
)
def test_each_neuron_on_the_chip_is_placed_once(sizes: list[int], words: list[int], neurons: int, memory: int) -> None:
    program = program_of(sizes)

    def demand(name: str, start: int, stop: int) -> dict[str, int]:
        return {"neurons": stop - start, "words": (stop - start) * words[int(name[1:])]}

    slices = place_greedily(program, demand, {"neurons": neurons, "words": memory})
    assert slices == place_greedily(program, demand, {"neurons": neurons, "words": memory})
    for population in on_chip(program):
        covered = [i for s in slices if s.population == population.name for i in range(s.start, s.stop)]
        assert covered == list(range(population.size))
    assert "in" not in {s.population for s in slices}
    used: dict[int, int] = {}
    for piece in slices:
        used[piece.core] = used.get(piece.core, 0) + piece.stop - piece.start
    assert max(used.values()) <= neurons
    assert sorted(used) == list(range(len(used)))
    if max(words[: len(sizes)]) <= memory:
        from dataclasses import replace

        loads = core_loads(replace(program, placements=slices), demand)
        assert all(load["words"] <= memory for load in loads.values())


def test_cores_are_filled_one_after_the_other() -> None:
    slices = place_greedily(program_of([5, 4]), lambda name, a, b: {"neurons": b - a}, {"neurons": 3})
    assert [(s.population, s.core, s.start, s.stop) for s in slices] == [
        ("p0", 0, 0, 3),
        ("p0", 1, 3, 5),
        ("p1", 1, 0, 1),
        ("p1", 2, 1, 4),
    ]


def test_a_neuron_that_fits_nowhere_is_placed_all_the_same() -> None:
    def demand(name: str, start: int, stop: int) -> dict[str, int]:
        return {"neurons": stop - start, "words": 100 * (stop - start)}

    slices = place_greedily(program_of([4]), demand, {"neurons": 3, "words": 10})
    assert [(s.core, s.start, s.stop) for s in slices] == [(0, 0, 3), (1, 3, 4)]


def test_generators_take_no_core() -> None:
    program = resolve_target("cpu").lower(gate_mlp())
    assert {s.population for s in program.placements} == {"n", "out"}
    assert {p.name for p in program.populations} == {"input", "n.control", "n", "out"}


def test_placing_is_part_of_lowering() -> None:
    program = resolve_target("cpu").lower(plain((2,), {"w": dense([[1, 2]] * 7), "n": fire((7,))}))
    assert [(s.population, s.core, s.start, s.stop, s.chip) for s in program.placements] == [("n", 0, 0, 7, 0)]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 300), st.integers(1, 300), st.integers(1, 300))
def test_the_search_for_a_length_does_not_depend_on_its_guess(limit: int, most: int, guess: int) -> None:
    room = _Room(lambda name, start, stop: {"words": stop - start}, {"words": limit}, {"words": 0}, "p", 7)
    assert room.longest(most, guess) == min(limit, most)
