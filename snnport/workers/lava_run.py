"""Run snnport programs on Lava's fixed-point models, inside Lava's own interpreter; imports numpy and lava alone.

    python lava_run.py JOBS.json

JOBS.json is a list of {"program", "stimulus", "trace": paths, "spikes", "v", "u": names of populations to record}. A program
is a saved snnport program (docs/formats.md); a stimulus is an .npz with x (n_samples, n_steps, n_inputs); the trace gets
spikes/NAME, v/NAME and "v/u of NAME" (n_samples, n_steps, n) and meta. snnport/targets/loihi/lavable.py says which programs
have a counterpart in Lava, and checks before this runs. The arithmetic is that of Lava's own process models under its own
runtime; what is added here is a reset between samples, and files that the models' values are copied to.

Time: a connection of Lava takes a step, so a projection of delay d leads to a population that runs `start` steps later than
its source where d is 0. A population's step t is Lava's step start + t; `start` is taken off here, and nowhere else.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps  # type: ignore[import-not-found]
from lava.magma.core.run_configs import Loihi2SimCfg  # type: ignore[import-not-found]
from lava.proc.conv.process import Conv  # type: ignore[import-not-found]
from lava.proc.dense.process import DelayDense, Dense  # type: ignore[import-not-found]
from lava.proc.graded.process import GradedVec  # type: ignore[import-not-found]
from lava.proc.io.source import RingBuffer  # type: ignore[import-not-found]
from lava.proc.sparse.process import DelaySparse, Sparse  # type: ignore[import-not-found]
from lava_models import OBSERVED, neurons  # type: ignore[import-not-found]
from lava_synapses import CONSTANTS, DIGITS, digits, matrix, read, smallest, stored  # type: ignore[import-not-found]
from scipy.sparse import csr_matrix, eye, hstack  # type: ignore[import-untyped]

Arrays = dict[str, Any]
HOSTS, GRADED = ("input", "generator"), ("graded", "graded_relu")
MESSAGE_BITS = 24
MANY_SYNAPSES = 100_000
BLOCK_WORDS = 1 << 25
"""Entries of all sources in one start of Lava's runtime; more samples take another start."""


