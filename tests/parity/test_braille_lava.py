"""The trained Braille network on Loihi's integers, the engine beside Lava: planes, biases as spikes, delays, a loop."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from snnport.encoders import Stimulus
from snnport.graph import build
from snnport.importers.dialect_table import SNNTORCH
from snnport.importers.nir import read_nir
from snnport.passes.base import Context, run_passes
from snnport.passes.quantize_planes import QuantizePlanes
from snnport.sim.engine import run
from snnport.targets.base import resolve_target
from snnport.trace import first_divergence

pytestmark = pytest.mark.lava
GOLDEN = Path(__file__).parents[1] / "golden" / "nir"


@pytest.mark.parametrize(("planes", "theta"), [(2, 240), (4, 448)])
def test_every_spike_and_potential_of_the_braille_network(planes: int, theta: int) -> None:
    graph = read_nir(GOLDEN / "braille_noDelay_bias_zero.nir").graph
    header = {"version": 1, "coding": None, "convention": SNNTORCH.having(reset="zero").to_json()}
    meant = build(graph.nodes, graph.edges, {"snnport": json.dumps(header)})
    loihi = resolve_target("loihi2")
    program = loihi.lower(run_passes(meant, (QuantizePlanes(8, 17, 13, planes=planes, theta=theta),), Context()))
    with np.load(GOLDEN / "braille_sample.npz") as sample:
        raster = np.stack([sample["x"], np.roll(sample["x"], 7, axis=1)]).astype(np.uint8)
    stimulus, names = Stimulus(raster, None, 256), ["bias.source", "lif1.lif", "lif2"]
    assert loihi.vendor is not None
    theirs = loihi.vendor(program, stimulus, names, names, None)
    ours = run(program, stimulus, record_spikes=names, record_v=names).trace
    assert ours.spikes["lif2"].sum() > 0
    assert first_divergence(theirs, ours) is None
