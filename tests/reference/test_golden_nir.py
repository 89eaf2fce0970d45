"""The NIR paper's own recordings: every spike at its step, in every simulator and on a Loihi 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from snnport.convention import Convention
from snnport.graph import names_of
from snnport.importers import dialect_table as table
from snnport.importers.nir import read_nir
from snnport.reference import run_spiking

GOLDEN = Path(__file__).parents[1] / "golden" / "nir"
EXACT = Convention("exact", dt=1e-4, decay="exponential", reset="subtract")
PAPER_DT = {"dt": 1e-4}
ROUNDED_CSV = 5e-8
"""The traces were printed with 7 or 8 digits."""

# Name, its convention, what the printed v is a multiple of, and the largest difference of v in units of the graph.
LIF = [
    ("norse", table.NORSE.having(**PAPER_DT), 1.0, ROUNDED_CSV),
    # snnTorch's and Spyx's importers put dt / tau before the weights of a file with r = 1.
    ("snntorch", table.SNNTORCH.having(reset="zero"), 0.04, ROUNDED_CSV),
    ("spyx", table.SPYX.having(**PAPER_DT, membrane_gain="leak"), 1.0, 0.0),
    ("sinabs", table.SINABS.having(**PAPER_DT, v_min=None), 1.0, 0.0),
    ("rockpool", table.ROCKPOOL.having(**PAPER_DT), 1.0, ROUNDED_CSV),
    ("nengo", table.NENGO.having(**PAPER_DT), 0.1, ROUNDED_CSV),
    ("lava_cpu_float", table.LAVA, 1.0, ROUNDED_CSV),
    ("lava_cpu_fixed", table.LAVA_FIXED, 1.0, 0.0),
    # 8-bit weights: w = 25.505 is 25.5 there.
    ("spinnaker2", table.SPINNAKER2, 0.04, 2e-5),
    # Its input is a current over the whole step and its spikes fall between steps.
    ("exact", EXACT, 1.0, 1e-3),
]


def traces() -> dict[str, Any]:
    with np.load(GOLDEN / "lif_traces.npz") as file:
        return dict(file)


def lif(name: str, convention: Convention) -> tuple[Any, Any, Any]:
    """Spikes and potential here, and the recording (1000, 3)."""
    graph = read_nir(GOLDEN / ("lif_rockpool.nir" if name == "rockpool" else "lif_norse.nir")).graph
    recorded = traces()[name]
    (neuron,) = names_of(graph, nir.LIF)
    trace = run_spiking(graph, recorded[:, 0].reshape(1, -1, 1), convention, record_v=[neuron])
    return trace.spikes[neuron][0, :, 0], trace.v[neuron][0, :, 0], recorded


@pytest.mark.parametrize(("name", "convention", "unit", "bound"), LIF, ids=[case[0] for case in LIF])
def test_one_neuron(name: str, convention: Convention, unit: float, bound: float) -> None:
    spikes, v, recorded = lif(name, convention)
    assert recorded[:, 2].sum() == 4
    assert np.array_equal(spikes, recorded[:, 2])
    assert np.abs(v - recorded[:, 1] * unit).max() <= bound


def test_one_neuron_on_silicon() -> None:
    spikes, v, recorded = lif("lava_loihi_fixed", table.LAVA_FIXED)
    assert np.array_equal(spikes, recorded[:, 2])
    # In the step of a spike the probe of the chip reads 128, the state being 0 one step later.
    assert np.array_equal(v[spikes == 0], recorded[spikes == 0, 1])
    assert set(recorded[spikes == 1, 1]) == {128.0}


def test_one_rule_changed_shows_in_the_traces() -> None:
    for name, wrong in [
        ("norse", table.NORSE.having(**PAPER_DT, decay="exponential", membrane_gain="unit")),
        ("sinabs", table.SINABS.having(**PAPER_DT, membrane_gain="leak")),
        ("spyx", table.SPYX.having(**PAPER_DT, membrane_gain="leak", spike_delay=0, recurrent_delay=1)),
        ("lava_cpu_float", table.LAVA.having(synapse_delay=2)),
    ]:
        spikes, _, recorded = lif(name, wrong)
        assert not np.array_equal(spikes, recorded[:, 2])


# As snnTorch ran it, a loop's bias counts in the first step; as Norse ran it, nothing comes round in that step.
BRAILLE = [
    ("snntorch", table.SNNTORCH.having(reset="zero"), 119),
    ("norse", table.SNNTORCH.having(name="norse", reset="zero", loop_start="nothing"), 118),
]


@pytest.mark.parametrize(("name", "convention", "count"), BRAILLE, ids=["snntorch", "norse"])
def test_the_hidden_layer_of_the_braille_network(name: str, convention: Convention, count: int) -> None:
    graph = read_nir(GOLDEN / "braille_noDelay_bias_zero.nir").graph
    with np.load(GOLDEN / "braille_sample.npz") as sample:
        recorded, x, y = sample[name], sample["x"], sample["y"]
    trace = run_spiking(graph, x[None], convention)
    assert recorded.size == 9728
    assert recorded.sum() == count
    assert np.array_equal(trace.spikes["lif1.lif"][0], recorded)
    assert trace.spikes["lif2"][0].sum(axis=0).argmax() == y


def test_the_file_alone_and_one_flag_give_that_convention() -> None:
    imported = read_nir(GOLDEN / "braille_noDelay_bias_zero.nir", dialect="snntorch", reset="zero")
    assert imported.ambiguous == ()
    assert imported.convention == BRAILLE[0][1]
    assert any("--reset-delay 1" in line for line in imported.evidence)


@pytest.mark.data
@pytest.mark.slow
def test_the_accuracy_on_the_braille_task(data_dir: Path) -> None:
    imported = read_nir(GOLDEN / "braille_noDelay_bias_zero.nir", dialect="snntorch", reset="zero")
    assert imported.convention is not None
    with np.load(data_dir / "braille" / "braille7_unique1158.npz") as data:
        x, y = data["x"], data["y"]
    found = run_spiking(imported.graph, x, imported.convention).spikes["lif2"].sum(axis=1).argmax(axis=1)
    assert len(y) == 1158
    assert np.count_nonzero(found == y) == 1116
