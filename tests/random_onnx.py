"""Random ONNX networks of any depth: joins, cuts, shuffles, groups, residual sums, leaky rectifiers, poolings of all kinds."""

from __future__ import annotations

import numpy as np
import onnx
from onnx_models import Net

STAGES = (
    *("plain", "plain", "plain", "residual", "residual", "option_a", "dense_join", "shuffle", "separable", "depthwise"),
    *("pool", "pool", "leaky", "clipped", "norm_first", "linear", "two_inputs", "cropped", "pre_activation"),
)


class Growing:
    """A network under construction on a map (channels, size, size); `left` weighted layers may still be added."""

    def __init__(self, rng: np.random.Generator, depth: int, max_pools: bool, clips: bool) -> None:
        self.rng, self.left, self.max_pools, self.clips = rng, depth, max_pools, clips
        self.channels, self.size = int(rng.integers(1, 4)), int(rng.integers(4, 9))
        self.net = Net((self.channels, self.size, self.size), opset=13, seed=int(rng.integers(1 << 30)))
        self.y = "x"
        self.rectified = False

    def weight(self, *shape: int) -> str:
        fan = int(np.prod(shape[1:]))
        return self.net.const(self.rng.normal(0, 1 / np.sqrt(fan), shape))

    def bias(self, n: int) -> str:
        return self.net.const(self.rng.normal(0, 0.2, n))

    def ints(self, *values: int) -> str:
        return self.net.const(values, np.int64)

    def conv(self, x: str, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> str:
        self.left -= 1
        pads, weight = [kernel // 2] * 4, self.weight(outputs, inputs // groups, kernel, kernel)
        return self.net.op("Conv", x, weight, self.bias(outputs), pads=pads, strides=[stride] * 2, group=groups)

    def norm(self, x: str, channels: int) -> str:
        scale, variance = (self.net.const(self.rng.uniform(0.5, 1.5, channels)) for _ in range(2))
        return self.net.op("BatchNormalization", x, scale, self.bias(channels), self.bias(channels), variance)

    def relu(self, x: str) -> str:
        self.rectified = True
        return self.net.op("Relu", x)

    # ------------------------------------------------------------------------------------------------------- stages

    def plain(self) -> None:
        out, stride = int(self.rng.integers(2, 5)), 2 if self.size > 5 and self.rng.random() < 0.3 else 1
        groups = 2 if self.channels % 2 == 0 and out % 2 == 0 and self.rng.random() < 0.4 else 1
        y = self.conv(self.y, self.channels, out, int(self.rng.choice([1, 3])), stride, groups)
        self.y = self.relu(self.norm(y, out) if self.rng.random() < 0.5 else y)
        self.channels, self.size = out, -(-self.size // stride)

    def residual(self) -> None:
        y = self.relu(self.conv(self.y, self.channels, self.channels))
        y = self.conv(y, self.channels, self.channels)
        self.y = self.relu(self.net.op("Add", *self.rng.permutation([y, self.y])))

    def option_a(self) -> None:
        """A shortcut that is thinned out and padded with channels of zeros."""
        if self.size < 3:
            return
        out = self.channels + 2
        y = self.conv(self.relu(self.conv(self.y, self.channels, out, 3, 2)), out, out)
        cut = self.net.op("Slice", self.y, self.ints(0, 0), self.ints(99, 99), self.ints(2, 3), self.ints(2, 2))
        padded = self.net.op("Pad", cut, self.ints(0, 1, 0, 0, 0, 1, 0, 0))
        self.y, self.channels, self.size = self.relu(self.net.op("Add", y, padded)), out, -(-self.size // 2)

    def dense_join(self) -> None:
        branch = self.relu(self.conv(self.y, self.channels, 2))
        joined = self.net.op("Concat", self.y, branch, axis=1)
        self.channels += 2
        if self.rng.random() < 0.5:
            joined = self.norm(joined, self.channels)
        self.y = self.relu(self.conv(joined, self.channels, 3))
        self.channels = 3

    def shuffle(self) -> None:
        """Half of the channels through a layer, joined and shuffled."""
        if self.channels % 2:
            return
        half = self.channels // 2
        kept = self.net.op("Split", self.y, axis=1, outputs=2)
        moved = self.relu(self.conv(self.net.nodes[-1].output[1], half, half, 3, 1, half))
        shape = self.net.op("Reshape", self.net.op("Concat", kept, moved, axis=1), self.ints(0, 2, half, self.size, self.size))
        mixed = self.net.op("Transpose", shape, perm=[0, 2, 1, 3, 4])
        self.y = self.net.op("Reshape", mixed, self.ints(0, self.channels, self.size, self.size))
        self.rectified = False

    def separable(self) -> None:
        y = self.conv(self.y, self.channels, self.channels, 3, 1, self.channels)
        self.y = self.relu(self.conv(y, self.channels, 3, 1))
        self.channels = 3

    def depthwise(self) -> None:
        self.y = self.relu(self.norm(self.conv(self.y, self.channels, self.channels, 3, 1, self.channels), self.channels))

    def pool(self) -> None:
        if self.size < 3:
            return
        kernel, stride, pad = ((2, 2, 0), (3, 2, 1), (3, 1, 0), (2, 2, 0))[self.rng.integers(4)]
        kind = "MaxPool" if self.max_pools and self.rng.random() < 0.6 else "AveragePool"
        ceil = {"ceil_mode": 1} if self.rng.random() < 0.3 else {}
        before = self.size
        self.size = (before + 2 * pad - kernel) // stride + 1
        if ceil:
            whole = -(-(before + 2 * pad - kernel) // stride) + 1
            self.size = whole - (1 if (whole - 1) * stride >= before + pad else 0)
        if kind == "AveragePool" and self.rng.random() < 0.5:
            ceil |= {"count_include_pad": 1}
        self.y = self.net.op(kind, self.y, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, **ceil)

    def leaky(self) -> None:
        y = self.conv(self.y, self.channels, 3)
        slopes = self.net.const(self.rng.uniform(-0.2, 0.4, (3, 1, 1)))
        self.y = self.net.op("LeakyRelu", y, alpha=0.2) if self.rng.random() < 0.5 else self.net.op("PRelu", y, slopes)
        self.channels, self.rectified = 3, False

    def clipped(self) -> None:
        y = self.conv(self.y, self.channels, 3)
        low, high = ((0, 1), (-1, 1), (-0.5, 2), (0.2, 1.5))[self.rng.integers(4)]
        self.y = self.net.op("Clip", y, self.net.const(low), self.net.const(high)) if self.clips else self.relu(y)
        self.channels, self.rectified = 3, low >= 0

    def norm_first(self) -> None:
        self.y = self.relu(self.conv(self.norm(self.y, self.channels), self.channels, 3))
        self.channels = 3

    def linear(self) -> None:
        y = self.conv(self.y, self.channels, 2)
        self.y = self.relu(self.conv(y, 2, 3))
        self.channels = 3

    def two_inputs(self) -> None:
        """Sums of branches with different scales."""
        first = self.net.op("Mul", self.conv(self.y, self.channels, 3), self.net.const(3.0))
        second = self.relu(self.conv(self.y, self.channels, 3, 1))
        self.y = self.relu(self.net.op("Sub", first, second) if self.rng.random() < 0.5 else self.net.op("Add", first, second))
        self.channels = 3

    def cropped(self) -> None:
        if self.size < 4:
            return
        if self.rng.random() < 0.5:
            self.y = self.net.op("Slice", self.y, self.ints(1, 0), self.ints(99, -1), self.ints(2, 3), self.ints(1, 1))
            self.y = self.relu(self.net.op("Conv", self.y, self.weight(3, self.channels, 2, 2), self.bias(3)))
            self.size -= 2
        else:
            padded = self.net.op("Pad", self.y, self.ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
            self.y = self.relu(self.net.op("Conv", padded, self.weight(3, self.channels, 3, 3), self.bias(3)))
        self.left, self.channels = self.left - 1, 3

    def pre_activation(self) -> None:
        y = self.conv(self.relu(self.norm(self.y, self.channels)), self.channels, self.channels)
        self.y, self.rectified = self.net.op("Add", self.y, y), False


def random_onnx(rng: np.random.Generator, depth: int, *, max_pools: bool = True, clips: bool = True) -> tuple[Net, str]:
    """A network of about `depth` weighted layers and the name of its output."""
    grown = Growing(rng, depth, max_pools, clips)
    while grown.left > 2:
        getattr(grown, str(rng.choice(STAGES)))()
    net, y = grown.net, grown.y
    if rng.random() < 0.5:
        y, features = net.op("Flatten", net.op("GlobalAveragePool", y)), grown.channels
    else:
        y, features = net.op("Flatten", y), grown.channels * grown.size**2
    if rng.random() < 0.5:
        y, features = grown.relu(net.op("Gemm", y, grown.weight(features, 5), grown.bias(5))), 5
    return net, net.op("Gemm", y, grown.weight(features, 3), grown.bias(3))


def model_of(net: Net, output: str) -> onnx.ModelProto:
    """The model, with its output."""
    return net.model(output)
