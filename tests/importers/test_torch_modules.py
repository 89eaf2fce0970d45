"""torch modules through torch.export: every operator against torch's own output, and the same network by two ways."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exact_runs import logit_mismatches
from onnx_models import for_graph
from torch import Tensor, nn
from torch.nn import functional as F

import snnport
from snnport.errors import InvalidGraph, InvalidInput, UnsupportedNode
from snnport.flow.convert import ConvertOptions
from snnport.graph import Graph
from snnport.importers.base import Imported
from snnport.importers.state_dict import read_state_dict
from snnport.importers.torch import read_module
from snnport.reference import forward

BOUND = 2e-5
"""Greatest difference from torch, which computes in float32, as a part of the greatest output (or of 1)."""


class Lambda(nn.Module):
    """A function, and the modules that it uses."""

    def __init__(self, function: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.parts)


def check(module: nn.Module, *shape: int, batch: int = 1, tail: int = 0) -> Imported:
    """Read `module` and compare its outputs with torch's on random samples; tail: what of torch's softmax is left out."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.normal_(part.running_mean)
            if part.affine:
                nn.init.normal_(part.weight)
    imported = read_module(module, torch.zeros(batch, *shape))
    x = torch.randn(5, *shape)
    with torch.no_grad():
        expected = module.eval()(x).reshape(5, -1).numpy()
    found = forward(imported.graph, for_graph(imported, x.numpy())).reshape(5, -1)
    if tail:
        wanted = expected.argmax(axis=1) if expected.shape[1] > 1 else expected[:, 0]
        np.testing.assert_array_equal(found.argmax(axis=1), wanted)
    else:
        assert np.abs(found - expected).max() <= BOUND * max(1.0, np.abs(expected).max())
    return imported


