from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from strategies import CHIP, programs

from snnport.errors import InvalidInput, UnknownName
from snnport.events import read_npz, write_npz
from snnport.program import Dense, Diagonal, Neuron, Population, Program, Projection, Slice, Sparse, placed


def small(**changes: Any) -> Program:
    """Two inputs on one neuron."""
    populations = (
        Population("in", (2,), Neuron("input", {})),
        Population("out", (1,), Neuron("if", {"v_threshold": np.array(5), "v_init": np.array([2])})),
    )
    projection = Projection("w", "in", "out", Dense(np.array([[3, -2]], np.int8)), delay=2, exponent=1)
    program = Program("cpu", CHIP, populations, (projection,), (Slice("out", 1, 0, 1),), ("in",), ("out",), 7, {"code": "gate"})
    return replace(program, **changes)


def assert_equal(a: Program, b: Program) -> None:
    """Every integer, name and shape is the same."""
    assert a.chip.to_json() == b.chip.to_json()
    for name in ("target", "placements", "inputs", "outputs", "n_steps"):
        assert getattr(a, name) == getattr(b, name)
    assert dict(a.meta) == dict(b.meta)
    for p, q in zip(a.populations, b.populations, strict=True):
        assert (p.name, p.shape, p.size, p.neuron.family) == (q.name, q.shape, q.size, q.neuron.family)
        assert p.neuron.params.keys() == q.neuron.params.keys()
        for key in p.neuron.params:
            np.testing.assert_array_equal(p.neuron[key], q.neuron[key], strict=True)
    for p, q in zip(a.projections, b.projections, strict=True):
        assert (p.name, p.source, p.target, p.pool, p.delay, p.exponent) == (
            q.name,
            q.source,
            q.target,
            q.pool,
            q.delay,
            q.exponent,
        )
        assert type(p.synapse) is type(q.synapse)
        for key, value in vars(p.synapse).items():
            np.testing.assert_array_equal(value, getattr(q.synapse, key), strict=isinstance(value, np.ndarray))


