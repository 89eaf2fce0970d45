"""How fast is snnport's engine, beside the tools that people would use instead, and beside what the processor allows?

Networks and inputs are made once. Every contender runs in a process of its own (the peers in environments that uv makes from
the heads of their scripts), prepares, and is then timed in turns with snnport: A B A B. The shortest time of each counts.
Peers choose the faster of one and two threads; those with a faster way than that of their documentation are run in both.
Neurons of all contenders follow the rule of the peer, on the same integer weights, so that both must count the same spikes;
the table says whether they did.

Usage: python benchmarks/speed.py [--rows a,b,c,d,e,f,g] [--rounds N] [--seconds S] [--no-write]
Row g needs the folder named by SNNPORT_DATA. The table goes to benchmarks/RESULTS.md, and to standard output.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peers import cases, table
from peers.session import Contender, Measured, Missing
from peers.table import Line

from snnport.encoders import Stimulus
from snnport.program import Program
from snnport.sim.engine import available_cores, run

WIDE, NARROW = (784, 1200, 1200, 10), (784, 256, 256, 10)
PAUSE = 0.3
"""Seconds between two contenders, in which the threads of the first go to sleep."""
LAVA_SAMPLES = 8
ENERGY_SAMPLES = 16
Rule = Callable[[Program], Program]
RULES: dict[str, Rule] = {
    "snntorch": cases.strict,
    "norse": cases.strict_to_zero,
    "sinabs": lambda program: program,
    "spikingjelly": lambda program: program,
    "lava": cases.strict_to_zero,
    "brian2": cases.next_step,
    "sanafe": lambda program: cases.strict(cases.next_step(program)),
}
TORCH = ("snntorch", "norse", "sinabs", "spikingjelly")
TWO_WAYS = ("snntorch", "norse")
"""Peers that are faster in another way than their documentation's."""


@dataclass(frozen=True, eq=False)
class Row:
    """One comparison. case: the file of base network and input. peer_batch: samples that the peer runs, if fewer than batch.

    rule: in place of the peer's rule in RULES.
    """

    key: str
    work: str
    peer: str
    least: float
    base: Program
    case: Path
    batch: int
    peer_batch: int = 0
    price: bool = False
    rule: Rule | None = None

    @property
    def samples(self) -> int:
        """Samples that the peer runs."""
        return self.peer_batch or self.batch


class Bench:
    """Where the files are, and how long to measure."""

    def __init__(self, folder: Path, rounds: int, seconds: float) -> None:
        self.folder, self.rounds, self.seconds = folder, rounds, seconds

    def own(self, row: Row, batch: int) -> Contender:
        """snnport's process for a row, under the peer's neuron rule."""
        path = self.folder / f"{row.key}-{row.peer}.npz"
        (row.rule or RULES[row.peer])(row.base).save(path)
        threads = min(available_cores(), batch)
        return Contender(
            "on_snnport.py",
            {"program": str(path), "case": str(row.case), "batch": batch, "threads": threads, "price": row.price},
        )

    def peer(self, row: Row, documented: bool = False) -> Contender:
        """The peer's process with the number of threads that is fastest, as its documentation runs it if `documented`."""
        walls: dict[Contender, float] = {}
        for threads in (1, available_cores()) if row.peer != "lava" else (1,):
            request = {"case": str(row.case), "batch": row.samples, "threads": threads, "documented": documented}
            contender = Contender(f"on_{row.peer}.py", request)
            walls[contender] = contender.run(0).wall_s if row.peer != "lava" else 0.0
        best = min(walls, key=lambda contender: walls[contender])
        for contender in walls:
            if contender is not best:
                contender.end()
        return best

    def compare(self, row: Row) -> Line:
        """Measure one row. Raises Missing if the peer cannot run here."""
        with ExitStack() as stack:
            own, peer = stack.enter_context(self.own(row, row.batch)), stack.enter_context(self.peer(row))
            contenders = [own, peer]
            if row.peer in TWO_WAYS:
                contenders.append(stack.enter_context(self.peer(row, documented=True)))
            ours, theirs, *other = self.turns(contenders, 1 if row.peer == "lava" else self.rounds)
            config, versions = f"{peer.config}, {peer.threads} thread(s)", peer.versions
        documented = other[0] if other else theirs
        counted = ours.spikes
        if row.samples != row.batch:
            with self.own(row, row.samples) as few:
                counted = few.run(0).spikes
            config += f"; {row.samples} samples measured, taken times {row.batch / row.samples:g}"
        walls = [measured.wall_s * row.batch / row.samples for measured in (documented, theirs)]
        name = " ".join(f"{k} {v}" for k, v in versions.items())
        agreement = table.agreement(theirs.spikes, counted)
        return Line(row.key, row.work, name, config, ours.wall_s, walls[0], min(walls), row.least, agreement)

    def turns(self, contenders: Sequence[Contender], rounds: int) -> list[Measured]:
        """A B A B, and the best of each."""
        best: list[Measured] = []
        for turn in range(rounds):
            for i, contender in enumerate(contenders):
                time.sleep(PAUSE)
                got = contender.run(self.seconds)
                if turn == 0:
                    best.append(got)
                elif got.wall_s < best[i].wall_s:
                    best[i] = got
        return best


