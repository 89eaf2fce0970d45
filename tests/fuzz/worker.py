"""Runs inputs FIRST..LAST-1 of one format through the command line, in this process, and says on a line what it does.

`begin SEED` before an input, `finding SEED TEXT` after one that broke the contract. Whoever started this process watches the
clock: an input that takes too long is ended from outside. Memory is bounded here.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np
from mutations import NUMBERS, TEXTS, mutated, one
from seeds import npz, samples, seeds_of, tiny_onnx
from typer.testing import CliRunner

from snnport.cli import app

MEMORY = 2 << 30
FORMATS = ("onnx", "nir", "net", "npz", "program", "trace", "idx", "toml", "json", "cli")
SUFFIXES = {"onnx": ".onnx", "nir": ".nir", "net": ".net", "toml": ".toml", "json": ".json", "idx": "", "cli": ""}
VERBS = (
    "inspect",
    "convert",
    "quantize",
    "check",
    "lower",
    "export",
    "run",
    "compare",
    "validate",
    "port",
    "sweep",
    "targets",
    "doctor",
)
OPTIONS = (
    *("--target", "--code", "--levels", "--bits", "--input", "--labels", "--scale", "--shift", "--mean", "--std", "--range"),
    *("--layout", "--calibration", "--readout", "--record", "--engine", "--expect", "--delay", "--threads", "--price", "--dt"),
    *("--dialect", "--reset", "--rules", "--format", "--ledger", "--report", "--json", "--steps", "--input-levels", "--codes"),
    *("--correction", "--replay", "--targets", "--builder", "--recorded", "--against", "--reset-interval", "--nothing"),
)


class Bench:
    """A folder with a small network in every format, and the lines that an input is tried with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("tiny.onnx", tiny_onnx())
        self.write("x.npz", npz(**samples()))
        self.must("convert", "tiny.onnx", "-o", "tiny.nir", "--scale", 16, "--calibration", "x.npz", "--levels", 4)
        self.must("lower", "tiny.nir", "--target", "cpu", "-o", "program.npz")
        self.must("run", "tiny.nir", "--input", "x.npz", "--scale", 16, "-o", "trace.npz", "--record", "spikes,v")
        self.must("port", "tiny.nir", "--input", "x.npz", "--scale", 16, "-o", "ported")
        (folder / "report.json").write_bytes((folder / "ported" / "report.json").read_bytes())

    def write(self, name: str, content: bytes) -> Path:
        """A file of the folder."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def must(self, *arguments: object) -> None:
        """A line that works."""
        answer = CliRunner().invoke(app, [str(a) for a in arguments])
        assert answer.exit_code == 0, answer.output

    def seeds(self, kind: str) -> list[bytes]:
        """What inputs of a format are made from."""
        own = {"program": "program.npz", "trace": "trace.npz", "json": "report.json"}
        return [(self.folder / own[kind]).read_bytes()] if kind in own else seeds_of(kind)

    def lines(self, kind: str, path: Path, rng: np.random.Generator) -> list[list[object]]:
        """What is done with an input at `path`."""
        out = self.folder / "out"
        if kind == "cli":
            return [self.anything(rng)]
        if kind == "onnx":
            more = ["--calibration", "x.npz", "--scale", 16, "--levels", 4]
            return [["inspect", path, "--json"], ["convert", path, "-o", out / "a.nir", *more]]
        if kind == "nir":
            return [
                ["inspect", path, "--json"],
                ["check", path, "--target", "cpu", "--json"],
                ["quantize", path, "-o", out / "a.nir", "--bits", 8],
            ]
        if kind == "net":
            return [
                ["inspect", path],
                ["check", path, "--target", "loihi2", "--json"],
                ["lower", path, "--target", "loihi2", "-o", out / "p.npz"],
            ]
        if kind == "program":
            return [["inspect", path, "--json"], ["run", path, "--input", "x.npz", "--scale", 16, "-o", out / "t.npz"]]
        if kind == "trace":
            return [
                ["compare", "trace.npz", path, "--json"],
                ["run", "tiny.nir", "--input", "x.npz", "--scale", 16, "--expect", path],
            ]
        if kind == "npz":
            return [["run", "tiny.nir", "--input", path, "--scale", 16, "-o", out / "t.npz"]]
        if kind == "idx":
            return [
                ["run", "tiny.nir", "--input", path, "--scale", 16],
                ["run", "tiny.nir", "--input", "x.npz", "--labels", path, "--json"],
            ]
        if kind == "toml":
            return [
                ["check", "tiny.nir", "--target", path, "--json"],
                ["run", "tiny.nir", "--input", "x.npz", "--scale", 16, "--price", path],
            ]
        return [["compare", "report.json", path, "--json"], ["port", "--replay", path, "--json"]]

    def anything(self, rng: np.random.Generator) -> list[object]:
        """A line of verbs, options and values that may or may not go together."""
        verb = one(rng, VERBS)
        files = (
            "tiny.onnx",
            "tiny.nir",
            "program.npz",
            "trace.npz",
            "x.npz",
            "report.json",
            "none.nir",
            ".",
            "/dev/null",
            "/etc/passwd",
            "",
        )
        line: list[object] = [verb]
        if rng.random() < 0.9:
            line.append(one(rng, files))
        if rng.random() < 0.7:
            line += ["-o", one(rng, ("out/a", "out/a.nir", "out/a.npz", "out/none/a.nir", "/proc/x", "out"))]
        if verb in ("run", "validate", "port", "sweep") and rng.random() < 0.8:
            line += ["--input", one(rng, files), "--scale", 16]
        for _ in range(int(rng.integers(0, 5))):
            name = one(rng, OPTIONS)
            line.append(name)
            if name in ("--json", "--recorded") or rng.random() < 0.05:
                continue
            known = (
                "cpu",
                "loihi2",
                "gate",
                "rate",
                "ttfs",
                "4",
                "8",
                "0.5",
                "norse",
                "sinabs",
                "none",
                "spikes",
                "v",
                "reference",
                "tnc",
            )
            line.append(one(rng, (*known, *map(str, NUMBERS), *(t for t in TEXTS if "\0" not in t), *files)))
        if verb == "sweep":
            line += ["--workers", 0]
        return line


def judged(line: list[object], out: Path) -> str:
    """What breaks the contract in the answer to a line; "" if nothing does."""
    before = sorted(p for p in out.rglob("*"))
    answer = CliRunner().invoke(app, [str(a) for a in line])
    error = answer.exception
    if error is not None and not isinstance(error, SystemExit):
        return "".join(traceback.format_exception(error))
    if answer.exit_code not in (0, 1, 2):
        return f"exit code {answer.exit_code}"
    if "Traceback (most recent" in answer.output:
        return answer.output
    if "--json" in line and answer.exit_code in (0, 1):
        try:
            json.loads(answer.stdout)
        except ValueError:
            return f"--json gave {answer.stdout[:200]!r}"
    left = [p for p in sorted(out.rglob("*")) if p not in before]
    torn = [p.name for p in left if p.name.startswith(".")]
    if torn or (answer.exit_code != 0 and line[0] in ("convert", "quantize", "lower") and any(p.is_file() for p in left)):
        return f"exit code {answer.exit_code}, and left behind {[p.name for p in left]}"
    if answer.exit_code == 1 and "--json" not in line and not answer.stderr.strip() and not answer.stdout.strip():
        return "exit code 1 without a word"
    return ""


def trial(bench: Bench, kind: str, seed: int, given: Path | None = None) -> str:
    """What input `seed`, or the file `given`, breaks; "" if nothing."""
    rng = np.random.default_rng([seed, FORMATS.index(kind)])
    out = bench.folder / "out"
    out.mkdir(exist_ok=True)
    if given is not None:
        path = bench.write(f"input{SUFFIXES.get(kind, '.npz')}", given.read_bytes())
    else:
        content = b"" if kind == "cli" else mutated(kind, rng, bench.seeds(kind))
        path = bench.write(f"input{SUFFIXES.get(kind, '.npz')}", content)
    for line in bench.lines(kind, path, rng):
        found = judged(line, out)
        if found:
            return f"{' '.join(map(str, line))}\n{found}"
    for path in sorted(out.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return ""


def bound_memory() -> None:
    """From here on this process gets no more than MEMORY above what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """The inputs that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=FORMATS)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--given", type=Path, nargs="*", default=[])
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    os.chdir(asked.folder)
    bench = Bench(Path())
    bound_memory()
    tell = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    given = sorted(asked.given)
    for seed in range(asked.first, asked.last):
        tell.write(f"begin {seed}\n")
        found = trial(bench, asked.kind, seed, given[seed] if given else None)
        if found:
            tell.write(f"finding {seed} {json.dumps(found)}\n")


if __name__ == "__main__":
    main()
