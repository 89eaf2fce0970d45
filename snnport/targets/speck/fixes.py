"""What dynapcnn, speck2e and speck2f can rewrite, what each rewriting costs, and why some cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import nir
import numpy as np

from snnport.chip import Chip
from snnport.errors import SnnportError
from snnport.graph import Graph, names_of, shapes
from snnport.nodes import conv_padding, pair
from snnport.passes.base import Context
from snnport.passes.fixes.base import DENSE, Rewrite
from snnport.passes.fixes.channels import (
    ClipChannels,
    DropDeadChannels,
    DuplicateLayer,
    ExtendReadout,
    FoldThresholds,
    SplitChannels,
    dead_channels,
    strength,
)
from snnport.passes.fixes.convolution import PoolIntoKernel, SpreadDilation, SquareKernel, Ungroup, map_seen
from snnport.passes.fixes.nodes import AverageToSum, Conv1dTo2d, ScaleToConv
from snnport.passes.paths import output_populations, walk
from snnport.targets.base import Fixes, Proposal
from snnport.targets.speck.cores import contests, kernel_words, memories, needs_of
from snnport.targets.speck.geometry_rules import dense_maps, input_stage, pool_size
from snnport.targets.speck.lower import lower, place
from snnport.targets.speck.rules import weighted_paths


def average_to_sum(graph: Graph, chip: Chip) -> tuple[Proposal, ...]:
    """Average pooling becomes sum pooling."""
    found = []
    for name in names_of(graph, nir.AvgPool2d):
        node: Any = graph.nodes[name]
        height, width = pair(node.kernel_size)
        n = height * width
        rounded = "" if n & (n - 1) == 0 else f"; 1/{n} is rounded in the real numbers themselves"
        cost = f"integers stay as they are: the next threshold counts {n} times as many codes of the same weights{rounded}"
        found.append(_proposal(graph, AverageToSum(node=name), name, cost))
    return tuple(found)


def conv1d_to_2d(graph: Graph, chip: Chip) -> tuple[Proposal, ...]:
    """Convolutions along one axis become convolutions of maps of height 1."""
    names = names_of(graph, nir.Conv1d)
    cost = "kernels become squares of zeros and one row of weights; the input is (channels, 1, length)"
    return (_proposal(graph, Conv1dTo2d(), ", ".join(names), cost),) if names else ()


def scale_to_conv(graph: Graph, chip: Chip) -> tuple[Proposal, ...]:
    """Scales, and ways without weights, become convolutions."""
    bare = [violation.where for violation in weighted_paths(graph, chip).violations]
    sizes = shapes(graph)
    found = []
    for name in (*names_of(graph, nir.Scale), *bare):
        n = sizes[name][0]
        cost = f"{kernel_words((n, n, 1, 1))} kernel words for a diagonal of {n} weights"
        found.append(_proposal(graph, ScaleToConv(node=name), name, cost))
    return tuple(found)


def fold_thresholds(graph: Graph, chip: Chip) -> tuple[Proposal, ...]:
    """Thresholds that differ by channel become one."""
    found = []
    for name in names_of(graph, nir.IF):
        node: Any = graph.nodes[name]
        if len(np.unique(node.v_threshold)) > 1:
            step = FoldThresholds(name, int(chip["weight_bits"]), int(chip["state_bits"]))
            coded = "scale" in node.metadata
            cost = "codes stay whole" if coded else "exact in real numbers; 8-bit weights then share one scale"
            found.append(_proposal(graph, step, name, cost))
    return tuple(found)


def ungroup(graph: Graph, chip: Chip) -> tuple[Proposal, ...]:
    """Grouped convolutions become full ones."""
    found = []
    for name in names_of(graph, nir.Conv2d):
        node: Any = graph.nodes[name]
        groups = int(node.groups)
        if groups != 1:
            out, inputs, height, width = node.weight.shape
            words = kernel_words((out, inputs * groups, height, width))
            found.append(_proposal(graph, Ungroup(name), name, f"{words} kernel words, {groups} times the weights"))
    return tuple(found)


def spread_dilation(graph: Graph, chip: Chip) -> tuple[Proposal, ...]:
    """Dilated kernels become larger ones."""
    found = []
    for name in names_of(graph, nir.Conv2d):
        node: Any = graph.nodes[name]
        dilation = pair(node.dilation)
        if dilation != (1, 1):
            out, inputs, height, width = node.weight.shape
            size = ((height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1)
            cost = f"the kernel is {size[0]}x{size[1]}, {kernel_words((out, inputs, *size))} kernel words"
            found.append(_proposal(graph, SpreadDilation(name), name, cost))
    return tuple(found)


def square_kernel(graph: Graph, chip: Chip) -> tuple[Proposal, ...]:
    """Kernels become square, padding equal on opposite sides, strides ones that there are."""
    names = [name for name in names_of(graph, nir.Conv2d) if _irregular(graph.nodes[name], chip)]
    names += [name for name, (_, height, width) in dense_maps(graph).items() if height != width]
    found = [_squared(graph, chip, name, 1) for name in names]
    return tuple(found or _alike(graph, chip))


def pool_into_kernel(graph: Graph, chip: Chip) -> tuple[Proposal, ...]:
    """Poolings that there are not become part of the kernel behind them."""
    broken = {v.where for rule in (pool_size, input_stage) for v in rule(graph, chip).violations}
    found: dict[str, Proposal] = {}
    for path in walk(graph)[0]:
        if path.weighted is None or path.weighted in found or not broken & {path.source, *path.pools} or not path.pools:
            continue
        step = PoolIntoKernel(path.weighted, **_limits(chip))
        why = "no kernel within the limits sums the same input: its stride or size is none of the chip's, or the rim differs"
        found[path.weighted] = _sized(graph, step, path.weighted, why)
    return tuple(found.values())


def duplicate_layer(graph: Graph, chip: Chip) -> tuple[Proposal, ...]:
    """Populations that feed too many others are computed twice."""
    ends: dict[str, set[str]] = {}
    for path in walk(graph)[0]:
        ends.setdefault(path.source, set()).add(path.target)
    found = []
    for name, fed in ends.items():
        if len(fed) > int(chip["fan_out"]) and isinstance(graph.nodes[name], nir.IF):
            cost = "a second core for the same neurons, and as many synaptic operations again"
            found.append(_proposal(graph, DuplicateLayer(name), name, cost))
    return tuple(found)


def extend_readout(graph: Graph, chip: Chip) -> tuple[Proposal, ...]:
    """The channels of the output are spread for the readout block."""
    spread, limit = int(chip["readout_spread"]), int(chip["readout_classes"])
    found = []
    for name in output_populations(graph):
        node = graph.nodes[name]
        n = shapes(graph)[name][0]
        one_each = shapes(graph)[name] in ((n,), (n, 1, 1)) and 1 < n <= limit
        if not one_each or not isinstance(node, nir.IF | nir.I) or int(node.metadata.get("readout_spread", 0)) == spread:
            continue
        where = "k" if spread == 1 else f"{spread}k"
        cost = f"{(n - 1) * spread + 1} channels for {n} classes: class k is channel {where}; the readout block is used"
        found.append(_proposal(graph, ExtendReadout(name, spread), name, cost, asked=False))
    return tuple(found)


def drop_dead_channels(graph: Graph, names: list[str]) -> tuple[Proposal, ...]:
    """Populations among `names` with channels that never matter."""
    found = []
    for name in names:
        dead = dead_channels(graph, name) if isinstance(graph.nodes[name], nir.IF) else ()
        if 0 < len(dead) < shapes(graph)[name][0]:
            cost = f"nothing: {len(dead)} of {shapes(graph)[name][0]} channels never fire or nothing listens to them"
            found.append(_proposal(graph, DropDeadChannels(name), name, cost))
    return tuple(found)


def split_channels(graph: Graph, chip: Chip, names: list[str]) -> tuple[Proposal, ...]:
    """Populations among `names` as two of half the channels, where what feeds them has destinations left."""
    paths = walk(graph)[0]
    feeds: dict[str, set[str]] = {}
    for path in paths:
        feeds.setdefault(path.source, set()).add(path.target)
    found = []
    for name in names:
        sources = {path.source for path in paths if path.target == name}
        full = [s for s in sources if len(feeds[s]) + 1 > int(chip["fan_out"])]
        cost = "one core more; what feeds it then feeds 2 cores"
        step: Rewrite | None = SplitChannels(name)
        if full:
            step, cost = None, f"{full[0]} feeds {len(feeds[full[0]])} cores already, the limit is {int(chip['fan_out'])}"
        elif name in output_populations(graph):
            step, cost = None, "it is an output, and one core is read"
        found.append(_proposal(graph, step, name, cost, label=SplitChannels.name))
    return tuple(found)


def clip_channels(graph: Graph, names: list[str]) -> tuple[Proposal, ...]:
    """Populations among `names` with half of their channels."""
    found = []
    for name in names:
        node = graph.nodes[name]
        n = shapes(graph)[name][0]
        keep = 1 << max((n - 1).bit_length() - 1, 0)
        if not isinstance(node, nir.IF) or name in output_populations(graph) or keep >= n:
            continue
        weighed = np.sort(strength(graph, name))[::-1]
        lost = 1 - weighed[:keep].sum() / weighed.sum() if weighed.sum() else 0.0
        cost = f"{n - keep} of {n} channels go, with {100 * lost:.2g} % of the weight; not exact, train again or measure"
        found.append(_proposal(graph, ClipChannels(name, keep), name, cost, exact=False))
    return tuple(found)


def _proposal(
    graph: Graph, step: Rewrite | None, where: str, cost: str, *, exact: bool = True, asked: bool = True, label: str = ""
) -> Proposal:
    """The proposal of `step`, or of nothing with the reason where it refuses this graph."""
    name = label or (step.name if step is not None else "")
    if step is not None:
        try:
            shapes(step.apply(graph, Context()))
        except SnnportError as error:
            return Proposal(name, where, exact, f"cannot be done: {error.what}", None, asked)
        return Proposal(name, where, exact, cost, step, asked)
    return Proposal(name, where, exact, f"cannot be done: {cost}", None, asked)


def _irregular(node: Any, chip: Chip) -> bool:
    """Whether a kernel without groups and dilation has another form than a core's."""
    height, width = node.weight.shape[2:]
    top, left, bottom, right = conv_padding(node)
    allowed = {int(v) for v in chip["strides"]}
    fits = height == width and (top, left) == (bottom, right) and set(pair(node.stride)) <= allowed
    return not fits or max(height, width) > int(chip["kernel_size"]) or max(top, left) > int(chip["padding"])