class Network:
    """A program with its timing: which step of Lava each population starts in.

    What a graded population shifts right must be one sum of one connection. Where several projections lead to it, or a bias,
    a `junction` of relays gathers their sources in front of that connection, one step earlier.
    """

    def __init__(self, header: dict[str, Any], arrays: Arrays, x: Any) -> None:
        self.header, self.arrays, self.x = header, arrays, x
        self.steps = header["n_steps"] or x.shape[1]
        self.populations = {p["name"]: p for p in header["populations"]}
        self.size = {name: int(np.prod(p["shape"])) for name, p in self.populations.items()}
        self.junctions = {name for name in self.size if self.shift_of(name) and (len(self.into(name)) > 1 or self.biased(name))}
        self.start = self.starts()
        self.period = max(self.start.values(), default=0) + self.steps

    def starts(self) -> dict[str, int]:
        """Lava's step at which each population begins, late enough for what takes a step on the way to it."""
        found = dict.fromkeys(self.size, 0)
        for name in found:
            if name in self.junctions or self.own_bias(name):
                found[name] = 1 + (name in self.junctions)
        for _ in (0, *found):
            before = dict(found)
            for q in self.header["projections"]:
                hops = 1 + (q["target"] in self.junctions)
                found[q["target"]] = max(found[q["target"]], found[q["source"]] + hops - q["delay"])
            if found == before:
                return found
        raise ValueError("a loop takes more steps in Lava than its delays")

    def family(self, name: str) -> str:
        """The family of a population."""
        return str(self.populations[name]["family"])

    def params(self, name: str) -> Arrays:
        """What is given of a population's parameters."""
        return {key: self.arrays[f"population/{name}/{key}"] for key in self.populations[name]["params"]}

    def into(self, name: str) -> list[dict[str, Any]]:
        """The projections to a population."""
        return [q for q in self.header["projections"] if q["target"] == name]

    def bias(self, name: str) -> Any:
        """The bias of a population (n,)."""
        value = np.asarray(self.arrays.get(f"population/{name}/bias", 0), np.int64)
        return np.broadcast_to(value, (self.size[name],))

    def biased(self, name: str) -> bool:
        """Whether it has a bias."""
        return bool(self.bias(name).any())

    def shift_of(self, name: str) -> int:
        """Bits by which a graded population shifts what arrives to the right; lavable.py saw that all neurons agree."""
        shift = self.arrays.get(f"population/{name}/shift", np.zeros(1))
        return int(np.asarray(shift).reshape(-1)[0]) if self.family(name) in GRADED else 0

    def own_bias(self, name: str) -> bool:
        """Whether a source of its own brings the bias, because the process has none and nothing is shifted."""
        return self.family(name) in (*GRADED, "delta") and not self.shift_of(name) and self.biased(name)

    def messages(self, name: str) -> int:
        """Bits of a message: 0 for spikes."""
        if self.family(name) not in HOSTS:
            return MESSAGE_BITS if self.family(name) in (*GRADED, "delta", "sigma_delta") else 0
        part = self.stimulus(name, self.x) if self.family(name) == "input" else self.generated(name)
        return MESSAGE_BITS if part.max(initial=0) > 1 or part.min(initial=0) < 0 else 0

    def stimulus(self, name: str, x: Any) -> Any:
        """The columns of x (n_samples, n_steps, n_inputs) that drive an input population."""
        first = sum(self.size[other] for other in self.header["inputs"][: self.header["inputs"].index(name)])
        return x[:, :, first : first + self.size[name]]

    def generated(self, name: str) -> Any:
        """The spikes (1, steps, n) of a generator."""
        raster, p = np.zeros((1, self.steps, self.size[name]), np.int32), self.params(name)
        inside = p["time"] < self.steps
        values = np.broadcast_to(p.get("value", 1), p["time"].shape)
        np.add.at(raster[0], (p["time"][inside], p["index"][inside]), values[inside])
        return raster

    def source(self, name: str, x: Any) -> Any:
        """The process that plays an input or a generator for the samples x."""
        given = self.generated(name) if self.family(name) == "generator" else self.stimulus(name, x)
        found = np.zeros((len(x), self.period, self.size[name]), np.int32)
        found[:, self.start[name] : self.start[name] + given.shape[1]] = given
        return RingBuffer(data=found.reshape(-1, found.shape[2]).T.copy())

    def constants(self, begin: int, n_samples: int) -> Any:
        """A process that plays the constants from step `begin` of every sample on."""
        found = np.zeros((n_samples, self.period, DIGITS), np.int32)
        found[:, begin:] = CONSTANTS
        return RingBuffer(data=found.reshape(-1, DIGITS).T.copy())

    def joined(self, name: str) -> Any:
        """The matrix of all that leads to a junction's population: its projections, one beside the other, then its bias."""
        parts = [matrix(q, self.arrays) * (1 << q["exponent"]) for q in self.into(name)]
        even = not any(np.any(part.data % 2) for part in parts)
        bias = self.bias(name)
        mixed = any(np.any(part.data < 0) for part in [*parts, csr_matrix(bias)])
        return hstack([*parts, csr_matrix(digits(bias, 2 if even and mixed else 1))], format="csr")


def link(weights: Any, exponent: int, delay: int, bits: int, full: bool = False) -> Any:
    """The connection process for a matrix. full: as a dense one."""
    kept, exponent = stored(weights, exponent)
    # Spikes as messages of 1 are the same sums, by a product in the place of picking columns.
    bits = MESSAGE_BITS if kept.nnz > MANY_SYNAPSES else bits
    options = {"weight_exp": exponent, "num_message_bits": bits}
    if full:
        codes = kept.toarray()
        return Dense(weights=codes, **options) if delay == 1 else DelayDense(weights=codes, delays=delay - 1, **options)
    if delay == 1:
        return Sparse(weights=kept, **options)
    delays = kept.astype(np.int64)
    delays.data[:] = delay - 1
    return DelaySparse(weights=kept, delays=delays, **options)


