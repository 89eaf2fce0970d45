from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

from lava_programs import lava_program

from snnport.encoders import Stimulus
from snnport.sim.engine import run
from snnport.targets.loihi.copies import MOST_SYNAPSES, copied, copies_for, gathered, scattered
from snnport.trace import first_divergence


@pytest.mark.parametrize("seed", range(12))
def test_copies_give_what_the_program_gives(seed: int) -> None:
    program, raster = lava_program(20_000 + seed)
    rng = np.random.RandomState(seed)
    x = np.concatenate([raster, *(raster[:, rng.permutation(raster.shape[1])] for _ in range(4))])
    names = [p.name for p in program.populations]
    cells = [p.name for p in program.populations if p.neuron.family not in ("input", "generator")]
    alone = run(program, Stimulus(x, None, x.shape[1]), record_spikes=names, record_v=cells, threads=1).trace
    for count in (2, 3):
        many = copied(program, count)
        stimulus = Stimulus(gathered(program, x, count), None, x.shape[1])
        together = run(many, stimulus, record_spikes=names, record_v=cells, threads=1).trace
        assert first_divergence(alone, scattered(together, count, len(x))) is None
    assert scattered(together, 3, len(x)).meta["copies"] == 3


def test_as_many_copies_as_there_is_room_for() -> None:
    program, _ = lava_program(20_000)
    assert copies_for(program, 7) == 1
    assert copies_for(program, 8) == 8
    most = copies_for(program, 10**9)
    synapses = sum(q.synapse.codes.size for q in copied(program, 1).projections)
    assert most == MOST_SYNAPSES // synapses
