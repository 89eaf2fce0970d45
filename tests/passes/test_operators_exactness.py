"""Random ONNX networks with every operator that is read: the importer is onnxruntime's equal, and every code is exact."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from exact_runs import logit_mismatches
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import check
from random_onnx import random_onnx

from snnport.errors import PassFailed
from snnport.flow.convert import ConvertOptions, convert_graph
from snnport.graph import shapes, the_input

CODES = ("gate", "ramp", "ttfs", "delay", "graded")
EXAMPLES = 200 if settings().max_examples > 1000 else 4


@settings(max_examples=EXAMPLES, deadline=None)
@pytest.mark.parametrize("code", CODES)
@given(seed=st.integers(0, 2**32 - 1), depth=st.integers(2, 20), levels=st.integers(1, 8), signed=st.booleans())
def test_random_networks_are_exact(code: str, seed: int, depth: int, levels: int, signed: bool) -> None:
    assert mismatches(code, seed, depth, levels, signed) == 0


def mismatches(code: str, seed: int, depth: int, levels: int, signed: bool) -> int:
    """Logits that differ."""
    rng = np.random.default_rng(seed)
    net, output = random_onnx(rng, depth, max_pools=code != "delay", clips=code != "delay")
    with tempfile.TemporaryDirectory() as folder:
        imported = check(net, output, Path(folder))
    x = rng.uniform(-1 if signed else 0, 1, (6, *shapes(imported.graph)[the_input(imported.graph)]))
    wanted = 32 * levels - 1 if code == "graded" else levels
    while True:
        try:
            conversion = convert_graph(imported, x, "test", ConvertOptions(code=code, levels=wanted, input_levels=levels + 1))
        except PassFailed as error:
            # What a sum of messages may reach does not fit 23 bits: the remedy is to be a remedy.
            if "Use fewer levels or bits" not in str(error) or wanted == 1:
                raise
            wanted //= 2
        else:
            return logit_mismatches(conversion.graph, x)
