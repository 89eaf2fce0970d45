"""Synapse kinds: the codes and tables with which the spikes of one population add up in another.

A kind is one row of KINDS (a function that prepares codes and tables) and its functions in delivery.py.
Nothing is ever unrolled into a dense matrix: a spike behind a pooling is routed to the windows that hold it, and a spike
of a map to the taps that reach it. docs/semantics.md, "Synapses", is normative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph
from snnport.program import Conv, Dense, Diagonal, Population, Projection, Sparse, Synapse
from snnport.sim.delivery import CONV, DENSE, DIAGONAL, SPARSE
from snnport.sim.geometry import Ints, Layout, Taps, map_taps, output_shape

WIDTHS = (np.int8, np.int16, np.int32)
"""Codes stay in the narrowest of these in memory."""


@dataclass(frozen=True, eq=False)
class Wiring:
    """A projection ready to run.

    codes: flat, narrow, in the order of the engine. tables: integer tables by name. numbers: plain integers by name.
    reach: greatest sum of |codes| (shifted) into one target for one spike of every source.
    """

    codes: npt.NDArray[Any]
    tables: Mapping[str, Ints]
    numbers: Mapping[str, int]
    reach: int


@dataclass(frozen=True)
class Kind:
    """One row of the table: the number the kernel knows the kind by, and the function that prepares a projection.

    common: every program's kernel has it.
    """

    code: int
    prepare: Callable[[Projection, Ints, Layout], Wiring]
    common: bool = True


def check(projection: Projection) -> None:
    """Raises InvalidGraph unless the codes have the axes of their kind, groups divide channels, lists stay within the shape."""
    synapse = projection.synapse
    axes = {Dense: 2, Diagonal: 1, Sparse: 1, Conv: 4}[type(synapse)]
    if synapse.codes.ndim != axes:
        raise InvalidGraph(projection.name, f"its codes have {synapse.codes.ndim} axes, {axes} are needed")
    if isinstance(synapse, Sparse):
        for name, size in zip(("target", "source"), synapse.shape, strict=True):
            listed = np.asarray(getattr(synapse, name))
            if listed.shape != synapse.codes.shape:
                what = f"its {name} {listed.shape} and codes {synapse.codes.shape} are not equally long lists"
                raise InvalidGraph(projection.name, what)
            if listed.size and (listed.min() < 0 or listed.max() >= size):
                raise InvalidGraph(projection.name, f"its {name} spans {listed.min()}..{listed.max()}, there are {size}")
    if isinstance(synapse, Conv):
        out, per_group, groups = *synapse.codes.shape[:2], synapse.groups
        if groups < 1 or synapse.input_shape[0] != per_group * groups or out % groups:
            raise InvalidGraph(
                projection.name,
                f"codes {synapse.codes.shape} do not fit {synapse.input_shape[0]} channels in {groups} groups",
            )


def shifted(projection: Projection) -> npt.NDArray[Any]:
    """The codes shifted left by the exponent, in the narrowest type of WIDTHS. Raises InvalidGraph beyond 32 bits."""
    codes = np.asarray(projection.synapse.codes)
    exponent = projection.exponent
    if exponent < 0:
        raise InvalidGraph(projection.name, f"its exponent is {exponent}, arrivals are only shifted left", "Scale the codes")
    low, high = int(codes.min(initial=0)) << exponent, int(codes.max(initial=0)) << exponent
    for width in WIDTHS:
        if np.iinfo(width).min <= low and high <= np.iinfo(width).max:
            return (codes.astype(np.int64) << exponent).astype(width) if exponent else codes.astype(width, copy=False)
    raise InvalidGraph(
        projection.name, f"its shifted codes span {low}..{high}, 32 bits are the limit", "Quantise to fewer bits"
    )


def source_shape(projection: Projection, source: Population) -> tuple[int, ...]:
    """Shape of what the synapses see: the source's, or what the pooling makes of it. Raises InvalidGraph if sizes differ."""
    if projection.pool is None:
        return (source.size,)
    if np.prod(projection.pool.input_shape) != source.size:
        raise InvalidGraph(projection.name, f"its pooling takes {projection.pool.input_shape}, the source has {source.size}")
    return output_shape(projection.pool, projection.name)


def wire(projection: Projection, source: Population, target: Population, source_inside: Ints, layout: Layout) -> Wiring:
    """Prepare a projection; source_inside: position of every source neuron (C order) inside the engine.

    Behind a pooling the engine numbers the pooled map in C order, so source_inside is then the identity.
    """
    seen = source_shape(projection, source)
    size = int(np.prod(seen))
    expected = _expected(projection)
    if expected != (size, target.size):
        raise InvalidGraph(
            projection.name, f"its synapses join {expected[0]} to {expected[1]} neurons, there are {size} and {target.size}"
        )
    inside = source_inside if projection.pool is None else np.arange(size)
    return KINDS[type(projection.synapse)].prepare(projection, inside, layout)


def route(projection: Projection, source_inside: Ints) -> dict[str, Ints]:
    """Tables that lead a source neuron (engine order) to the pooled positions (C order) whose windows hold it."""
    if projection.pool is None:
        return {}
    channels, height, width = projection.pool.input_shape
    y, x = map_taps(projection.pool, projection.name)
    source = (y.source[:, None] * width + x.source[None, :]).ravel()
    pooled = (y.target[:, None] * x.targets + x.target[None, :]).ravel()
    c = np.arange(channels)[:, None]
    sources = source_inside[(c * height * width + source[None, :]).ravel()]
    targets = (c * y.targets * x.targets + pooled[None, :]).ravel()
    order = np.argsort(sources, kind="stable")
    return {"route": _starts(sources, len(source_inside)), "route_to": targets[order]}


