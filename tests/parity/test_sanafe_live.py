"""SANA-FE, run now, and the closed form beside it: counts equal, every field of energy to 1e-9 of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snnport.encoders import Stimulus
from snnport.sim.engine import run
from snnport.sim.sanafe import FIELDS, account
from snnport.sim.sanafe_arch import load_architecture
from snnport.sim.sanafe_process import TOTALS, run_sanafe

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "sanafe"
PYTHON = ROOT / ".venv-sanafe" / "bin" / "python"
sys.path.insert(0, str(GOLDEN))
from sanafe_networks import NETWORKS  # noqa: E402


@pytest.fixture(scope="module")
def loihi() -> Path:
    """The architecture file that SANA-FE brings."""
    assert PYTHON.is_file(), "SANA-FE is missing. Type: make sanafe"
    find = "import sanafe, pathlib; print(pathlib.Path(sanafe.__file__).parent / 'examples/loihi.yaml')"
    return Path(subprocess.run([PYTHON, "-c", find], capture_output=True, text=True, check=True).stdout.strip())


@pytest.mark.sanafe
@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_count_and_energy(name: str, loihi: Path) -> None:
    program, raster = NETWORKS[name]()
    theirs = run_sanafe(program, raster, loihi, PYTHON)
    cells = [p.name for p in program.populations if p.neuron.family not in ("input", "generator")]
    stimulus = Stimulus(raster[None].astype(np.int64), None, len(raster))
    result = run(program, stimulus, record_spikes=[p.name for p in program.populations], record_v=cells)
    ours = account(program, result.counts, result.trace, load_architecture(loihi))
    assert {total: getattr(ours, total) for total in TOTALS} == {total: getattr(theirs, total) for total in TOTALS}
    for field in FIELDS:
        assert ours.energy[field] == pytest.approx(theirs.energy[field], rel=1e-9)
