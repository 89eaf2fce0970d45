"""Random small programs that mix everything the engine knows, for the comparison with engine_oracle.py."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from snnport.chip import Chip
from snnport.program import Conv, Dense, Diagonal, Neuron, Population, Program, Projection, Slice, Sparse, SumPool

CLOCK = {"lanes": 8, "event_overhead_cycles": 4, "message_cycles": 2, "barrier_cycles": 16, "state_bits": 32, "cores": 8}


EVENTS = ("xylo", "dynap")
NUMBERS = ("graded", "graded_relu", "delta", "sigma_delta")
"""Families that meet spikes one by one, and that send numbers."""


def chip_with(**numbers) -> Chip:
    """A chip of the cpu target with these numbers over the usual clock."""
    values = {name: {"value": value} for name, value in {**CLOCK, **numbers}.items()}
    return Chip.from_json({"name": "test", "target": "cpu", "numbers": values})


def output_shape(shape, out, kernel, stride, padding, dilation):
    top, left, bottom, right = padding
    height = (shape[1] + top + bottom - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    width = (shape[2] + left + right - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    return out, height, width


class Maker:
    """Draws one program from a seed. big: codes and thresholds that need 64-bit potentials.

    every: all families and synapse kinds, else those alone that every kernel has.
    """

    def __init__(self, seed: int, every: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.every = every
        self.big = bool(self.rng.random() < 0.2)
        self.populations: list[Population] = []
        self.projections: list[Projection] = []

    def pick(self, *options):
        return options[self.rng.integers(len(options))]

    def pair(self, low, high):
        return int(self.rng.integers(low, high + 1)), int(self.rng.integers(low, high + 1))

    def codes(self, shape):
        limit = 1 << 30 if self.big and self.rng.random() < 0.5 else self.pick(3, 127, 300, 40000)
        codes = self.rng.integers(-limit, limit + 1, shape)
        codes[self.rng.random(codes.shape) < 0.2] = 0
        return codes.astype(self.pick(np.int32, np.int64) if limit > 127 else self.pick(np.int8, np.int16, np.int64))

    def value(self, n, low, high):
        drawn = self.rng.integers(low, high + 1, n if self.rng.random() < 0.5 else ())
        return np.asarray(drawn)

    def sends_numbers(self, name) -> bool:
        neuron = next(p.neuron for p in self.populations if p.name == name)
        return neuron.family in NUMBERS or any(np.any(neuron.params.get(key, 0)) for key in ("graded", "value"))

    def family(self, name) -> str:
        if not self.every:
            return self.pick("if", "if", "if", "if", "integrator", "cuba")
        sources = [q.source for q in self.projections if q.target == name]
        leaky = "lif", "lif", "alif", "slope"
        chosen = self.pick("if", "integrator", "cuba", "cuba_reset", "atrlif", *leaky, *EVENTS, *EVENTS, *NUMBERS)
        numbers = any(source != name and self.sends_numbers(source) for source in sources)
        return self.pick(*NUMBERS) if numbers and chosen in EVENTS else chosen

    def drawn(self, n, *rows):
        """Parameters of rows (name, chance to be given, low, high)."""
        return {name: self.value(n, low, high) for name, chance, low, high in rows if self.rng.random() < chance}

    def decay(self, n, prefix=""):
        kind = self.rng.integers(3)
        if kind == 0:
            return {}
        return {f"{prefix}decay": self.value(n, 0, 4096)} if kind == 1 else {f"{prefix}decay_shift": self.value(n, -1, 12)}

    def special(self, family, n, scale) -> Neuron:
        """A neuron of a family that not every kernel has."""
        small = min(scale, 5000)
        bounds = ("v_min", 0.3, -2 * small, 0), ("v_max", 0.3, 0, 4 * small)
        start = ("v_init", 0.5, -scale, 2 * scale), ("bias", 0.3, -scale // 4, scale // 2)
        reset = ("reset", 0.4, 0, 1), ("v_reset", 0.3, -scale, scale)
        if family == "atrlif":
            params = {name: self.value(n, 0, self.pick(0, 500, 4095)) for name in ("du", "dv", "dtheta", "dr")}
            params |= {name: self.value(n, 0, self.pick(3, 3000)) for name in ("theta_0", "theta_step")}
            params |= self.drawn(n, ("bias_mant", 0.5, -4096, 4095), ("bias_exp", 0.5, -3, 7))
        elif family == "lif":
            params = {"v_threshold": self.value(n, 1, 2 * scale)} | self.decay(n)
            if self.rng.random() < 0.7:
                params |= self.drawn(n, ("max_spikes", 0.3, 1, 50), ("refractory", 0.5, 0, 4), *start, *reset, *bounds)
        elif family == "alif":
            params = {"v_threshold": self.value(n, -scale, 2 * scale), "a_step": self.value(n, 0, scale)}
            params |= self.decay(n) | self.decay(n, "a_") | self.drawn(n, ("reset", 0.6, 0, 2), *start, reset[1], *bounds)
        elif family == "slope":
            params = {"v_threshold": self.value(n, -5, 2 * scale)} | self.drawn(n, start[0], *reset)
            params |= self.drawn(n, ("clear_step", 0.6, -1, 12), ("load_step", 0.6, -1, 12), ("v_load", 0.8, -scale, scale))
        elif family == "xylo":
            params = {"v_threshold": self.value(n, 1, min(2 * scale, 32767))}
            params |= {name: self.value(n, 0, self.pick(3, 15)) for name in ("dash_mem", "dash_syn")}
            params |= self.drawn(
                n, ("dash_syn_2", 0.5, 0, 9), ("bias", 0.4, -300, 300), ("max_spikes", 0.5, 1, 31), ("alias", 0.4, -1, n - 1)
            )
        elif family == "dynap":
            params = {"v_threshold": self.value(n, 1, 2 * scale)} | self.drawn(n, *start, *reset, *bounds)
            if self.big or self.rng.random() < 0.9:
                params["max_spikes"] = self.value(n, 1, 9)
        else:
            least = 0 if "graded" in family else 1
            params = {"v_threshold": self.value(n, least, self.pick(1, small))} | self.drawn(n, ("bias", 0.3, -small, small))
            if family == "sigma_delta":
                params |= self.drawn(n, ("rectify", 0.5, 0, 1))
            params |= self.drawn(n, ("shift", 0.5, 0, 9))
            params |= {"v_min": self.value(n, -small, 0), "v_max": self.value(n, 0, small)}
        return Neuron(family, params)

    def neuron(self, name, n, steps) -> Neuron:
        family = self.family(name)
        scale = self.pick(1, 40, 500, 1 << 33 if self.big else 5000)
        if family not in ("if", "integrator", "cuba", "cuba_reset"):
            return self.special(family, n, scale)
        if family == "integrator":
            return Neuron(family, {"v_init": self.value(n, -scale, scale), "bias": self.value(n, -3, 3)})
        if family in ("cuba", "cuba_reset"):
            params = {
                "du": self.value(n, -1, self.pick(0, 4095)),
                "dv": self.value(n, 0, self.pick(0, 4096)),
                "vth": self.value(n, 0, self.pick(3, 3000, 131072)),
            }
            if self.rng.random() < 0.5:
                params |= {"bias_mant": self.value(n, -4096, 4095), "bias_exp": self.value(n, -3, 7)}
            if family == "cuba_reset":
                params["reset_interval"] = self.value(n, 1, self.pick(3, 9, 100))
                params |= self.drawn(n, ("reset_offset", 0.7, 0, 20))
            return Neuron(family, params)
        params = {"v_threshold": self.value(n, 1, 2 * scale)}
        for name, chance, low, high in (
            ("v_init", 0.5, -scale, 2 * scale),
            ("bias", 0.3, -scale // 4, scale // 2),
            ("reset", 0.4, 0, 1),
            ("v_reset", 0.3, -scale, scale),
            ("max_spikes", 0.3, 1, self.pick(1, 3, 1000)),
            ("v_min", 0.2, -2 * scale, 0),
            ("v_max", 0.2, 0, 4 * scale),
        ):
            if self.rng.random() < chance:
                params[name] = self.value(n, low, high)
        if self.rng.random() < 0.4:
            params |= {"load_step": self.value(n, -1, steps), "v_load": self.value(n, -2 * scale, 2 * scale)}
        if "max_spikes" not in params and self.rng.random() < 0.1:
            params["v_threshold"] = self.value(n, -5, 1)
        return Neuron(family, params)

    def pool(self, source: Population):
        if len(source.shape) != 3 or self.rng.random() < 0.5:
            return None, source.shape
        for _ in range(10):
            kernel, stride = self.pair(1, 3), self.pair(1, 3)
            padding = tuple(int(p) for p in self.rng.integers(0, 2, 4))
            shape = output_shape(source.shape, source.shape[0], kernel, stride, padding, (1, 1))
            if min(shape) >= 1:
                return SumPool(source.shape, kernel, stride, padding), shape
        return None, source.shape

    def conv(self, shape):
        for _ in range(10):
            groups = self.pick(*[g for g in (1, 1, 2, 3) if shape[0] % g == 0])
            out = groups * self.pick(1, 2, 5)
            kernel, stride, dilation = self.pair(1, 4), self.pair(1, 3), self.pair(1, 2)
            padding = tuple(int(p) for p in self.rng.integers(0, 3, 4))
            result = output_shape(shape, out, kernel, stride, padding, dilation)
            if min(result) >= 1 and np.prod(result) <= 80:
                codes = self.codes((out, shape[0] // groups, *kernel))
                return Conv(codes, shape, stride, padding, dilation, groups), result
        return None, shape

    def sparse(self, targets, sources):
        n = int(self.rng.integers(0, 2 * targets + 1))
        ends = (self.rng.integers(0, size, n) for size in (targets, sources))
        return Sparse(self.codes(n), *ends, (targets, sources))

    def connect(self, source: Population, target: str, shape, delays) -> tuple[int, ...] | None:
        """Add a projection; `shape` of the target is None if it is free to choose. Returns the target's shape."""
        pool, seen = self.pool(source)
        n_seen = int(np.prod(seen))
        synapse, result = None, shape
        if len(seen) == 3 and self.rng.random() < 0.6:
            for _ in range(1 if shape is None else 15):
                conv, out = self.conv(seen)
                if conv is not None and shape in (None, out):
                    synapse, result = conv, out
                    break
        if synapse is None and shape in (None, seen) and self.rng.random() < 0.3:
            synapse, result = Diagonal(self.codes(n_seen)), seen
        if synapse is None:
            result = shape or (int(self.rng.integers(1, 41)),)
            synapse = Dense(self.codes((int(np.prod(result)), n_seen)))
            if self.every and self.rng.random() < 0.4:
                synapse = self.sparse(*synapse.codes.shape)
        narrow = np.abs(synapse.codes.astype(np.int64)).max(initial=0) < 1 << 20
        exponent = int(self.pick(0, 0, 0, 1, 6)) if narrow else 0
        name = f"{source.name}->{target}#{len(self.projections)}"
        self.projections.append(Projection(name, source.name, target, synapse, pool, int(self.pick(*delays)), exponent))
        return result

    def program(self) -> tuple[Program, np.ndarray]:
        rng = self.rng
        steps, n_samples = int(rng.integers(1, 13)), int(rng.integers(1, 4))
        inputs = [f"in{i}" for i in range(self.pick(1, 1, 2))]
        for name in inputs:
            shape = self.pick((int(rng.integers(1, 12)),), (self.pick(1, 2, 3), *self.pair(2, 6)))
            graded = {"graded": np.array(1)} if self.every and rng.random() < 0.3 else {}
            self.populations.append(Population(name, shape, Neuron("input", graded)))
        if rng.random() < 0.5:
            n, events = int(rng.integers(1, 4)), int(rng.integers(0, 6))
            times = {"time": rng.integers(0, steps + 2, events), "index": rng.integers(0, n, events)}
            if self.every and rng.random() < 0.5:
                times["value"] = rng.choice([-3, -1, 2, 5], events)
            self.populations.append(Population("control", (n,), Neuron("generator", times)))
        for i in range(int(rng.integers(1, 5))):
            name, shape = f"p{i}", None
            for _ in range(self.pick(1, 1, 2, 3)):
                source = self.populations[rng.integers(len(self.populations))]
                shape = self.connect(source, name, shape, (0, 1, 1, 2, 3, *([9] if self.every else [])))
            self.populations.append(Population(name, shape, self.neuron(name, int(np.prod(shape)), steps)))
            if rng.random() < 0.3:
                self.connect(self.populations[-1], name, shape, (1, 2, 3))
        cells = [p for p in self.populations if p.name.startswith("p")]
        if len(cells) > 1 and rng.random() < 0.3:
            first = cells[0]
            back = Dense(self.codes((first.size, cells[-1].size)))
            if first.neuron.family not in EVENTS or not self.sends_numbers(cells[-1].name):
                self.projections.append(Projection("back", cells[-1].name, first.name, back, None, int(self.pick(1, 2))))
        two = {p.name for p in cells if "dash_syn_2" in p.neuron.params}
        self.projections = [replace(q, port=int(rng.integers(2))) if q.target in two else q for q in self.projections]
        order = [self.populations[i] for i in rng.permutation(len(self.populations))]
        clock = {"lanes": self.pick(1, 3, 8), "event_overhead_cycles": self.pick(0, 4), "message_cycles": self.pick(0, 1, 3)}
        program = Program(
            "cpu",
            chip_with(**clock, barrier_cycles=self.pick(0, 7), state_bits=self.pick(16, 32)),
            tuple(order),
            tuple(self.projections),
            self.placements(cells),
            tuple(inputs),
            tuple(p.name for p in cells[-2:]),
            steps,
        )
        given = steps if rng.random() < 0.8 else int(rng.integers(1, steps + 1))
        raster = rng.random((n_samples, given, sum(p.size for p in self.populations if p.name in inputs))) < rng.random()
        raster = raster * (rng.integers(1, 4, raster.shape) if rng.random() < 0.3 else 1)
        graded = np.concatenate([np.full(program.population(name).size, self.sends_numbers(name)) for name in inputs])
        payloads = np.where(graded, rng.integers(-self.pick(5, 300), 300, raster.shape), 1) if graded.any() else 1
        return program, raster * payloads

    def placements(self, cells) -> tuple[Slice, ...]:
        slices = []
        for p in cells:
            inner = self.rng.integers(1, p.size, min(3, p.size - 1)).tolist() if p.size > 1 else []
            cuts = sorted({0, p.size, *inner})
            for start, stop in pairwise(cuts):
                slices.append(Slice(p.name, int(self.rng.integers(0, 4)), start, stop, int(self.rng.integers(0, 2))))
        return tuple(slices)


def random_program(seed: int, every: bool = False) -> tuple[Program, np.ndarray]:
    """A program and a raster (n_samples, n_steps or fewer, n_inputs). every: of all families and kinds."""
    return Maker(seed, every).program()
