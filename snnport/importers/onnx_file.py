"""An ONNX file, read and checked: protobuf to operators in the order of data flow. Nothing in the file is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, defs

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op, check_text, read_ops
from snnport.importers.onnx_tensor import MAX_ELEMENTS, Array, check_tensor, type_name

OLDEST_OPSET = 7
"""Operators broadcast as they do today from opset 7 on."""


@dataclass(frozen=True)
class Source:
    """A checked model.

    ops: every node, in the order of the file. order: positions of the nodes that the output depends on, in the order of
    data flow. batch: the fixed batch size, or None if it is open. sample_shape: shape of one sample; has_batch: whether
    the input's first axis is the batch. uses: how many nodes, and the output, read a tensor. constant_word: what messages
    call one of `constants`.
    """

    name: str
    opset: int
    ops: tuple[Op, ...]
    order: tuple[int, ...]
    constants: Mapping[str, TensorProto | Array]
    input_name: str
    sample_shape: tuple[int, ...]
    has_batch: bool
    batch: int | None
    output_name: str
    uses: Mapping[str, int]
    evidence: tuple[str, ...]
    repairs: tuple[str, ...]
    constant_word: str = "initialiser"


def read_source(path: Path, known: frozenset[str]) -> Source:
    """The model at `path`; `known` are the operators whose nodes are checked against their schemas.

    Raises InvalidGraph for a file that is missing, damaged or contradicts itself, and UnsupportedNode for external data,
    sparse initialisers, several inputs or outputs, open sizes and opsets out of range.
    """
    model = _parse(path)
    graph = model.graph
    check_text(*(v.name for part in (graph.initializer, graph.input, graph.output) for v in part))
    opset = _opset(path, model)
    constants = _constants(path, graph)
    ops = read_ops(graph.node, opset, known)
    feed = _the_only(path, "input", [v for v in graph.input if v.name not in constants])
    output = _the_only(path, "output", list(graph.output))
    sizes = _input_sizes(feed)
    order, uses, repairs = data_flow(ops, {feed.name, *constants}, output.name)
    has_batch = len(sizes) > 1
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return Source(
        name=path.name,
        opset=opset,
        ops=ops,
        order=order,
        constants=constants,
        input_name=feed.name,
        sample_shape=tuple(s or 0 for s in (sizes[1:] if has_batch else sizes)),
        has_batch=has_batch,
        batch=sizes[0] if has_batch else 1,
        output_name=output.name,
        uses=uses,
        evidence=(f"opset {opset}", *([f"producer {producer}"] if producer else [])),
        repairs=repairs,
    )


def _parse(path: Path) -> ModelProto:
    if not path.is_file():
        raise InvalidGraph(str(path), "there is no such file")
    data = path.read_bytes()
    if not data:
        raise InvalidGraph(str(path), "the file is empty")
    if data.startswith(b"version https://git-lfs"):
        raise InvalidGraph(str(path), "this is a Git LFS pointer and not the model itself", "Fetch it with `git lfs pull`")
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise InvalidGraph(str(path), "this is not an ONNX file, or it is damaged or cut short") from error
    if model.ir_version < 1 or not model.HasField("graph"):
        raise InvalidGraph(str(path), "this is not an ONNX file: it holds no model")
    if not model.graph.node:
        raise InvalidGraph(str(path), "its graph has no nodes")
    return model


def _opset(path: Path, model: ModelProto) -> int:
    versions = [int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    opset = max(versions, default=1)
    newest = int(defs.onnx_opset_version())
    if not OLDEST_OPSET <= opset <= newest:
        raise UnsupportedNode(
            str(path),
            f"it is of opset {opset}, and opsets {OLDEST_OPSET} to {newest} are read",
            "Convert it with onnx.version_converter, or export it again",
        )
    return opset


def _constants(path: Path, graph: GraphProto) -> dict[str, TensorProto]:
    if graph.sparse_initializer:
        names = ", ".join(f"'{t.values.name}'" for t in graph.sparse_initializer)
        raise UnsupportedNode(str(path), f"initialisers {names} are sparse", "Store them as dense tensors")
    constants: dict[str, TensorProto] = {}
    for tensor in graph.initializer:
        if tensor.name in constants:
            raise InvalidGraph(f"initialiser '{tensor.name}'", "it is given twice")
        check_tensor(tensor, f"initialiser '{tensor.name}'")
        constants[tensor.name] = tensor
    return constants


def _the_only(path: Path, word: str, found: list[ValueInfoProto]) -> ValueInfoProto:
    if not found:
        raise InvalidGraph(str(path), f"it has no {word}")
    if len(found) > 1:
        names = ", ".join(f"'{v.name}'" for v in found)
        raise UnsupportedNode(str(path), f"it has {len(found)} {word}s ({names}), 1 is read", f"Export it with one {word}")
    return found[0]


_NUMERIC = {
    getattr(TensorProto, name)
    for name in ("FLOAT", "DOUBLE", "FLOAT16", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64")
}


def _input_sizes(feed: ValueInfoProto) -> list[int | None]:
    """The input's sizes, batch first; the batch alone may be open (None)."""
    where = f"input '{feed.name}'"
    if feed.type.WhichOneof("value") != "tensor_type":
        raise UnsupportedNode(where, "it is not a tensor", "Export the model with one tensor as its input")
    kind = feed.type.tensor_type
    if kind.elem_type not in _NUMERIC:
        raise UnsupportedNode(where, f"its values are of {type_name(kind.elem_type)}", "Export it with a float32 input")
    if not kind.HasField("shape"):
        raise UnsupportedNode(where, "its shape is not given", "Export the model with a fixed input shape")
    dims = kind.shape.dim
    sizes: list[int | None] = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dims]
    if not sizes:
        raise InvalidGraph(where, "it is a single number, without an axis")
    for axis, (size, dim) in enumerate(zip(sizes, dims, strict=True)):
        if size is None and (axis > 0 or len(sizes) == 1):
            raise UnsupportedNode(
                where,
                f"the size of axis {axis} ('{dim.dim_param or dim.dim_value or '?'}') is open",
                "Export the model with a fixed size there; only the batch may be open",
            )
    total = 1
    for size in sizes[1:] if len(sizes) > 1 else sizes:
        total *= size or 1
    if total > MAX_ELEMENTS:
        raise InvalidGraph(where, f"one sample has {total} values, the limit is {MAX_ELEMENTS}")
    return sizes


