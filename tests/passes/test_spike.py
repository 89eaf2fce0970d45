"""spike and its inverse: schedules, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from test_road import converted

from snnport.convention import Window, coding_of
from snnport.errors import InvalidGraph, PassFailed
from snnport.passes.base import Context, run_passes
from snnport.passes.spike import Spike
from snnport.passes.unspike import quantised_ann


def test_the_schedule_of_a_chain() -> None:
    conversion, _ = converted("convnet", 0, levels=8, input_levels=16)
    coding = coding_of(conversion.graph.metadata)
    assert coding is not None
    assert coding.windows["input"] == Window("input", 0, 0, 16)
    assert coding.windows["r1"] == Window("gated", 1, 16, 8)
    assert coding.windows["p1"] == Window("relay", 17, 17, 8)
    assert coding.windows["r2"] == Window("gated", 18, 25, 8)
    assert coding.windows["readout"] == Window("readout", 26, 33, 1)
    assert coding.n_steps == 34


def test_a_skip_keeps_the_gate_closed_from_the_first_arrival_to_the_last() -> None:
    conversion, _ = converted("residual", 0, levels=4)
    coding = coding_of(conversion.graph.metadata)
    assert coding is not None
    assert coding.windows["r0"].open == 4
    assert coding.windows["r2"] == Window("gated", 5, 12, 4)


def test_the_rate_code_refuses_max_pooling() -> None:
    with pytest.raises(PassFailed, match=r"spike.*p1: max pooling is an OR of spikes"):
        converted("convnet", 0, code="rate")


def test_the_rate_code_leaves_populations_open() -> None:
    conversion, _ = converted("mlp", 0, code="rate", levels=8)
    coding = coding_of(conversion.graph.metadata)
    assert coding is not None
    assert coding.n_steps == 32
    assert {w.role for w in coding.windows.values()} == {"input", "free", "readout"}
    assert coding.encoder["kind"] == "even"


def test_unquantised_graphs_and_unknown_codes_are_refused() -> None:
    conversion, _ = converted("mlp", 0)
    with pytest.raises(PassFailed, match="have no integer threshold"):
        run_passes(conversion.stages["quantised activations"], [Spike()], Context())
    with pytest.raises(PassFailed, match="there is no code 'morse'"):
        run_passes(conversion.stages["quantised weights"], [Spike("morse")], Context())


def test_only_converted_graphs_have_a_quantised_ann() -> None:
    conversion, _ = converted("mlp", 0)
    graph = conversion.graph
    graph.nodes["r"].metadata = {}
    with pytest.raises(InvalidGraph, match="r: it has no 'theta' in its metadata"):
        quantised_ann(graph)
    assert np.all(graph.nodes["r"].v_threshold > 0)
