"""Reading netx files: the graph, its registers, what is noted, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from netx_files import conv, dense, neuron, write

from snnport.errors import InvalidGraph, InvalidInput, SnnportError, UnsupportedNode
from snnport.graph import shapes
from snnport.importers.netx import read_netx


def registers(path: Path, name: str, **reading: int) -> dict[str, object]:
    own = read_netx(path, **reading).graph.nodes[name].metadata["loihi"]
    return {key: value if isinstance(value, str) else np.asarray(value).tolist() for key, value in own.items()}


def test_layers_become_nodes_with_codes_and_shapes(tmp_path: Path) -> None:
    maps = conv(np.full((4, 1, 2, 2), 3), [4, 3, 3], stride=[2, 2], padding=[1, 1], groups=2, bias=[1, 2, 3, 4])
    path = write(
        tmp_path / "n.net", {"type": "input", "shape": [2, 4, 4]}, maps, {"type": "flatten"}, dense([[2, -4] * 18] * 5), steps=7
    )
    found = read_netx(path)
    assert found.format == "netx"
    assert list(found.graph.nodes) == ["input", "layer1.synapse", "layer1", "layer2", "layer3.synapse", "layer3", "output"]
    assert shapes(found.graph)["layer1"] == (4, 3, 3)
    assert shapes(found.graph)["layer3"] == (5,)
    kernel = found.graph.nodes["layer1.synapse"]
    assert isinstance(kernel, nir.Conv2d)
    np.testing.assert_array_equal(kernel.weight, np.full((4, 1, 2, 2), 3.0))
    assert json.loads(found.graph.metadata["netx"])["steps"] == 7


def test_registers_are_those_of_lava_dl(tmp_path: Path) -> None:
    path = write(tmp_path / "n.net", dense([[2, -4]], neuron=neuron(iDecay=410, vDecay=205, vThMant=7), bias=[9]))
    wanted = {"family": "cuba", "du": 409, "dv": 205, "vth": 7, "bias_mant": [9], "bias_exp": 6}
    assert registers(path, "layer0") == wanted
    reset = {"family": "cuba_reset", "reset_interval": 5, "reset_offset": 1}
    assert registers(path, "layer0", reset_interval=5) == {**wanted, **reset}


def test_a_layer_without_a_neuron_integrates(tmp_path: Path) -> None:
    path = write(tmp_path / "n.net", dense([[2, -4]], neuron=None))
    assert registers(path, "layer0") == {"family": "cuba", "du": -1, "dv": 4096, "vth": 1 << 17}
    assert isinstance(read_netx(path).graph.nodes["layer0"], nir.CubaLI)


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"iDecay": 4096}, nir.LIF),
        ({"iDecay": 4096, "vDecay": 0}, nir.IF),
        ({"iDecay": 4096, "vThMant": 1 << 17}, nir.LI),
        ({"iDecay": 0}, nir.CubaLIF),
        ({}, nir.CubaLIF),
    ],
)
def test_the_nearest_node_of_nir(tmp_path: Path, changed: dict[str, int], kind: type) -> None:
    found = read_netx(write(tmp_path / "n.net", dense([[2, -4]], neuron=neuron(**changed))))
    assert type(found.graph.nodes["layer0"]) is kind


def test_sigma_delta_layers(tmp_path: Path) -> None:
    first = {"type": "input", "shape": [2], "neuron": {"type": "SDNN", "vThMant": 3, "activation": "relu"}}
    sums = dense([[2, -4]], neuron={"type": "SDNN", "vThMant": 0, "activation": "relu"}, bias=[2])
    last = dense([[5]], neuron={"type": "SDNN", "vThMant": 0, "sigma_output": True})
    path = write(tmp_path / "n.net", first, sums, last)
    assert registers(path, "layer0") == {"family": "delta", "v_threshold": 3 << 6, "drive_exponent": 6}
    assert registers(path, "layer1") == {"family": "sigma_delta", "v_threshold": 1, "bias": [2 << 12], "shift": 6, "rectify": 1}
    assert registers(path, "layer2") == {"family": "integrator", "bias": 0}


def test_delays_stand_beside_the_weights_they_delay(tmp_path: Path) -> None:
    weight = np.array([[2, 4, 6], [8, 10, 12]])
    for number, (delay, where) in enumerate(((3, 0), ([1, 2], 1), ([0, 5, 70], 0))):
        found = read_netx(write(tmp_path / f"{number}.net", dense(weight, delay=delay)))
        chain = [("input", "layer0.synapse.delay"), ("layer0.synapse", "layer0.synapse.delay")]
        assert chain[where] in found.graph.edges
        assert any("clamps" in note for note in found.repairs) == (number == 2)
    each = read_netx(write(tmp_path / "each.net", dense(weight, delay=[[0, 1, 1], [4, 1, 0]])))
    assert {"layer0.synapse.0", "layer0.synapse.1", "layer0.synapse.4"} <= set(each.graph.nodes)


def test_what_lava_does_to_weights_is_noted(tmp_path: Path) -> None:
    found = read_netx(write(tmp_path / "n.net", dense([[300, -4], [-400, 2]])))
    np.testing.assert_array_equal(found.graph.nodes["layer0.synapse"].weight, [[254, -4], [-256, 2]])
    assert any("clips 2 of its weights" in note for note in found.repairs)
    lost = read_netx(write(tmp_path / "m.net", dense([[-201, 0], [-1, -5]])))
    assert not np.any(lost.graph.nodes["layer0.synapse"].weight)
    assert any("as other numbers" in note for note in lost.repairs)


def test_an_average_counts_spikes(tmp_path: Path) -> None:
    found = read_netx(write(tmp_path / "n.net", dense([[2]] * 6), {"type": "average", "shape": [3]}))
    np.testing.assert_array_equal(found.graph.nodes["layer1.synapse"].weight, np.kron(np.eye(3), [[1, 1]]))
    assert isinstance(found.graph.nodes["layer1"], nir.I)


SDNN = {"type": "SDNN", "vThMant": 1}
REFUSED = [
    ((), "are called nothing"),
    (({"type": "input", "shape": [3]},), "no layer of neurons"),
    ((dense([[2]], type="pool"),), r"layer 0 \(pool\): there is no counterpart"),
    ((dense([[2]], type=None),), "layer 0 has no type"),
    ((dense([[2]], weight=None),), "it has no weight"),
    ((dense([[2]], weight="text"),), "weight holds no numbers"),
    ((dense([[2]], weight=[[np.nan]]),), "not finite"),
    ((dense([[2]], shape=[2]),), "its shape says 2 neurons"),
    ((dense([[2]], shape=[0]),), r"its shape is \[0\]"),
    ((dense([[0, 0]]),), "all its weights are 0"),
    ((dense([[300, 2]]),), "of one sign lava-dl keeps up to 255"),
    ((dense([[-64, -64], [0, -1]]),), "rounds the sum"),
    ((dense([[2]], bias=[1, 2, 3]),), r"bias has shape \(3,\)"),
    ((dense([[2]], delay=[1, 2, 3]),), "its delay has shape"),
    ((dense([[2]], delay=-1),), "a delay of -1 steps"),
    ((dense([[2, 2]]), dense([[2, 2]])), "its weight takes 2 inputs, the layer before it gives 1"),
    ((dense([[2]], neuron=neuron(type="ALIF")),), "its neuron is a 'ALIF'"),
    ((dense([[2]], neuron=neuron(iDecay=None)),), "it has no iDecay"),
    ((dense([[2]], neuron=neuron(iDecay=4097)),), "iDecay is 4097"),
    ((dense([[2]], neuron=neuron(vDecay=[1, 2])),), "vDecay has 2 values"),
    ((dense([[2]], neuron=neuron(vThMant=1.5)),), "vThMant is 1.5"),
    ((dense([[2]], weight=None, weight_rec=[[2]], type="dense_rec"),), "it has no weight"),
    ((dense([[2]], type="dense_rec", weight_rec=[[1, 2]]),), "its weight_rec has shape"),
    ((dense([[2, 3]], type="dense_rec", weight_rec=[[1]], delay=2),), "which lava-dl cannot load"),
    ((conv([[[[1]]]], [1, 2, 2]),), "no layer says the shape of its input"),
    (({"type": "input", "shape": [1, 2, 2]}, conv([[[[1]]]], [1, 3, 3])), "its kernel, stride, padding and dilation give"),
    (({"type": "input", "shape": [2, 2, 2]}, conv([[[[1]]]], [1, 2, 2])), "does not take a map"),
    (({"type": "input", "shape": [1, 2, 2]}, conv([[1]], [1, 2, 2])), r"wanted is \(out, in, height, width\)"),
    (({"type": "input", "shape": [1, 2, 2]}, conv([[[[1]]]], [1, 2, 2], stride=[0, 1])), "its stride is"),
    (({"type": "input", "shape": [1, 2, 2]}, conv([[[[1]]]], [1, 2, 2], neuron=None)), "it has no neuron"),
    (({"type": "input", "shape": [1, 2, 2]}, conv([[[[1]]]], [1, 2, 2]), dense([[1, 2, 3, 4]])), "no flatten stands between"),
    ((dense([[2]]), {"type": "input", "shape": [1]}), "comes first, and once"),
    ((dense([[2]], neuron=SDNN), dense([[2]])), "sends numbers"),
    ((dense([[2]], neuron={**SDNN, "sigma_output": True}, bias=[1]),), "sums without a bias"),
    ((dense([[2]], neuron={**SDNN, "sigma_output": True}), dense([[2]])), "follows a sigma output"),
    ((dense([[2]]), {"type": "average", "shape": [3]}), "it averages 1 neurons into 3"),
]


@pytest.mark.parametrize(("layers", "said"), REFUSED)
def test_refused_networks(tmp_path: Path, layers: tuple[dict[str, object], ...], said: str) -> None:
    path = write(tmp_path / "bad.net", *layers)
    with pytest.raises((InvalidGraph, UnsupportedNode), match=said) as caught:
        read_netx(path)
    assert str(path) in caught.value.where


def test_complex_weights_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "n.net", dense([[2]], weight=None))
    with h5py.File(path, "a") as file:
        file["layer/0/weight/real"] = file["layer/0/weight/imag"] = np.ones((1, 1))
    with pytest.raises(UnsupportedNode, match="complex"):
        read_netx(path)


def test_a_reset_interval_is_a_number_of_steps(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="0 is no number of steps"):
        read_netx(write(tmp_path / "n.net", dense([[2]])), reset_interval=0)


# ------------------------------------------------------------------------------------------------------- damaged files


def test_no_netx_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.net"
    with pytest.raises(InvalidGraph, match="no such file"):
        read_netx(path)
    path.write_bytes(b"")
    with pytest.raises(InvalidGraph, match="empty"):
        read_netx(path)
    path.write_bytes(b"PK\3\4 and more")
    with pytest.raises(InvalidGraph, match="zip archive"):
        read_netx(path)
    path.write_bytes(b"something else")
    with pytest.raises(InvalidGraph, match="no netx file"):
        read_netx(path)
    with h5py.File(path, "w") as file:
        file["node"] = 1
    with pytest.raises(InvalidGraph, match="no group 'layer'"):
        read_netx(path)


def test_links_and_foreign_data_are_never_followed(tmp_path: Path) -> None:
    other = write(tmp_path / "other.net", dense([[2]]))
    for number, spoil in enumerate(("layer/0", "layer/0/weight", "layer/0/neuron", "layer")):
        for kind in (h5py.SoftLink("/somewhere"), h5py.ExternalLink(str(other), f"/{spoil}")):
            path = write(tmp_path / f"{number}.net", dense([[2]]))
            with h5py.File(path, "a") as file:
                del file[spoil]
                file[spoil] = kind
            with pytest.raises(InvalidGraph, match="a link to another place"):
                read_netx(path)
    path = write(tmp_path / "far.net", dense([[2]], weight=None))
    with h5py.File(path, "a") as file:
        file.create_dataset("layer/0/weight", (1, 1), "f4", external=[(str(tmp_path / "raw"), 0, 4)])
    with pytest.raises(InvalidGraph, match="lies in another file"):
        read_netx(path)
    path = write(tmp_path / "virtual.net", dense([[2]], weight=None))
    layout = h5py.VirtualLayout((1, 1), "f4")
    layout[:] = h5py.VirtualSource(str(other), "layer/0/weight", (1, 1))
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset("layer/0/weight", layout)
    with pytest.raises(InvalidGraph, match="lies in another file"):
        read_netx(path)


def test_other_types_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "n.net", dense([[2]], weight=None))
    with h5py.File(path, "a") as file:
        file.create_dataset("layer/0/weight", data=np.array([(1, 2)], [("a", "i4"), ("b", "i4")]))
    with pytest.raises(InvalidGraph, match="numbers or texts are needed"):
        read_netx(path)
    gap = write(tmp_path / "gap.net", dense([[2]]), dense([[2]]))
    with h5py.File(gap, "a") as file:
        file.move("layer/1", "layer/2")
    with pytest.raises(InvalidGraph, match="without a gap"):
        read_netx(gap)


def test_groups_and_fields_in_wrong_places(tmp_path: Path) -> None:
    path = write(tmp_path / "n.net", dense([[2]]))
    with h5py.File(path, "a") as file:
        file.create_group("layer/0/odd/deeper")
    with pytest.raises(InvalidGraph, match="'/layer/0/odd/deeper' is no field"):
        read_netx(path)
    with h5py.File(path, "a") as file:
        del file["layer/0"]
        file["layer/0"] = 3
    with pytest.raises(InvalidGraph, match="'/layer/0' is no group"):
        read_netx(path)


def test_a_truncated_file_is_one_refusal(tmp_path: Path) -> None:
    whole = write(tmp_path / "n.net", dense(np.full((9, 9), 4)), dense(np.full((3, 9), 4))).read_bytes()
    path = tmp_path / "cut.net"
    for length in range(60, len(whole), 397):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidGraph):
            read_netx(path)


def test_flipped_bytes_never_crash(tmp_path: Path) -> None:
    whole = write(tmp_path / "n.net", dense([[2, 4], [6, 8]])).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "flipped.net"
    read = refused = 0
    for _ in range(150):
        spoiled = bytearray(whole)
        spoiled[int(rng.integers(len(whole)))] ^= int(rng.integers(1, 256))
        path.write_bytes(spoiled)
        try:
            read_netx(path)
            read += 1
        except SnnportError:
            refused += 1
    assert read
    assert refused
