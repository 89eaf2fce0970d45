"""Every recipe in its tiny version: trained by the verb on a small data set, then checked, lowered and run on cpu."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.main import get_command
from typer.testing import CliRunner

from snnport.cli import app
from snnport.convention import convention_of
from snnport.errors import InvalidInput
from snnport.graph import shapes
from snnport.models import braille
from snnport.models.conv_lif import CODED, ROWS, row, wanted
from snnport.models.lsnn import RECIPE as LSNN
from snnport.models.recipe import Recipe
from snnport.nodes import AdaptiveLIF
from snnport.registry import RECIPES

TRAINED = [
    name for name in RECIPES.names() if name not in ("lsnn-pixels", "lsnn-large", "conv-lif-binary", "conv-lif-inverted")
]
SETTINGS = {"diehl-cook": ("--samples", 60)}


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of bars in the form of MNIST, and one of rhythms in the form of the Braille letters."""
    place, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for part, count in (("train", 64), ("t10k", 24)):
        y = (np.arange(count) % 10).astype(np.uint8)
        x = rng.integers(0, 60, (count, 28, 28), np.uint8)
        for k, digit in enumerate(y):
            x[k, :, 2 * digit : 2 * digit + 6] = 250
        (place / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(x))
        (place / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(y))
    letters = np.arange(70) % 7
    x = (rng.random((70, 20, 12)) < 0.1 + 0.1 * letters[:, None, None]).astype(np.uint8)
    np.savez(place / braille.FILE, x=x, y=letters)
    return place


def snnport(*words: object) -> dict[str, object]:
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_setting_of_a_recipe_is_a_flag_of_train(name: str) -> None:
    flags = {flag for parameter in get_command(app).commands["train"].params for flag in parameter.opts}  # type: ignore[attr-defined]
    assert {f"--{option.name}" for option in RECIPES.load(name).options} <= flags


@pytest.mark.parametrize("name", TRAINED)
def test_the_whole_road(name: str, folder: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    graph, encoded = tmp_path / "net.nir", tmp_path / "test.npz"
    words = ("--tiny", "--data", folder, "-o", graph, "--test-input", encoded, "--test-samples", "10")
    log = snnport("train", name, *words, *SETTINGS.get(name, ()))
    assert log["recipe"] == name
    assert ("accuracy" in log) or ("rmse" in log)
    recipe: Recipe = RECIPES.load(name)
    assert recipe.reset

    assert snnport("check", graph, "--target", "cpu")["fits"]
    run = snnport("run", graph, "--target", "cpu", "--input", encoded)
    real = snnport("run", graph, "--engine", "reference", "--input", encoded)
    assert run["samples"] == real["samples"] == len(np.load(encoded)["x"])
    assert sum(run["spikes"].values()) > 0  # type: ignore[union-attr, attr-defined]
    if name.startswith("nef"):
        return
    if name.startswith("conv-lif"):
        assert real["accuracy"] == log["accuracy"]  # outputs that spell a code are read as what they spell
    agreeing = np.mean(np.array(run["predictions"]) == np.array(real["predictions"]))
    assert agreeing >= 0.6


@pytest.mark.parametrize("name", RECIPES.names())
def test_a_recipe_builds_the_same_network_from_the_same_seed(name: str) -> None:
    recipe: Recipe = RECIPES.load(name)
    first, again = (recipe.build(recipe.network, 1) for _ in range(2))
    assert shapes(first)
    weights = [k for k, node in first.nodes.items() if hasattr(node, "weight")]
    assert all(np.array_equal(first.nodes[k].weight, again.nodes[k].weight) for k in weights)
    assert convention_of(first.metadata).reset in ("zero", "subtract")


def test_lsnn_with_and_without_adaptation_and_with_a_reset_to_a_value() -> None:
    assert isinstance(LSNN.build(LSNN.network, 0).nodes["hidden"], AdaptiveLIF)
    plain = LSNN.build({**LSNN.network, "use_sfa": False, "v_reset": "0.25"}, 0)
    assert type(plain.nodes["hidden"]).__name__ == "LIF"
    assert np.all(plain.nodes["hidden"].v_reset == 0.25)
    assert convention_of(plain.metadata).reset == "value"
    assert LSNN.build({**LSNN.network, "task": "pixels"}, 0).nodes["fc1"].weight.shape == (400, 1)


def test_rows_of_the_table() -> None:
    assert row("128-64-16-0.01") == {"conv": 128, "fc": 64, "batch_size": 16, "lr": 0.01}
    assert len(ROWS) == 9
    assert CODED["one-hot"] == ROWS["128-64-64-0.01"]
    assert [wanted("128-64-64-0.01", code) for code in CODED] == list(CODED.values())
    assert (wanted("32-64-64-0.01", "one-hot"), wanted("32-64-64-0.01", "gray")) == (0.9764, 0.8713)
    conv = RECIPES.load("conv-lif")
    graph = conv.build({**conv.network, "conv": 64, "fc": 32, "code": "gray"}, 0)
    sizes = shapes(graph)
    assert [sizes[k] for k in ("lif1", "lif2", "lif3", "lif4", "readout")] == [
        (16, 14, 14),
        (32, 7, 7),
        (64, 4, 4),
        (32,),
        (4,),
    ]


def test_a_fifth_of_every_letter_is_held_out() -> None:
    y = np.repeat(np.arange(7), 10)
    parts = [braille.held_out(y, 5, fold) for fold in range(5)]
    assert np.sum(parts, axis=0).tolist() == [1] * 70
    assert all(np.bincount(y[part]).tolist() == [2] * 7 for part in parts)
    with pytest.raises(InvalidInput, match=r"there are folds 0\.\.4, 5 was asked for"):
        braille.held_out(y, 5, 5)


def test_braille_needs_its_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no download of this set"):
        braille.data(None, braille.RECIPE.network)
    with pytest.raises(InvalidInput, match="there is no such file"):
        braille.data(tmp_path, braille.RECIPE.network)
    np.savez(tmp_path / braille.FILE, x=np.zeros((3, 4)), y=np.zeros(3))
    with pytest.raises(InvalidInput, match=r"it holds no x \(n, n_steps, 12\) and y"):
        braille.data(tmp_path, braille.RECIPE.network)


@pytest.mark.data
def test_the_real_letters(data_dir: Path) -> None:
    splits = braille.data(data_dir, braille.RECIPE.network)
    assert (len(splits.train_x), len(splits.test_x)) == (924, 234)
    assert splits.test_x.shape[1:] == (256, 12)
