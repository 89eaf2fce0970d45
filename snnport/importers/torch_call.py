"""One node of a graph that torch.export made, and the writer that says in ONNX's operators what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnport.importers.onnx_node import Op
from snnport.importers.onnx_tensor import Array

OPSET = 17
"""The opset whose meaning the operators have."""


@dataclass(frozen=True, eq=False)
class Call:
    """A call of an ATen function. name: of its result. title: the module it stands in, or its own name. kind: the function's
    name without overload. args: by the schema's names, defaults filled in; tensors are Tensors. shape: of its result.
    """

    name: str
    title: str
    kind: str
    args: Mapping[str, Any]
    shape: tuple[int, ...]

    def ints(self, name: str, count: int = 0) -> tuple[int, ...]:
        """A list of integers; one number stands for `count` of them."""
        value = self.args.get(name)
        numbers = tuple(int(v) for v in value) if isinstance(value, list | tuple) else (int(value or 0),)
        return numbers * count if len(numbers) == 1 and count else numbers

    def axis(self, name: str = "dim") -> int:
        """An axis as ONNX counts it; -1 where none is given."""
        value = self.args.get(name)
        return -1 if value is None else int(value)


@dataclass(frozen=True)
class Tensor:
    """A tensor in a call: its name, and its shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(eq=False)
class Writer:
    """The operators so far, and the constants that they read."""

    ops: list[Op] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def op(self, call: Call, kind: str, *inputs: str, to: str = "", outputs: tuple[str, ...] = (), **attributes: Any) -> str:
        """Add operator `kind`; its result is called `to`, the call's own name by default, or `outputs`."""
        made = outputs or (to or call.name,)
        name = self._free(call.title)
        origin = f"aten.{call.kind}"
        self.ops.append(Op(len(self.ops), name, name, kind, OPSET, inputs, made, attributes, origin))
        return made[0]

    def part(self, call: Call, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator whose result another one of the same call reads."""
        return self.op(call, kind, *inputs, to=f"{call.name}.{len(self.ops)}", **attributes)

    def const(self, value: Any, dtype: Any = np.int64) -> str:
        """A constant."""
        name = f"constant.{len(self.constants)}"
        self.constants[name] = np.asarray(value, dtype)
        return name

    def real(self, value: Any) -> str:
        """A constant of reals."""
        return self.const(value, np.float64)

    def _free(self, wish: str) -> str:
        name, number = wish, 1
        while name in self._names:
            number += 1
            name = f"{wish}_{number}"
        self._names.add(name)
        return name
