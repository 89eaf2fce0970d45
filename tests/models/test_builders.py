"""Networks whose weights come as a state dict: built whole, or refused with all that does not fit."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from snnport.errors import InvalidGraph, InvalidInput, UnknownName
from snnport.flow.model import ReadOptions, open_model
from snnport.importers.state_dict import read_state_dict
from snnport.models.resnet20 import resnet20
from snnport.reference import forward


def resnet_weights(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (16, 3, 3, 3), "linear.weight": (10, 64), "linear.bias": (10,)}
    norms = {"bn1": 16}
    for stage, width in enumerate((16, 32, 64), 1):
        for block in range(3):
            before = width // 2 if block == 0 and stage > 1 else width
            for number, entering in ((1, before), (2, width)):
                shapes[f"layer{stage}.{block}.conv{number}.weight"] = (width, entering, 3, 3)
                norms[f"layer{stage}.{block}.bn{number}"] = width
    found: dict[str, Any] = {name: rng.normal(0, 1 / np.sqrt(np.prod(s[1:]) or 1), s) for name, s in shapes.items()}
    for name, width in norms.items():
        found |= {f"{name}.weight": rng.uniform(0.5, 1.5, width), f"{name}.bias": rng.normal(0, 0.1, width)}
        found |= {f"{name}.running_mean": rng.normal(0, 0.1, width), f"{name}.running_var": rng.uniform(0.5, 1.5, width)}
    return {f"module.{name}": array for name, array in found.items()}


def in_torch(weights: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """The same network in torch, layer by layer."""
    w = {name.removeprefix("module."): torch.tensor(array) for name, array in weights.items()}
    f = torch.nn.functional

    def norm(y: Any, name: str) -> Any:
        return f.batch_norm(y, w[f"{name}.running_mean"], w[f"{name}.running_var"], w[f"{name}.weight"], w[f"{name}.bias"])

    y = torch.relu(norm(f.conv2d(torch.tensor(x), w["conv1.weight"], padding=1), "bn1"))
    for stage in (1, 2, 3):
        for block in range(3):
            name, stride = f"layer{stage}.{block}", 2 if block == 0 and stage > 1 else 1
            z = torch.relu(norm(f.conv2d(y, w[f"{name}.conv1.weight"], stride=stride, padding=1), f"{name}.bn1"))
            z = norm(f.conv2d(z, w[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
            if stride == 2:
                half = y.shape[1] // 2
                y = f.pad(y[:, :, ::2, ::2], (0, 0, 0, 0, half, half))
            y = torch.relu(y + z)
    return (f.linear(y.mean(dim=(2, 3)), w["linear.weight"], w["linear.bias"])).numpy()


def test_resnet20_is_the_network_of_its_weights() -> None:
    weights = resnet_weights()
    x = np.random.default_rng(1).normal(0, 1, (2, 3, 32, 32))
    np.testing.assert_allclose(forward(resnet20(weights), x), in_torch(weights, x), rtol=0, atol=1e-9)


def test_everything_that_does_not_fit_is_told_at_once() -> None:
    weights = resnet_weights()
    del weights["module.bn1.bias"]
    weights["module.linear.bias"] = np.zeros(9)
    weights["module.conv1.weight"] = np.full((16, 3, 3, 3), np.nan)
    weights["module.extra"] = np.zeros(1)
    with pytest.raises(InvalidGraph) as error:
        resnet20(weights)
    for part in (
        "bn1.bias (16,) is missing",
        "linear.bias is (9,), wanted is (10,)",
        "conv1.weight holds numbers",
        "extra has no",
    ):
        assert part in error.value.what
    with pytest.raises(InvalidGraph, match="and 89 more"):
        resnet20({})


def test_files_of_weights(tmp_path: Path) -> None:
    path = tmp_path / "net.th"
    torch.save({"state_dict": {k: torch.tensor(v) for k, v in resnet_weights().items()}, "best": 1.0}, path)
    model = open_model(path, ReadOptions(builder="resnet20"))
    assert model.is_ann
    assert model.input_shape == (3, 32, 32)
    assert len([n for n in model.graph.nodes.values() if isinstance(n, nir.Conv2d)]) == 21
    with pytest.raises(InvalidInput, match=r"it holds weights and no network\. Say whose they are with --builder resnet20"):
        open_model(path)
    with pytest.raises(UnknownName, match="resnet20"):
        open_model(path, ReadOptions(builder="resnet21"))
    with pytest.raises(InvalidInput, match="it is for files of weights"):
        open_model(tmp_path / "x.onnx", ReadOptions(builder="resnet20"))


class Bomb:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("executed"),))


def test_nothing_in_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.pt", "plain.pt"):
        with pytest.raises(InvalidInput, match="it is no file of weights alone"):
            read_state_dict(tmp_path / name, "resnet20")
    assert not (tmp_path / "executed").exists()
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InvalidInput, match="it holds a list, no state dict"):
        read_state_dict(tmp_path / "list.pt", "resnet20")
    with pytest.raises(InvalidInput, match="there is no such file"):
        read_state_dict(tmp_path / "none.pt", "resnet20")


@pytest.mark.data
def test_the_real_weights(data_dir: Path) -> None:
    real = read_state_dict(data_dir / "ann" / "sinabs_mnist_params.pt", "sinabs-mnist")
    assert forward(real.graph, np.zeros((1, 1, 28, 28))).shape == (1, 10)
    resnet = read_state_dict(data_dir / "ann" / "resnet20-12fca82f.th", "resnet20")
    with (
        np.load(data_dir / "cifar10" / "snntoolbox_binarynet_x_test1000.npz") as x,
        np.load(data_dir / "cifar10" / "snntoolbox_binarynet_y_test1000.npz") as y,
    ):
        images, labels = next(iter(x.values()))[:100], next(iter(y.values()))[:100]
    mean, std = np.reshape([0.485, 0.456, 0.406], (3, 1, 1)), np.reshape([0.229, 0.224, 0.225], (3, 1, 1))
    logits = forward(resnet.graph, (to_pixels(images) - mean) / std)
    assert np.mean(logits.argmax(axis=1) == labels.argmax(axis=1)) >= 0.85


def to_pixels(images: np.ndarray) -> np.ndarray:
    """Pixels 0..1 (n, 3, 32, 32) of images in -1..1."""
    return (images + 1) / 2