@given(program=programs())
def test_a_program_comes_back_from_its_file(program: Program, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("program") / "p.npz"
    program.save(path)
    assert_equal(Program.load(path), program)


def test_a_sparse_projection_comes_back_with_its_lists_and_port(tmp_path: Path) -> None:
    synapse = Sparse(np.array([3, -2], np.int8), np.array([0, 0]), np.array([1, 0]), (1, 2))
    program = small(projections=(Projection("w", "in", "out", synapse, delay=62, port=1),))
    program.save(tmp_path / "p.npz")
    loaded = Program.load(tmp_path / "p.npz")
    assert_equal(loaded, program)
    assert loaded.projections[0].port == 1
    arrays = read_npz(tmp_path / "p.npz")
    assert {name for name in arrays if name.startswith("projection")} == {
        f"projection/w/{f}" for f in ("codes", "target", "source")
    }


def test_a_file_without_ports_has_port_0(tmp_path: Path) -> None:
    small().save(tmp_path / "p.npz")
    arrays = read_npz(tmp_path / "p.npz")
    header = json.loads(bytes(arrays["header"]))
    del header["projections"][0]["port"]
    write_npz(tmp_path / "p.npz", {**arrays, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
    assert_equal(Program.load(tmp_path / "p.npz"), small())


def test_a_file_holds_integers_and_a_json_header(tmp_path: Path) -> None:
    small().save(tmp_path / "p.npz")
    arrays = read_npz(tmp_path / "p.npz")
    header = json.loads(bytes(arrays.pop("header")))
    assert (header["format"], header["version"]) == ("snnport-program", 1)
    assert sorted(arrays) == ["population/out/v_init", "population/out/v_threshold", "projection/w/codes"]
    assert all(np.issubdtype(array.dtype, np.integer) for array in arrays.values())


def test_what_is_loaded_cannot_be_written_to(tmp_path: Path) -> None:
    small().save(tmp_path / "p.npz")
    program = Program.load(tmp_path / "p.npz")
    for array in (program.projections[0].synapse.codes, program.population("out").neuron["v_init"]):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(TypeError, match="does not support item assignment"):
        program.meta["code"] = "rate"  # type: ignore[index]


def test_parameters_of_a_neuron_cannot_be_written_to() -> None:
    own = np.array([1, 2])
    neuron = Neuron("if", {"v_init": own})
    with pytest.raises(ValueError, match="read-only"):
        neuron["v_init"][0] = 5
    own[0] = 9  # the caller's array stays the caller's to write


@pytest.mark.parametrize("value", [0.5, np.array([1.0, 2.0]), True])
def test_a_parameter_that_is_no_integer(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"program: a parameter has type .*, integers are needed"):
        Neuron("if", {"v_init": value})


def test_size_counts_neurons() -> None:
    assert Population("p", (3, 4, 5), Neuron("if", {})).size == 60


def test_populations_by_name() -> None:
    program = small()
    assert program.population("out").shape == (1,)
    with pytest.raises(UnknownName, match=r"population 'aut': there is no such name\. Did you mean 'out'\?"):
        program.population("aut")


def test_projections_into_a_population() -> None:
    second = Projection("b", "in", "out", Dense(np.array([[1, 1]])))
    loop = Projection("c", "out", "in", Dense(np.array([[1], [1]])))
    program = small(projections=(*small().projections, second, loop))
    assert [p.name for p in program.into("out")] == ["w", "b"]
    assert [p.name for p in program.into("in")] == ["c"]


def test_placed_changes_the_placement_alone() -> None:
    program = small()
    moved = placed(program, (Slice("out", 3, 0, 1, chip=2),))
    assert moved.placements == (Slice("out", 3, 0, 1, 2),)
    assert program.placements == (Slice("out", 1, 0, 1),)
    assert_equal(replace(moved, placements=program.placements), program)


# ---------------------------------------------------------------------------------------------------------- bad files


def rewritten(path: Path, **changes: Any) -> Path:
    """The file of `small`, with entries of its header changed."""
    small().save(path)
    arrays = read_npz(path)
    header = {**json.loads(bytes(arrays["header"])), **changes}
    write_npz(path, {**arrays, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
    return path


@pytest.mark.parametrize(
    "arrays", [{"x": np.zeros(3)}, {"header": np.array([255, 254], np.uint8)}, {"header": np.array([1, 2])}]
)
def test_a_file_without_a_header(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    write_npz(tmp_path / "p.npz", arrays)
    with pytest.raises(InvalidInput, match="it is no snnport program: it has no readable header"):
        Program.load(tmp_path / "p.npz")


@pytest.mark.parametrize("changes", [{"format": "other"}, {"version": 2}, {"version": None}])
def test_a_file_of_another_format_or_version(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = rewritten(tmp_path / "p.npz", **changes)
    with pytest.raises(InvalidInput, match=r"it is no snnport-program file of version 1\. Lower the network again"):
        Program.load(path)


def test_a_header_that_is_no_table(tmp_path: Path) -> None:
    write_npz(tmp_path / "p.npz", {"header": np.frombuffer(b"[1]", np.uint8)})
    with pytest.raises(InvalidInput, match="it is no snnport-program file of version 1"):
        Program.load(tmp_path / "p.npz")


POPULATION = {"name": "in", "shape": [2], "family": "input", "params": []}
PROJECTION = {"name": "w", "source": "in", "target": "out", "pool": None, "delay": 1, "exponent": 0}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"populations": 5}, "TypeError"),
        ({"populations": [{"name": "in"}]}, "KeyError"),
        ({"populations": [{**POPULATION, "params": ["nothing"]}]}, "population/in/nothing"),
        ({"populations": [POPULATION]}, "there is no population out"),
        ({"projections": [{**PROJECTION, "synapse": "Magic", "geometry": {}}]}, "Magic"),
        ({"projections": [{**PROJECTION, "synapse": "Dense", "geometry": {"stride": [1, 1]}}]}, "stride"),
        (
            {"projections": [{**PROJECTION, "synapse": "Dense", "geometry": {}, "delay": "soon"}]},
            "cannot be interpreted as an integer",
        ),
        (
            {"projections": [{**PROJECTION, "synapse": "Dense", "geometry": {}, "source": "lost"}]},
            "there is no population lost",
        ),
        ({"placements": [{"population": "out"}]}, "Slice"),
        ({"placements": [{"population": "lost", "core": 0, "start": 0, "stop": 1}]}, "there is no population lost"),
        ({"inputs": ["lost"]}, "there is no population lost"),
        ({"outputs": ["lost", "gone"]}, "there is no population gone, lost"),
        ({"n_steps": 1.5}, "cannot be interpreted as an integer"),
        ({"meta": [1]}, "mappingproxy"),
    ],
)
def test_a_header_that_contradicts_itself(tmp_path: Path, changes: dict[str, Any], what: str) -> None:
    path = rewritten(tmp_path / "p.npz", **changes)
    with pytest.raises(InvalidInput, match=rf"p\.npz: its header and arrays do not match .*{what}.*Lower it again"):
        Program.load(path)


def test_a_chip_in_the_header_that_is_none(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "p.npz", chip={"name": "c"})
    with pytest.raises(InvalidInput, match="chip: it has no text entry 'target'"):
        Program.load(path)


def test_codes_that_are_no_integers(tmp_path: Path) -> None:
    program = small(projections=(Projection("w", "in", "in", Diagonal(np.array([0.5, 1.0]))),))
    program.save(tmp_path / "p.npz")
    with pytest.raises(InvalidInput, match="a parameter has type float64, integers are needed"):
        Program.load(tmp_path / "p.npz")
