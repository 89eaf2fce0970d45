"""The rules of Speck2f that concern the graph. Sinabs itself checks only part of them (square kernels and pools, memory)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from snnport.chip import Chip
from snnport.convention import coding_of, convention_of
from snnport.graph import Graph, names_of, shapes
from snnport.nodes import Shape, conv_padding, pair
from snnport.passes.paths import Path, output_populations, walk
from snnport.targets import rules
from snnport.targets.base import Findings, finding
from snnport.targets.graded_rules import no_messages
from snnport.targets.synapses import map_shape, pool_of

NODES = (
    nir.Input,
    nir.Output,
    nir.IF,
    nir.I,
    nir.Affine,
    nir.Linear,
    nir.Conv1d,
    nir.Conv2d,
    nir.SumPool2d,
    nir.Flatten,
)


def supported_nodes(graph: Graph, chip: Chip) -> Findings:
    """A core is a convolution (a dense layer is one too), integrate-and-fire neurons, and a sum pooling behind them."""
    return rules.unsupported(graph, chip, NODES)


def path_form(graph: Graph, chip: Chip) -> Findings:
    """Between two populations: sum poolings that are one pooling, then one weighted node."""
    return rules.malformed_paths(graph, chip)


def integer_weights(graph: Graph, chip: Chip) -> Findings:
    """Weights, biases and thresholds are integer multiples of one scale a population."""
    return rules.non_integers(graph, chip)


def time_base(graph: Graph, chip: Chip) -> Findings:
    """The chip is asynchronous: it has no clock that could open and close populations."""
    coding = coding_of(graph.metadata)
    if coding is None or coding.code == "rate":
        return Findings()
    gated = [name for name, window in coding.windows.items() if window.role in ("gated", "free")]
    message = f"the {coding.code} code opens and closes {len(gated)} populations at set steps, the chip has no clock"
    return Findings(violations=(finding(", ".join(gated) or chip.name, message, "Convert with --code rate"),))


def graded_spikes(graph: Graph, chip: Chip) -> Findings:
    """A spike is an event without a number."""
    return no_messages(graph, chip)


def max_pooling(graph: Graph, chip: Chip) -> Findings:
    """Max pooling is an OR of the spikes of one step, and the chip has no steps."""
    coding = coding_of(graph.metadata)
    relays = [name for name, window in (coding.windows if coding else {}).items() if window.role == "relay"]
    found = [
        finding(name, "max pooling needs steps in which it takes the OR of spikes, the chip has none", "Use average pooling")
        for name in relays
    ]
    return Findings(violations=tuple(found))


def recurrence(graph: Graph, chip: Chip) -> Findings:
    """Cores must not drive one another in a loop: the chip can deadlock."""
    found = [
        finding(p.target, f"'{p.source}' drives it in a loop, the chip can deadlock", "Use a network without recurrence")
        for p in walk(graph)[0]
        if p.back
    ]
    return Findings(violations=tuple(found))


def one_kernel(graph: Graph, chip: Chip) -> Findings:
    """A core has one kernel: one weighted node leads into a population, though several sources may share it."""
    paths = walk(graph)[0]
    found = []
    for name in names_of(graph, nir.IF, nir.I):
        into = [path for path in paths if path.target == name]
        weights = dict.fromkeys(path.weighted for path in into if path.weighted)
        if any(path.weighted is None for path in into):
            found.append(
                finding(name, "spikes reach it without weights, a core begins with a convolution", "Put weights before it")
            )
        if len(weights) > 1:
            message = f"{len(weights)} weighted nodes lead into it ({', '.join(map(str, weights))}), a core has 1 kernel"
            found.append(finding(name, message, "Use a network without skip connections"))
    return Findings(violations=tuple(found))


def square_kernel(graph: Graph, chip: Chip) -> Findings:
    """Kernels are square."""
    found = [
        finding(name, f"its kernel is {height}x{width}, the chip's are square", "Pad it with zeros to a square")
        for name, (height, width) in _kernels(graph)
        if height != width
    ]
    return Findings(violations=tuple(found))


def kernel_size(graph: Graph, chip: Chip) -> Findings:
    """Kernels have at most 15 rows and columns; one of the maker's pages says 16, the other below 16."""
    limit = int(chip["kernel_size"])
    found = [
        finding(name, f"its kernel is {height}x{width}, the limit is {limit}x{limit}", "Use a smaller kernel or pool first")
        for name, (height, width) in _kernels(graph)
        if max(height, width) > limit
    ]
    return Findings(violations=tuple(found))


