"""A quantised ANN as a torch module that trains in its own integers.

What it computes in a forward pass are the integers that quantize-activations and quantize-weights give the same weights and
steps: theta first, as an even integer, codes by rounding to even, counts clip(floor((z + theta / 2) / theta), 0, L). The
backward pass takes a rounding for the identity (Y. Bengio et al., arXiv 1308.3432) inside the clip, and so do the steps learn
(S. Esser et al., ICLR 2020); floor, clip and a shift of one half are QCFS's activation (T. Bu et al., ICLR 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from copy import copy
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from snnport.encoders import encoder_of
from snnport.errors import PassFailed
from snnport.graph import Graph, names_of, predecessors, the_input, the_output, topological_order, with_nodes
from snnport.nodes import WEIGHTED_NODES, MaxPool2d, QuantReLU, ReLU, conv_padding, pair
from snnport.passes.quantize_weights import layers_into, real_units, weights_of

Apply = Callable[[Tensor], Tensor]
EXACT_BFLOAT16 = 1 << 8
EXACT_FLOAT32 = 1 << 24


class FloatNetwork:
    """A float ANN graph, for what a quantised one is to learn from it.

    sums: the number format of images' sums, in place of `dtype`.
    """

    def __init__(self, graph: Graph, dtype: torch.dtype = torch.float32, sums: torch.dtype | None = None) -> None:
        self._graph = graph
        self._order = [name for name in topological_order(graph) if not isinstance(graph.nodes[name], nir.Input)]
        self._input, self._output = the_input(graph), the_output(graph)
        self._sources = {name: predecessors(graph, name) for name in self._order}
        self._functions = {name: _function(name, graph.nodes[name], dtype, sums) for name in self._order}

    @torch.no_grad()
    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """The value of every rectifier and of "" (the output) on x (n, *input shape)."""
        values = {self._input: _channels_last(x)}
        found: dict[str, Tensor] = {}
        for name in self._order:
            values[name] = self._functions[name](_sum(values, self._sources[name]))
            if isinstance(self._graph.nodes[name], ReLU):
                found[name] = values[name]
        found[""] = values[self._output]
        return found


class CountingNetwork(torch.nn.Module):
    """`graph` behind quantize-activations, to be quantised to `bits` bits, with weights, biases and steps as parameters.

    A weight of 0 stays 0, so that training adds no synapse. sums: the number format of images' sums while the network
    trains, for speed, which rounds them; in evaluation they are exact.
    """

    def __init__(self, graph: Graph, bits: int, sums: torch.dtype | None = None) -> None:
        super().__init__()
        self._graph, self._top, self._sums = graph, (1 << (bits - 1)) - 1, sums
        self._order = topological_order(graph)
        self._sources = {name: predecessors(graph, name) for name in self._order}
        self._input, self._output = the_input(graph), the_output(graph)
        self._unit_of = _unit_sources(graph)
        self._input_step = real_units(graph)[self._input]
        self._layers = {name: tuple(layers_into(graph, name)) for name in names_of(graph, QuantReLU, nir.Output)}
        self._target = {layer: target for target, layers in self._layers.items() for layer in layers}
        self.dtype = torch.float32 if _widest_sum(graph, self._top) < EXACT_FLOAT32 else torch.float64
        self._plain = {
            name: _function(name, node, self.dtype)
            for name, node in graph.nodes.items()
            if not isinstance(node, (nir.Input, QuantReLU, *WEIGHTED_NODES))
        }
        self._weights, self._biases = torch.nn.ParameterDict(), torch.nn.ParameterDict()
        self._steps = torch.nn.ParameterDict()
        self._masks: dict[str, Tensor] = {}
        for name in names_of(graph, *WEIGHTED_NODES):
            node: Any = graph.nodes[name]
            weight = torch.from_numpy(weights_of(node)).to(self.dtype)
            self._weights[_key(name)] = torch.nn.Parameter(weight.clone())
            self._masks[name] = (weight != 0).to(self.dtype)
            if getattr(node, "bias", None) is not None:
                self._biases[_key(name)] = torch.nn.Parameter(_bias_of(node, len(weight)).to(self.dtype))
        for name in names_of(graph, QuantReLU):
            step: Any = graph.nodes[name]
            self._steps[_key(name)] = torch.nn.Parameter(torch.tensor(math.log(step.step), dtype=self.dtype))

    def forward(self, counts: Tensor, watched: Collection[str] = ()) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Of counts (n, *input shape): the integer logits, the real ones, and the real values of the rectifiers `watched`."""
        steps = {name: self._step(name) for name in self._layers if _key(name) in self._steps}
        thetas, scales = self._thresholds(steps)
        units = {name: steps[name] / thetas[name] for name in thetas}
        units |= {name: torch.tensor(scale, dtype=self.dtype) for name, scale in scales.items() if name not in units}
        values: dict[str, Tensor] = {self._input: _channels_last(counts)}
        real: dict[str, Tensor] = {}
        for name in self._order:
            node = self._graph.nodes[name]
            if isinstance(node, nir.Input):
                continue
            x = _sum(values, self._sources[name])
            if isinstance(node, QuantReLU):
                values[name] = _Counted.apply(x, thetas[name], node.levels)
                if name in watched:
                    real[name] = values[name].to(self.dtype) * steps[name]
            elif name in self._target:
                values[name] = self._weighted(name, x, steps, units[self._target[name]], scales[self._target[name]])
            else:
                values[name] = self._plain[name](x)
        logits = values[self._output]
        return logits, logits * units[self._output], real

    def trained(self) -> Graph:
        """The graph with these weights, biases and steps, in float64, for quantize-weights."""
        changed: dict[str, nir.NIRNode] = {}
        for name in names_of(self._graph, *WEIGHTED_NODES):
            node: Any = copy(self._graph.nodes[name])
            weight = _numbers(self._masked(name))
            setattr(node, "scale" if isinstance(self._graph.nodes[name], nir.Scale) else "weight", weight)
            if _key(name) in self._biases:
                node.bias = _numbers(self._biases[_key(name)])
            changed[name] = node
        for name in names_of(self._graph, QuantReLU):
            old: Any = self._graph.nodes[name]
            step = float(_numbers(self._step(name)))
            changed[name] = QuantReLU(step, old.levels, step, metadata=dict(old.metadata))
        return with_nodes(self._graph, changed)

    def groups(self) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter], list[torch.nn.Parameter]]:
        """Weights, biases, and the logarithms of the steps: they learn at rates of their own, or not at all."""
        return list(self._weights.values()), list(self._biases.values()), list(self._steps.values())

    def _step(self, name: str) -> Tensor:
        return torch.exp(self._steps[_key(name)])

    def _masked(self, name: str) -> Tensor:
        weight: Tensor = self._weights[_key(name)]
        return weight * self._masks[name]

    def _unit(self, layer: str, steps: Mapping[str, Tensor]) -> Tensor | float:
        source = self._unit_of[layer]
        return steps.get(source, self._input_step)

    def _thresholds(self, steps: Mapping[str, Tensor]) -> tuple[dict[str, float], dict[str, float]]:
        """theta of every rectifier, and the real value of one unit of every sum: step / theta, or peak / top of the output.

        As quantize-weights computes them, in float64, so that no threshold differs.
        """
        thetas: dict[str, float] = {}
        scales: dict[str, float] = {}
        for target, layers in self._layers.items():
            peaks = [float(self._masked(n).detach().abs().max()) * _number(self._unit(n, steps)) for n in layers]
            peak = max(peaks, default=0.0)
            if target not in steps:
                scales[target] = peak / self._top if peak else 1.0
                continue
            step = float(steps[target].detach())
            thetas[target] = max(2.0, 2.0 * int(self._top * step / peak / 2)) if peak else 2.0 * self._top
            scales[target] = step / thetas[target]
        return thetas, scales

    def _weighted(self, name: str, x: Tensor, steps: Mapping[str, Tensor], scale: Tensor, exact_scale: float) -> Tensor:
        codes = _coded(self._masked(name), self._unit(name, steps), scale, exact_scale)
        key = _key(name)
        bias = _coded(self._biases[key], 1.0, scale, exact_scale) if key in self._biases else None
        return _weigh(self._graph.nodes[name], x, codes, bias, self._sums if self.training else None)


