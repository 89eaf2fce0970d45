"""torch modules: traced by torch.export, then read as an ONNX file is. torch is imported here alone, when it is needed.

The graph of ATen calls that torch.export makes is said in ONNX's operators (torch_ops.py) and read by the same code that
reads .onnx files, so that a network means the same whichever way it comes. No pickle is opened.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from snnport.errors import InvalidGraph, InvalidInput, SnnportError, UnsupportedNode
from snnport.importers.base import Imported
from snnport.importers.onnx import imported_from
from snnport.importers.onnx_file import Source, data_flow
from snnport.importers.onnx_node import safe_name
from snnport.importers.onnx_tensor import Array
from snnport.importers.torch_call import Call, Tensor, Writer
from snnport.importers.torch_moves import item
from snnport.importers.torch_ops import write


def read_module(module: Any, example_inputs: Any) -> Imported:
    """The network of a torch.nn.Module. example_inputs: one tensor with a batch axis, or a tuple that holds it.

    The module is traced in eval mode, with sizes as in the example, and is left as it was. Raises InvalidInput without
    torch or where torch.export fails, and what reading an .onnx raises (InvalidGraph, UnsupportedNode).
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise InvalidInput("module", f"it is a {type(module).__name__} and no torch.nn.Module", "Give the module itself")
    example = _example(torch, example_inputs)
    name = type(module).__name__
    try:
        return imported_from(_source(torch, _exported(torch, module, example), name, example), "torch")
    except SnnportError:
        raise
    except (Exception, MemoryError) as error:
        raise InvalidGraph(name, f"it cannot be read: {type(error).__name__}: {error}") from error


def _torch() -> Any:
    try:
        return import_module("torch")
    except ModuleNotFoundError:
        raise InvalidInput("module", "it needs torch, which is not installed", "Type: pip install 'snnport[train]'") from None


def _example(torch: Any, given: Any) -> Any:
    inputs = given if isinstance(given, tuple | list) else (given,)
    if len(inputs) != 1 or not isinstance(inputs[0], torch.Tensor) or inputs[0].ndim < 2 or not len(inputs[0]):
        kinds = ", ".join(type(value).__name__ for value in inputs)
        remedy = "Give example_inputs=torch.zeros(1, ...), the shape of a batch"
        raise InvalidInput("example_inputs", f"they are ({kinds}); one tensor with a batch axis is needed", remedy)
    return inputs[0]


def _exported(torch: Any, module: Any, example: Any) -> Any:
    """The exported program; training flags of all submodules are as they were afterwards."""
    flags = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        with torch.no_grad():
            return torch.export.export(module, (example,), strict=False)
    except Exception as error:  # torch.export raises whatever the module's own code does
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        remedy = "Its forward must run on example_inputs and decide nothing by values"
        raise InvalidInput(type(module).__name__, f"torch.export cannot trace it: {reason}", remedy) from None
    finally:
        for part, training in flags:
            part.training = training


def _source(torch: Any, program: Any, name: str, example: Any) -> Source:
    writer = Writer()
    signature = program.graph_signature
    writer.constants.update(_constants(torch, program))
    known: dict[str, Any] = {}
    problems: list[UnsupportedNode] = []
    for node in program.graph.nodes:
        if node.op == "placeholder":
            known[node.name] = _tensor(node)
        elif node.op == "call_function" and node.target is operator.getitem:
            known[node.name] = _element(known, node)
        elif node.op == "call_function":
            known[node.name] = _tensor(node)
            try:
                write(writer, _call(node, known))
            except UnsupportedNode as problem:
                problems.append(problem)
    if problems:
        raise _all(name, problems)
    results = [known[n].name if n in known else n for n in signature.user_outputs]
    if len(results) != 1:
        raise UnsupportedNode(name, f"it has {len(results)} outputs, 1 is read", "Wrap it in a module with one output")
    feed = str(signature.user_inputs[0])
    ops = tuple(writer.ops)
    order, uses, _ = data_flow(ops, {feed, *writer.constants}, results[0])
    return Source(
        name=name,
        opset=ops[0].opset if ops else 0,
        ops=ops,
        order=order,
        constants=writer.constants,
        input_name=feed,
        sample_shape=tuple(int(n) for n in example.shape[1:]),
        has_batch=True,
        batch=int(example.shape[0]),
        output_name=results[0],
        uses=uses,
        evidence=(f"torch {torch.__version__}, exported by torch.export",),
        repairs=(),
        constant_word="tensor",
    )


def _all(name: str, problems: list[UnsupportedNode]) -> UnsupportedNode:
    if len(problems) == 1:
        return problems[0]
    listed = "; ".join(f"{p.where}: {p.what.rstrip('.')}" for p in problems)
    remedies = dict.fromkeys(p.remedy.rstrip(".") for p in problems if p.remedy)
    return UnsupportedNode(name, f"{len(problems)} nodes have no counterpart here: {listed}", ". ".join(remedies))


def _constants(torch: Any, program: Any) -> dict[str, Array]:
    """Parameters, buffers and constants, by the names that the graph reads them under."""
    signature = program.graph_signature
    held = {**program.constants, **program.state_dict}
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    return {place: _array(torch, held[name]) for place, name in names.items()}


def _array(torch: Any, tensor: Any) -> Array:
    values = tensor.detach().cpu()
    return np.asarray((values.to(torch.float32) if values.dtype == torch.bfloat16 else values).numpy())


def _tensor(node: Any) -> Tensor:
    value = node.meta.get("val")
    shape = tuple(int(n) for n in value.shape) if hasattr(value, "shape") else ()
    return Tensor(node.name, shape)


def _element(known: Mapping[str, Any], node: Any) -> Tensor:
    """One of several results; the first of a function that is written with one output has the function's own name."""
    source, number = node.args
    shape = _tensor(node).shape
    several = str(getattr(source.target, "_opname", "")) in ("split", "split_with_sizes", "chunk", "unbind")
    return Tensor(item(source.name, int(number)) if several or number else known[source.name].name, shape)


def _call(node: Any, known: Mapping[str, Any]) -> Call:
    schema = node.target._schema
    args: dict[str, Any] = {}
    for position, argument in enumerate(schema.arguments):
        value = node.kwargs.get(argument.name, argument.default_value)
        if position < len(node.args):
            value = node.args[position]
        args[argument.name] = _value(value, known)
    values = node.meta.get("val")
    first: Any = values[0] if isinstance(values, tuple | list) and values else values
    shape = tuple(int(n) for n in first.shape) if hasattr(first, "shape") else ()
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = str(stack[-1][0]) if stack else ""
    leaf = stack and str(stack[-1][1]).startswith("torch.nn.modules.")
    title = safe_name(path if leaf and path else f"{path}.{node.name}" if path else node.name)
    return Call(node.name, title or node.name, str(node.target._opname), args, shape)


def _value(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, list | tuple):
        return [_value(v, known) for v in value]
    return known[value.name] if hasattr(value, "name") and value.name in known else value
