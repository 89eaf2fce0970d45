"""ATen functions that only move values: cut, join, repeat, reorder. Each as ONNX's operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from snnport.errors import UnsupportedNode
from snnport.importers.torch_call import Call, Tensor, Writer

Rule: TypeAlias = Callable[[Writer, Call], None]


def _reshape(w: Writer, call: Call) -> None:
    w.op(call, "Reshape", call.args["self"].name, w.const(call.shape))


def _permute(w: Writer, call: Call) -> None:
    rank = len(call.shape)
    if call.kind == "permute":
        order = [d % rank for d in call.ints("dims")]
    else:
        last = {"t": (0, 1), "mT": (rank - 2, rank - 1)}.get(call.kind)
        first, second = last or (call.axis("dim0") % rank, call.axis("dim1") % rank)
        order = list(range(rank))
        order[first], order[second] = order[second], order[first]
    w.op(call, "Transpose", call.args["self"].name, perm=tuple(order))


def _cat(w: Writer, call: Call) -> None:
    w.op(call, "Concat", *(t.name for t in call.args["tensors"]), axis=int(call.args.get("dim", 0)))


def _stack(w: Writer, call: Call) -> None:
    axis = int(call.args.get("dim", 0)) % len(call.shape)
    lifted = [w.part(call, "Unsqueeze", t.name, w.const([axis])) for t in call.args["tensors"]]
    w.op(call, "Concat", *lifted, axis=axis)


def _slice(w: Writer, call: Call) -> None:
    a = call.args
    start = int(a.get("start") or 0)
    end = 2**62 if a.get("end") is None else int(a["end"])
    end = start + int(a["length"]) if call.kind == "narrow" else end
    axis, step = int(a.get("dim", 0)), int(a.get("step", 1))
    w.op(call, "Slice", a["self"].name, *(w.const([v]) for v in (start, end, axis, step)))


def _select(w: Writer, call: Call) -> None:
    w.op(call, "Gather", call.args["self"].name, w.const(int(call.args["index"])), axis=int(call.args["dim"]))


def _index_select(w: Writer, call: Call) -> None:
    w.op(call, "Gather", call.args["self"].name, call.args["index"].name, axis=int(call.args["dim"]))


def _flip(w: Writer, call: Call) -> None:
    name = call.args["self"].name
    axes = call.ints("dims")
    lists = ([-1] * len(axes), [-(2**62)] * len(axes), axes, [-1] * len(axes))
    w.op(call, "Slice", name, *(w.const(v) for v in lists))


def _roll(w: Writer, call: Call) -> None:
    """Axis by axis: what leaves at the end comes in front."""
    x, axes = call.args["self"], call.ints("dims") if call.args.get("dims") else ()
    if not axes:
        raise UnsupportedNode(call.title, "it rolls over all axes at once, the batch among them", "Give it dims")
    name = x.name
    for shift, axis in zip(call.ints("shifts", len(axes)), axes, strict=True):
        kept = x.shape[axis] - shift % x.shape[axis]
        if kept == x.shape[axis]:
            continue
        ends = [[w.const([v]) for v in (start, end, axis, 1)] for start, end in ((kept, 2**62), (0, kept))]
        name = w.part(call, "Concat", *(w.part(call, "Slice", name, *end) for end in ends), axis=axis)
    w.op(call, "Identity", name)


def _split(w: Writer, call: Call) -> None:
    a = call.args
    axis = int(a.get("dim", 0))
    size = a["self"].shape[axis]
    if call.kind == "chunk":
        each = -(-size // int(a["chunks"]))
        lengths = [min(each, size - i) for i in range(0, size, each)]
    elif call.kind == "unbind":
        lengths = [1] * size
    elif call.kind == "split":
        each = int(a["split_size"])
        lengths = [min(each, size - i) for i in range(0, size, each)]
    else:
        lengths = list(call.ints("split_sizes"))
    names = [item(call.name, i) for i in range(len(lengths))]
    if call.kind != "unbind":
        w.op(call, "Split", a["self"].name, w.const(lengths), axis=axis, outputs=tuple(names))
        return
    for i, name in enumerate(names):
        w.op(call, "Gather", a["self"].name, w.const(i), axis=axis, to=name)


def item(name: str, number: int) -> str:
    """The name of one of several results of a call."""
    return f"{name}[{number}]"


def _pad(w: Writer, call: Call) -> None:
    a = call.args
    tensor: Tensor = a.get("self") or a["input"]
    rank, pads = len(tensor.shape), call.ints("pad" if "pad" in a else "padding")
    told = str(a.get("mode", "constant"))
    given = {"reflection": "reflect", "replication": "edge"}.get(call.kind.split("_")[0], told)
    mode = {"replicate": "edge", "circular": "wrap"}.get(given, given)
    axes = [rank - 1 - i for i in range(len(pads) // 2)]
    value = [w.real(float(a.get("value") or 0.0))] if mode == "constant" else [""]
    w.op(call, "Pad", tensor.name, w.const([*pads[::2], *pads[1::2]]), *value, w.const(axes), mode=mode)


def _expand(w: Writer, call: Call) -> None:
    w.op(call, "Expand", call.args["self"].name, w.const(call.shape))


def _repeat(w: Writer, call: Call) -> None:
    tensor, repeats = call.args["self"], call.ints("repeats")
    lead = len(repeats) - len(tensor.shape)
    name = tensor.name if not lead else w.part(call, "Unsqueeze", tensor.name, w.const(range(lead)))
    w.op(call, "Tile", name, w.const(repeats))


def _shuffle(w: Writer, call: Call) -> None:
    """pixel_shuffle, pixel_unshuffle and channel_shuffle as their reshapes and transpositions."""
    x, shape = call.args["self"], call.args["self"].shape
    n, c, h, width = shape if len(shape) == 4 else (0, 0, 0, 0)
    if not c:
        raise UnsupportedNode(call.title, f"it needs a map with a batch axis and gets {tuple(shape)}")
    word = {"pixel_shuffle": "upscale_factor", "pixel_unshuffle": "downscale_factor"}.get(call.kind, "groups")
    r = int(call.args[word])
    sizes, order = {
        "pixel_shuffle": ((n, c // (r * r), r, r, h, width), (0, 1, 4, 2, 5, 3)),
        "pixel_unshuffle": ((n, c, h // r, r, width // r, r), (0, 1, 3, 5, 2, 4)),
        "channel_shuffle": ((n, r, c // r, h, width), (0, 2, 1, 3, 4)),
    }[call.kind]
    split = w.part(call, "Reshape", x.name, w.const(sizes))
    w.op(call, "Reshape", w.part(call, "Transpose", split, perm=order), w.const(call.shape))


_RESHAPES = ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as")
MOVES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(_RESHAPES, _reshape),
        **dict.fromkeys(("permute", "transpose", "t", "mT", "swapaxes"), _permute),
        **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
        "stack": _stack,
        **dict.fromkeys(("slice", "narrow"), _slice),
        "select": _select,
        "index_select": _index_select,
        "flip": _flip,
        "roll": _roll,
        **dict.fromkeys(("split", "split_with_sizes", "chunk", "unbind"), _split),
        **dict.fromkeys(("pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d"), _pad),
        **dict.fromkeys(("replication_pad1d", "replication_pad2d"), _pad),
        **dict.fromkeys(("expand", "expand_as", "broadcast_to"), _expand),
        "repeat": _repeat,
        **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle", "channel_shuffle"), _shuffle),
    }
)
"""By the name of the function."""
