"""Random small programs that Lava's fixed-point processes can run, one from each seed.

Drawn by numpy's RandomState, whose stream is frozen, so that a seed means the same program in every version of numpy.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np

from snnport.chip import Chip
from snnport.encoders import Stimulus
from snnport.errors import SnnportError
from snnport.program import Conv, Dense, Diagonal, Neuron, Population, Program, Projection, Sparse, SumPool
from snnport.sim.engine import run
from snnport.targets.loihi.lavable import check_lava

CHIP = Chip.from_json({"name": "test", "target": "loihi2", "numbers": {}})
SPIKING = ("cuba", "cuba", "cuba", "cuba_reset", "cuba_reset", "atrlif", "integrator")
GRADED = ("graded", "graded_relu", "graded_relu")
CHANGES = ("sigma_delta", "sigma_delta", "delta")
CURRENT = "u of "
WITH_CURRENT = ("cuba", "cuba_reset", "atrlif")
LARGEST = 1 << 24
"""Most that may arrive at a neuron in one step: Lava's arrays have 32 bits, and a is shifted left by 6."""


class Maker:
    """Draws one program. style: which families it mixes."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.RandomState(seed)
        self.style = self.pick("spiking", "spiking", "spiking", "graded", "graded", "changes", "mixed")
        self.populations: list[Population] = []
        self.projections: list[Projection] = []

    def pick(self, *options):
        return options[self.rng.randint(len(options))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random_sample() < p)

    def between(self, low: int, high: int, size=None):
        return self.rng.randint(low, high + 1, size)

    def each(self, n: int, draw):
        """One value for all neurons, or one a neuron."""
        return np.asarray(draw()) if self.chance(0.6) else np.array([draw() for _ in range(n)])

    def codes(self, shape, graded: bool):
        """Codes of one of the sign modes that Lava knows, or odd ones of both signs."""
        mode = self.pick("excitatory", "excitatory", "mixed", "mixed", "mixed", "odd", "odd", self.pick("inhibitory", "none"))
        top = self.pick(3, 40, 255) if not graded else self.pick(2, 9)
        low, high = {
            "excitatory": (0, top),
            "inhibitory": (-top, 0),
            "mixed": (-((top + 1) // 2), top // 2),
            "odd": (-(top // 2 + 1), top // 2),
            "none": (0, 0),
        }[mode]
        codes = self.between(low, high, shape) * (2 if mode == "mixed" else 1)
        return np.where(self.rng.random_sample(codes.shape) < 0.3, 0, codes).astype(np.int64)

    def neuron(self, family: str, n: int) -> Neuron:
        rng, between = self.rng, self.between
        if family in GRADED:
            params = {"shift": np.asarray(self.pick(0, 0, 1, 3, 6))}
            if self.chance(0.5):
                params["bias"] = self.each(n, lambda: between(-300, 300))
            if self.chance(0.4):
                params["v_threshold"] = self.each(n, lambda: between(0, 20))
            return Neuron(family, params)
        if family in CHANGES:
            params = {"v_threshold": self.each(n, lambda: self.pick(1, 1, 2, 5, 30))}
            if self.chance(0.5):
                params["bias"] = self.each(n, lambda: between(-40, 40))
            if self.chance(0.4):
                params["shift"] = np.asarray(self.pick(1, 3, 6))
            if family == "sigma_delta" and self.chance(0.4):
                params["rectify"] = np.asarray(0)
            return Neuron(family, params)
        if family == "integrator":
            return Neuron(
                family, {"v_init": self.each(n, lambda: between(-99, 99)), "bias": self.each(n, lambda: between(-9, 9))}
            )
        uniform = family == "atrlif"
        draw = (lambda _, pick: np.asarray(pick())) if uniform else self.each
        params = {
            "du": draw(n, lambda: self.pick(-1, 0, 1, 2047, 4094, 4095, between(0, 4095))),
            "dv": draw(n, lambda: self.pick(0, 1, 2048, 4095, 4096, between(0, 4095))),
        }
        if family == "atrlif":
            params |= {name: draw(n, lambda: self.pick(0, 1, 4096, between(0, 4096))) for name in ("dtheta", "dr")}
            params |= {name: draw(n, lambda: self.pick(0, 1, between(0, 500))) for name in ("theta_0", "theta_step")}
        else:
            params["vth"] = self.each(n, lambda: self.pick(0, 1, *between(1, 300, 6), between(1, 5000), 131071, 1 << 17))
        if self.chance(0.5):
            params["bias_mant"] = self.each(n, lambda: self.pick(-4096, 4095, *between(-100, 300, 4)))
            params["bias_exp"] = self.each(n, lambda: self.pick(-3, -1, 0, 1, 3, 6, 7))
        if family == "cuba_reset":
            params["reset_interval"] = np.asarray(self.pick(1, 2, 5, 13, 100))
            params["reset_offset"] = np.asarray(rng.randint(0, 20))
        return Neuron(family, params)

    def conv(self, shape, graded: bool):
        groups = self.pick(*[g for g in (1, 1, 2) if shape[0] % g == 0])
        out = groups * self.pick(1, 2, 3)
        kernel, stride, dilation = self.between(1, 3, 2), self.between(1, 2, 2), self.between(1, 2, 2)
        top, left = (int(p) for p in self.between(0, 2, 2))
        padding = (top, left, top, left) if self.chance(0.7) else tuple(int(p) for p in self.between(0, 2, 4))
        height = (shape[1] + padding[0] + padding[2] - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
        width = (shape[2] + padding[1] + padding[3] - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
        if min(height, width) < 1 or out * height * width > 60:
            return None, None
        codes = self.codes((out, shape[0] // groups, *kernel), graded)
        two = ((int(stride[0]), int(stride[1])), padding, (int(dilation[0]), int(dilation[1])))
        return Conv(codes, shape, *two, groups), (out, int(height), int(width))

    def synapse(self, seen, shape, graded: bool):
        """A synapse from maps `seen` to a target of `shape` (None: free), and the target's shape."""
        n = int(np.prod(seen))
        kind = (
            self.pick("conv", "conv", "dense", "sparse", "diagonal")
            if len(seen) == 3
            else self.pick("dense", "dense", "sparse")
        )
        if kind == "conv":
            for _ in range(12):
                conv, result = self.conv(seen, graded)
                if conv is not None and shape in (None, result):
                    return conv, result
        if kind == "diagonal" and shape in (None, seen):
            return Diagonal(self.codes(n, graded)), seen
        result = shape or (int(self.between(1, 14)),)
        m = int(np.prod(result))
        if kind != "sparse":
            return Dense(self.codes((m, n), graded)), result
        listed = self.rng.randint(0, m * n, self.between(0, min(m * n, 3 * m)))
        return Sparse(self.codes(len(listed), graded), listed // n, listed % n, (m, n)), result

    def pool(self, shape):
        if len(shape) != 3 or self.chance(0.7):
            return None, shape
        kernel = tuple(int(k) for k in self.between(1, 2, 2))
        result = (shape[0], shape[1] // kernel[0], shape[2] // kernel[1])
        return (SumPool(shape, kernel, kernel, (0, 0, 0, 0)), result) if min(result) >= 1 else (None, shape)

    def connect(self, source: Population, target: str, shape, family: str, delays):
        graded = family in (*GRADED, *CHANGES, "integrator")
        pool, seen = self.pool(source.shape)
        synapse, result = self.synapse(seen, shape, graded)
        exponent = 0 if graded else int(self.pick(0, 0, 0, 0, 1, 3, 7))
        name = f"{source.name}->{target}#{len(self.projections)}"
        self.projections.append(Projection(name, source.name, target, synapse, pool, int(self.pick(*delays)), exponent))
        return result

    def program(self) -> tuple[Program, np.ndarray]:
        steps, n_samples = int(self.pick(12, 20, 30, 40)), int(self.pick(1, 1, 1, 2))
        families = {"spiking": SPIKING, "graded": GRADED, "changes": CHANGES, "mixed": (*SPIKING, *GRADED, *CHANGES)}[
            self.style
        ]
        inputs = [f"in{i}" for i in range(self.pick(1, 1, 2))]
        rasters = []
        for name in inputs:
            shape = self.pick((int(self.between(1, 10)),), (int(self.pick(1, 2, 3)), *(int(k) for k in self.between(2, 5, 2))))
            payloads = self.chance(0.1 if self.style == "spiking" else 0.6)
            self.populations.append(Population(name, shape, Neuron("input", {"graded": np.array(1)} if payloads else {})))
            drawn = self.rng.random_sample((n_samples, steps, int(np.prod(shape)))) < self.pick(0.1, 0.3, 0.7)
            counts = 1 if self.chance(0.8) else self.between(1, 3, drawn.shape)
            rasters.append(drawn * (self.between(-60, 60, drawn.shape) if payloads else counts))
        if self.chance(0.3):
            n, k = int(self.between(1, 3)), int(self.between(1, 8))
            times = {"time": self.between(0, steps, k), "index": self.between(0, n - 1, k)}
            self.populations.append(Population("control", (n,), Neuron("generator", times)))
        for i in range(self.pick(1, 2, 2, 3)):
            name, shape, family = f"p{i}", None, self.pick(*families)
            for _ in range(self.pick(1, 1, 2)):
                source = self.populations[self.rng.randint(len(self.populations))]
                shape = self.connect(source, name, shape, family, (1, 1, 1, 1, 1, 0, 2, 4, 17))
            self.populations.append(Population(name, shape, self.neuron(family, int(np.prod(shape)))))
            if self.chance(0.4):
                self.connect(self.populations[-1], name, shape, family, (1, 1, 2, 5))
        cells = [p.name for p in self.populations if p.name.startswith("p")]
        program = Program(
            "loihi2",
            CHIP,
            tuple(self.populations),
            tuple(self.projections),
            (),
            tuple(inputs),
            (cells[-1],),
            steps,
        )
        return program, np.concatenate(rasters, axis=2).astype(np.int32)


def lava_program(seed: int) -> tuple[Program, np.ndarray]:
    """The first program of a seed that the engine and Lava both take, and its stimulus (n_samples, n_steps, n_inputs)."""
    for attempt in range(1000):
        program, raster = Maker(1000 * seed + attempt).program()
        if not _moderate(program, raster):
            continue
        try:
            check_lava(program)
            run(program, Stimulus(raster[:, :1], None, 1), threads=1)
        except SnnportError:
            continue
        return program, raster
    raise AssertionError(f"no program found for seed {seed}")


def _moderate(program: Program, raster: np.ndarray) -> bool:
    """Whether nothing leaves Lava's 32-bit arrays: bounds by the sum of |codes|, step by step, also within an integrator."""
    reach = {p.name: 1 for p in program.populations} | {name: int(np.abs(raster).max(initial=1)) for name in program.inputs}
    total: dict[str, int] = {}
    for _ in range(len(program.populations) + 1):
        for p in program.populations:
            into = program.into(p.name)
            total[p.name] = sum(_fan(q) * reach[q.source] << q.exponent for q in into) + 300
            if p.neuron.family in GRADED:
                reach[p.name] = total[p.name]
            if p.neuron.family in CHANGES:
                reach[p.name] = 2 * total[p.name] * program.n_steps
            if p.neuron.family == "integrator" and total[p.name] * program.n_steps >= 1 << 17:
                return False
        if max(*total.values(), *reach.values()) > LARGEST:
            return False
    return True


def _fan(projection: Projection) -> int:
    synapse, codes = projection.synapse, np.abs(projection.synapse.codes)
    window = int(np.prod(projection.pool.kernel_size)) if projection.pool else 1
    if isinstance(synapse, Dense):
        return window * int(codes.sum(axis=1).max(initial=0))
    if isinstance(synapse, Conv):
        return window * int(codes.sum(axis=(1, 2, 3)).max(initial=0))
    return window * int(codes.sum())


def with_currents(program: Program) -> Program:
    """`program` and, for each population with a current u, a twin CURRENT + NAME whose v is u, within 2^23 - 1.

    The twin's v forgets all in each step and adds u; it never fires and leads nowhere.
    """
    cells = [p for p in program.populations if p.neuron.family in WITH_CURRENT]
    forgetting = {"dv": np.asarray(4096), "vth": np.asarray(1 << 17)}
    twins, wires = [], []
    for p in cells:
        kept = {key: value for key, value in p.neuron.params.items() if key in ("du", "reset_interval", "reset_offset")}
        family = "cuba_reset" if "reset_interval" in kept else "cuba"
        twins.append(Population(CURRENT + p.name, p.shape, Neuron(family, {**kept, **forgetting})))
        wires += [replace(q, name=CURRENT + q.name, target=CURRENT + p.name) for q in program.into(p.name)]
    return replace(program, populations=(*program.populations, *twins), projections=(*program.projections, *wires))


def fingerprint(program: Program, raster: np.ndarray) -> str:
    """A hash of all that a program means."""
    digest = hashlib.sha256()

    def add(*parts) -> None:
        for part in parts:
            digest.update(np.asarray(part, np.int64).tobytes() if isinstance(part, np.ndarray) else json.dumps(part).encode())

    for p in program.populations:
        add(
            p.name, list(p.shape), p.neuron.family, *(x for key in sorted(p.neuron.params) for x in (key, p.neuron.params[key]))
        )
    for q in program.projections:
        geometry = [
            v if isinstance(v, np.ndarray) else list(v) if isinstance(v, tuple) else v for v in vars(q.synapse).values()
        ]
        pool = None if q.pool is None else [list(v) for v in vars(q.pool).values()]
        add(q.name, q.source, q.target, type(q.synapse).__name__, *geometry, pool, q.delay, q.exponent)
    add(program.n_steps, raster)
    return digest.hexdigest()[:16]
