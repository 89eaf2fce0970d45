"""The verbs on netx files: what goes in, what comes out, and how x enters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from command import Command
from netx_files import dense, neuron, write

GOLDEN = Path(__file__).parents[1] / "golden" / "netx"
TINY = GOLDEN / "tiny.net"
DRIVEN = {"type": "input", "shape": [2], "neuron": neuron(iDecay=4096, vThMant=5), "weight": [10], "bias": [4]}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    data = np.load(GOLDEN / "tiny.npz")
    np.savez(folder / "bias.npz", x=np.repeat(data["bias"][None, None], 16, axis=1))
    shape = (1, 15, 3, 16, 16)
    np.savez(folder / "spikes.npz", x=data["input"][1:].reshape(shape))
    for key, name in (("input", "layer0"), ("layer1", "layer1"), ("output", "layer2")):
        np.savez(folder / f"{name}.npz", **{f"spikes/{name}": data[key][None]})
    np.savez(folder / "short.npz", **{"spikes/layer1": data["layer1"][None, :15]})
    np.savez(folder / "strange.npz", **{"spikes/conv-0": data["layer1"][None]})
    return folder


Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(snnport: Command) -> Run:
    def told(*words: object) -> tuple[int, dict[str, Any]]:
        done = snnport("run", *map(str, words), "--target", "loihi2", "--json")
        return done.code, done.data

    return told


@pytest.mark.parametrize(("layer", "shift"), [("layer0", ("--delay", 1)), ("layer1", ()), ("layer2", ("--delay", -1))])
def test_recorded_layers(run: Run, recorded: Path, layer: str, shift: tuple[object, ...]) -> None:
    given = ("--input", recorded / "bias.npz", "--expect", recorded / f"{layer}.npz", *shift)
    code, found = run(TINY, "--reset-interval", 17, *given)
    assert (code, found["comparison"]["equal"]) == (0, True)
    assert "x drives the bias of layer0: numbers in each step" in found["done"]


def test_recorded_spikes_take_the_place_of_the_input_layer(run: Run, recorded: Path) -> None:
    given = ("--input", recorded / "spikes.npz", "--expect", recorded / "short.npz")
    code, found = run(TINY, "--reset-interval", 17, *given)
    assert (code, found["comparison"]["equal"]) == (0, True)
    assert "it takes the place of the spikes of layer0" in str(found["done"])


def test_a_recording_of_other_populations_is_told_which_there_are(run: Run, recorded: Path) -> None:
    code, found = run(TINY, "--input", recorded / "bias.npz", "--expect", recorded / "strange.npz")
    error = found["error"]
    assert code == 1
    assert "it records conv-0" in error["message"]
    assert error["remedy"] == "Its populations are input, layer0, layer1, layer2"


def test_every_verb_takes_it(snnport: Command, tmp_path: Path) -> None:
    path = write(tmp_path / "n.net", dense([[40, -20], [60, 80]]), dense([[60, 20]]))
    np.savez(tmp_path / "x.npz", x=np.ones((2, 9, 2), np.int8), y=[0, 0])
    seen = snnport("inspect", str(path), "--json").data
    assert (seen["format"], seen["dialect"], seen["ambiguous"]) == ("netx", "lava-dl", [])
    for words in (
        ("check", path, "--target", "loihi2"),
        ("lower", path, "--target", "loihi1", "-o", tmp_path / "p.npz"),
        ("run", path, "--target", "loihi2", "--input", tmp_path / "x.npz"),
        ("run", path, "--engine", "reference", "--input", tmp_path / "x.npz"),
        ("validate", path, "--target", "loihi2", "--input", tmp_path / "x.npz"),
        ("port", path, "--target", "loihi2", "--input", tmp_path / "x.npz", "-o", tmp_path / "report"),
        ("export", path, "--target", "loihi2", "-o", tmp_path / "m.net"),
        ("export", tmp_path / "m.net", "--format", "netx", "-o", tmp_path / "again.net"),
    ):
        done = snnport(*map(str, words))
        assert done.code == 0, (words, done.err)
    assert "netx.hdf5.Network" in snnport("export", str(path), "--format", "netx", "-o", str(tmp_path / "k.net")).out
    with h5py.File(tmp_path / "again.net") as file:
        np.testing.assert_array_equal(file["layer/0/weight"], [[40, -20], [60, 80]])


def test_how_images_drive_an_input_layer(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "n.net", DRIVEN, dense([[40, 20]]), steps=6)
    np.savez(tmp_path / "whole.npz", x=np.array([[6, 3]]))
    np.savez(tmp_path / "parts.npz", x=np.array([[0.25, -0.17]]))
    for name, scaled in (("whole", ""), ("parts", ", 10 x + 4 with the fraction cut off")):
        code, found = run(path, "--input", tmp_path / f"{name}.npz", "-o", tmp_path / "t.npz", "--record", "spikes:layer0")
        assert (code, found["steps"]) == (0, 6)
        assert f"x drives the bias of layer0: an image for 6 steps{scaled}" in found["done"]
        spikes = np.load(tmp_path / "t.npz")["spikes/layer0"]
        assert spikes[0].sum(axis=0).tolist() == [6, 3 if name == "whole" else 2]


@pytest.mark.parametrize(
    ("x", "layers", "said"),
    [
        (np.full((1, 4, 2), 3), (dense([[40, 20]]),), "x holds 3 spikes of one neuron in a step"),
        (np.ones((1, 2)), ({**DRIVEN, "weight": None}, dense([[40, 20]])), "does not say how many steps each lasts"),
    ],
)
def test_input_that_lava_dl_would_read_otherwise(
    run: Run, tmp_path: Path, x: Any, layers: tuple[dict[str, Any], ...], said: str
) -> None:
    np.savez(tmp_path / "x.npz", x=x)
    code, found = run(write(tmp_path / "n.net", *layers), "--input", tmp_path / "x.npz")
    assert code == 1
    assert said in found["error"]["message"]


def test_a_reset_interval_belongs_to_netx(snnport: Command) -> None:
    done = snnport("inspect", str(GOLDEN.parent / "nir" / "lif_norse.nir"), "--reset-interval", "5")
    assert done.code == 1
    assert "it belongs to netx networks" in done.err
