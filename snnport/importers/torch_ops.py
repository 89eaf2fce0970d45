"""What each ATen function is in ONNX's operators, whose readers (onnx_ops) then make graph nodes of it.

Signatures: PyTorch's native_functions.yaml. A function that is not here is named to the reader as it is, and refused there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from snnport.errors import UnsupportedNode
from snnport.importers.torch_call import Call, Tensor, Writer
from snnport.importers.torch_moves import MOVES, Rule


def _conv(w: Writer, call: Call) -> None:
    a = call.args
    rank = len(a["weight"].shape) - 2
    if a.get("transposed"):
        w.op(call, "ConvTranspose", a["input"].name, a["weight"].name)
        return
    bias = (a["bias"].name,) if a.get("bias") is not None else ()
    attributes: dict[str, Any] = {
        "strides": call.ints("stride", rank),
        "dilations": call.ints("dilation", rank),
        "group": int(a.get("groups", 1)),
    }
    if isinstance(a["padding"], str):
        span = [d * (k - 1) for d, k in zip(attributes["dilations"], a["weight"].shape[2:], strict=True)]
        same = [s * (a["padding"] == "same") for s in span]
        attributes["pads"] = tuple(s // 2 for s in same) + tuple(s - s // 2 for s in same)
    else:
        attributes["pads"] = call.ints("padding", rank) * 2
    w.op(call, "Conv", a["input"].name, a["weight"].name, *bias, **attributes)


def _linear(w: Writer, call: Call) -> None:
    a = call.args
    bias = a.get("bias")
    if len(a["input"].shape) == 2:
        w.op(call, "Gemm", a["input"].name, a["weight"].name, *([bias.name] if bias is not None else []), transB=1)
        return
    turned = w.part(call, "Transpose", a["weight"].name, perm=(1, 0))
    if bias is None:
        w.op(call, "MatMul", a["input"].name, turned)
    else:
        w.op(call, "Add", w.part(call, "MatMul", a["input"].name, turned), bias.name)


def _addmm(w: Writer, call: Call) -> None:
    a = call.args
    alpha, beta = float(a.get("alpha", 1)), float(a.get("beta", 1))
    w.op(call, "Gemm", a["mat1"].name, a["mat2"].name, a["self"].name, alpha=alpha, beta=beta)


def _matmul(w: Writer, call: Call) -> None:
    second = call.args.get("other") or call.args["mat2"]
    w.op(call, "MatMul", call.args["self"].name, second.name)


def _batch_norm(w: Writer, call: Call) -> None:
    a = call.args
    channels = a["input"].shape[1]
    given = [a.get(name) for name in ("weight", "bias", "running_mean", "running_var")]
    if given[2] is None or given[3] is None or a.get("training"):
        raise UnsupportedNode(call.title, "its batch norm has no running statistics", "Use track_running_stats=True and eval()")
    names = [
        t.name if t is not None else w.real(np.full(channels, default)) for t, default in zip(given, (1, 0, 0, 1), strict=True)
    ]
    w.op(call, "BatchNormalization", a["input"].name, *names, epsilon=float(a["eps"]))


def _clip(w: Writer, call: Call) -> None:
    a = call.args
    low = a.get("min_val", a.get("min", {"relu6": 0.0}.get(call.kind)))
    high = a.get("max_val", a.get("max", {"relu6": 6.0}.get(call.kind)))
    bounds = ["" if bound is None else w.real(float(bound)) for bound in (low, high)]
    w.op(call, "Clip", a["self"].name, *bounds)


def _threshold(w: Writer, call: Call) -> None:
    a = call.args
    if float(a["threshold"]) or float(a["value"]):
        what = f"it gives {float(a['value']):g} up to {float(a['threshold']):g} and then the input: it jumps"
        raise UnsupportedNode(call.title, what, "Train the network with ReLU in its place")
    w.op(call, "Relu", a["self"].name)


def _leaky(w: Writer, call: Call) -> None:
    w.op(call, "LeakyRelu", call.args["self"].name, alpha=float(call.args["negative_slope"]))


def _prelu(w: Writer, call: Call) -> None:
    x, slope = call.args["self"], call.args["weight"]
    sizes = w.const([1, -1] + [1] * (len(x.shape) - 2) if len(x.shape) > 1 else [-1])
    w.op(call, "PRelu", x.name, w.part(call, "Reshape", slope.name, sizes))


def _pool(kind: str) -> Rule:
    def rule(w: Writer, call: Call) -> None:
        a = call.args
        rank = int(call.kind.split("pool")[1][0])
        if a.get("divisor_override"):
            raise UnsupportedNode(call.title, f"its divisor is given, {a['divisor_override']}", "Use the window's own")
        kernel = call.ints("kernel_size", rank)
        stride = call.ints("stride", rank) if a.get("stride") else kernel
        attributes: dict[str, Any] = {"dilations": call.ints("dilation", rank)} if kind == "MaxPool" else {}
        if kind == "AveragePool":
            attributes["count_include_pad"] = int(bool(a.get("count_include_pad", True)))
        w.op(
            call,
            kind,
            a["self"].name,
            kernel_shape=kernel,
            strides=stride,
            pads=call.ints("padding", rank) * 2,
            ceil_mode=int(bool(a.get("ceil_mode"))),
            **attributes,
        )

    return rule


def _adaptive(kind: str) -> Rule:
    def rule(w: Writer, call: Call) -> None:
        x = call.args["self"]
        rank = int(call.kind.split("pool")[1][0])
        sizes = x.shape[-rank:]
        wanted = call.shape[-rank:]
        if all(n % m == 0 for n, m in zip(sizes, wanted, strict=True)):
            kernel = tuple(n // m for n, m in zip(sizes, wanted, strict=True))
            w.op(call, kind, x.name, kernel_shape=kernel, strides=kernel, pads=(0,) * (2 * rank))
            return
        if kind == "MaxPool":
            what = f"its windows differ in size: {tuple(sizes)} to {tuple(wanted)}"
            raise UnsupportedNode(call.title, what, "Pool to sizes that divide those of the map")
        name = w.part(call, "MatMul", x.name, w.real(_windows(sizes[-1], wanted[-1]).T))
        if rank == 2:
            name = w.part(call, "MatMul", w.real(_windows(sizes[0], wanted[0])), name)
        w.op(call, "Identity", name)

    return rule


def _windows(size: int, wanted: int) -> np.ndarray[Any, Any]:
    """(wanted, size): the share of each input in each adaptive average, from floor(i n / m) to ceil((i + 1) n / m)."""
    matrix = np.zeros((wanted, size))
    for i in range(wanted):
        start, end = i * size // wanted, -(-(i + 1) * size // wanted)
        matrix[i, start:end] = 1.0 / (end - start)
    return matrix


def _reduce(kind: str) -> Rule:
    def rule(w: Writer, call: Call) -> None:
        a = call.args
        rank = len(a["self"].shape)
        given = a.get("dim")
        axes = tuple(range(rank)) if given is None or given == [] else call.ints("dim")
        keep = int(bool(a.get("keepdim")))
        if kind == "ReduceSum":
            w.op(call, kind, a["self"].name, w.const(axes), keepdims=keep)
        else:
            w.op(call, kind, a["self"].name, axes=axes, keepdims=keep)

    return rule


def _add(sign: int) -> Rule:
    def rule(w: Writer, call: Call) -> None:
        a = call.args
        first, second = _operand(w, a["self"]), _operand(w, a["other"])
        if call.kind == "rsub":
            first, second = second, first
        alpha = 1.0 if a.get("alpha") is None else float(a["alpha"])
        if alpha != 1:
            second = w.part(call, "Mul", second, w.real(alpha))
        w.op(call, "Add" if sign > 0 else "Sub", first, second)

    return rule


def _binary(kind: str) -> Rule:
    def rule(w: Writer, call: Call) -> None:
        if call.args.get("rounding_mode"):
            raise UnsupportedNode(call.title, f"it divides with rounding ({call.args['rounding_mode']})", "Remove it")
        w.op(call, kind, _operand(w, call.args["self"]), _operand(w, call.args["other"]))

    return rule


def _operand(w: Writer, value: Any) -> str:
    return value.name if isinstance(value, Tensor) else w.real(float(value))


def _unary(kind: str, source: str = "self") -> Rule:
    def rule(w: Writer, call: Call) -> None:
        w.op(call, kind, call.args[source].name)

    return rule


def _pass_on(w: Writer, call: Call) -> None:
    if call.args.get("train") or (call.args.get("training") and "dropout" in call.kind):
        raise UnsupportedNode(call.title, "it is in training mode", "Call module.eval()")
    tensor = call.args.get("self") or call.args["input"]
    w.op(call, "Identity", tensor.name)


def _softmax(kind: str) -> Rule:
    def rule(w: Writer, call: Call) -> None:
        w.op(call, kind, call.args["self"].name, axis=call.axis())

    return rule


def _arg_max(w: Writer, call: Call) -> None:
    if call.args.get("dim") is None:
        raise UnsupportedNode(call.title, "it takes the arg max over the batch too", "Give it dim=1")
    w.op(call, "ArgMax", call.args["self"].name, axis=call.axis(), keepdims=int(bool(call.args.get("keepdim"))))


_SAME = (
    *(
        "contiguous",
        "clone",
        "detach",
        "detach_",
        "alias",
        "dropout",
        "dropout_",
        "feature_dropout",
        "alpha_dropout",
        "to",
        "_to_copy",
    ),
    *("lift_fresh_copy", "positive", "native_dropout", "type_as", "feature_alpha_dropout"),
)
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **MOVES,
        **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), _conv),
        "linear": _linear,
        "addmm": _addmm,
        **dict.fromkeys(("matmul", "mm", "bmm"), _matmul),
        **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
        **dict.fromkeys(("relu", "relu_"), _unary("Relu")),
        **dict.fromkeys(("relu6", "hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min", "clamp_max", "clip"), _clip),
        **dict.fromkeys(("threshold", "threshold_"), _threshold),
        **dict.fromkeys(("leaky_relu", "leaky_relu_"), _leaky),
        **dict.fromkeys(("prelu", "_prelu_kernel"), _prelu),
        "abs": _unary("Abs"),
        "neg": _unary("Neg"),
        **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool2d_with_indices", "max_pool1d_with_indices"), _pool("MaxPool")),
        **dict.fromkeys(("avg_pool1d", "avg_pool2d"), _pool("AveragePool")),
        **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d"), _adaptive("AveragePool")),
        **dict.fromkeys(("adaptive_max_pool1d", "adaptive_max_pool2d"), _adaptive("MaxPool")),
        "mean": _reduce("ReduceMean"),
        "sum": _reduce("ReduceSum"),
        "amax": _reduce("ReduceMax"),
        **dict.fromkeys(("add", "add_"), _add(1)),
        **dict.fromkeys(("sub", "sub_", "rsub"), _add(-1)),
        **dict.fromkeys(("mul", "mul_"), _binary("Mul")),
        **dict.fromkeys(("div", "div_"), _binary("Div")),
        "minimum": _binary("Min"),
        "maximum": _binary("Max"),
        **dict.fromkeys(_SAME, _pass_on),
        **dict.fromkeys(("softmax", "_softmax"), _softmax("Softmax")),
        **dict.fromkeys(("log_softmax", "_log_softmax"), _softmax("LogSoftmax")),
        "argmax": _arg_max,
    }
)
"""By the name of the function, without namespace and overload."""

ALSO_CALLED: Mapping[str, str] = MappingProxyType(
    {
        **{kind: kind.capitalize() for kind in ("sigmoid", "tanh", "gelu", "elu", "selu", "celu", "softplus", "mish", "erf")},
        "silu": "Swish",
        "hardswish": "HardSwish",
        "hardsigmoid": "HardSigmoid",
        "layer_norm": "LayerNormalization",
        "instance_norm": "InstanceNormalization",
        "lstm": "LSTM",
        "gru": "GRU",
        "exp": "Exp",
        **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), "ConvTranspose"),
        **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d"), "Resize"),
    }
)
"""What ONNX calls functions without a counterpart, for the advice that goes with them."""


def write(w: Writer, call: Call) -> None:
    """Add the operators of one call. Raises UnsupportedNode where its arguments have no counterpart."""
    rule = RULES.get(call.kind)
    if rule is not None:
        rule(w, call)
        return
    inputs = [value.name for value in call.args.values() if isinstance(value, Tensor)]
    w.op(call, ALSO_CALLED.get(call.kind, call.kind), *inputs)
