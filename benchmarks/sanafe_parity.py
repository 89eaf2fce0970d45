"""Does SANA-FE, run now, report what snnport works out in closed form? Spikes, messages, updates, every field of energy.

The networks of tests/golden/sanafe and some drawn anew, on the loihi.yaml that SANA-FE brings and on odd.yaml. Prints one
line each and exits with 1 if a count differs or an energy is off by more than 1e-9 of itself.

Usage: python benchmarks/sanafe_parity.py [--random N] [--python PYTHON]     SANA-FE is installed by `make sanafe`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

from snnport.encoders import Stimulus
from snnport.sim.engine import run
from snnport.sim.sanafe import FIELDS, SanafeResult, account
from snnport.sim.sanafe_arch import load_architecture
from snnport.sim.sanafe_process import TOTALS, run_sanafe

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden" / "sanafe"
LIMIT = 1e-9
sys.path.insert(0, str(GOLDEN))
from sanafe_networks import NETWORKS, layers  # noqa: E402


def drawn(seed: int):
    """Layers of random sizes, on cores a random distance apart."""
    rng = np.random.default_rng(seed)
    sizes = tuple(int(n) for n in rng.integers(5, 80, int(rng.integers(2, 5))))
    return layers(sizes, int(rng.integers(10, 60)), seed, float(rng.random()) / 2, int(rng.integers(0, 32)), bool(seed % 2))


def ours(program, raster, path: Path) -> SanafeResult:
    """The same totals from a run of snnport's engine."""
    stimulus = Stimulus(raster[None].astype(np.int64), None, len(raster))
    cells = [p.name for p in program.populations if p.neuron.family not in ("input", "generator")]
    result = run(program, stimulus, record_spikes=[p.name for p in program.populations], record_v=cells)
    return account(program, result.counts, result.trace, load_architecture(path))


def worst(a: SanafeResult, b: SanafeResult) -> float:
    """The greatest relative difference of an energy; infinite if a count differs."""
    if any(getattr(a, name) != getattr(b, name) for name in TOTALS):
        return float("inf")
    return max(abs(a.energy[f] - b.energy[f]) / max(abs(b.energy[f]), 1e-300) for f in FIELDS)


def main() -> int:
    """Compare, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=10)
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-sanafe" / "bin" / "python")
    options = parser.parse_args()
    if not options.python.is_file():
        print(f"{options.python} is missing. Type: make sanafe", file=sys.stderr)
        return 1
    find = "import sanafe, pathlib; print(pathlib.Path(sanafe.__file__).parent / 'examples/loihi.yaml')"
    found = subprocess.run([options.python, "-c", find], capture_output=True, text=True, check=True).stdout.strip()
    networks = {**NETWORKS, **{f"random {seed}": (lambda seed=seed: drawn(seed)) for seed in range(options.random)}}
    print("| architecture | network | synaptic events | SANA-FE | snnport | greatest difference |\n|---|---|---|---|---|---|")
    failed = 0
    for path in (Path(found), GOLDEN / "odd.yaml"):
        for name, make in networks.items():
            program, raster = make()
            theirs, mine = run_sanafe(program, raster, path, options.python), ours(program, raster, path)
            off = worst(mine, theirs)
            failed += off > LIMIT
            energies = f"{theirs.energy['total']:.9e} J | {mine.energy['total']:.9e} J"
            print(f"| {path.stem} | {name} | {theirs.spikes} | {energies} | {off:.1e} |", flush=True)
    print(f"{failed} differ" if failed else "all equal")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
