"""Writing netx files: lava-dl loads them with the program's spikes (recorded), they come back as they were, or are refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from netx_files import conv, dense, neuron, random_file, write
from netx_graphs import GRAPHS, program_of
from netx_runs import program_of as program_of_file
from netx_runs import spikes_of

from snnport.errors import DoesNotFit
from snnport.exporters.netx import loading_lines, netx_of, write_netx
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection, Sparse, SumPool

GOLDEN = Path(__file__).parents[1] / "golden" / "netx"
WRITTEN = np.load(GOLDEN / "written.npz")


@pytest.mark.parametrize("name", GRAPHS)
def test_lava_runs_what_was_written_with_the_same_spikes(tmp_path: Path, name: str) -> None:
    program, x = program_of(name)
    np.testing.assert_array_equal(x, WRITTEN[f"{name}/x"])
    write_netx(program, tmp_path / "n.net")
    with h5py.File(tmp_path / "n.net") as new, h5py.File(GOLDEN / f"{name}.net") as run_in_lava:
        assert_same_file(new, run_in_lava)
    found = {key: spikes for key, spikes in spikes_of(program, x).items() if key != "bias.source"}
    for number, (key, spikes) in enumerate(found.items()):
        start = number + 1 if name == "biased" else 0
        wanted = np.unpackbits(WRITTEN[f"{name}/layer{number}"])[: spikes.size].reshape(spikes.shape)
        np.testing.assert_array_equal(spikes[start:], wanted[start:], key)
        assert not spikes[:start].any()
    assert sum(spikes.sum() for spikes in found.values()) > 10


def assert_same_file(a: h5py.File, b: h5py.File) -> None:
    names: list[str] = []
    a.visit(names.append)
    others: list[str] = []
    b.visit(others.append)
    assert names == others
    for name in names:
        if isinstance(a[name], h5py.Dataset):
            assert np.array_equal(a[name][()], b[name][()]), name


def assert_same_program(a: Program, b: Program) -> None:
    for p, q in zip(a.populations, b.populations, strict=True):
        assert (p.name, p.size, p.neuron.family) == (q.name, q.size, q.neuron.family)
        assert p.neuron.params.keys() == q.neuron.params.keys()
        for key, value in p.neuron.params.items():
            np.testing.assert_array_equal(np.broadcast_to(value, (p.size,)), np.broadcast_to(q.neuron[key], (q.size,)), key)
    assert len(a.projections) == len(b.projections)
    for p, q in zip(a.projections, b.projections, strict=True):
        assert (p.source, p.target, p.delay, p.exponent) == (q.source, q.target, q.delay, q.exponent)
        np.testing.assert_array_equal(p.synapse.codes, q.synapse.codes)
        for key in ("input_shape", "stride", "padding", "dilation", "groups", "target", "source"):
            np.testing.assert_array_equal(getattr(p.synapse, key, 0), getattr(q.synapse, key, 0))


def refused(program: Program, path: Path) -> str:
    """Why the program is not written; empty where it is."""
    try:
        write_netx(program, path)
    except DoesNotFit as error:
        return str(error)
    return ""


KNOWN = ("Lava would keep others", "some are odd", "lava-dl cannot load", "rounds the sum")


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 6, 7, 9, 10, 12, 15, 18, 22])
def test_what_is_read_is_written_and_read_again(tmp_path: Path, seed: int) -> None:
    x, _, reset = random_file(tmp_path / "a.net", seed)
    first = program_of_file(tmp_path / "a.net", reset)
    reason = refused(first, tmp_path / "b.net")
    if reason:
        assert any(known in reason for known in KNOWN)
        return
    again = program_of_file(tmp_path / "b.net", reset)
    if len(first.projections) == len(again.projections):
        assert_same_program(first, again)
    for a, b in zip(spikes_of(first, x).values(), spikes_of(again, x).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_sigma_delta_layers_come_back(tmp_path: Path) -> None:
    first = {"type": "input", "shape": [2], "neuron": {"type": "SDNN", "vThMant": 3}, "weight": [40], "bias": [36]}
    sums = dense([[2, -4], [6, 8]], neuron={"type": "SDNN", "vThMant": 2}, bias=[2, -1])
    last = dense([[5, 4]], neuron={"type": "SDNN", "vThMant": 0, "sigma_output": True})
    before = program_of_file(write(tmp_path / "a.net", first, sums, last))
    write_netx(before, tmp_path / "b.net")
    assert_same_program(before, program_of_file(tmp_path / "b.net"))
    with h5py.File(tmp_path / "b.net") as file:
        assert [int(file[f"layer/0/{key}"][0]) for key in ("weight", "bias")] == [40, 36]


def test_the_lines_that_load_it(tmp_path: Path) -> None:
    program = program_of("biased")[0]
    lines = write_netx(program, tmp_path / "n.net")
    assert lines == loading_lines(netx_of(program), "n.net")
    assert 'Network(net_config="n.net", reset_interval=1073741824, reset_offset=1)' in lines[7]
    driven = {"type": "input", "shape": [2], "neuron": neuron(iDecay=4096)}
    first = write_netx(program_of_file(write(tmp_path / "d.net", driven, dense([[2, 4]])), 9), tmp_path / "e.net")
    assert "reset_interval=9)" in first[7]
    assert "bias_mant.init" in first[8]


# ---------------------------------------------------------------------------------------------------------------- refused


def chip() -> Any:
    return program_of("dense")[0].chip


def network(*projections: Projection, families: dict[str, Neuron] | None = None, shape: tuple[int, ...] = (2,)) -> Program:
    cuba = Neuron("cuba", {"du": np.array(4095), "dv": np.array(100), "vth": np.array(9)})
    names = dict.fromkeys(end for q in projections for end in (q.source, q.target))
    neurons = {"in": Neuron("input", {}), **(families or {})}
    populations = tuple(Population(name, shape, neurons.get(name, cuba)) for name in names)
    return Program("loihi2", chip(), populations, projections, (), ("in",), (populations[-1].name,), 0)


def way(source: str = "in", target: str = "a", codes: Any = ((2, 4), (6, 8)), **other: Any) -> Projection:
    return Projection(f"{source}-{target}", source, target, Dense(np.array(codes)), **other)


PAIR = Neuron("cuba", {"du": np.array([1, 2]), "dv": np.array(100), "vth": np.array(9)})
ODD_BIAS = Neuron("cuba", {"du": np.array(1), "dv": np.array(1), "vth": np.array(9), "bias_mant": np.array(3)})
LARGE_BIAS = Neuron("cuba", {**ODD_BIAS.params, "bias_mant": np.array(1 << 12) - 1, "bias_exp": np.array(7)})
SOURCE = Neuron("cuba", {"du": np.array(4095), "dv": np.array(4095), "vth": np.array(1), "bias_mant": np.array(200)})
GRADED = Neuron("graded_relu", {})
TWICE = Sparse(np.array([1, 1]), np.array([0, 0]), np.array([0, 0]), (2, 2))


def with_source(program: Program, codes: Any, delay: int) -> Program:
    late = Projection("s-a", "s", "a", Dense(np.array(codes)), None, delay)
    source = Population("s", (1,), SOURCE)
    return replace(program, populations=(*program.populations, source), projections=(*program.projections, late))


REFUSED = [
    (network(way(codes=((0, 0), (0, 0)))), "a: all its weights are 0, which lava-dl cannot load"),
    (network(way(codes=((201, -4), (6, 8)))), r"odd ones within -128..127"),
    (network(way(codes=((300, -4), (6, 8)))), "Lava would keep others"),
    (network(way(codes=((300, 4), (6, 8)))), "of one sign lava-dl keeps up to 255"),
    (network(way(codes=((-64, -4), (-6, -8)))), "Lava"),
    (network(way(), families={"a": PAIR}), "its neurons differ in du"),
    (network(way(), families={"a": GRADED}), "family graded_relu; netx holds cuba, delta and sigma_delta"),
    (network(way(), families={"a": ODD_BIAS}), "no multiple of 64"),
    (network(way(), families={"a": LARGE_BIAS}), "its bias reaches 8190 codes"),
    (network(way(delay=70)), "its synapses take 70 steps"),
    (network(way(), way("a", "a", delay=3)), "delays and recurrent synapses"),
    (network(way(), way("a", "b"), way("in", "b")), "it feeds a, b"),
    (network(way(), way("a", "b"), way("b", "a")), "it feeds a; in netx"),
    (network(way(), way(delay=2)), "two synapses join the same neurons with different delays"),
    (network(way(delay=0), way("a", "b", delay=0)), "in which it was sent"),
    (with_source(network(way(), families={"a": PAIR}), [[2], [4]], 1), "its neurons differ"),
    (with_source(network(way()), [[2], [4]], 5), "its bias begins in step 5"),
    (replace(network(way()), outputs=("in",)), "it is read, netx reads the last layer, a"),
    (replace(network(way()), inputs=("in", "a")), "it has 2 inputs"),
]


@pytest.mark.parametrize(("program", "said"), REFUSED)
def test_refused_before_anything_is_written(tmp_path: Path, program: Program, said: str) -> None:
    with pytest.raises(DoesNotFit, match=said):
        write_netx(program, tmp_path / "n.net")
    assert not os.listdir(tmp_path)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    program = network(way(codes=((0, 0), (0, 0))), way("a", "b"), families={"b": PAIR})
    with pytest.raises(DoesNotFit, match=r"2 reasons:\n  a: .*\n  b: "):
        write_netx(program, tmp_path / "n.net")


def conv_way(codes: Any, source: str = "in", target: str = "a", pool: SumPool | None = None, **other: Any) -> Projection:
    geometry = {"input_shape": (1, 4, 4), "stride": (1, 1), "padding": (0, 0, 0, 0), **other}
    return Projection(f"{source}-{target}", source, target, Conv(np.array(codes), **geometry), pool)


def maps(*projections: Projection, shape: tuple[int, int, int] = (1, 4, 4), out: tuple[int, int, int] = (1, 4, 4)) -> Program:
    program = network(*projections, shape=out)
    populations = (replace(program.populations[0], shape=shape), *program.populations[1:])
    return replace(program, populations=populations)


POOL = SumPool((1, 9, 9), (2, 2), (2, 2), (0, 0, 0, 0))
CONV_REFUSED = [
    (maps(replace(conv_way([[[[1]]]]), delay=2)), "lava-dl knows delays before dense layers alone"),
    (maps(conv_way([[[[1]]]]), way("a", "a", np.eye(16, dtype=int))), "a convolution with recurrent synapses"),
    (maps(conv_way(np.ones((1, 1, 3, 3), int), pool=POOL, padding=(1, 1, 1, 1)), shape=(1, 9, 9)), "does not tile the map"),
    (maps(way(codes=np.full((16, 16), 2)), conv_way([[[[1]]]], "a", "b")), "the layer before it is dense"),
]


@pytest.mark.parametrize(("program", "said"), CONV_REFUSED)
def test_refused_convolutions(tmp_path: Path, program: Program, said: str) -> None:
    with pytest.raises(DoesNotFit, match=said):
        write_netx(program, tmp_path / "n.net")


def test_pairs_listed_twice_add_up() -> None:
    program = network(Projection("w", "in", "a", TWICE))
    np.testing.assert_array_equal(netx_of(program).layers[0]["weight"], [[2, 0], [0, 0]])


@pytest.mark.parametrize("seed", range(12))
def test_a_pooling_and_a_convolution_are_one_convolution(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, stride = (tuple(int(n) for n in rng.integers(1, 4, 2)) for _ in range(2))
    taps, dilation = (tuple(int(n) for n in rng.integers(1, 3, 2)) for _ in range(2))
    size = tuple(int(n) for n in rng.integers(9, 14, 2))
    pool = SumPool((2, *size), kernel, stride, (0, 0, 0, 0))  # type: ignore[arg-type]
    rows = [(s - k) // t + 1 for s, k, t in zip(size, kernel, stride, strict=True)]
    codes = rng.integers(-5, 6, (3, 2, *taps))
    out = [r - d * (k - 1) for r, d, k in zip(rows, dilation, taps, strict=True)]
    synapse = Conv(codes, (2, *rows), (1, 1), (0, 0, 0, 0), dilation)  # type: ignore[arg-type]
    program = maps(Projection("w", "in", "a", synapse, pool), shape=(2, *size), out=(3, *out))  # type: ignore[arg-type]
    layer = netx_of(program).layers[1]
    whole = Conv(layer["weight"], (2, *size), tuple(layer["stride"]), (0, 0, 0, 0))  # type: ignore[arg-type]
    assert tuple(layer["padding"]) == (0, 0)
    x = (rng.random((20, 2 * size[0] * size[1])) < 0.3).astype(np.int64)
    again = maps(Projection("w", "in", "a", whole), shape=(2, *size), out=(3, *out))  # type: ignore[arg-type]
    np.testing.assert_array_equal(spikes_of(program, x)["a"], spikes_of(again, x)["a"])


def test_conv_files_keep_their_geometry(tmp_path: Path) -> None:
    layer = conv(np.ones((2, 1, 3, 2)), [2, 3, 6], stride=[2, 1], padding=[1, 1], dilation=[1, 1], bias=[3, 4])
    path = write(tmp_path / "n.net", {"type": "input", "shape": [1, 5, 5]}, layer)
    write_netx(program_of_file(path), tmp_path / "m.net")
    assert_same_program(program_of_file(path), program_of_file(tmp_path / "m.net"))
