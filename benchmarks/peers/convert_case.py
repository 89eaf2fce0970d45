"""A float network and its samples as a torch module, and what is measured of the spiking network that a peer makes of it.

Runs in the peers' environments: torch and numpy alone. A case is an .npz (benchmarks/conversion.py writes it): the parameters
of every node, samples x, calibration samples, the float network's answers, labels, and the graph as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH = 50


class Network(nn.Module):
    """The graph, node by node: Conv2d, Linear, ReLU, MaxPool2d, AvgPool2d and Flatten modules, sums where edges meet."""

    def __init__(self, case: Any) -> None:
        super().__init__()
        self.plan = [(n["name"], n["kind"], tuple(n["sources"])) for n in json.loads(str(case["graph"]))]
        for node in json.loads(str(case["graph"])):
            made = _module(node, case)
            if made is not None:
                self.add_module(node["name"], made)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        values: dict[str, Tensor] = {}
        for name, kind, sources in self.plan:
            if kind == "input":
                values[name] = x
                continue
            total = values[sources[0]]
            for other in sources[1:]:
                total = total + values[other]
            values[name] = total if kind == "output" else getattr(self, name)(total)
        return values[self.plan[-1][0]]


def _module(node: dict[str, Any], case: Any) -> nn.Module | None:
    kind, name = node["kind"], node["name"]
    if kind == "conv":
        weight = torch.from_numpy(case[f"{name}/weight"]).float()
        channels, kernel, groups = weight.shape[1] * node["groups"], weight.shape[2:], node["groups"]
        made: nn.Module = nn.Conv2d(channels, weight.shape[0], kernel, node["stride"], node["padding"], 1, groups)
    elif kind == "linear":
        weight = torch.from_numpy(case[f"{name}/weight"]).float()
        made = nn.Linear(weight.shape[1], weight.shape[0])
    else:
        return {
            "relu": nn.ReLU,
            "max": lambda: nn.MaxPool2d(node["kernel"], node["stride"], node["padding"]),
            "average": lambda: nn.AvgPool2d(node["kernel"], node["stride"]),
            "flatten": nn.Flatten,
            "same": nn.Identity,
        }.get(kind, lambda: None)()
    made.weight.data = weight
    made.bias.data = torch.from_numpy(case[f"{name}/bias"]).float()
    return made


class Operations:
    """Counts spikes and synaptic operations: what arrives at a weighted layer, times the synapses that it meets there.

    A layer that takes the input itself is fed with numbers in every step: its products are counted apart. Behind an average
    pooling a spike is counted where it enters the pooling.
    """

    def __init__(self, network: nn.Module, plan: list[tuple[str, str, tuple[str, ...]]], value_is_count: bool) -> None:
        self.spikes = self.operations = self.products = 0.0
        self._value_is_count = value_is_count
        kinds = {name: kind for name, kind, _ in plan}
        sources = {name: s for name, _, s in plan}
        self._fan: dict[str, Tensor] = {}
        seen: set[str] = set()
        for name, kind, _ in plan:
            if kind not in ("conv", "linear"):
                continue
            origin = sources[name][0]
            while kinds[origin] in ("flatten", "same"):
                origin = sources[origin][0]
            at = origin if kinds[origin] == "average" else name
            layer = getattr(network, at)
            pooled = getattr(network, name) if at != name else None
            fresh = origin not in seen
            seen.add(origin)
            layer.register_forward_pre_hook(self._hook(name, layer, pooled, kinds[origin] == "input", fresh))

    def _hook(self, name: str, layer: nn.Module, behind: nn.Module | None, analog: bool, fresh: bool) -> Callable[..., None]:
        def count(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            x = args[0].detach()
            if name not in self._fan:
                self._fan[name] = _fan_out(layer, behind, x)
            if analog:
                self.products += float((self._fan[name] * torch.ones_like(x)).sum())
                return
            spikes = torch.round(x) if self._value_is_count else (x != 0).to(x.dtype)
            self.operations += float((spikes * self._fan[name]).sum())
            if fresh:
                self.spikes += float(spikes.sum())

        return count


def _fan_out(layer: nn.Module, behind: nn.Module | None, x: Tensor) -> Tensor:
    """How many synapses each entry of x (n, ...) meets: (1, ...)."""
    one = torch.zeros_like(x[:1]).requires_grad_()
    with torch.enable_grad():
        out = _ones(layer, one)
        if behind is not None:
            return torch.full_like(x[:1], float(behind.weight.shape[0]))
        (fan,) = torch.autograd.grad(out.sum(), one)
    return fan.detach()


def _ones(layer: nn.Module, x: Tensor) -> Tensor:
    if isinstance(layer, nn.Conv2d):
        mask = (layer.weight != 0).to(x.dtype)
        return functional.conv2d(x, mask, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    if isinstance(layer, nn.Linear):
        return functional.linear(x, (layer.weight != 0).to(x.dtype))
    return x


def main(
    convert: Callable[[Network, Tensor, str], tuple[nn.Module, Callable[[nn.Module], None]]],
    versions: dict[str, str],
    value_is_count: bool = False,
) -> None:
    """`SCRIPT CASE.npz OUT.json T,T,.. METHOD,METHOD`: convert by each method, run, and write what came out.

    convert: (network, calibration samples, method) -> the spiking module that takes the analog input of one step, and the
    function that resets it. The logits are the sum of its outputs.
    """
    torch.set_num_threads(1)
    case = np.load(sys.argv[1])
    steps = sorted(int(t) for t in sys.argv[3].split(","))
    found = []
    for method in sys.argv[4].split(","):
        start = time.process_time()
        spiking, reset = convert(Network(case).eval(), torch.from_numpy(case["calibration"]).float(), method)
        seconds = time.process_time() - start
        found.append({"method": method, "conversion_s": seconds, **_measure(spiking, reset, case, steps, value_is_count)})
    result = {"versions": {**versions, "torch": torch.__version__}, "runs": found}
    Path(sys.argv[2]).write_text(json.dumps(result, indent=1))


@torch.no_grad()
def _measure(
    spiking: nn.Module, reset: Callable[[nn.Module], None], case: Any, steps: list[int], value_is_count: bool
) -> dict[str, Any]:
    plan = [(n["name"], n["kind"], tuple(n["sources"])) for n in json.loads(str(case["graph"]))]
    counter = Operations(spiking, plan, value_is_count)
    x, labels, answers = torch.from_numpy(case["x"]).float(), case["y"], case["answers"]
    right = dict.fromkeys(steps, 0)
    same = dict.fromkeys(steps, 0)
    totals = {t: [0.0, 0.0, 0.0] for t in steps}
    for first in range(0, len(x), BATCH):
        part = x[first : first + BATCH]
        reset(spiking)
        counter.spikes = counter.operations = counter.products = 0.0
        logits = torch.zeros(())
        for t in range(1, steps[-1] + 1):
            logits = logits + spiking(part)
            if t in right:
                answer = logits.reshape(len(part), -1).argmax(1).numpy()
                right[t] += int((answer == labels[first : first + BATCH]).sum())
                same[t] += int((answer == answers[first : first + BATCH]).sum())
                for i, n in enumerate((counter.spikes, counter.operations, counter.products)):
                    totals[t][i] += n
    n = len(x)
    points = [
        {
            "T": t,
            "accuracy": right[t] / n,
            "agreement": same[t] / n,
            "spikes": totals[t][0] / n,
            "synaptic_operations": totals[t][1] / n,
            "analog_products": totals[t][2] / n,
        }
        for t in steps
    ]
    return {"samples": n, "points": points}