def _channels_last(x: Tensor) -> Tensor:
    """Images with the channels innermost, as convolutions of few channels run fastest on a CPU; others as they are."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def _innermost(weight: Tensor) -> Tensor:
    """The weight of a Scale with its channels innermost in memory, if it has them, as the images that it meets."""
    return weight.movedim(0, -1).contiguous().movedim(-1, 0) if weight.ndim == 3 else weight


def _number(value: Tensor | float) -> float:
    return float(value.detach()) if isinstance(value, Tensor) else value


def _key(name: str) -> str:
    """A name that torch takes: dots would be a path."""
    return name.replace(".", "·")


def _coded(values: Tensor, unit: Tensor | float, scale: Tensor, exact_scale: float) -> Tensor:
    """rint(values * unit / scale), as quantize-weights rounds it: in float64, in this order. Backwards without the rounding."""
    smooth = values * unit / scale
    codes = torch.round(values.detach().double() * _number(unit) / exact_scale).to(values.dtype)
    return smooth + (codes - smooth).detach()


class _Counted(torch.autograd.Function):
    """clip(floor((z + theta / 2) / theta), 0, levels), exact for integers; backwards z / theta inside the clip.

    Counts have the format of z if it holds them exactly, else float32.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, theta: float, levels: int) -> Tensor:
        narrow = z.dtype is torch.bfloat16
        count = torch.add(z.float() if narrow else z, theta / 2).div_(theta).floor_().clamp_(-1, levels + 1)
        count = count.to(z.dtype) if narrow and levels < EXACT_BFLOAT16 else count
        ctx.save_for_backward(count)
        ctx.theta, ctx.levels, ctx.dtype = theta, levels, z.dtype
        return count.clamp(0, levels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (count,) = ctx.saved_tensors
        inside = torch.ops.aten.hardtanh_backward(gradient, count, -0.5, ctx.levels + 0.5)
        return inside.div_(ctx.theta).to(ctx.dtype), None, None


def _sum(values: Mapping[str, Tensor], sources: tuple[str, ...]) -> Tensor:
    first, *others = (values[source] for source in sources)
    for other in others:
        first = first + other
    return first


def _unit_sources(graph: Graph) -> dict[str, str]:
    """For every node the rectifier (or Input) whose counts enter it, behind pooling and flattening."""
    found: dict[str, str] = {}
    for name in topological_order(graph):
        sources = predecessors(graph, name)
        if not sources:
            continue
        source = sources[0]
        passes_on = isinstance(graph.nodes[source], nir.SumPool2d | nir.Flatten | MaxPool2d)
        found[name] = found[source] if passes_on else source
    return found


def _widest_sum(graph: Graph, top: int) -> int:
    """A bound of every |sum| in the network: fan-in times the largest code times the largest count, branches added."""
    widest = 0
    most = {the_input(graph): encoder_of(graph.metadata).levels}
    for name in topological_order(graph):
        node: Any = graph.nodes[name]
        if isinstance(node, nir.Input):
            continue
        total = sum(most[source] for source in predecessors(graph, name))
        if isinstance(node, QuantReLU):
            most[name] = min(node.levels, total)
        elif isinstance(node, WEIGHTED_NODES):
            fan_in = 1 if isinstance(node, nir.Scale) else int(np.prod(node.weight.shape[1:]))
            most[name] = 2 * fan_in * top * total
        elif isinstance(node, nir.SumPool2d):
            most[name] = total * math.prod(pair(node.kernel_size))
        else:
            most[name] = total
        widest = max(widest, most[name])
    return widest


def _function(name: str, node: Any, dtype: torch.dtype, sums: torch.dtype | None = None) -> Apply:
    """What a node without counts does in torch. Raises PassFailed for one that it has no words for."""
    if isinstance(node, WEIGHTED_NODES):
        weight = _channels_last(torch.from_numpy(weights_of(node)).to(dtype))
        bias = None if getattr(node, "bias", None) is None else _bias_of(node, len(weight)).to(dtype)
        return lambda x: _weigh(node, x, weight, bias, sums)
    if isinstance(node, ReLU):
        return lambda x: torch.clamp(x, 0.0, node.maximum)
    if isinstance(node, nir.Flatten):
        return lambda x: x.reshape(len(x), -1)
    if isinstance(node, MaxPool2d):
        top, left, bottom, right = node.padding
        return lambda x: functional.max_pool2d(
            functional.pad(x, (left, right, top, bottom), value=-math.inf), node.kernel_size, node.stride
        )
    if isinstance(node, nir.SumPool2d):
        kernel, stride, padding = pair(node.kernel_size), pair(node.stride), pair(node.padding)
        return lambda x: functional.avg_pool2d(x.to(dtype), kernel, stride, padding, divisor_override=1)
    if isinstance(node, nir.Output):
        return lambda x: x
    raise PassFailed(f"fine-tune: {name}", f"{type(node).__name__} has no torch form here", "Convert without --finetune")


def _bias_of(node: Any, outputs: int) -> Tensor:
    """One value a channel, or one a neuron (channels, height, width)."""
    bias = np.asarray(node.bias, np.float64)
    return torch.from_numpy(bias.copy() if bias.ndim > 1 else np.broadcast_to(bias, (outputs,)).copy())


def _weigh(node: Any, x: Tensor, weight: Tensor, bias: Tensor | None, sums: torch.dtype | None) -> Tensor:
    """What a node with weights does: on images in the format `sums` if there is one, else in that of the weights."""
    if sums is None or x.ndim != 4:
        return _linear(node, x.to(weight.dtype), weight, bias)
    return _linear(node, x.to(sums), weight.to(sums), None if bias is None else bias.to(sums))


def _linear(node: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if isinstance(node, nir.Affine | nir.Linear):
        return functional.linear(x, weight, bias)
    if isinstance(node, nir.Scale):
        return x * _innermost(weight)
    if isinstance(node, nir.Conv1d):
        total = int(node.dilation) * (node.weight.shape[2] - 1)
        words = {"valid": (0, 0), "same": (total // 2, total - total // 2)}
        sides = words[node.padding] if isinstance(node.padding, str) else (int(node.padding), int(node.padding))
        return functional.conv1d(
            functional.pad(x, sides), weight, bias, int(node.stride), 0, int(node.dilation), int(node.groups)
        )
    top, left, bottom, right = conv_padding(node)
    padding = (top, left)
    if (top, left) != (bottom, right):
        x, padding = functional.pad(x, (left, right, top, bottom)), (0, 0)
    if bias is not None and bias.ndim > 1:
        return functional.conv2d(x, weight, None, pair(node.stride), padding, pair(node.dilation), int(node.groups)) + bias
    return functional.conv2d(x, weight, bias, pair(node.stride), padding, pair(node.dilation), int(node.groups))


def _numbers(values: Tensor) -> np.ndarray[Any, Any]:
    return values.detach().to(torch.float64).cpu().numpy()
