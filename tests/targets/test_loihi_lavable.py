from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snnport.chip import Chip
from snnport.errors import DoesNotFit, InvalidGraph, UnsupportedNode
from snnport.program import Conv, Dense, Diagonal, Neuron, Population, Program, Projection, Sparse, SumPool
from snnport.targets.loihi.lavable import check_lava

CHIP = Chip.from_json({"name": "test", "target": "loihi2", "numbers": {}})
PLAIN = {"du": 9, "dv": 9, "vth": 30}


def program(
    family="cuba", params=None, synapse=None, *more: Projection, source="input", n=3, shape=None, **projection
) -> Program:
    """Populations "in" and "cell" of n neurons, one projection "w" and `more`."""
    given = {key: np.asarray(value) for key, value in (PLAIN if params is None else params).items()}
    first = {"input": {}, "generator": {"time": np.array([0]), "index": np.array([0])}}.get(source, PLAIN)
    populations = (
        Population("in", shape or (n,), Neuron(source, {key: np.asarray(value) for key, value in first.items()})),
        Population("cell", (n,), Neuron(family, given)),
    )
    wire = Projection("w", "in", "cell", synapse or Dense(np.eye(n, dtype=np.int64)), **projection)
    inputs = ("in",) if source == "input" else ()
    return Program("loihi2", CHIP, populations, (wire, *more), (), inputs, ("cell",), 4)


def check(made: Program) -> None:
    check_lava(made)


def codes(*values: int) -> Diagonal:
    return Diagonal(np.array(values))


@pytest.mark.parametrize(
    "synapse",
    [
        codes(0, 1, 255),
        codes(-255, -3, 0),
        codes(-256, 254, 2),
        codes(-128, 127, 1),
        codes(0, 0, 0),
        Dense(np.zeros((3, 3), int)),
    ],
)
def test_codes_that_lava_keeps(synapse) -> None:
    check(program(synapse=synapse, exponent=7, delay=64))


@pytest.mark.parametrize(
    ("synapse", "match"),
    [
        (codes(0, 1, 256), r"w: codes span 0\.\.256, of one sign Lava keeps up to 255"),
        (codes(-256, 0, 0), "of one sign"),
        (codes(-258, 2, 0), r"keeps even ones within -256\.\.254"),
        (codes(-2, 256, 0), "keeps even ones"),
        (codes(-129, 2, 0), r"keeps odd ones within -128\.\.127"),
        (codes(-1, 128, 0), "keeps odd ones"),
        (Sparse(np.array([200, 56]), np.array([1, 1]), np.array([2, 2]), (3, 3)), r"span 0\.\.256"),
    ],
)
def test_codes_that_lava_would_change(synapse, match) -> None:
    with pytest.raises(DoesNotFit, match=match):
        check(program(synapse=synapse))


def test_pairs_listed_twice_may_add_up_to_what_fits() -> None:
    check(program(synapse=Sparse(np.array([300, -60]), np.array([1, 1]), np.array([2, 2]), (3, 3))))


def test_convolutions_keep_every_code_unless_they_become_lists() -> None:
    wide = Conv(np.full((3, 1, 1, 1), 999), (1, 1, 1), (1, 1), (0, 0, 0, 0))
    check(program(synapse=wide, shape=(1, 1, 1)))
    for changed in ({"delay": 0}, {"delay": 2}, {"pool": SumPool((1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0))}):
        with pytest.raises(DoesNotFit, match=r"codes span 0\.\.999"):
            check(program(synapse=wide, shape=(1, 1, 1), **changed))
    lopsided = Conv(np.full((3, 1, 1, 1), 999), (1, 1, 1), (1, 1), (0, 0, 0, 1), groups=1)
    with pytest.raises(DoesNotFit, match="codes span"):
        check(program(synapse=lopsided, shape=(1, 1, 1)))


def test_poolings_must_not_overlap() -> None:
    pool = SumPool((1, 3, 3), (2, 2), (1, 1), (0, 0, 0, 0))
    with pytest.raises(DoesNotFit, match="windows of its pooling overlap"):
        check(program(synapse=Dense(np.ones((3, 4), int)), shape=(1, 3, 3), pool=pool))
    # A relay's windows may: between two neurons there is one synapse all the same.
    check(program(synapse=codes(1, 1, 1, 1), n=4, shape=(1, 3, 3), pool=pool))


@pytest.mark.parametrize(
    ("family", "params", "kind", "match"),
    [
        ("if", {"v_threshold": 3}, UnsupportedNode, "Lava has no neurons of family 'if'"),
        ("cuba", {"du": 1, "dv": 1}, InvalidGraph, "missing parameters"),
        ("cuba_reset", {**PLAIN, "reset_interval": [2, 3, 4]}, DoesNotFit, r"reset_interval spans 2\.\.4, a process"),
        ("graded", {"shift": [1, 2, 3]}, DoesNotFit, "shift spans"),
        ("graded", {"v_min": -5}, DoesNotFit, "v_min bounds its values"),
        ("sigma_delta", {"v_threshold": 1, "v_max": 5}, DoesNotFit, "v_max bounds"),
        ("integrator", {"bias": 1 << 15}, DoesNotFit, "its bias reaches 32768, Lava holds up to 32767"),
        ("graded", {"bias": -(1 << 28)}, DoesNotFit, "its bias reaches 268435456"),
    ],
)
def test_neurons_that_lava_lacks(family, params, kind, match) -> None:
    with pytest.raises(kind, match=match):
        check(program(family, params))


def test_bounds_that_are_proven_never_to_act_may_stay() -> None:
    bounded = program("graded", {"v_max": 900})
    check(replace(bounded, meta={"bounds": "proven"}))
    with pytest.raises(DoesNotFit, match="v_max bounds its values"):
        check(bounded)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"port": 1}, "leads to input 1, neurons of Lava have one"),
        ({"delay": 65}, "delays spikes by 65 steps, Lava by up to 64"),
    ],
)
def test_projections_that_lava_lacks(changed, match) -> None:
    with pytest.raises(DoesNotFit, match=match):
        check(program(**changed))


def test_what_is_shifted_right_goes_through_one_connection() -> None:
    shifted = {"shift": 2, "bias": [-3, 3, 0]}
    check(program("graded_relu", shifted, codes(2, 4, 254)))
    check(program("graded_relu", shifted, codes(1, 3, 127)))
    with pytest.raises(
        DoesNotFit, match=r"what it shifts right arrives through one connection of Lava, and codes span -1\.\.255"
    ):
        check(program("graded_relu", shifted, codes(1, 3, 255)))
    check(program("graded_relu", {"shift": 2, "bias": [3, 3, 0]}, codes(1, 3, 255)))
    second = Projection("x", "in", "cell", codes(-100, 0, 0), exponent=1)
    check(program("graded_relu", {"shift": 2}, codes(2, 4, 254), second))
    with pytest.raises(DoesNotFit, match=r"codes span -200\.\.3, of both signs Lava keeps odd ones"):
        check(program("graded_relu", {"shift": 2}, codes(1, 3, 0), second))


def test_a_loop_has_room_for_the_steps_that_lava_takes() -> None:
    back = Projection("back", "cell", "cell", codes(1, 1, 1))
    check(program("graded_relu", {"shift": 2}, codes(1, 1, 1), Projection("back", "cell", "cell", codes(1, 1, 1), delay=2)))
    check(program("graded_relu", {}, codes(1, 1, 1), back))
    with pytest.raises(DoesNotFit, match="cell: its loop takes more steps in Lava than its delays add up to"):
        check(program("graded_relu", {"shift": 2}, codes(1, 1, 1), back))
