"""A slow second engine: plain Python integers, one synapse at a time, straight from docs/semantics.md.

It shares no code with snnport/sim.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from snnport.program import Conv, Dense, Diagonal, Program, Projection, Sparse

NEUTRAL = {
    "if": dict.fromkeys(("v_init", "reset", "v_reset", "bias", "v_load"), 0)
    | {"load_step": -1, "max_spikes": 1, "v_min": None, "v_max": None},
    "integrator": {"v_init": 0, "bias": 0},
    "slope": dict.fromkeys(("v_init", "reset", "v_reset", "v_load"), 0) | {"clear_step": -1, "load_step": -1},
    "cuba": {"bias_mant": 0, "bias_exp": 0},
    "cuba_reset": {"bias_mant": 0, "bias_exp": 0, "reset_offset": 0},
    "atrlif": {"bias_mant": 0, "bias_exp": 0},
    "lif": dict.fromkeys(("v_init", "bias", "decay", "reset", "v_reset", "refractory"), 0)
    | {"decay_shift": -1, "max_spikes": 1, "v_min": None, "v_max": None},
    "alif": dict.fromkeys(("v_init", "bias", "decay", "reset", "v_reset", "a_decay"), 0)
    | {"decay_shift": -1, "a_decay_shift": -1, "v_min": None, "v_max": None},
    "xylo": {"dash_syn_2": 0, "bias": 0, "max_spikes": 31, "alias": -1},
    "dynap": dict.fromkeys(("v_init", "bias", "reset", "v_reset"), 0) | {"v_min": None, "v_max": None, "max_spikes": 65535},
    "graded": {"v_threshold": 0, "bias": 0, "shift": 0, "v_min": None, "v_max": None},
    "graded_relu": {"v_threshold": 0, "bias": 0, "shift": 0, "v_min": None, "v_max": None},
    "delta": {"bias": 0, "shift": 0, "v_min": None, "v_max": None},
    "sigma_delta": {"bias": 0, "rectify": 1, "shift": 0, "v_min": None, "v_max": None},
}
HOST = ("input", "generator")
EVENT_BY_EVENT = ("xylo", "dynap")
SENDS_NUMBERS = ("graded", "graded_relu", "delta", "sigma_delta")


def windows_of(size, kernel, stride, before, after, dilation=1):
    """(target, kernel entry, source) of every tap along one axis."""
    target = 0
    while target * stride + dilation * (kernel - 1) < size + before + after:
        for k in range(kernel):
            source = target * stride + k * dilation - before
            if 0 <= source < size:
                yield target, k, source
        target += 1


def length_of(size, kernel, stride, before, after, dilation=1):
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


def pooled(pool):
    """source neuron -> pooled neurons whose window holds it; and the pooled shape."""
    channels, height, width = pool.input_shape
    (kh, kw), (sy, sx), (top, left, bottom, right) = pool.kernel_size, pool.stride, pool.padding
    oh, ow = length_of(height, kh, sy, top, bottom), length_of(width, kw, sx, left, right)
    held = defaultdict(list)
    for oy, _, y in windows_of(height, kh, sy, top, bottom):
        for ox, _, x in windows_of(width, kw, sx, left, right):
            for c in range(channels):
                held[(c * height + y) * width + x].append((c * oh + oy) * ow + ox)
    return held


def synapses(projection: Projection, n_sources: int):
    """source neuron -> [(target, code)], one entry a synapse, a pooling window being one each."""
    direct = defaultdict(list)
    kind = projection.synapse
    if isinstance(kind, Dense):
        for i, row in enumerate(kind.codes.tolist()):
            for j, code in enumerate(row):
                direct[j].append((i, code))
    elif isinstance(kind, Diagonal):
        for i, code in enumerate(kind.codes.tolist()):
            direct[i].append((i, code))
    elif isinstance(kind, Sparse):
        for i, j, code in zip(kind.target.tolist(), kind.source.tolist(), kind.codes.tolist(), strict=True):
            direct[j].append((i, code))
    elif isinstance(kind, Conv):
        out, per_group, kh, kw = kind.codes.shape
        _, height, width = kind.input_shape
        top, left, bottom, right = kind.padding
        (sy, sx), (dy, dx) = kind.stride, kind.dilation
        oh, ow = length_of(height, kh, sy, top, bottom, dy), length_of(width, kw, sx, left, right, dx)
        codes = kind.codes.tolist()
        for oy, ky, y in windows_of(height, kh, sy, top, bottom, dy):
            for ox, kx, x in windows_of(width, kw, sx, left, right, dx):
                for o in range(out):
                    group = o // (out // kind.groups)
                    for i in range(per_group):
                        source = ((group * per_group + i) * height + y) * width + x
                        direct[source].append(((o * oh + oy) * ow + ox, codes[o][i][ky][kx]))
    if projection.pool is None:
        return direct
    held = pooled(projection.pool)
    return {s: [synapse for p in held[s] for synapse in direct[p]] for s in range(n_sources)}


def toward_zero(x, keep):
    return (abs(x) * keep >> 12) * (1 if x >= 0 else -1)


def leak(x, decay, shift):
    if shift >= 0:
        return x - x // 2**shift
    kept = abs(x) * (4096 - decay) // 4096
    return kept if x > 0 else -kept


def between(x, low, high):
    if low is not None:
        x = max(x, low)
    return x if high is None else min(x, high)


def clip16(x):
    return max(-(2**15), min(2**15 - 1, x))


class Cell:
    """One population and one sample."""

    def __init__(self, population):
        self.population, self.n = population, population.size
        self.family = population.neuron.family
        given = population.neuron.params
        self.p = {}
        if self.family not in HOST:
            values = {**NEUTRAL[self.family], **given}
            for name, value in values.items():
                flat = [None] * self.n if value is None else np.broadcast_to(value, (self.n,)).tolist()
                self.p[name] = flat
        self.v = list(self.p.get("v_init", [0] * self.n))
        self.u = [0] * self.n
        self.saturations = self.wraps = 0
        self.left, self.a, self.r, self.sent = [0] * self.n, [0] * self.n, [0] * self.n, [0] * self.n
        self.current = [[0] * self.n, [0] * self.n]
        self.theta = [64 * theta for theta in self.p.get("theta_0", [])]
        self.fired = [0] * self.n

    def bounded(self, x, low, high):
        result = between(x, low, high)
        self.saturations += result != x
        return result

    def add16(self, x, y):
        self.saturations += clip16(x + y) != x + y
        return clip16(x + y)

    def load(self, t):
        if self.family == "dynap":
            for k in range(self.n):
                if self.p["bias"][k]:
                    self.meet(k, self.p["bias"][k])
        if self.family == "if":
            for k in range(self.n):
                if self.p["load_step"][k] == t:
                    self.v[k] = self.p["v_load"][k]
        if self.family == "slope":
            for k in range(self.n):
                if t in (self.p["clear_step"][k], self.p["load_step"][k]):
                    self.u[k] = 0
                if self.p["load_step"][k] == t:
                    self.v[k] = self.p["v_load"][k]
        if self.family == "cuba_reset":
            for k in range(self.n):
                if (t + 1) % self.p["reset_interval"][k] == self.p["reset_offset"][k] % self.p["reset_interval"][k]:
                    self.u[k] = self.v[k] = 0

    def step(self, arrivals):
        if self.family in EVENT_BY_EVENT:
            return getattr(self, f"_{self.family}")()
        return [getattr(self, f"_{self.family}")(k, arrivals[k]) for k in range(self.n)]

    def spike_from(self, listed, times, port):
        """A source neuron fired `times` times; listed: [(target, code)]."""
        if self.family == "dynap":
            for _ in range(times):
                for k, code in listed:
                    self.meet(k, code)
        else:
            for k, code in listed:
                for _ in range(times):
                    self.current[port][k] = self.add16(self.current[port][k], code)

    def meet(self, k, code):
        p = {name: value[k] for name, value in self.p.items()}
        self.v[k] = self.bounded(self.v[k] + code, p["v_min"], p["v_max"])
        if self.v[k] >= p["v_threshold"]:
            if self.fired[k] == p["max_spikes"]:
                self.saturations += 1
                return
            self.fired[k] += 1
            self.v[k] = p["v_reset"] if p["reset"] else self.v[k] - p["v_threshold"]

    def _dynap(self):
        fired, self.fired = self.fired, [0] * self.n
        return fired

    def _xylo(self):
        def loss(x, dash):
            return (x >> dash) or (x > 0) - (x < 0)

        spikes = [0] * self.n
        for k in range(self.n):
            p = {name: value[k] for name, value in self.p.items()}
            for current, dash in zip(self.current, (p["dash_syn"], p["dash_syn_2"]), strict=True):
                current[k] -= loss(current[k], dash)
            change = -loss(self.v[k], p["dash_mem"])
            if change == 2**15:
                change, self.wraps = -(2**15), self.wraps + 1
            change = self.add16(change, self.current[0][k] + self.current[1][k])
            change = self.add16(change, p["bias"])
            self.v[k] = self.add16(self.v[k], change)
            while self.v[k] >= p["v_threshold"] and spikes[k] < p["max_spikes"]:
                spikes[k] += 1
                self.v[k] -= p["v_threshold"]
            if p["alias"] >= 0:
                other = p["alias"]
                spikes[other] = min(spikes[other] + spikes[k], self.p["max_spikes"][other])
        return spikes

    def _lif(self, k, a):
        p = {name: value[k] for name, value in self.p.items()}
        if self.left[k]:
            self.left[k] -= 1
            return 0
        v = leak(self.v[k], p["decay"], p["decay_shift"]) + a + p["bias"]
        v = self.bounded(v, p["v_min"], p["v_max"])
        spikes = 0
        if v >= p["v_threshold"]:
            spikes = 1 if p["max_spikes"] == 1 else min(p["max_spikes"], v // p["v_threshold"])
            v = p["v_reset"] if p["reset"] else v - spikes * p["v_threshold"]
            self.left[k] = p["refractory"]
        self.v[k] = v
        return spikes

    def _alif(self, k, a):
        p = {name: value[k] for name, value in self.p.items()}
        v = leak(self.v[k], p["decay"], p["decay_shift"]) + a + p["bias"]
        v = self.bounded(v, p["v_min"], p["v_max"])
        rise = leak(self.a[k], p["a_decay"], p["a_decay_shift"])
        fires = v >= p["v_threshold"] + rise
        if fires:
            v = (v - p["v_threshold"], p["v_reset"], v - p["v_threshold"] - rise)[p["reset"]]
            rise += p["a_step"]
        self.v[k], self.a[k] = v, rise
        return int(fires)

    def _atrlif(self, k, a):
        p = {name: value[k] for name, value in self.p.items()}
        self.charge(k, a, p)
        rest = 64 * p["theta_0"]
        theta = rest + toward_zero(self.theta[k] - rest, 4096 - p["dtheta"])
        r = toward_zero(self.r[k], 4096 - p["dr"])
        fires = self.v[k] - r >= theta
        self.r[k], self.theta[k] = (r + 2 * theta, theta + 64 * p["theta_step"]) if fires else (r, theta)
        return int(fires)

    def _graded(self, k, a):
        p = {name: value[k] for name, value in self.p.items()}
        z = self.bounded((a + p["bias"]) // 2 ** p["shift"], p["v_min"], p["v_max"])
        if self.family == "graded_relu":
            z = max(0, z)
        return z if abs(z) > p["v_threshold"] else 0

    _graded_relu = _graded

    def _delta(self, k, a):
        p = {name: value[k] for name, value in self.p.items()}
        x = self.bounded(a + p["bias"], p["v_min"], p["v_max"])
        change = x - self.v[k]
        if abs(change) < p["v_threshold"]:
            return 0
        self.v[k] = x
        return change >> p["shift"]

    def _sigma_delta(self, k, a):
        p = {name: value[k] for name, value in self.p.items()}
        self.v[k] = self.bounded(self.v[k] + a, p["v_min"], p["v_max"])
        x = self.v[k] + p["bias"]
        if p["rectify"]:
            x = max(x, 0)
        change = x - self.sent[k]
        if abs(change) < p["v_threshold"]:
            return 0
        self.sent[k] = x
        return change >> p["shift"]

    def _slope(self, k, a):
        self.u[k] += a
        v = self.v[k] + self.u[k]
        fires = v >= self.p["v_threshold"][k]
        if fires:
            v = self.p["v_reset"][k] if self.p["reset"][k] else v - self.p["v_threshold"][k]
        self.v[k] = v
        return int(fires)

    def _integrator(self, k, a):
        self.v[k] += a + self.p["bias"][k]
        return 0

    def _if(self, k, a):
        p = {name: value[k] for name, value in self.p.items()}
        v = self.v[k] + a + p["bias"]
        clipped = v
        if p["v_min"] is not None:
            clipped = max(clipped, p["v_min"])
        if p["v_max"] is not None:
            clipped = min(clipped, p["v_max"])
        self.saturations += clipped != v
        v = clipped
        spikes = 0
        if v >= p["v_threshold"]:
            spikes = 1 if p["max_spikes"] == 1 else min(p["max_spikes"], v // p["v_threshold"])
            v = p["v_reset"] if p["reset"] else v - spikes * p["v_threshold"]
        self.v[k] = v
        return spikes

    def charge(self, k, a, p):
        """u and v of Loihi's neurons."""
        u = toward_zero(self.u[k], 4096 - (p["du"] + 1)) + a * 64
        if u > 2**23:
            u, self.wraps = u - 2**24, self.wraps + 1
        elif u <= -(2**23):
            u, self.wraps = u + 2**24, self.wraps + 1
        bias = p["bias_mant"] << p["bias_exp"] if p["bias_exp"] >= 0 else p["bias_mant"] >> -p["bias_exp"]
        v = toward_zero(self.v[k], 4096 - p["dv"]) + u + bias
        self.u[k], self.v[k] = u, self.bounded(v, -(2**23) + 1, 2**23 - 1)

    def _cuba(self, k, a):
        p = {name: value[k] for name, value in self.p.items()}
        self.charge(k, a, p)
        fires = self.v[k] > p["vth"] * 64
        self.v[k] = 0 if fires else self.v[k]
        return int(fires)

    _cuba_reset = _cuba