MODULES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "conv2d": (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), groups=2), (4, 9, 8)),
    "conv2d_same": (nn.Conv2d(2, 3, (4, 3), padding="same"), (2, 7, 6)),
    "conv2d_reflect": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 5, 6)),
    "conv2d_replicate": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="replicate"), (2, 5, 6)),
    "conv2d_circular": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 5, 6)),
    "conv1d": (nn.Sequential(nn.Conv1d(3, 5, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(5, 4, 3)), (3, 12)),
    "linear": (nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3, bias=False)), (6,)),
    "linear_per_position": (nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)), (5, 6)),
    "batch_norm1d": (nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU()), (6,)),
    "batch_norm2d": (nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1)), (2, 5, 5)),
    "batch_norm_plain": (nn.BatchNorm2d(2, affine=False), (2, 5, 5)),
    "relu6": (nn.Sequential(nn.Linear(6, 5), nn.ReLU6()), (6,)),
    "hardtanh": (nn.Sequential(nn.Linear(6, 5), nn.Hardtanh(-0.5, 0.7)), (6,)),
    "leaky_relu": (nn.Sequential(nn.Conv2d(2, 3, 3), nn.LeakyReLU(0.2, inplace=True)), (2, 5, 5)),
    "prelu": (nn.Sequential(nn.Conv2d(2, 3, 3), nn.PReLU(3)), (2, 5, 5)),
    "prelu_one": (nn.Sequential(nn.Linear(6, 5), nn.PReLU()), (6,)),
    "clamp": (Lambda(lambda x: torch.clamp(x, 0.2, 0.9) + torch.clamp(x, min=-0.1) + x.clamp_max(0.3)), (6,)),
    "abs_neg": (Lambda(lambda x: -torch.abs(x)), (6,)),
    "min_max": (Lambda(lambda x: torch.maximum(x, torch.tensor(0.1)) + torch.minimum(x, torch.tensor(0.1))), (6,)),
    "max_pool": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 8, 7)),
    "max_pool_indices": (Lambda(lambda x: F.max_pool2d_with_indices(x, 2)[0]), (2, 8, 6)),
    "avg_pool": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 8, 7)),
    "avg_pool_exclusive": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 8, 7)),
    "avg_pool1d": (nn.AvgPool1d(2), (2, 8)),
    "adaptive_avg": (nn.AdaptiveAvgPool2d((3, 2)), (2, 6, 8)),
    "adaptive_avg_uneven": (nn.AdaptiveAvgPool2d((3, 5)), (2, 7, 8)),
    "adaptive_avg1d": (nn.AdaptiveAvgPool1d(3), (2, 7)),
    "adaptive_max": (nn.AdaptiveMaxPool2d(2), (2, 6, 8)),
    "mean": (Lambda(lambda x: x.mean((2, 3)) + x.mean(3).mean(2) + x.sum((2, 3)) + x.mean([2, 3], True)[..., 0, 0]), (3, 4, 4)),
    "mean_of_channels": (Lambda(lambda x: x.mean(1)), (3, 4, 5)),
    "amax": (Lambda(lambda x: x.amax((2, 3))), (3, 4, 5)),
    "arithmetic": (Lambda(lambda x: 2 - (x + 1.5) * 3 / 4 + torch.add(x, x, alpha=2) - torch.rsub(x, x, alpha=2)), (3, 4, 5)),
    "add_broadcast": (Lambda(lambda x: x + x.mean((2, 3), keepdim=True)), (2, 3, 3)),
    "cat": (Lambda(lambda x, a, b: torch.cat([a(x), F.relu(x), b(x)], 1), nn.Conv2d(2, 3, 1), nn.Conv2d(2, 1, 1)), (2, 4, 4)),
    "stack": (Lambda(lambda x: torch.stack([x, x.flip(1)], 2)), (2, 4)),
    "roll": (Lambda(lambda x: x.roll(1, 1) + x.roll((-2, 7), (2, 3)) + x.roll(0, 3)), (3, 4, 5)),
    "threshold": (nn.Sequential(nn.Linear(6, 5), nn.Threshold(0, 0, inplace=True)), (6,)),
    "slice": (Lambda(lambda x: x[:, 1:, ::2, 1:-1]), (3, 6, 6)),
    "select": (Lambda(lambda x: x[:, 1] + x.select(1, -1) + x.index_select(1, torch.tensor([0]))[:, 0]), (3, 6, 6)),
    "narrow": (Lambda(lambda x: x.narrow(2, 1, 3)), (3, 6, 6)),
    "split": (Lambda(lambda x: operator.add(*x.split(2, 1)) + x.chunk(2, 1)[1] + x.split([1, 2, 1], 1)[1]), (4, 3, 3)),
    "unbind": (Lambda(lambda x: x.unbind(1)[2]), (4, 3, 3)),
    "pads": (Lambda(lambda x: F.pad(x, (1, 2, 0, 1)) + F.pad(x, (1, 2, 1, 0), "replicate")), (2, 4, 4)),
    "pad_module": (nn.Sequential(nn.ZeroPad2d((1, 0, 2, 1)), nn.ReflectionPad2d(1), nn.Conv2d(2, 3, 3)), (2, 4, 4)),
    "crop": (nn.Sequential(nn.ReLU(), nn.ZeroPad2d(-1), nn.Conv2d(2, 3, 2)), (2, 5, 5)),
    "moves": (Lambda(lambda x: x.permute(0, 2, 3, 1).reshape(len(x), -1, 3).mT.flatten(1).unsqueeze(1).squeeze()), (3, 2, 4)),
    "view": (Lambda(lambda x: x.view(x.size(0), -1)), (3, 2, 4)),
    "unflatten": (nn.Sequential(nn.Linear(6, 18), nn.ReLU(), nn.Unflatten(1, (2, 3, 3)), nn.Conv2d(2, 3, 3, padding=1)), (6,)),
    "expand": (Lambda(lambda x: x.unsqueeze(2).expand(-1, -1, 3) + x.unsqueeze(2).repeat(1, 1, 3)), (4,)),
    "pixel_shuffle": (nn.Sequential(nn.PixelShuffle(2), nn.ReLU(), nn.PixelUnshuffle(2), nn.ChannelShuffle(2)), (8, 3, 3)),
    "dropout": (nn.Sequential(nn.Linear(6, 5), nn.Dropout(), nn.AlphaDropout(), nn.Identity()), (6,)),
    "casts": (Lambda(lambda x: x.to(torch.float64).float().clone().detach()), (6,)),
    "matmul": (Lambda(lambda x, a: x @ a.weight + torch.matmul(x, a.weight) + torch.mm(x, a.weight), nn.Linear(6, 6)), (6,)),
    "addmm": (Lambda(lambda x, a: torch.addmm(a.bias, x, a.weight, beta=0.5, alpha=2), nn.Linear(6, 6)), (6,)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_modules(name: str) -> None:
    module, shape = MODULES[name]
    check(module, *shape)
    if name not in ("moves", "mean_of_channels"):
        check(module, *shape, batch=3)


@pytest.mark.parametrize(
    "end", [nn.Softmax(1), nn.LogSoftmax(-1), Lambda(lambda x: x.argmax(1)), Lambda(lambda x: x.argmax(-1))]
)
def test_tails_are_left_out(end: nn.Module) -> None:
    imported = check(nn.Sequential(nn.Linear(6, 4), end), 6, tail=1)
    assert imported.ledger[-1].fate == "dropped"


class Block(nn.Module):
    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.stride, self.extra = stride, (out - width) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra), "constant", 0)
        return F.relu(y + x)


