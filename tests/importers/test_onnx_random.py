"""Random small networks: whatever can be built here is imported as onnxruntime computes it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import Net, check


def output_size(size: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int = 1) -> int:
    return (size + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1


class Maps:
    """A network that grows by random layers on a map (channels, *sizes), one or two spatial axes."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        rank = draw(st.sampled_from([1, 2, 2]))
        self.channels = draw(st.integers(1, 4))
        self.sizes = [draw(st.integers(5, 9)) for _ in range(rank)]
        self.last = draw(st.booleans())
        shape = (*self.sizes, self.channels) if self.last else (self.channels, *self.sizes)
        self.net = Net(shape, draw(st.sampled_from([11, 13, 17])), draw(st.sampled_from(["N", 1, 4])), draw(st.integers(0, 99)))
        self.y = self.to_first("x") if self.last else "x"

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def numbers(self, low: int, high: int) -> list[int]:
        return [self.number(low, high) for _ in self.sizes]

    def to_first(self, x: str) -> str:
        rank = len(self.sizes)
        return self.net.op("Transpose", x, perm=[0, rank + 1, *range(1, rank + 1)])

    def to_last(self, x: str) -> str:
        rank = len(self.sizes)
        return self.net.op("Transpose", x, perm=[0, *range(2, rank + 2), 1])

    def fits(self, kernel: list[int], strides: list[int], first: list[int], last: list[int], dilation: list[int]) -> bool:
        rows = zip(self.sizes, kernel, strides, zip(first, last, strict=True), dilation, strict=True)
        sizes = [output_size(*row) for row in rows]
        if min(sizes) < 1:
            return False
        self.sizes = sizes
        return True

    def conv(self) -> None:
        kernel, strides, dilation = self.numbers(1, 3), self.numbers(1, 2), self.numbers(1, 2)
        first, last = self.numbers(0, 2), self.numbers(0, 2)
        groups = self.channels if self.draw(st.booleans()) else 1
        outputs = groups * self.number(1, 3)
        inputs = self.channels // groups
        if self.fits(kernel, strides, first, last, dilation):
            parameters = self.net.normal(outputs, inputs, *kernel), self.net.normal(outputs)
            attributes = {"strides": strides, "dilations": dilation, "pads": first + last, "group": groups}
            self.y = self.net.op("Conv", self.y, *parameters[: self.number(1, 2)], **attributes)
            self.channels = outputs

    def pool(self) -> None:
        kernel, strides = self.numbers(1, 3), self.numbers(1, 3)
        kind = self.draw(st.sampled_from(["MaxPool", "AveragePool"]))
        first, last = ([self.number(0, k - 1) for k in kernel] for _ in range(2))
        if self.fits(kernel, strides, first, last, [1] * len(kernel)):
            extra = {"count_include_pad": 1} if kind == "AveragePool" else {}
            self.y = self.net.op(kind, self.y, kernel_shape=kernel, strides=strides, pads=first + last, **extra)

    def relu(self) -> None:
        self.y = self.net.op("Relu", self.y)

    def relu6(self) -> None:
        self.y = self.net.op("Clip", self.y, self.net.const(0), self.net.const(0.5))

    def batch_norm(self) -> None:
        variance = self.net.const(self.net.rng.uniform(0.5, 2, self.channels))
        parameters = [self.net.normal(self.channels) for _ in range(3)]
        self.y = self.net.op("BatchNormalization", self.y, *parameters, variance)

    def bias_in_nhwc(self) -> None:
        kind = self.draw(st.sampled_from(["Add", "Sub", "Mul"]))
        self.y = self.to_first(self.net.op(kind, self.to_last(self.y), self.net.normal(self.channels)))

    def residual(self) -> None:
        weight = self.net.normal(self.channels, self.channels, *[3] * len(self.sizes))
        branch = self.net.op("Conv", self.y, weight, pads=[1] * (2 * len(self.sizes)))
        if self.draw(st.booleans()):
            branch = self.net.op("Relu", branch)
        self.y = self.net.op("Add", *self.draw(st.permutations([branch, self.y])))

    def double(self) -> None:
        self.y = self.net.op("Add", self.y, self.y)

    def head(self) -> str:
        if self.draw(st.booleans()):
            self.y = self.to_last(self.y)
        features = self.channels * int(np.prod(self.sizes))
        if self.draw(st.booleans()):
            y = self.net.op("Flatten", self.y)
        else:
            y = self.net.op("Reshape", self.y, self.net.const([0, -1], np.int64))
        y = self.net.op("Relu", self.net.op("Gemm", y, self.net.normal(features, 6), self.net.normal(6)))
        return self.net.op("Add", self.net.op("MatMul", y, self.net.normal(6, 3)), self.net.normal(3))


LAYERS = ("conv", "pool", "relu", "relu6", "batch_norm", "bias_in_nhwc", "residual", "double")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_networks(data: st.DataObject) -> None:
    maps = Maps(data.draw)
    for layer in data.draw(st.lists(st.sampled_from(LAYERS), min_size=1, max_size=6)):
        getattr(maps, layer)()
    output = maps.head()
    with tempfile.TemporaryDirectory() as folder:
        imported = check(maps.net, output, Path(folder))
    if maps.last and any(n.op_type in ("Conv", "MaxPool", "AveragePool") for n in maps.net.nodes):
        assert imported.input_layout == "nhwc"