def _squared(graph: Graph, chip: Chip, name: str, least: int) -> Proposal:
    node: Any = graph.nodes[name]
    step = SquareKernel(name, **_limits(chip), least=least)
    why = "no square kernel within the limits sees the same input"
    if isinstance(node, nir.Conv2d) and not set(pair(node.stride)) <= {int(v) for v in chip["strides"]}:
        why = f"a stride of {pair(node.stride)} makes several windows, and another stride makes another network"
    return _sized(graph, step, name, why)


def _sized(graph: Graph, step: SquareKernel | PoolIntoKernel, name: str, why: str) -> Proposal:
    try:
        form = step.found(graph)
    except SnnportError as error:
        return Proposal(step.name, name, True, f"cannot be done: {error.what}", None)
    if form is None:
        return Proposal(step.name, name, True, f"cannot be done: {why}", None)
    out, inputs, side, _ = form.weight.shape
    cost = f"a kernel of {side}x{side}, {kernel_words((out, inputs, side, side))} kernel words"
    return _proposal(graph, step, name, cost)


def _alike(graph: Graph, chip: Chip) -> Iterator[Proposal]:
    """Kernels into one population that only differ in size, made as large as the largest."""
    for name in names_of(graph, nir.IF, nir.I):
        into = list(dict.fromkeys(p.weighted for p in walk(graph)[0] if p.target == name and p.weighted is not None))
        sides = {w: _side(graph, w) for w in into}
        if len(set(sides.values())) > 1:
            largest = max(sides.values())
            yield from (_squared(graph, chip, w, largest) for w, side in sides.items() if side < largest)


