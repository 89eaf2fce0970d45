"""One node of an ONNX file: its names, its tensors, and its attributes, checked against the operator's own schema."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx import AttributeProto, NodeProto, defs

from snnport.errors import InvalidGraph


@dataclass(frozen=True)
class Op:
    """A node.

    position: its place in the file. name: unique and free of '/', fit for a NIR file. label: for messages, with the
    name as it stands in the file. title: for the ledger. kind: operator type, with its domain unless that is the default
    one. attributes: as Python values; tensors stay protobufs. origin: what it is where it comes from, if no ONNX file.
    """

    position: int
    name: str
    title: str
    kind: str
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    origin: str = ""

    @property
    def label(self) -> str:
        """The node as messages name it."""
        return f"{self.title} ({self.origin or f'{self.kind}, opset {self.opset}'})"

    def has(self, position: int) -> bool:
        """Whether the optional input at `position` is given."""
        return position < len(self.inputs) and self.inputs[position] != ""

    def number(self, name: str, default: int) -> int:
        """An integer attribute."""
        return int(self.attributes.get(name, default))

    def real(self, name: str, default: float) -> float:
        """A float attribute."""
        return float(self.attributes.get(name, default))

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def numbers(self, name: str) -> tuple[int, ...] | None:
        """A list of integers, or None if it is not given."""
        value = self.attributes.get(name)
        return None if value is None else tuple(int(v) for v in value)


def read_ops(nodes: Sequence[NodeProto], opset: int, known: frozenset[str]) -> tuple[Op, ...]:
    """Every node, in the order of the file. Operators in `known` are checked against their schema of `opset`.

    Raises InvalidGraph, naming the node, for an attribute or a number of inputs that the operator does not have.
    """
    for node in nodes:
        check_text(node.name, node.op_type, node.domain, *node.input, *node.output, *(a.name for a in node.attribute))
    names = _unique_names(nodes)
    repeated = {name for name, times in Counter(node.name for node in nodes).items() if times > 1}
    ops = []
    for position, (node, name) in enumerate(zip(nodes, names, strict=True)):
        kind = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        title = name if node.name in repeated or not node.name else node.name
        attributes = {a.name: _value(a) for a in node.attribute}
        op = Op(position, name, title, kind, opset, tuple(node.input), tuple(node.output), attributes)
        if kind in known:
            _check_against_schema(op, node)
        ops.append(op)
    return tuple(ops)


def check_text(*texts: str | bytes) -> None:
    """Raise InvalidGraph for a name that protobuf could not decode and hands over as bytes."""
    for text in texts:
        if isinstance(text, bytes):
            raise InvalidGraph(f"name {text!r}", "it is not UTF-8: the file is damaged")


def safe_name(name: str) -> str:
    """`name` without what an HDF5 path cannot hold: '/' and control characters become '.', none at either end."""
    return re.sub(r"[./\x00-\x1f]+", ".", name).strip(". ")[:200]


def _unique_names(nodes: Sequence[NodeProto]) -> list[str]:
    wishes = [safe_name(node.name) for node in nodes]
    taken = set(wishes)
    running: Counter[str] = Counter()
    given: set[str] = set()
    names = []
    for node, wish in zip(nodes, wishes, strict=True):
        name = wish
        if not name or name in given:
            stem = name or safe_name(node.op_type).lower() or "node"
            if name:
                running[stem] = max(running[stem], 1)
            while True:
                running[stem] += 1
                name = f"{stem}_{running[stem]}"
                if name not in taken and name not in given:
                    break
        given.add(name)
        names.append(name)
    return names


_FIELDS = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
}


def _value(attribute: AttributeProto) -> Any:
    """The value, or the protobuf itself for graphs and other kinds that no operator read here has."""
    field = _FIELDS.get(attribute.type)
    if field is None:
        return attribute
    value = getattr(attribute, field)
    return tuple(value) if field.endswith("s") and field != "s" else value


def _check_against_schema(op: Op, node: NodeProto) -> None:
    try:
        schema = defs.get_schema(node.op_type, op.opset, "")
    except defs.SchemaError as error:
        raise InvalidGraph(op.label, f"opset {op.opset} has no operator '{op.kind}'") from error
    for attribute in node.attribute:
        declared = schema.attributes.get(attribute.name)
        if declared is None:
            raise InvalidGraph(op.label, f"the operator has no attribute '{attribute.name}'")
        kind: Any = declared.type
        if kind.value != attribute.type:
            raise InvalidGraph(op.label, f"its attribute '{attribute.name}' is not of the operator's type")
    missing = [name for name, a in schema.attributes.items() if a.required and name not in op.attributes]
    if missing:
        raise InvalidGraph(op.label, f"it lacks the attribute '{missing[0]}'")
    if not schema.min_input <= len(op.inputs) <= schema.max_input:
        raise InvalidGraph(
            op.label, f"it has {len(op.inputs)} inputs, the operator takes {schema.min_input} to {schema.max_input}"
        )
    if any(op.inputs[i] == "" for i in range(min(schema.min_input, len(op.inputs)))):
        raise InvalidGraph(op.label, "one of the inputs that it needs is left empty")
    if not schema.min_output <= len(op.outputs) <= schema.max_output or op.outputs[0] == "":
        raise InvalidGraph(op.label, f"it has {len(op.outputs)} outputs, its first one must be named")