class ResNet20(nn.Module):
    """He et al. for CIFAR-10, shortcuts of option A; parameter names as in Y. Idelbayev's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        widths = ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        stages = [nn.Sequential(Block(a, b, s), Block(b, b, 1), Block(b, b, 1)) for a, b, s in widths]
        self.layer1, self.layer2, self.layer3 = stages
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(F.avg_pool2d(y, y.size()[3]).view(y.size(0), -1))


@pytest.mark.data
def test_resnet20_is_the_builders_network(data_dir: Path) -> None:
    path = data_dir / "ann" / "resnet20-12fca82f.th"
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    module = ResNet20()
    module.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    x = np.random.default_rng(0).normal(size=(8, 3, 32, 32))
    mine, theirs = read_module(module, torch.zeros(1, 3, 32, 32)).graph, read_state_dict(path, "resnet20").graph
    assert np.abs(forward(mine, x) - forward(theirs, x)).max() <= 1e-9 * np.abs(forward(theirs, x)).max()
    options = ConvertOptions(code="graded", levels=16, correction="off")
    both = [
        snnport.flow.convert.convert_graph(Imported(graph, "torch"), x[:2], "test", options).graph for graph in (mine, theirs)
    ]
    logits = [_integers(graph, x[:2]) for graph in both]
    np.testing.assert_array_equal(logits[0], logits[1])


def _integers(graph: Graph, x: np.ndarray) -> np.ndarray:
    from snnport.convention import coding_of
    from snnport.encoders import CountEncoder
    from snnport.passes.unspike import quantised_ann

    coding = coding_of(graph.metadata)
    assert coding is not None
    return forward(quantised_ann(graph), CountEncoder.from_json(coding.encoder).counts(x), integers=True)


# -------------------------------------------------------------------------------------------------------- conversion


def test_convert_takes_a_module(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(100, 3))
    module.train()
    x = np.random.default_rng(0).uniform(-1, 1, (16, 2, 5, 5))
    for calibration in (x, None):
        conversion = snnport.convert(
            module, tmp_path / "n.nir", example_inputs=torch.zeros(1, 2, 5, 5), calibration=calibration
        )
        assert logit_mismatches(conversion.graph, x) == 0
    assert module.training
    assert module[1].training
    assert (tmp_path / "n.nir").is_file()
    from snnport.importers.nir import read_nir

    assert logit_mismatches(read_nir(tmp_path / "n.nir").graph, x) == 0


# ---------------------------------------------------------------------------------------------------------- refusals


def refuse(module: Any, kind: type[Exception], match: str, example: Any = None) -> None:
    with pytest.raises(kind, match=match) as caught:
        read_module(module, torch.zeros(1, 2, 6, 6) if example is None else example)
    assert caught.type is kind


def test_all_that_is_not_read_is_told_at_once() -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Sigmoid(), nn.ConvTranspose2d(3, 2, 3), nn.GELU(), nn.LayerNorm(6))
    with pytest.raises(UnsupportedNode, match="4 nodes have no counterpart") as caught:
        read_module(module, torch.zeros(1, 2, 6, 6))
    for part in ("1 (aten.sigmoid)", "2 (aten.conv_transpose2d)", "3 (aten.gelu)", "4 (aten.layer_norm)"):
        assert part in caught.value.what
    assert "Upsampling is not converted" in caught.value.remedy


@pytest.mark.parametrize(
    ("module", "match"),
    [
        (
            Lambda(lambda x: torch.convolution(x, torch.ones(2, 2, 2, 2), None, [1, 1], [0, 0], [1, 1], True, [0, 0], 1)),
            "convol",
        ),
        (nn.BatchNorm2d(2, track_running_stats=False), "its batch norm has no running statistics"),
        (Lambda(lambda x: F.dropout(x, 0.5, training=True)), "it is in training mode. Call module.eval"),
        (nn.AvgPool2d(2, divisor_override=3), "its divisor is given, 3"),
        (nn.AdaptiveMaxPool2d(4), r"its windows differ in size: \(6, 6\) to \(4, 4\)"),
        (Lambda(lambda x: torch.div(x, 2, rounding_mode="floor")), "it divides with rounding"),
        (Lambda(lambda x: x.argmax()), "it takes the arg max over the batch too"),
        (Lambda(lambda x: x.roll(1)), "it rolls over all axes at once, the batch among them"),
        (nn.Threshold(0.5, 0.0), "it gives 0 up to 0.5 and then the input: it jumps"),
        (Lambda(lambda x: F.pixel_shuffle(torch.cat([x[0], x[0]], 0), 2)), "it needs a map with a batch axis and gets"),
        (Lambda(lambda x: (x, x)), "it has 2 outputs, 1 is read"),
        (Lambda(lambda x: x * F.relu(x)), "both its inputs depend on the data"),
    ],
)
def test_arguments_without_counterpart(module: nn.Module, match: str) -> None:
    refuse(module, UnsupportedNode, match)


def test_several_refused_arguments_are_told_at_once() -> None:
    module = nn.Sequential(nn.BatchNorm2d(2, track_running_stats=False), nn.AdaptiveMaxPool2d(4))
    refuse(module, UnsupportedNode, "2 nodes have no counterpart here: 0: its batch norm .*; 1: its windows")


def test_what_is_no_module_and_what_cannot_be_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(3, InvalidInput, "it is a int and no torch.nn.Module")
    refuse(nn.ReLU(), InvalidInput, r"they are \(Tensor, Tensor\); one tensor", (torch.zeros(1, 2), torch.zeros(1, 2)))
    refuse(nn.ReLU(), InvalidInput, "one tensor with a batch axis is needed", np.zeros((1, 2)))
    refuse(Lambda(lambda x: x if x.sum() > 0 else -x), InvalidInput, "torch.export cannot trace it")
    refuse(nn.Linear(3, 2), InvalidInput, "torch.export cannot trace it")
    bad = nn.Linear(3, 2)
    nn.init.constant_(bad.weight, float("nan"))
    refuse(bad, InvalidGraph, "6 of its 6 values are NaN", torch.zeros(1, 3))

    def gone(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("snnport.importers.torch.import_module", gone)
    refuse(nn.ReLU(), InvalidInput, r"it needs torch, which is not installed. Type: pip install 'snnport\[train\]'")