def _side(graph: Graph, weighted: str) -> int:
    node: Any = graph.nodes[weighted]
    if isinstance(node, DENSE):
        path = next(p for p in walk(graph)[0] if p.weighted == weighted)
        return max(map_seen(graph, path.pools[-1] if path.pools else path.source)[1:])
    return int(node.weight.shape[2])


def _limits(chip: Chip) -> dict[str, Any]:
    strides = "/".join(str(int(v)) for v in chip["strides"])
    return {"kernel": int(chip["kernel_size"]), "padding": int(chip["padding"]), "strides": strides}


def room(graph: Graph, chip: Chip) -> tuple[Proposal, ...]:
    """Layers without a core: dead channels go, then layers are split; clipping is named where neither is enough."""
    crowded = _crowded(graph, chip)
    if not crowded:
        return ()
    dropped = drop_dead_channels(graph, crowded)
    split = tuple(_helping(graph, chip, p) for p in split_channels(graph, chip, crowded))
    return (*dropped, *split, *clip_channels(graph, crowded))


def _crowded(graph: Graph, chip: Chip) -> list[str]:
    """The layers that compete for too few cores, those that need most first."""
    program = place(lower(graph, chip), chip)
    cores, needs = memories(chip), needs_of(program)
    placed = {s.population: s.core for s in program.placements if s.core < len(cores)}
    named = {name for contest in contests(needs, cores, placed) for name in contest.layers}
    return sorted(named, key=lambda name: (-needs[name].kernel - needs[name].neuron, name))


def _helping(graph: Graph, chip: Chip, proposal: Proposal) -> Proposal:
    """The proposal, if with it fewer layers are without a core."""
    if proposal.step is None:
        return proposal
    after = proposal.step.apply(graph, Context())
    if _homeless(after, chip) < _homeless(graph, chip):
        return proposal
    why = "cannot be done: its halves are still too large, or the cores are too few"
    return replace(proposal, step=None, cost=why)


def _homeless(graph: Graph, chip: Chip) -> int:
    program = place(lower(graph, chip), chip)
    return sum(piece.core >= int(chip["cores"]) for piece in program.placements)


FIXES = Fixes(
    real=(average_to_sum, conv1d_to_2d, scale_to_conv, fold_thresholds),
    codes=(
        ungroup,
        spread_dilation,
        pool_into_kernel,
        square_kernel,
        fold_thresholds,
        scale_to_conv,
        duplicate_layer,
        room,
        extend_readout,
    ),
)