def _starts(sorted_or_not: Ints, n: int) -> Ints:
    return np.concatenate(([0], np.cumsum(np.bincount(sorted_or_not, minlength=n))))


def _expected(projection: Projection) -> tuple[int, int]:
    """How many sources and targets the codes join."""
    synapse = projection.synapse
    if isinstance(synapse, Dense):
        return synapse.codes.shape[1], synapse.codes.shape[0]
    if isinstance(synapse, Diagonal):
        return len(synapse.codes), len(synapse.codes)
    if isinstance(synapse, Sparse):
        return synapse.shape[1], synapse.shape[0]
    return int(np.prod(synapse.input_shape)), int(np.prod(output_shape(synapse, projection.name)))


def _absolute_sum(codes: npt.NDArray[Any]) -> int:
    """Greatest sum of |codes| along all axes but the first, without a wide copy of the codes."""
    axes = tuple(range(1, codes.ndim))
    total = np.sum(codes, axis=axes, dtype=np.int64)
    positive = np.sum(np.maximum(codes, 0), axis=axes, dtype=np.int64)
    return int((2 * positive - total).max(initial=0))


def _dense(projection: Projection, inside: Ints, layout: Layout) -> Wiring:
    codes = shifted(projection)
    rows = np.empty((codes.shape[1], codes.shape[0]), codes.dtype)
    rows[inside] = codes.T
    columns = np.empty_like(rows)
    columns[:, layout.inside()] = rows
    return Wiring(columns.ravel(), {}, {"width": codes.shape[0]}, _absolute_sum(codes))


def _diagonal(projection: Projection, inside: Ints, layout: Layout) -> Wiring:
    codes = shifted(projection).astype(np.int32)
    ordered, targets = np.empty_like(codes), np.empty_like(inside)
    ordered[inside] = codes
    targets[inside] = layout.inside()
    return Wiring(ordered, {"target_of": targets}, {}, int(np.abs(codes.astype(np.int64)).max(initial=0)))


def _sparse(projection: Projection, inside: Ints, layout: Layout) -> Wiring:
    synapse = projection.synapse
    assert isinstance(synapse, Sparse)
    codes = shifted(projection).astype(np.int32)
    source, target = inside[synapse.source], layout.inside()[synapse.target]
    order = np.argsort(source, kind="stable")
    reach = np.zeros(synapse.shape[0], np.int64)
    np.add.at(reach, target, np.abs(codes.astype(np.int64)))
    tables = {"rows": _starts(source, len(inside)), "target_of": target[order]}
    return Wiring(codes[order], tables, {}, int(reach.max(initial=0)))


def _conv(projection: Projection, inside: Ints, layout: Layout) -> Wiring:
    conv = projection.synapse
    assert isinstance(conv, Conv)
    codes = shifted(projection)
    out, per_group, kh, kw = codes.shape
    group_out = out // conv.groups
    y, x = map_taps(conv, projection.name)
    columns, runs = _runs(x, conv, group_out, layout.pitch)
    # (group, out, in, kh, kw) -> (group, in, kh, kw, out): one run of a row is contiguous.
    grouped = codes.reshape(conv.groups, group_out, per_group, kh, kw).transpose(0, 2, 3, 4, 1)[:, :, :, columns]
    channels, height, width = conv.input_shape
    c, position = np.divmod(np.arange(channels * height * width), height * width)
    group = c // per_group
    same_groups = layout.groups == conv.groups
    first = group * (group_out * y.targets * x.targets if same_groups else group_out)
    per_source = {
        "code_of": c * kh * kw * group_out,
        "first_of": first,
        "y_of": position // width,
        "x_of": position % width,
    }
    tables = {name: _placed(values, inside) for name, values in per_source.items()}
    tables |= {
        "rows": _starts(y.source, height),
        "row_target": y.target * x.targets * layout.pitch,
        "row_code": y.kernel * kw * group_out,
        **runs,
    }
    return Wiring(
        np.ascontiguousarray(grouped).ravel(), tables, {"width": group_out, "pitch": layout.pitch}, _absolute_sum(codes)
    )


def _placed(values: Ints, inside: Ints) -> Ints:
    result = np.empty_like(values)
    result[inside] = values
    return result


def _runs(x: Taps, conv: Conv, group_out: int, pitch: int) -> tuple[Ints, dict[str, Ints]]:
    """Order of the kernel columns that puts neighbouring targets of a source side by side, and the runs of each source x."""
    kw, stride, dilation = conv.codes.shape[3], conv.stride[1], conv.dilation[1]
    column = np.arange(kw)
    columns = np.lexsort((-column, column * dilation % stride))
    place = np.empty_like(columns)
    place[columns] = column
    starts = [0]
    target: list[int] = []
    code: list[int] = []
    length: list[int] = []
    for source in range(x.sources):
        mine = x.source == source
        last: tuple[int, int] | None = None
        for p, o in sorted(zip(place[x.kernel[mine]].tolist(), x.target[mine].tolist(), strict=True)):
            if last == (p - 1, o - 1):
                length[-1] += 1
            else:
                target.append(o * pitch)
                code.append(p * group_out)
                length.append(1)
            last = (p, o)
        starts.append(len(target))
    tables = {"runs": starts, "run_target": target, "run_code": code, "run_length": length}
    return columns, {name: np.array(values, np.int64) for name, values in tables.items()}


KINDS: Mapping[type[Synapse], Kind] = MappingProxyType(
    {
        Dense: Kind(DENSE, _dense),
        Diagonal: Kind(DIAGONAL, _diagonal),
        Sparse: Kind(SPARSE, _sparse, common=False),
        Conv: Kind(CONV, _conv),
    }
)
