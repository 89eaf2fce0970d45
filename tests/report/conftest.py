"""A realistic report: one target that fits and ran, one that does not fit, one that fits and did not run."""

from __future__ import annotations

from itertools import pairwise

import pytest

from snnport.ledger import Entry, Settled
from snnport.report.evidence import Agreement, Dots, Invocation, Parting, Raster
from snnport.report.losses import Activity, Curve, Layer, Losses, Point
from snnport.report.report import (
    Check,
    Data,
    DataFile,
    Energy,
    Picture,
    PictureNode,
    Placement,
    Report,
    Run,
    Source,
    Spread,
    Stage,
    TargetResult,
    Term,
    Usage,
    Violation,
)

HOSTILE = "<script>alert(1)</script>"
SIZES = {"input": 784, "conv1": 3136, "pool1": 784, "conv2": 1568, HOSTILE: 392, "fc1": 128, "logits": 10}
SHAPES = {
    "input": (1, 28, 28),
    "w1": (4, 28, 28),
    "conv1": (4, 28, 28),
    "pool1.sum": (4, 14, 14),
    "pool1": (4, 14, 14),
    "w2": (8, 14, 14),
    "conv2": (8, 14, 14),
    "pool2.sum": (8, 7, 7),
    HOSTILE: (8, 7, 7),
    "flatten": (392,),
    "w3": (128,),
    "fc1": (128,),
    "w4": (10,),
    "logits": (10,),
    "output": (10,),
}
TYPES = ("Input", *("Conv2d", "IF", "SumPool2d", "IF") * 2, "Flatten", *("Affine", "IF"), *("Affine", "I"), "Output")