def dense_map(graph: Graph, chip: Chip) -> Findings:
    """A dense layer is a convolution whose kernel is the whole map, so the map before it is square."""
    found = [
        finding(name, f"it is dense on a map of {height}x{width}, the chip's kernels are square", "Use a square map")
        for name, (_, height, width) in _dense(graph)
        if height != width
    ]
    return Findings(violations=tuple(found))


def stride(graph: Graph, chip: Chip) -> Findings:
    """Strides are 1, 2, 4 or 8."""
    allowed = tuple(int(v) for v in chip["strides"])
    found = [
        finding(name, f"its stride is {pair(node.stride)}, the chip has {allowed}", "Use one of these")
        for name, node in _convs(graph)
        if not set(pair(node.stride)) <= set(allowed)
    ]
    return Findings(violations=tuple(found))


def padding(graph: Graph, chip: Chip) -> Findings:
    """Padding is 0 to 7, and equal on opposite sides."""
    limit = int(chip["padding"])
    found = []
    for name, node in _convs(graph):
        top, left, bottom, right = conv_padding(node)
        if (top, left) != (bottom, right):
            message = f"its padding is ({top}, {left}, {bottom}, {right}), the chip's is equal on opposite sides"
            found.append(finding(name, message, "Use an odd kernel, or widen the kernel with zeros"))
        if max(top, left, bottom, right) > limit:
            found.append(finding(name, f"its padding is {max(top, left, bottom, right)}, the limit is {limit}", "Pad less"))
    return Findings(violations=tuple(found))


def dilation(graph: Graph, chip: Chip) -> Findings:
    """Kernels are not dilated."""
    found = [
        finding(name, f"its dilation is {pair(node.dilation)}, the chip has (1, 1)", "Spread the kernel with zeros")
        for name, node in _convs(graph)
        if pair(node.dilation) != (1, 1)
    ]
    return Findings(violations=tuple(found))


def groups(graph: Graph, chip: Chip) -> Findings:
    """Convolutions are not grouped: every output channel sees every input channel."""
    found = [
        finding(name, f"it has {int(node.groups)} groups, the chip has 1", "Write it as a full convolution with zeros")
        for name, node in _convs(graph)
        if int(node.groups) != 1
    ]
    return Findings(violations=tuple(found))


def pool_size(graph: Graph, chip: Chip) -> Findings:
    """Sum pooling is square, of 1, 2 or 4, with stride = kernel and no padding; a chain of poolings counts as one."""
    allowed = tuple(int(v) for v in chip["pools"])
    sizes = shapes(graph)
    found = {}
    for path in walk(graph)[0]:
        pool = pool_of(graph, path, sizes)
        if pool is None:
            continue
        good = pool.kernel_size == pool.stride and len(set(pool.kernel_size)) == 1 and not any(pool.padding)
        if not good or pool.kernel_size[0] not in allowed:
            message = (
                f"it pools {pool.kernel_size} with stride {pool.stride} and padding {pool.padding[:2]}, "
                f"the chip pools squares of {allowed} with stride = kernel and padding 0"
            )
            found[path.pools[-1]] = finding(path.pools[-1], message, "Use 2x2 with stride 2")
    return Findings(violations=tuple(found.values()))


def channels(graph: Graph, chip: Chip) -> Findings:
    """At most 1023 channels; one of the maker's pages says 1024, the other below 1024."""
    limit = int(chip["channels"])
    found = [
        finding(name, f"it has {shape[0]} channels, the limit is {limit}", "Use fewer channels")
        for name, shape in _maps(graph)
        if shape[0] > limit
    ]
    return Findings(violations=tuple(found))


def map_size(graph: Graph, chip: Chip) -> Findings:
    """The input is at most 128x128 pixels, the map that a convolution gives at most 64x64."""
    found = []
    for name, (_, height, width) in _maps(graph):
        limit = int(chip["input_size"] if isinstance(graph.nodes[name], nir.Input) else chip["map_size"])
        if max(height, width) > limit:
            found.append(finding(name, f"its map is {height}x{width}, the limit is {limit}x{limit}", "Use a stride or crop"))
    return Findings(violations=tuple(found))


def fan_out(graph: Graph, chip: Chip) -> Findings:
    """A core sends its spikes to at most 2 cores."""
    limit = int(chip["fan_out"])
    targets: dict[str, set[str]] = {}
    for path in walk(graph)[0]:
        targets.setdefault(path.source, set()).add(path.target)
    found = [
        finding(name, f"it sends spikes to {len(ends)} populations, the limit is {limit}", "Use fewer branches")
        for name, ends in targets.items()
        if len(ends) > limit
    ]
    return Findings(violations=tuple(found))


