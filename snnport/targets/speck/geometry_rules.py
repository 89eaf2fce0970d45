"""The rules of Speck's cores that concern shapes: kernels, strides, padding, pooling, channels, maps.

Sinabs 3.1.3 itself checks square kernels and pools alone; the other limits stand in its documentation (docs/speck) and in
the data sheet, and are checked by the closed samna at deployment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir

from snnport.chip import Chip
from snnport.graph import Graph, names_of, shapes
from snnport.nodes import Shape, conv_padding, pair
from snnport.passes.paths import Path, walk
from snnport.targets.base import Findings, finding
from snnport.targets.synapses import map_shape, pool_of

FIX = "`check --fix` does it: "


def square_kernel(graph: Graph, chip: Chip) -> Findings:
    """Kernels are square."""
    found = [
        finding(name, f"its kernel is {height}x{width}, the chip's are square", f"Pad it with zeros; {FIX}square-kernel")
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
        finding(
            name,
            f"it is dense on a map of {height}x{width}, the chip's kernels are square",
            f"Make it a convolution with zeros; {FIX}square-kernel",
        )
        for name, (_, height, width) in dense_maps(graph).items()
        if height != width
    ]
    return Findings(violations=tuple(found))


def stride(graph: Graph, chip: Chip) -> Findings:
    """Strides are 1, 2, 4 or 8, in x and y each."""
    allowed = tuple(int(v) for v in chip["strides"])
    found = [
        finding(
            name,
            f"its stride is {pair(node.stride)}, the chip has {allowed}",
            f"Use one of these; where it makes a single window, {FIX}square-kernel",
        )
        for name, node in _convs(graph)
        if not set(pair(node.stride)) <= set(allowed)
    ]
    return Findings(violations=tuple(found))


def padding(graph: Graph, chip: Chip) -> Findings:
    """Padding is 0 to 7, in x and y each, and equal on opposite sides."""
    limit = int(chip["padding"])
    found = []
    for name, node in _convs(graph):
        top, left, bottom, right = conv_padding(node)
        if (top, left) != (bottom, right):
            message = f"its padding is ({top}, {left}, {bottom}, {right}), the chip's is equal on opposite sides"
            found.append(finding(name, message, f"Use an odd kernel, or widen it with zeros; {FIX}square-kernel"))
        if max(top, left, bottom, right) > limit:
            message = f"its padding is {max(top, left, bottom, right)}, the limit is {limit}"
            found.append(finding(name, message, f"Pad less; where the kernel's margin is zero, {FIX}square-kernel"))
    return Findings(violations=tuple(found))


def dilation(graph: Graph, chip: Chip) -> Findings:
    """Kernels are not dilated."""
    found = [
        finding(
            name,
            f"its dilation is {pair(node.dilation)}, the chip has (1, 1)",
            f"Spread the kernel with zeros; {FIX}spread-dilation",
        )
        for name, node in _convs(graph)
        if pair(node.dilation) != (1, 1)
    ]
    return Findings(violations=tuple(found))


def groups(graph: Graph, chip: Chip) -> Findings:
    """Convolutions are not grouped: every output channel sees every input channel."""
    found = [
        finding(
            name,
            f"it has {int(node.groups)} groups, the chip has 1",
            f"Write it as a full convolution with zeros; {FIX}ungroup",
        )
        for name, node in _convs(graph)
        if int(node.groups) != 1
    ]
    return Findings(violations=tuple(found))


def pool_size(graph: Graph, chip: Chip) -> Findings:
    """Sum pooling is 1, 2 or 4, with stride = kernel and no padding; a chain of poolings counts as one.

    Behind a core it is square. Before the first layer it is the event pre-processing that pools, in x and y each.
    """
    sizes = shapes(graph)
    found = {}
    for path in walk(graph)[0]:
        pool = pool_of(graph, path, sizes)
        if pool is None:
            continue
        outside = isinstance(graph.nodes[path.source], nir.Input)
        allowed = tuple(int(v) for v in chip["input_pools" if outside else "pools"])
        square = outside or len(set(pool.kernel_size)) == 1
        tiles = pool.kernel_size == pool.stride and not any(pool.padding)
        if not tiles or not square or not set(pool.kernel_size) <= set(allowed):
            message = (
                f"it pools {pool.kernel_size} with stride {pool.stride} and padding {pool.padding[:2]}, "
                f"the chip pools squares of {allowed} with stride = kernel and padding 0"
            )
            remedy = f"Use 2x2 with stride 2, or sum in the weights behind it; {FIX}pool-into-kernel"
            found[path.pools[-1]] = finding(path.pools[-1], message, remedy)
    return Findings(violations=tuple(found.values()))


def input_stage(graph: Graph, chip: Chip) -> Findings:
    """Before the first layer only the event pre-processing pools: of 2 polarities at most, all its destinations alike."""
    sizes, limit = shapes(graph), int(chip["sensor_channels"])
    found = []
    for name in names_of(graph, nir.Input):
        paths = [path for path in walk(graph)[0] if path.source == name]
        pools = {pool_of(graph, path, sizes) for path in paths}
        channels = map_shape(sizes[name])[0]
        pooled = next((path.pools[0] for path in paths if path.pools), name)
        remedy = f"Sum in the weights behind it; {FIX}pool-into-kernel"
        if len(pools) > 1:
            message = f"'{name}' reaches its layers through {len(pools)} different poolings, the event pre-processing has 1"
            found.append(finding(pooled, message, remedy))
        if any(pools) and channels > limit:
            message = f"it pools the {channels} channels of '{name}', the event pre-processing takes {limit} polarities"
            found.append(finding(pooled, message, remedy))
    return Findings(violations=tuple(found))


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


def dense_maps(graph: Graph) -> dict[str, tuple[int, int, int]]:
    """Every dense node with the map (channels, height, width) that it sees, before any flattening."""
    sizes = shapes(graph)
    found: dict[str, tuple[int, int, int]] = {}
    for path in walk(graph)[0]:
        if path.weighted is not None and isinstance(graph.nodes[path.weighted], nir.Affine | nir.Linear):
            found.setdefault(path.weighted, map_before(path, sizes))
    return found


def map_before(path: Path, sizes: dict[str, Shape]) -> tuple[int, int, int]:
    """The map (channels, height, width) that leaves the source of `path` and its poolings."""
    return map_shape(sizes[path.pools[-1] if path.pools else path.source])


def _convs(graph: Graph) -> Iterator[tuple[str, Any]]:
    for name in names_of(graph, nir.Conv2d):
        yield name, graph.nodes[name]


def _kernels(graph: Graph) -> Iterator[tuple[str, tuple[int, int]]]:
    """Kernel size of every convolution, dense ones (on square maps) among them."""
    for name, node in _convs(graph):
        yield name, (int(node.weight.shape[2]), int(node.weight.shape[3]))
    for name, (_, height, width) in dense_maps(graph).items():
        if height == width:
            yield name, (height, width)


def _maps(graph: Graph) -> Iterator[tuple[str, tuple[int, int, int]]]:
    sizes = shapes(graph)
    for name in names_of(graph, nir.Input, nir.IF, nir.I):
        yield name, map_shape(sizes[name])


GEOMETRY_RULES = (
    square_kernel,
    kernel_size,
    dense_map,
    stride,
    padding,
    dilation,
    groups,
    pool_size,
    input_stage,
    channels,
    map_size,
)