def streaming(bench: Bench, program: Program, case: Path) -> Iterator[Line]:
    """Row a: one sample on one core against the streaming limit (peers/streaming.py says what that is)."""
    core = min(os.sched_getaffinity(0))
    with np.load(case) as data:
        x = data["x"][:1]
    sources = [q.source for q in program.projections]
    result = run(program, Stimulus(x, None, x.shape[1]), record_spikes=sources)
    events: dict[str, np.ndarray] = {}
    for i, source in enumerate(sources):
        step, events[f"index{i}"] = np.nonzero(result.trace.spikes[source][0])
        events[f"start{i}"] = np.searchsorted(step, np.arange(x.shape[1] + 1))
    path = bench.folder / "events.npz"
    np.savez(path, **events)
    operations = result.counts.total("synaptic_operations")
    program.save(bench.folder / "a.npz")
    request = {"program": str(bench.folder / "a.npz"), "case": str(case), "batch": 1, "threads": 1, "pin": core}
    limits: dict[str, float] = {}
    walls = []
    with Contender("on_snnport.py", request) as own:
        for how in ("one", "two", "four", "eight", "read", "tiles"):
            with Contender("streaming.py", {"case": str(case), "events": str(path), "pin": core, "how": how}) as limit:
                ours, theirs = bench.turns([own, limit], bench.rounds)
            walls.append(ours.wall_s)
            limits[how] = theirs.wall_s
    wall = min(walls)
    added = {how: seconds for how, seconds in limits.items() if how not in ("read", "tiles")}
    speeds = ", ".join(f"{how} {operations / seconds / 1e9:.1f}" for how, seconds in limits.items())
    config = f"G events/s by rows a pass: {speeds}; the engine {operations / wall / 1e9:.2f}; {operations} events"
    work = "784-1200-1200-10, 10 % input, 1 sample, 1 core"
    yield Line("a", work, "streaming limit", config, wall, min(added.values()), limits["tiles"], 0.5, "same rows")


def rows(bench: Bench, wanted: str) -> Iterator[Row]:
    """All comparisons with peers, in the order of the table."""
    wide, narrow = cases.dense_program(*WIDE), cases.dense_program(*NARROW)
    name = "-".join(map(str, WIDE))
    for rate, least in ((0.1, 4.0), (0.02, 15.0), (1.0, 1.0)):
        case = cases.write_case(bench.folder / f"wide-{rate}.npz", wide, cases.spikes(128, rate))
        work = f"{name}, {rate:.0%} input"
        if rate == 0.1 and "b" in wanted:
            yield from (Row("b", f"{work}, batch 1", peer, 20.0, wide, case, 1) for peer in TORCH)
        if "c" in wanted:
            yield from (Row("c", f"{work}, batch 128", peer, least, wide, case, 128) for peer in TORCH)
        if rate == 0.1 and "d" in wanted:
            yield Row("d", f"{work}, batch 128", "lava", 200.0, wide, case, 128, LAVA_SAMPLES)
            loihi = f"{work}, batch 128, Loihi's neuron on both sides"
            yield Row("d", loihi, "lava", 200.0, wide, case, 128, LAVA_SAMPLES, rule=cases.on_loihi)
        if rate == 0.1 and "e" in wanted:
            yield Row("e", f"{work}, batch 1", "brian2", 10.0, wide, case, 1)
    if "f" in wanted:
        case = cases.write_case(bench.folder / "narrow.npz", narrow, cases.spikes(ENERGY_SAMPLES, 0.1))
        for batch in (1, ENERGY_SAMPLES):
            work = f"{'-'.join(map(str, NARROW))}, 10% input, batch {batch}, energy priced"
            yield Row("f", work, "sanafe", 500.0, narrow, case, batch, 1, price=True)
    data = Path(os.environ.get("SNNPORT_DATA", ""))
    if "g" in wanted and not (data / "nir" / cases.CNN).is_file():
        print("row g left out: SNNPORT_DATA names no folder with the networks", file=sys.stderr)
    elif "g" in wanted:
        program = cases.nir_program(data)
        x = cases.frames(data, 64)
        multiple = cases.write_case(bench.folder / "frames.npz", program, x)
        for batch, least in ((1, 8.0), (64, 3.0)):
            work = f"the NIR paper's CNN, {cases.FRAMES} N-MNIST-like frames, batch {batch}"
            yield Row("g", work, "sinabs", least, program, multiple, batch)
            yield Row("g", work, "snntorch", least, program, multiple, batch)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="The engine's speed beside its peers'.")
    parser.add_argument("--rows", default="abcdefg")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="for each turn of a contender")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md as it is")
    options = parser.parse_args()
    lines: list[Line] = []
    missing: list[str] = []
    before = os.getloadavg()[0]

    def note(line: Line | str) -> None:
        """Print a result, and write all of them, so that a run that is cut off leaves what it has."""
        if isinstance(line, str):
            missing.append(line)
        else:
            lines.append(line)
        print(line if isinstance(line, str) else line.text(), flush=True)
        if not options.no_write:
            load = before, os.getloadavg()[0]
            table.write(Path(__file__).with_name("RESULTS.md"), table.page(lines, missing, load))

    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), options.rounds, options.seconds)
        if "a" in options.rows:
            wide = cases.dense_program(*WIDE)
            case = cases.write_case(bench.folder / "a-case.npz", wide, cases.spikes(128, 0.1)[:1])
            for line in streaming(bench, wide, case):
                note(line)
        for row in rows(bench, options.rows):
            try:
                note(bench.compare(row))
            except Missing as error:
                note(f"row {row.key}, {row.work}: {error}")


if __name__ == "__main__":
    main()