def data_flow(ops: tuple[Op, ...], given: set[str], output: str) -> tuple[tuple[int, ...], dict[str, int], tuple[str, ...]]:
    """Positions of the nodes that `output` needs, in order; how many readers each tensor has; what had to be changed."""
    order, repairs = _order(ops, given, output)
    live = set(order)
    uses: dict[str, int] = {output: 1}
    for op in ops:
        if op.position in live:
            for tensor in op.inputs:
                uses[tensor] = uses.get(tensor, 0) + 1
    return order, uses, repairs


def _order(ops: tuple[Op, ...], given: set[str], output: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Positions of the nodes that `output` needs, each after those it reads; and what had to be changed."""
    maker = _makers(ops, given)
    if output not in maker and output not in given:
        raise InvalidGraph(f"output '{output}'", "no node makes it")
    sources: dict[int, set[int]] = {}
    waiting = [maker[output]] if output in maker else []
    while waiting:
        position = waiting.pop()
        if position in sources:
            continue
        sources[position] = {maker[tensor] for tensor in ops[position].inputs if tensor in maker}
        lost = [t for t in ops[position].inputs if t and t not in maker and t not in given]
        if lost:
            raise InvalidGraph(ops[position].label, f"it reads tensor '{lost[0]}', which nothing makes")
        waiting.extend(sources[position])
    order = _topological(sources)
    if len(order) < len(sources):
        stuck = ops[min(set(sources) - set(order))]
        raise InvalidGraph(stuck.label, "it depends on its own result: the graph has a loop")
    repairs = () if order == sorted(order) else ("nodes put into the order of data flow",)
    return tuple(order), repairs


def _topological(sources: Mapping[int, set[int]]) -> list[int]:
    """Kahn's algorithm, the earliest of the file first; shorter than `sources` if there is a loop."""
    readers: dict[int, list[int]] = {position: [] for position in sources}
    open_inputs = {position: len(needed) for position, needed in sources.items()}
    for position, needed in sources.items():
        for source in needed:
            readers[source].append(position)
    ready = [position for position, count in open_inputs.items() if count == 0]
    heapify(ready)
    order = []
    while ready:
        position = heappop(ready)
        order.append(position)
        for reader in readers[position]:
            open_inputs[reader] -= 1
            if open_inputs[reader] == 0:
                heappush(ready, reader)
    return order


def _makers(ops: tuple[Op, ...], given: set[str]) -> dict[str, int]:
    maker: dict[str, int] = {}
    for op in ops:
        for tensor in op.outputs:
            if tensor == "":
                continue
            if tensor in maker or tensor in given:
                raise InvalidGraph(op.label, f"it makes tensor '{tensor}', which is made elsewhere too")
            maker[tensor] = op.position
    return maker