def map_link(network: Network, q: dict[str, Any], bits: int) -> Any:
    """Lava's convolution for a projection that it fits, else None. Its maps are (x, y, channel), its kernel is flipped."""
    geometry = q["geometry"]
    if q["synapse"] != "Conv" or q["pool"] or network.shift_of(q["target"]):
        return None
    top, left, bottom, right = geometry["padding"]
    if top != bottom or left != right:
        return None
    codes = network.arrays[f"projection/{q['name']}/codes"].astype(np.int32) << q["exponent"]
    weight = np.ascontiguousarray(codes.transpose(0, 3, 2, 1)[:, ::-1, ::-1])
    x_and_y = {key: tuple(geometry[key][::-1]) for key in ("stride", "dilation")}
    shape, groups = tuple(geometry["input_shape"][::-1]), geometry["groups"]
    return Conv(weight=weight, input_shape=shape, padding=(left, top), groups=groups, num_message_bits=bits, **x_and_y)


class Board:
    """The processes of a network for the samples x, in groups that are connected among themselves."""

    def __init__(self, network: Network, x: Any, files: dict[str, dict[str, str]], first: int) -> None:
        self.network = network
        self.groups: dict[int, list[Any]] = {}
        self.common = {"period": network.period, "first": first, "steps": network.steps}
        found: dict[str, Any] = {}
        for name in network.size:
            if network.family(name) in HOSTS:
                found[name] = self.add(network.source(name, x))
                continue
            built = neurons(network.family(name), network.params(name), network.size[name])
            formulas = {"spikes": "spikes", "v": built.v, "u": built.u}
            chosen = {formulas[what]: path for what, path in files.get(name, {}).items()}
            found[name] = self.add(built.process, start=network.start[name], files=chosen, v_init=built.v_init)
        for q in network.header["projections"]:
            if q["target"] not in network.junctions:
                self.connect(q, found[q["source"]], found[q["target"]])
        for name in network.junctions:
            self.junction(name, found, len(x))
        for name in filter(network.own_bias, found):
            weights = digits(network.bias(name), 1)
            for part in (np.maximum(weights, 0), np.minimum(weights, 0)):
                source = self.add(network.constants(network.start[name] - 1, len(x)))
                self.wire(source, link(csr_matrix(part), 0, 1, MESSAGE_BITS), found[name])

    def add(self, process: Any, **how: Any) -> Any:
        """Take up a process, with what lava_models.observed reads."""
        self.groups[id(process)] = [process]
        process.proc_params["observe"] = {**self.common, "start": 0, "files": {}, "v_init": 0, **how}
        return process

    def wire(self, source: Any, between: Any, target: Any) -> None:
        """Source to connection to target."""
        self.add(between)
        if isinstance(between, Conv):
            source.s_out.reshape(between.input_shape[::-1]).transpose((2, 1, 0)).connect(between.s_in)
            between.a_out.transpose((2, 1, 0)).flatten().connect(target.a_in)
        else:
            source.s_out.connect(between.s_in)
            between.a_out.connect(target.a_in)
        merged = {id(p): p for process in (source, between, target) for p in self.groups[id(process)]}
        group = list(merged.values())
        for key in merged:
            self.groups[key] = group

    def connect(self, q: dict[str, Any], source: Any, target: Any) -> None:
        """One projection as one connection."""
        start, bits = self.network.start, self.network.messages(q["source"])
        delay = q["delay"] + start[q["target"]] - start[q["source"]]
        maps = map_link(self.network, q, bits) if delay == 1 else None
        exponent = q["exponent"] - self.network.shift_of(q["target"])
        full = q["synapse"] == "Dense" and not q["pool"]
        self.wire(source, maps or link(matrix(q, self.network.arrays), exponent, delay, bits, full), target)

    def junction(self, name: str, found: dict[str, Any], n_samples: int) -> None:
        """All projections to a population, and its bias, through relays and one connection."""
        network = self.network
        into = network.into(name)
        sizes = [network.size[q["source"]] for q in into]
        total, at = sum(sizes) + DIGITS, 0
        relays = self.add(GradedVec(shape=(total,), vth=0))
        for q, size in zip(into, sizes, strict=True):
            delay = q["delay"] + network.start[name] - network.start[q["source"]] - 1
            through = eye(total, size, -at, dtype=np.int64, format="csr")
            self.wire(found[q["source"]], link(through, 0, delay, network.messages(q["source"])), relays)
            at += size
        if network.biased(name):
            through = eye(total, DIGITS, -at, dtype=np.int64, format="csr")
            self.wire(
                self.add(network.constants(network.start[name] - 2, n_samples)), link(through, 0, 1, MESSAGE_BITS), relays
            )
        self.wire(relays, link(network.joined(name), -network.shift_of(name), 1, MESSAGE_BITS), found[name])

    def islands(self) -> list[list[Any]]:
        """The groups, each once."""
        return list({id(group): group for group in self.groups.values()}.values())


