"""The graph under construction while the nodes of an ONNX file are read one after another.

A handler reads the attributes and constants of its node first and its data last, so that what it cannot support is
found even behind a node that failed: everything a file needs and this importer lacks is told at once.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import nir
import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.graph import Edge
from snnport.importers.onnx_file import Source
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_place import Place, places_of
from snnport.importers.onnx_tensor import MAX_ELEMENTS, read_tensor
from snnport.importers.onnx_view import Batch, Const, Index, Part, View, fresh_index
from snnport.ledger import Entry
from snnport.nodes import BatchNorm, ReLU, Shape, output_shape

Value: TypeAlias = View | Const
Weights: TypeAlias = npt.NDArray[np.float64]

BY = "import-onnx"
_KEEP_ORDER = (ReLU, BatchNorm, nir.Scale)
_FLOATS = (np.float16, np.float32, np.float64)


class Unknown(Exception):
    """An input is the result of a node that failed; that one has been reported already."""


@dataclass(frozen=True, eq=False)
class InputForm:
    """How the Input node stands to the file's input: its shape, and where each value of the file's sample is in it."""

    shape: Shape
    index: Index
    layout: Literal["as-is", "nhwc"] = "as-is"


@dataclass(eq=False)
class Walk:
    """Nodes, edges and shapes so far; what every tensor is; what became of every node of the file."""

    source: Source
    form: InputForm
    input_name: str
    nodes: dict[str, nir.NIRNode] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    shape_of: dict[str, Shape] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    problems: list[UnsupportedNode] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    wish: InputForm | None = None
    entries: dict[int, Entry] = field(default_factory=dict)
    _hint: InputForm | None = None
    _carriers: dict[int, list[str]] = field(default_factory=dict)
    _flat: dict[Part, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.form.shape
        self.nodes[self.input_name] = nir.Input({"input": np.array(shape)})
        self.shape_of[self.input_name] = shape
        lead = (1,) if self.source.has_batch else ()
        index = self.form.index.reshape(*lead, *self.source.sample_shape)
        self.values[self.source.input_name] = View(((self.input_name,),), index)
        self._settled = False
        self._near_input = {self.input_name}
        self._reserved = {op.name for op in self.source.ops} | {self.input_name}

    @property
    def batch(self) -> Batch:
        """The batch size of the file and whether the first axis has to stay."""
        size = self.source.batch
        return Batch(size or 1, size is None or size > 1)

    # ------------------------------------------------------------------------------------------------ inputs of a node

    def value(self, op: Op, position: int) -> Value:
        """What the input at `position` is. Raises Unknown if the node that makes it failed."""
        name = op.inputs[position]
        if name in self.failed:
            raise Unknown
        if name not in self.values:
            tensor, origin = self.source.constants[name], f"{self.source.constant_word} '{name}'"
            self.values[name] = Const(tensor if isinstance(tensor, np.ndarray) else read_tensor(tensor, origin), origin)
        return self.values[name]

    def data(self, op: Op, position: int = 0) -> View:
        """The input at `position`, which depends on the network's input."""
        view = self.maybe_tail(op, position)
        if view.tail:
            raise UnsupportedNode(
                view.tail, f"it is not the end of the network: '{op.title}' reads it", "Only a final one can be left out"
            )
        return view

    def maybe_tail(self, op: Op, position: int = 0) -> View:
        """Like `data`, for operators that may also follow the Softmax or ArgMax at the end."""
        value = self.value(op, position)
        if isinstance(value, Const):
            raise UnsupportedNode(
                op.label, f"its input '{op.inputs[position]}' is a constant", "Simplify the model (constant folding) first"
            )
        alone = self.source.uses.get(op.inputs[position], 0) == 1
        return value if alone or not value.fresh else _stale(value)

    def constant(self, op: Op, position: int) -> Const:
        """The input at `position`, which must not depend on the network's input."""
        value = self.value(op, position)
        if isinstance(value, View):
            raise UnsupportedNode(
                op.label, f"its input '{op.inputs[position]}' is computed from the data and must be a constant"
            )
        return value

    def weights(self, op: Op, position: int) -> Weights:
        """A constant of finite reals, as float64. Raises InvalidGraph, naming it, for NaN or infinity."""
        const = self.constant(op, position)
        if const.array.dtype.type not in _FLOATS:
            raise UnsupportedNode(
                const.origin,
                f"its values are {const.array.dtype} and '{op.title}' needs floats",
                "Export the float32 model (quantisation is done here)",
            )
        bad = int(np.sum(~np.isfinite(const.array)))
        if bad:
            raise InvalidGraph(const.origin, f"{bad} of its {const.array.size} values are NaN or infinite", "Train again")
        return const.array.astype(np.float64)

    def integers(self, op: Op, position: int) -> tuple[int, ...]:
        """A constant list of integers (axes, a shape)."""
        const = self.constant(op, position)
        if const.array.dtype.kind not in "iu" or const.array.ndim > 1:
            raise InvalidGraph(op.label, f"{const.origin} must be a list of integers and is {const.array.dtype}")
        return tuple(int(v) for v in const.array.reshape(-1))

    def batchless(self, op: Op, view: View) -> Index:
        """The index of a map (channels, height, width); 1-D maps get height 1. Raises UnsupportedNode for several maps."""
        if view.index.ndim not in (3, 4):
            raise InvalidGraph(op.label, f"it needs an input with 3 or 4 axes and gets {view.shape}")
        if view.shape[0] != 1:
            raise UnsupportedNode(op.label, f"it works on {view.shape[0]} maps of one sample: {view.shape}")
        return view.index.reshape(view.shape[1], view.shape[2] if view.index.ndim == 4 else 1, view.shape[-1])

    def places(self, op: Op, view: View) -> tuple[Place, ...] | None:
        """Where the parts of `view` lie in the map that it is; None if they do not lie in it as maps.

        Raises Unknown where another form of the Input node would make it a map.
        """
        index = self.batchless(op, view)
        found = places_of(index, [self.shape_of[part[0]] for part in view.parts])
        near = set(view.nodes) <= self._near_input
        if found is not None and len(found) == 1 and found[0].whole:
            self._settled = self._settled or near
        elif near and not self._settled and self.wish is None:
            self.wish = self._form_for(view, index)
            if self.wish is not None:
                raise Unknown
        return found

    def hint(self, view: View, axis: int) -> None:
        """Remember that a node close to the input takes `axis` for the channels, should no other node need a map."""
        if self._settled or len(view.parts) != 1:
            return
        order = np.moveaxis(view.index, axis, 0).reshape(view.shape[axis], -1)
        sizes = [s for a, s in enumerate(view.shape) if a not in (0, axis)]
        if 1 <= len(sizes) <= 2:
            height, width = [1] * (2 - len(sizes)) + sizes
            self._hint = self._hint or self._form_for(view, order.reshape(-1, height, width))

    @property
    def other_form(self) -> InputForm | None:
        """The form of the Input node that nodes would have needed, if it was not the present one."""
        return self.wish or (None if self._settled else self._hint)

    def _form_for(self, view: View, order: Index) -> InputForm | None:
        """The form of the Input node that makes `order`, the map that a node needs, the graph's own order."""
        if not set(view.nodes) <= self._near_input or len(view.parts) != 1 or order.size != self.form.index.size:
            return None
        if not np.array_equal(np.sort(order.reshape(-1)), np.arange(order.size)):
            return None
        channels, height, width = (int(s) for s in order.shape)
        # order counts in the present Input; form.index says where the values of the file lie in that.
        file_order = np.argsort(self.form.index.reshape(-1))[order.reshape(-1)]
        position = np.argsort(file_order)
        last = fresh_index((height, width, channels)).transpose(2, 0, 1).reshape(-1)
        sample = self.source.sample_shape
        same_sizes = [s for s in sample if s > 1] == [s for s in (height, width, channels) if s > 1]
        if np.array_equal(file_order, last) and same_sizes and len(sample) > 1 and sample[-1] == channels:
            return InputForm((channels, height, width), position, "nhwc")
        if np.array_equal(file_order, np.arange(order.size)):
            return InputForm((channels, height, width), position)
        return None

    # ------------------------------------------------------------------------------------------------ building

    def emit(self, op: Op, node: nir.NIRNode, view: View, part: Part | None = None, name: str = "") -> str:
        """Add `node`, called as `op` or `name`, fed by the nodes of `part`, the only one of `view` by default; its name."""
        sources = view.parts[0] if part is None else part
        own = name or self.free(op.name)
        shape = output_shape(op.label, node, self.shape_of[sources[0]])
        if math.prod(shape) > MAX_ELEMENTS:
            raise InvalidGraph(op.label, f"its output {shape} has more than {MAX_ELEMENTS} values")
        self.nodes[own] = node
        self.shape_of[own] = shape
        self.edges.extend((source, own) for source in sources)
        self._carry(view, own)
        if isinstance(node, _KEEP_ORDER) and set(sources) <= self._near_input:
            self._near_input.add(own)
        return own

    def size_of(self, part: Part) -> int:
        """How many values a part has."""
        return math.prod(self.shape_of[part[0]])

    def in_order(self, view: View) -> bool:
        """Whether `view` is one part, whole and in its order."""
        whole = len(view.parts) == 1 and view.index.size == self.size_of(view.parts[0])
        return whole and np.array_equal(view.index.reshape(-1), np.arange(view.index.size))

    def finish(self, name: str, node: nir.Output, view: View) -> None:
        """Add the Output node."""
        self.nodes[name] = node
        self.edges.extend((source, name) for source in view.parts[0])
        self._carry(view, name)

    def pointwise(self, op: Op, make: Callable[[], nir.NIRNode], view: View) -> View:
        """Add a node that `make` gives, which keeps shape and order and maps 0 to 0, to every part."""
        names = [self.emit(op, make(), view, part) for part in view.parts]
        self.became(op, *names)
        return View(tuple((name,) for name in names), view.index)

    def flat(self, op: Op, view: View, part: Part) -> Part:
        """The nodes of `part` with one axis: maps get a Flatten node, one for all readers of the same nodes."""
        shape = self.shape_of[part[0]]
        if len(shape) == 1:
            return part
        if part not in self._flat:
            node = nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)
            self._flat[part] = self.emit(op, node, view, part, self._flatten_name(op, view))
        self._carry(view, self._flat[part])
        return (self._flat[part],)

    def _flatten_name(self, op: Op, view: View) -> str:
        movers = [self.source.ops[p] for p in view.through if self.source.ops[p].kind in ("Flatten", "Reshape")]
        free = [mover.name for mover in movers if mover.name not in self.nodes]
        return free[-1] if free else self.unique(f"{op.name}.flatten")

    def free(self, wish: str) -> str:
        """`wish` itself for the first node of an operator, a further name for those behind."""
        return wish if wish not in self.nodes else self.unique(f"{wish}.2")

    def unique(self, wish: str) -> str:
        """`wish`, or `wish_2`, ...: a name that neither the graph nor a node of the file has."""
        name, number = wish, 1
        while name in self._reserved or name in self.nodes:
            number += 1
            name = f"{wish}_{number}"
        return name

    def with_bias(self, view: View, bias: Weights) -> None:
        """Add `bias` to the first of the fresh weighted nodes that `view` is."""
        name = view.parts[0][0]
        node: Any = copy.copy(self.nodes[name])
        node.bias = node.bias + bias
        self.nodes[name] = node

    # ------------------------------------------------------------------------------------------------ the ledger

    def became(self, op: Op, *names: str, why: str = "") -> None:
        """Note that `op` is now these graph nodes."""
        self._note(op, "became", names, why)

    def folded(self, op: Op, names: Sequence[str], why: str) -> None:
        """Note that the work of `op` is done by other nodes."""
        self._note(op, "folded", tuple(names), why)

    def dropped(self, op: Op, why: str) -> None:
        """Note that nothing of `op` remains, and why nothing has to."""
        self._note(op, "dropped", (), why)

    def _note(self, op: Op, fate: str, into: tuple[str, ...], why: str) -> None:
        self.entries[op.position] = Entry(op.title, op.kind, fate, into, why, BY)

    def _carry(self, view: View, name: str) -> None:
        for position in view.through:
            names = self._carriers.setdefault(position, [])
            if name not in names:
                names.append(name)

    def settle_movers(self) -> None:
        """Note for every node that only moved or added what became of it: the nodes that read its result."""
        for position, names in self._carriers.items():
            op = self.source.ops[position]
            if position in self.entries:
                continue
            if op.kind in ("Add", "Sum"):
                self.folded(op, names, "the nodes that read the sum read its terms, and add them")
            elif op.name in names:
                self.became(op, op.name)
            else:
                self.folded(op, names, "it only moves or passes on values: its readers take them from where they were")


def _stale(view: View) -> View:
    return replace(view, fresh=False)
