"""What quantisation costs on MNIST, without retraining: accuracy by levels and bits, 10,000 test images.

Usage: python benchmarks/accuracy.py DATA, where DATA holds mnist/ and ann/ (as the tests' SNNPORT_DATA). Prints a Markdown
table and writes it to benchmarks/ACCURACY.md. Thresholds are chosen on the first 512 test images, without labels. The row
of the defaults also runs the spiking program on all images and compares its logits with the quantised network's.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np

from snnport.datasets import Samples
from snnport.encoders import encoder_of
from snnport.flow.convert import Conversion, ConvertOptions, convert_graph
from snnport.flow.execute import validate_model
from snnport.flow.model import Model, open_model
from snnport.flow.prepare import InputOptions
from snnport.reference import forward

NETWORKS = {"LeNet-5": ("lenet5_torch_lenet.onnx", 255.0), "mnist-8": ("mnist_cntk_conv_opset8.onnx", 1.0)}
SETTINGS = ((4, 8), (8, 8), (12, 8), (16, 8), (32, 8), (16, 6), (16, 5), (16, 4))
DEFAULTS = (16, 8)


def accuracy(conversion: Conversion, samples: Samples) -> float:
    """Of the quantised network, on its integers."""
    graph = conversion.stages["quantised weights"]
    encoder = encoder_of(graph.metadata)
    correct = 0
    for start in range(0, samples.n_samples, 500):
        logits = forward(graph, encoder.counts(samples.batch(start, start + 500)), integers=True)
        correct += int((logits.argmax(axis=1) == samples.y[start : start + 500]).sum())
    return correct / samples.n_samples


def rows(name: str, model: Model, inputs: InputOptions, images: Path, labels: Path) -> list[str]:
    """One line a setting."""
    samples = inputs.load(images, model, labels=labels)
    exact = validate_model(model, None, "cpu", images, inputs, ConvertOptions())
    real = exact.stages[0].accuracy
    lines = []
    for levels, bits in SETTINGS:
        conversion = convert_graph(model.imported, samples.batch(0, 512), "", ConvertOptions(levels=levels, bits=bits))
        got = accuracy(conversion, samples)
        proof = ""
        if (levels, bits) == DEFAULTS:
            assert np.isclose(got, exact.stages[-1].accuracy, atol=0)
            proof = f"{exact.logit_mismatches} of {samples.n_samples} logit vectors differ"
        lines.append(
            f"| {name} | {levels} | {bits} | {100 * real:.2f} | {100 * got:.2f} | {100 * (got - real):+.2f} | {proof} |"
        )
    return lines


def main() -> None:
    """Measure both networks."""
    data = Path(sys.argv[1])
    images, labels = data / "mnist/t10k-images-idx3-ubyte.gz", data / "mnist/t10k-labels-idx1-ubyte.gz"
    lines = ["| network | levels | bits | float % | spiking % | points | program |", "|---|---|---|---|---|---|---|"]
    for name, (file, scale) in NETWORKS.items():
        inputs = InputOptions(scale=scale, labels=labels)
        lines += rows(name, open_model(data / "ann" / file), inputs, images, labels)
    text = "\n".join(lines)
    print(text)
    head = "# Accuracy without retraining\n\nWritten by benchmarks/accuracy.py. "
    where = f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}.\n\n"
    (Path(__file__).parent / "ACCURACY.md").write_text(f"{head}{where}{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
