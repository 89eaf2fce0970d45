from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from snnport.targets.base import resolve_target
from snnport.targets.speck.cores import Contest, Needs, assign, bits_for, contests, kernel_words, memories

CHIP = resolve_target("speck2f").chip


def test_the_nine_cores() -> None:
    cores = memories(CHIP)
    assert [core.kernel // 1024 for core in cores] == [16, 16, 16, 32, 32, 64, 64, 16, 16]
    assert [core.neuron // 1024 for core in cores] == [64, 64, 64, 32, 32, 16, 16, 16, 16]
    assert sum(core.kernel for core in cores) == 272 * 1024
    assert sum(core.neuron for core in cores) == 327_680
    assert {core.bias for core in cores} == {1024}


def test_addresses_round_up_to_powers_of_two() -> None:
    assert [bits_for(n) for n in (1, 2, 3, 4, 5, 500, 512, 513)] == [0, 1, 2, 2, 3, 9, 9, 10]
    assert kernel_words((32, 16, 3, 3)) == 8192
    assert kernel_words((500, 128, 2, 2)) == 262_144


def test_a_layer_moves_aside_for_one_that_fits_nowhere_else() -> None:
    cores = (Needs(10, 10, 1), Needs(5, 5, 1))
    layers = {"small": Needs(1, 1, 0), "large": Needs(9, 9, 0)}
    assert assign(layers, cores) == {"small": 1, "large": 0}
    assert assign({"large": Needs(9, 9, 0), "small": Needs(1, 1, 0)}, cores) == {"small": 1, "large": 0}
    chain = {"a": Needs(6, 1, 0), "b": Needs(1, 6, 0), "c": Needs(6, 6, 0)}
    found = assign(chain, (Needs(9, 9, 0), Needs(9, 2, 0), Needs(2, 9, 0)))
    assert found == {"a": 1, "b": 2, "c": 0}


@settings(max_examples=60, deadline=None)
@given(
    needs=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=5),
    sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=5),
)
def test_no_other_assignment_places_more_layers(needs: list[tuple[int, int]], sizes: list[tuple[int, int]]) -> None:
    layers = {str(i): Needs(a, b, 0) for i, (a, b) in enumerate(needs)}
    cores = tuple(Needs(a, b, 0) for a, b in sizes)
    found = assign(layers, cores)
    assert len(set(found.values())) == len(found)
    assert all(layers[name].fit(cores[core]) for name, core in found.items())
    seats = [*range(len(cores)), *[-1] * len(layers)]
    best = (
        max(
            sum(core >= 0 and layers[str(i)].fit(cores[core]) for i, core in enumerate(order))
            for order in set(permutations(seats, len(layers)))
        )
        if len(seats) <= 8
        else len(found)
    )
    assert len(found) == best


def test_the_three_chips_have_the_same_cores() -> None:
    assert memories(resolve_target("speck2e").chip) == memories(CHIP) == memories(resolve_target("dynapcnn").chip)


def test_layers_that_compete_are_named_with_the_cores_that_they_compete_for() -> None:
    cores = (Needs(10, 10, 1), Needs(5, 5, 1), Needs(5, 5, 1))
    layers = {"a": Needs(9, 1, 0), "small": Needs(1, 1, 0), "b": Needs(8, 1, 0), "c": Needs(99, 1, 0)}
    placed = assign(layers, cores)
    assert set(placed) == {"a", "small"}
    assert contests(layers, cores, placed) == (Contest(("a", "b"), (0,)), Contest(("c",), ()))
    assert contests({"a": Needs(9, 1, 0)}, cores, {"a": 0}) == ()


@settings(max_examples=60, deadline=None)
@given(
    needs=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=7),
    sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=5),
)
def test_a_contest_is_a_proof_that_no_assignment_exists(needs: list[tuple[int, int]], sizes: list[tuple[int, int]]) -> None:
    """Hall: the layers of a contest fit its cores alone, and are more than they by those left out."""
    layers = {str(i): Needs(a, b, 0) for i, (a, b) in enumerate(needs)}
    cores = tuple(Needs(a, b, 0) for a, b in sizes)
    placed = assign(layers, cores)
    found = contests(layers, cores, placed)
    left = {name for name in layers if name not in placed}
    assert left == {name for contest in found for name in contest.layers} - set(placed)
    for contest in found:
        able = {i for i, core in enumerate(cores) for name in contest.layers if layers[name].fit(core)}
        assert able == set(contest.cores)
        assert len(contest.layers) - len(contest.cores) == len(left & set(contest.layers)) > 0
    seen = [core for contest in found for core in contest.cores]
    assert len(seen) == len(set(seen))