def run(job: dict[str, Any], folder: Path) -> None:
    """Run one job and write its trace."""
    begun = time.perf_counter()
    arrays, x = read(job["program"]), read(job["stimulus"])["x"]
    network = Network(json.loads(bytes(arrays["header"]).decode()), arrays, x)
    files: dict[str, dict[str, str]] = {}
    wanted = [(what, name) for what in ("spikes", "v", "u") for name in job.get(what, ()) if network.family(name) not in HOSTS]
    for k, (what, name) in enumerate(wanted):
        path, shape = folder / f"{k}.npy", (len(x), network.steps, network.size[name])
        np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=shape).flush()
        files.setdefault(name, {})[what] = str(path)
    width = sum(network.size[name] for name in network.size if network.family(name) in HOSTS)
    block = max(1, BLOCK_WORDS // max(1, network.period * width))
    for first in range(0, len(x), block):
        part = x[first : first + block]
        for members in Board(network, part, files, first).islands():
            exceptions = {type(process): OBSERVED[type(process)] for process in members if type(process) in OBSERVED}
            config = Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=exceptions)
            members[0].run(condition=RunSteps(num_steps=len(part) * network.period), run_cfg=config)
            members[0].stop()
        sys.stderr.write(f"{first + len(part)} of {len(x)} samples\n")
        sys.stderr.flush()
    keys = {"spikes": "spikes/", "v": "v/", "u": "v/u of "}
    trace = {keys[what] + name: smallest(np.load(path)) for name, paths in files.items() for what, path in paths.items()}
    for name in job.get("spikes", ()):
        if network.family(name) in HOSTS:
            trace[f"spikes/{name}"] = smallest(played(network, name))
    meta = {"engine": "vendor", "vendor": f"lava-nc {version('lava-nc')}", "lava_steps": network.period, "start": network.start}
    meta["wall_s"] = time.perf_counter() - begun
    np.savez(job["trace"], **trace, meta=np.array(json.dumps(meta)))


def played(network: Network, name: str) -> Any:
    """The spikes (n_samples, steps, n) of an input or a generator."""
    found = np.zeros((len(network.x), network.steps, network.size[name]), np.int32)
    if network.family(name) == "generator":
        found[:] = network.generated(name)
    else:
        found[:, : network.x.shape[1]] = network.stimulus(name, network.x)
    return found


def main(path: str) -> None:
    """Run every job of the list at `path`."""
    for job in json.loads(Path(path).read_text(encoding="utf-8")):
        with tempfile.TemporaryDirectory() as folder:
            run(job, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1])