def _steps(opens: int, peak: int, levels: int = 16, n: int = 97) -> tuple[int, ...]:
    return tuple(peak * (levels - (t - opens)) // levels if opens <= t < opens + levels else 0 for t in range(n))


SPIKES_PER_STEP = {
    name: _steps(i * 16, peak)
    for i, (name, peak) in enumerate(zip(SIZES, (1_450_231, 2_250_870, 1_311_042, 920_417, 400_113, 122_650, 0), strict=True))
}
SYNOPS = {
    "w1": 402_118_233,
    "pool1.sum": 21_004_518,
    "w2": 655_870_121,
    "pool2.sum": 9_204_170,
    "w3": 409_715_712,
    "w4": 9_801_230,
}


def _energy(samples: int) -> tuple[Energy, ...]:
    synops = sum(SYNOPS.values())
    terms = {
        "synaptic_operations": Term(synops, synops * 2.4e-11, synops * 3.36e-11, synops * 3.55e-11),
        "neuron_updates": Term(659_794_000, 659_794_000 * 6.3e-11, 659_794_000 * 7.28e-11, 659_794_000 * 8.2e-11),
        "spikes": Term(54_000_000, 54e6 * 6e-11, 54e6 * 6.93e-11, 54e6 * 8e-11),
        "hops": Term(1_204_551, 1_204_551 * 3e-12, 1_204_551 * 3.6e-12, 1_204_551 * 4.2e-12),
    }
    low, mid, high = (sum(getattr(t, f"{k}_j") for t in terms.values()) for k in ("low", "mid", "high"))
    loihi = Energy(
        "loihi-nahuku", "measured on silicon, +-12 %", 14, low, mid, high, terms, ("static power", "host input and output")
    )
    macs = {"accumulate": Term(synops, synops * 3e-14, synops * 1e-13, synops * 9e-13)}
    horowitz = Energy(
        "horowitz-45nm", "analytic", 45, synops * 3e-14, synops * 1e-13, synops * 9e-13, macs, ("memory", "network on chip")
    )
    return loihi, horowitz


def _ran(target: str, samples: int = 10_000) -> Run:
    return Run(
        target=target,
        engine="sim",
        samples=samples,
        steps=97,
        accuracy=0.9862,
        correct=9862,
        spikes={name: sum(counts) for name, counts in SPIKES_PER_STEP.items()},
        synaptic_operations=SYNOPS,
        neuron_updates=659_794_000,
        cycles=1_934_226_017,
        time_s=19.34226017,
        energy=_energy(samples),
        wall_s=41.27,
        cycles_per_sample=Spread(193_422.6017, 120_031, 260_118),
        spikes_per_step=SPIKES_PER_STEP,
        core_cycles=(300_120, 512_004, 480_552, 90_112, 1_800_400, 22_000, 0, 0),
    )


def _placements() -> tuple[Placement, ...]:
    found, core = [], 0
    for name, size in SIZES.items():
        for start in range(0, size, 1024):
            found.append(Placement(name, core, start, min(start + 1024, size)))
            core += 1
    return tuple(found)


def _loihi() -> TargetResult:
    usage = (
        Usage("cores", 10, 128, "cores"),
        Usage("neurons", 1024, 1024, "neurons", "core 1"),
        Usage("synaptic memory", 118_784, 131_072, "bytes", "core 4"),
        Usage("fan-in axons", 900, 4096, "axons", "core 5"),
        Usage("steps", 97, None, "steps"),
    )
    warnings = (Violation("recording", "logits", "potentials are read out through probes, which slow the run", "Read spikes"),)
    check = Check("loihi", True, usage, (), warnings)
    notes = ("Hops are counted, not simulated.",)
    dots = tuple(
        Dots(name, size, 1, tuple(range(i, 97, 7)), tuple(n % size for n in range(i, 97, 7)))
        for i, (name, size) in enumerate(SIZES.items())
    )
    parting = Parting(
        "spikes", "conv2", 1, 40, 17, 1.0, 0.0, "rounding", "v is off by -1 at step 39", 28,
        tuple(float(t == 12) for t in range(25)), (0.0,) * 25, tuple(map(float, range(25))), tuple(t - 1.0 for t in range(25)),
    )  # fmt: skip
    return TargetResult(
        "loihi", check, True, "", _ran("loihi"), _placements(), 128, notes,
        raster=Raster(0, 97, dots), agreement=Agreement(4, 97, 120_401, parting),
    )  # fmt: skip


def _speck() -> TargetResult:
    usage = (
        Usage("cores", 11, 9, "cores"),
        Usage("kernel memory", 70_656, 65_536, "bytes", "w3"),
        Usage("neurons", 3136, 65_536),
    )
    violations = (
        Violation("cores", "speck", "it needs 11 of 9 cores", "Merge or drop 2 layers"),
        Violation("kernel-memory", "w3", "the kernel takes 70,656 of 65,536 bytes", "Use fewer channels, or pool before it"),
        Violation("readout", HOSTILE, "a | pipe and `code` in a message\nof two lines", ""),
    )
    check = Check("speck", False, usage, violations, ())
    return TargetResult("speck", check, False, "", None)


def _cpu() -> TargetResult:
    return TargetResult("cpu", Check("cpu", True, (), (), ()), False, "the simulation was not asked for.", None)


def _ledger() -> tuple[Settled, ...]:
    def step(node: str, kind: str, fate: str, into: tuple[str, ...], why: str, by: str) -> Entry:
        return Entry(node, kind, fate, into, why, by)

    return (
        Settled("/c1/Conv", "Conv", ("w1",), (step("/c1/Conv", "Conv", "became", ("w1",), "", "onnx"),)),
        Settled(
            "/bn1/BatchNormalization",
            "BatchNormalization",
            ("w1",),
            (
                step("/bn1/BatchNormalization", "BatchNormalization", "became", ("bn1",), "", "onnx"),
                step("bn1", "BatchNorm", "folded", ("w1",), "scale and shift move into the weights", "fold-batchnorm"),
            ),
        ),
        Settled(HOSTILE, "Dropout", (), (step(HOSTILE, "Dropout", "dropped", (), "identity at inference", "onnx"),)),
    )


def _losses() -> Losses:
    names = ("conv1", "pool1", "conv2", HOSTILE, "fc1", "logits")
    layers = tuple(Layer(name, 0.01 * i, 1 - 0.001 * i, 1 - 0.0007 * max(i - 1, 0), 0.012 * i) for i, name in enumerate(names))
    points = ((2, 0.9211, 0.93), (4, 0.9702, 0.975), (8, 0.9835, 0.989), (16, 0.9862, 0.9964), (32, 0.9881, 0.9989))
    curve = Curve("levels", tuple(Point(n, n, 6 * n + 1, accuracy, agreed) for n, accuracy, agreed in points), 2, 0.01, 0.9887)
    return Losses(layers, "conv2", "logits", 200, (Activity("conv1", 3136, 12, 0, 0.01, 3.2, 16),), (), curve)


@pytest.fixture(scope="session")
def hostile() -> str:
    """A population's name that would run if it were not escaped."""
    return HOSTILE


@pytest.fixture(scope="session")
def report() -> Report:
    """The report that every renderer's test starts from."""
    names = list(SHAPES)
    nodes = tuple(PictureNode(n, t, SHAPES[n]) for n, t in zip(names, TYPES, strict=True))
    return Report(
        source=Source("lenet.onnx", "onnx", "3f" * 32, (1, 28, 28)),
        data=Data((DataFile("images.idx.gz", "ab" * 32), DataFile("labels.idx.gz", "cd" * 32)), 10_000, "x/255"),
        versions={"snnport": "0.1.0", "numpy": "2.2.0", "nir": "1.0.8", "python": "3.12.4"},
        created="2026-01-02T03:04:05Z",
        options={"code": "gate", "levels": 16, "input_levels": 16, "bits": 8, "calibration": "first 512 samples of the input"},
        passes=("fold-batchnorm", "calibrate{samples=512}", "spike{code=gate,levels=16}", "quantize-weights{bits=8}"),
        graph=Picture(nodes, (*pairwise(names), ("conv1", "w2"))),
        ledger=_ledger(),
        stages=(
            Stage("source ANN", 0.9887, 1.0),
            Stage("folded ANN", 0.9887, 1.0),
            Stage("activations in 16 levels", 0.9858, 0.9961),
            Stage("weights in 8 bits", 0.9862, 0.9964),
            Stage("lowered program", 0.9862, 0.9964),
        ),
        logits_equal=True,
        logit_mismatches=0,
        targets=(_loihi(), _speck(), _cpu()),
        cost_models={"loihi.toml": "9e" * 32, "chip loihi": "8d" * 32},
        seeds={"uniform calibration samples": 0},
        invocation=Invocation("lenet.onnx", "images.idx.gz", ("loihi", "speck", "cpu"), "labels.idx.gz"),
        next_steps=("speck: it does not fit. Check again with: snnport check lenet.onnx --target speck",),
        losses=_losses(),
    )
