# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torch==2.13.0", "neurobench==2.3.0", "numpy>=2"]
# ///
"""What NeuroBench's own harness (Benchmark with SynapticOperations) counts, into neurobench.npz.

NAME, of cases.npz: (3, 3) float64, rows: samples one by one and a call a step; all samples together and a call a step; one
call for everything. Columns: Effective_MACs, Effective_ACs, Dense, each a mean over samples as the harness prints it.
network/...: a network of snnTorch layers with a convolution, a sum-pooled convolution and a linear layer, through
SNNTorchModel, in batches of 2 of 5 samples; network/LAYER/raster is what reached the layer, network/LAYER/weight its
weights, network/counts the three figures.

NeuroBench's audio pre-processors import torchaudio, which is of no use here: a stand-in without content takes its place.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import io
import sys
from types import ModuleType

for absent in ("torchaudio", "torchaudio.transforms", "torchaudio.datasets", "torchvision"):
    module = ModuleType(absent)
    module.__spec__ = importlib.machinery.ModuleSpec(absent, None)
    module.MFCC = module.MelSpectrogram = module.SPEECHCOMMANDS = object
    sys.modules[absent] = module
sys.modules["torchaudio"].transforms = sys.modules["torchaudio.transforms"]

import numpy as np  # noqa: E402
import snntorch  # noqa: E402
import torch  # noqa: E402
from layers import HERE, read  # noqa: E402
from neurobench.benchmarks import Benchmark  # noqa: E402
from neurobench.metrics.workload import SynapticOperations  # noqa: E402
from neurobench.models import SNNTorchModel, TorchModel  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402


class ByStep(nn.Module):
    """Calls its layer once a step, or once for all steps."""

    def __init__(self, layer: nn.Module, together: bool) -> None:
        super().__init__()
        self.layer, self.together = layer, together

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        calls = [x.flatten(0, 1)] if self.together else x.unbind(1)
        return torch.cat([self.layer(call).flatten(1) for call in calls])


class SumPool(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (nn.functional.avg_pool2d(x, 2) * 4).round()


class Tap(nn.Module):
    """Keeps what passes. A hook on the layer would also see the copies of the layer that NeuroBench runs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.clone())
        return x


def measured(model, x: torch.Tensor, batch: int) -> list[float]:
    data = DataLoader(TensorDataset(x, torch.zeros(len(x))), batch_size=batch)
    benchmark = Benchmark(model, data, [], [], [[], [SynapticOperations]])
    with contextlib.redirect_stdout(io.StringIO()):
        result = benchmark.run(quiet=True)["SynapticOperations"]
    return [float(result[name]) for name in ("Effective_MACs", "Effective_ACs", "Dense")]


def network() -> dict[str, np.ndarray]:
    torch.manual_seed(7)
    convolution, pooled, linear = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 6, 3, stride=2), nn.Linear(24, 10)
    cells = [snntorch.Leaky(0.9, threshold=0.3, init_hidden=True, output=last) for last in (False, False, True)]
    layers = {"convolution": convolution, "pooled": pooled, "linear": linear}
    taps = {name: Tap() for name in layers}
    net = nn.Sequential(
        *(taps["convolution"], convolution, cells[0], SumPool()),
        *(taps["pooled"], pooled, cells[1], nn.Flatten()),
        *(taps["linear"], linear, cells[2]),
    )
    for layer in layers.values():
        layer.weight.data[torch.rand_like(layer.weight) < 0.2] = 0
    x = (torch.rand(5, 6, 2, 10, 10) < 0.15).float()
    with torch.no_grad():
        counts = measured(SNNTorchModel(net), x, 2)
    results = {"network/counts": np.array(counts)}
    for name, layer in layers.items():
        batches = [torch.stack(taps[name].seen[6 * i : 6 * i + 6], 1) for i in range(3)]
        results[f"network/{name}/raster"] = torch.cat(batches).numpy().astype(np.int8)
        results[f"network/{name}/weight"] = (layer.weight.detach().numpy() != 0).astype(np.int8)
    return results


def main() -> None:
    results = {}
    for name, layer, x, _ in read():
        rows = [(False, 1), (False, len(x)), (True, len(x))]
        results[name] = np.array([measured(TorchModel(ByStep(layer, together)), x, batch) for together, batch in rows])
    np.savez_compressed(HERE / "neurobench.npz", **results, **network())


if __name__ == "__main__":
    main()
