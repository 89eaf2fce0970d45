"""The ONNX importer: a trained network as ONNX operators, to a graph of ANN nodes. Nothing in the file is executed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nir
import numpy as np

from snnport.errors import InvalidGraph, SnnportError, UnsupportedNode
from snnport.graph import Graph, build
from snnport.importers.base import Imported
from snnport.importers.onnx_file import Source, read_source
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops.fold import FOLDS, fold
from snnport.importers.onnx_ops.linear import as_nodes
from snnport.importers.onnx_ops.remedies import REMEDIES
from snnport.importers.onnx_ops.table import OPERATORS
from snnport.importers.onnx_view import Const, View, fresh_index
from snnport.importers.onnx_walk import BY, InputForm, Unknown, Value, Walk
from snnport.ledger import Entry


def read_onnx(path: Path) -> Imported:
    """The feed-forward network in the ONNX file at `path`, for one sample: without a batch axis, maps (C, H, W).

    Its nodes are Input, Output, Conv2d, Affine, Scale, AvgPool2d and Flatten of nir, and ReLU, BatchNorm and MaxPool2d of
    snnport.nodes, with float64 parameters, in the order of the file: nothing is folded but the addition of a constant
    into the bias before it. 1-D maps (C, L) are (C, 1, L). A Softmax or ArgMax at the end is left out: the outputs are
    the logits. Operator semantics: onnx.ai/onnx/operators, opsets 7 and up.

    Raises UnsupportedNode, naming every node that has no counterpart, and InvalidGraph for a file that is missing,
    damaged or contradicts itself.
    """
    path = Path(path)
    try:
        return _import(path)
    except SnnportError:
        raise
    except (Exception, MemoryError) as error:
        raise InvalidGraph(str(path), f"it cannot be read: {type(error).__name__}: {error}") from error


def _import(path: Path) -> Imported:
    return imported_from(read_source(path, frozenset(OPERATORS)), "onnx")


def imported_from(source: Source, format: str) -> Imported:
    """The network of a checked source: its operators read in order, as graph nodes.

    Raises UnsupportedNode for all nodes that have no counterpart, and InvalidGraph for one that contradicts itself.
    """
    form = InputForm(source.sample_shape, fresh_index(source.sample_shape))
    walk = _walk(source, form)
    if walk.other_form is not None:
        walk = _walk(source, walk.other_form)
    _raise_problems(source, walk)
    _add_output(source, walk)
    walk.settle_movers()
    graph = _pruned(walk)
    return Imported(
        graph=graph,
        format=format,
        ledger=_ledger(source, walk, graph),
        evidence=source.evidence,
        repairs=(*source.repairs, *_input_repairs(source, walk), *dict.fromkeys(walk.repairs)),
        input_layout=walk.form.layout,
    )


def _walk(source: Source, form: InputForm) -> Walk:
    """Every node that the output needs, read in order; what is not supported is in the result's `problems`."""
    taken = {op.name for op in source.ops}
    walk = Walk(source, form, _free("input", taken))
    for position in source.order:
        op = source.ops[position]
        try:
            made = _read(op, walk)
            walk.values.update(zip(op.outputs, made if isinstance(made, tuple) else (made,), strict=False))
        except Unknown:
            walk.failed.update(op.outputs)
        except UnsupportedNode as problem:
            walk.failed.update(op.outputs)
            walk.problems.append(problem)
    return walk


def _read(op: Op, walk: Walk) -> Value | tuple[Value, ...]:
    if op.kind not in OPERATORS:
        raise UnsupportedNode(op.label, "there is no such operator here", REMEDIES.get(op.kind, ""))
    extra = [name for name in op.outputs[1:] if name in walk.source.uses]
    if extra and op.kind != "Split":
        raise UnsupportedNode(op.label, f"its further output '{extra[0]}' is used", "Only the first output is computed")
    if op.kind in FOLDS:
        inputs = [walk.value(op, i) for i in range(len(op.inputs)) if op.has(i)]
        constants = [value for value in inputs if isinstance(value, Const)]
        if len(constants) == len(inputs):
            return fold(op, constants)
    return OPERATORS[op.kind](op, walk)


def _raise_problems(source: Source, walk: Walk) -> None:
    """One error for all nodes that have no counterpart."""
    problems = list({str(p): p for p in walk.problems}.values())
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0]
    listed = "; ".join(f"{p.where}: {p.what.rstrip('.')}" for p in problems)
    remedies = dict.fromkeys(p.remedy.rstrip(".") for p in problems if p.remedy)
    raise UnsupportedNode(source.name, f"{len(problems)} nodes have no counterpart here: {listed}", ". ".join(remedies))


def _add_output(source: Source, walk: Walk) -> None:
    name = source.output_name
    value = walk.values.get(name)
    if not isinstance(value, View):
        raise InvalidGraph(f"output '{name}'", "it does not depend on the input")
    last = source.ops[source.order[-1]] if source.order else None
    if last is not None:
        value = _whole_output(last, walk, value)
    output = walk.unique("output")
    shape = walk.shape_of[value.parts[0][0]]
    walk.finish(output, nir.Output({"output": np.array(shape)}), value)


def _whole_output(last: Op, walk: Walk, value: View) -> View:
    """The output as one part in order: a vector where it has one axis, a map where it is one."""
    axes = [size for size in value.shape[1:] if size > 1] if len(value.shape) > 1 else list(value.shape)
    vector = len(axes) <= 1 and len(value.shape) <= 2
    if not walk.in_order(value):
        value = as_nodes(last, walk, value)
    if not walk.in_order(value):
        vector, value = True, as_nodes(last, walk, replace(value, index=value.index.reshape(1, -1)))
    return replace(value, parts=(walk.flat(last, value, value.parts[0]),)) if vector else value


def _pruned(walk: Walk) -> Graph:
    """The graph without nodes that do not lead to the output: those of which only the shape was used."""
    needed: set[str] = set()
    waiting = [name for name, node in walk.nodes.items() if isinstance(node, nir.Output)]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting.extend(a for a, b in walk.edges if b == name)
    nodes = {name: node for name, node in walk.nodes.items() if name in needed}
    return build(nodes, [edge for edge in walk.edges if edge[1] in needed])


def _ledger(source: Source, walk: Walk, graph: Graph) -> tuple[Entry, ...]:
    """One entry a node of the file, in the order of the file."""
    live = set(source.order)
    entries = []
    for op in source.ops:
        entry = walk.entries.get(op.position)
        if op.position not in live:
            entry = Entry(op.title, op.kind, "dropped", (), "the output does not depend on it", BY)
        elif entry is None and isinstance(walk.values.get(op.outputs[0]), Const):
            entry = Entry(op.title, op.kind, "dropped", (), "it is a constant, computed on reading", BY)
        elif entry is None or (entry.into and not set(entry.into) & set(graph.nodes)):
            entry = Entry(op.title, op.kind, "dropped", (), "only its shape is used, which is fixed", BY)
        entries.append(replace(entry, into=tuple(name for name in entry.into if name in graph.nodes)))
    return tuple(entries)


def _input_repairs(source: Source, walk: Walk) -> Sequence[str]:
    if walk.form.layout == "nhwc":
        return (f"input {source.sample_shape} (height, width, channels) read as {walk.form.shape} (channels first)",)
    if walk.form.shape != source.sample_shape:
        return (f"input {source.sample_shape} read as a map {walk.form.shape}",)
    return ()


def _free(wish: str, taken: set[str]) -> str:
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish}_{number}"
    return name