def scalar_thresholds(graph: Graph, chip: Chip) -> Findings:
    """All neurons of a core share one threshold."""
    found = []
    for name in names_of(graph, nir.IF):
        node: Any = graph.nodes[name]
        count = len(np.unique(node.v_threshold))
        if count > 1:
            found.append(
                finding(name, f"its neurons have {count} different thresholds, a core has 1", "Train with one a layer")
            )
    return Findings(violations=tuple(found))


def reset_value(graph: Graph, chip: Chip) -> Findings:
    """A neuron that fires subtracts its threshold or goes back to 0."""
    if convention_of(graph.metadata).reset != "value":
        return Findings()
    found = []
    for name in names_of(graph, nir.IF):
        node: Any = graph.nodes[name]
        if np.any(node.v_reset != 0):
            worst = float(np.abs(node.v_reset).max())
            found.append(finding(name, f"it resets to {worst:.6g}, the chip to 0", "Train with a reset to zero"))
    return Findings(violations=tuple(found))


def bias(graph: Graph, chip: Chip) -> Findings:
    """A bias is added at each tick of a slow clock, not at a step of the input; the maker advises against biases."""
    found = []
    for name in names_of(graph, nir.Conv1d, nir.Conv2d, nir.Affine):
        node: Any = graph.nodes[name]
        if np.any(node.bias):
            message = f"{np.count_nonzero(node.bias)} of its biases are not 0; the chip adds them at each tick of a slow clock"
            found.append(finding(name, message, "Train without biases"))
    return Findings(warnings=tuple(found))


def readout(graph: Graph, chip: Chip) -> Findings:
    """The readout block has 15 classes and an erratum: it takes channel 4k of the last core for its class k + 1."""
    sizes = shapes(graph)
    limit = int(chip["readout_classes"])
    found = []
    for name in output_populations(graph):
        classes = map_shape(sizes[name])[0]
        message = f"it has {classes} channels, and the readout block takes channel 4k for class k + 1"
        if classes > limit:
            message = f"it has {classes} channels, the readout block has {limit} classes"
        found.append(finding(name, message, "Read the core's own spikes, or spread the channels by 4 when exporting"))
        if isinstance(graph.nodes[name], nir.I):
            message = "it never fires, and the chip is read by spikes: it gets a threshold one above its largest weight"
            found.append(finding(name, message, "End with integrate-and-fire neurons to choose the threshold"))
    return Findings(warnings=tuple(found))


def _convs(graph: Graph) -> Iterator[tuple[str, Any]]:
    """Every convolution; a 1-D one as the 2-D one of height 1 that it would be."""
    for name in names_of(graph, nir.Conv2d, nir.Conv1d):
        node: Any = graph.nodes[name]
        if isinstance(node, nir.Conv2d):
            yield name, node
            continue
        same = isinstance(node.padding, str)
        rim = node.padding if same else (0, pair(node.padding)[0])
        spread = (1, pair(node.stride)[0]), rim, (1, pair(node.dilation)[0])
        yield name, nir.Conv2d(None, node.weight[:, :, None], *spread, node.groups, node.bias)


def _kernels(graph: Graph) -> Iterator[tuple[str, tuple[int, int]]]:
    """Kernel size of every convolution, dense ones (on square maps) among them."""
    for name, node in _convs(graph):
        yield name, (int(node.weight.shape[2]), int(node.weight.shape[3]))
    for name, (_, height, width) in _dense(graph):
        if height == width:
            yield name, (height, width)


def _dense(graph: Graph) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Every dense node with the map that it sees, before any flattening."""
    sizes = shapes(graph)
    seen: dict[str, None] = {}
    for path in walk(graph)[0]:
        if path.weighted in seen or not isinstance(graph.nodes.get(path.weighted or ""), nir.Affine | nir.Linear):
            continue
        seen[str(path.weighted)] = None
        yield str(path.weighted), map_before(path, sizes)


def map_before(path: Path, sizes: dict[str, Shape]) -> tuple[int, int, int]:
    """The map (channels, height, width) that leaves the source of `path` and its poolings."""
    return map_shape(sizes[path.pools[-1] if path.pools else path.source])


def _maps(graph: Graph) -> Iterator[tuple[str, tuple[int, int, int]]]:
    sizes = shapes(graph)
    for name in names_of(graph, nir.Input, nir.IF, nir.I):
        yield name, map_shape(sizes[name])


GRAPH_RULES = (
    supported_nodes,
    path_form,
    integer_weights,
    time_base,
    graded_spikes,
    max_pooling,
    recurrence,
    one_kernel,
    square_kernel,
    kernel_size,
    dense_map,
    stride,
    padding,
    dilation,
    groups,
    pool_size,
    channels,
    map_size,
    fan_out,
    scalar_thresholds,
    reset_value,
    bias,
    readout,
)