def ordered(program: Program):
    """Populations so that every projection without delay runs forward."""
    done, rest = [], list(program.populations)
    while rest:
        for p in rest:
            if all(q.delay or q.source in done for q in program.into(p.name)):
                done.append(p.name)
                rest.remove(p)
                break
        else:
            raise AssertionError("loop without delay")
    return done


def simulate(program: Program, rasters: np.ndarray, steps: int):
    """Everything that a run must give, as plain lists and integers. rasters (n_samples, given steps, n_inputs)."""
    chip = {name: number.value for name, number in program.chip.numbers.items()}
    lanes, overhead = chip["lanes"], chip["event_overhead_cycles"]
    sizes = {p.name: p.size for p in program.populations}
    families = {p.name: p.neuron.family for p in program.populations}
    wires = {q.name: synapses(q, sizes[q.source]) for q in program.projections}
    numbers = {
        p.name: p.neuron.family in SENDS_NUMBERS or any(np.any(p.neuron.params.get(key, 0)) for key in ("graded", "value"))
        for p in program.populations
    }
    core = {}
    for s in program.placements:
        for k in range(s.start, s.stop):
            core[s.population, k] = (s.chip, s.core)
    cores = sorted(set(core.values()))
    sweep = {c: -(-sum(1 for where in core.values() if where == c) // lanes) for c in cores}
    fan = {
        (q.name, j): Counter(core[q.target, i] for i, _ in wires[q.name][j])
        for q in program.projections
        for j in range(sizes[q.source])
    }
    order = ordered(program)
    n = len(rasters)
    result = {
        "spikes": {name: np.zeros((n, steps, size), int) for name, size in sizes.items()},
        "events": {name: np.zeros((n, steps, size), int) for name, size in sizes.items()},
        "v": {name: np.zeros((n, steps, size), int) for name, size in sizes.items()},
        "i": {name: np.zeros((n, steps, 2 * size), int) for name, size in sizes.items()},
        "cycles": [0] * n,
        "core_cycles": Counter(),
        "queue_peak": Counter(),
        "operations": Counter({q.name: 0 for q in program.projections}),
        "messages": Counter(dict.fromkeys(sizes, 0)),
        "saturations": Counter(dict.fromkeys(sizes, 0)),
        "wraps": Counter(dict.fromkeys(sizes, 0)),
    }
    for s in range(n):
        cells = {p.name: Cell(p) for p in program.populations}
        history = {name: [] for name in sizes}
        for t in range(steps):
            busy, arriving = Counter(sweep), Counter()
            for name in order:
                cell = cells[name]
                if families[name] == "input":
                    first = sum(sizes[other] for other in program.inputs[: program.inputs.index(name)])
                    spikes = rasters[s, t, first : first + cell.n].tolist() if t < rasters.shape[1] else [0] * cell.n
                elif families[name] == "generator":
                    spikes = [0] * cell.n
                    params = cell.population.neuron.params
                    values = np.broadcast_to(params.get("value", 1), params["time"].shape).tolist()
                    for time, index, value in zip(params["time"].tolist(), params["index"].tolist(), values, strict=True):
                        spikes[index] += value * (time == t)
                else:
                    cell.load(t)
                    arrivals = [0] * cell.n
                    for q in program.into(name):
                        if t < q.delay:
                            continue
                        past = history[q.source][t - q.delay]
                        for j, value in enumerate(past):
                            if not value:
                                continue
                            events = 1 if numbers[q.source] else value
                            shifted = [(i, code << q.exponent) for i, code in wires[q.name][j]]
                            result["operations"][q.name] += events * len(shifted)
                            if cell.family in EVENT_BY_EVENT:
                                cell.spike_from(shifted, value, q.port)
                            else:
                                for i, code in shifted:
                                    arrivals[i] += value * code
                            for c, here in fan[q.name, j].items():
                                busy[c] += events * (overhead + -(-here // lanes))
                                arriving[c] += events
                    spikes = cell.step(arrivals)
                history[name].append(spikes)
                result["spikes"][name][s, t], result["v"][name][s, t] = spikes, cell.v
                result["i"][name][s, t] = [*cell.current[0], *cell.current[1]]
                for j, value in enumerate(spikes):
                    times = int(value != 0) if numbers[name] else value
                    result["events"][name][s, t, j] = times
                    reached = {c for q in program.projections if q.source == name for c in fan[q.name, j]}
                    result["messages"][name] += times * len(reached)
                    if (name, j) in core and families[name] not in HOST:
                        busy[core[name, j]] += times * len(reached) * chip["message_cycles"]
            result["cycles"][s] += max(busy.values(), default=0) + chip["barrier_cycles"]
            result["core_cycles"].update(busy)
            for c, number in arriving.items():
                result["queue_peak"][c] = max(result["queue_peak"][c], number)
        for name, cell in cells.items():
            result["saturations"][name] += cell.saturations
            result["wraps"][name] += cell.wraps
    return result
