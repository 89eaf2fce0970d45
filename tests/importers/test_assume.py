"""Rules that the user states."""

from __future__ import annotations

import re
from pathlib import Path

import nir
import numpy as np
import pytest

from snnport.convention import CHOICES, Convention
from snnport.errors import InvalidInput, UnknownName
from snnport.graph import chain
from snnport.importers.assume import OWN_OPTION, RULES, assumed
from snnport.importers.dialect_table import SINABS
from snnport.importers.nir import read_nir
from snnport.nodes import input_node, output_node

PLAIN = Convention("plain", dt=1.0)


def test_every_rule_can_be_told() -> None:
    assert {*CHOICES} - {*OWN_OPTION} <= {*RULES}
    for rule in CHOICES:
        if rule in RULES:
            for word in CHOICES[rule]:
                assert getattr(assumed(PLAIN, f"{rule}={word}"), rule) == word
    told = assumed(SINABS, "multi_spike=no, v_min = none,spike_delay=2")
    assert (told.multi_spike, told.v_min, told.spike_delay) == (False, None, 2)


def test_a_bound_that_is_told_holds_for_all() -> None:
    told = assumed(SINABS.having(unbounded=("a",)), "v_min=-0.5")
    assert (told.v_min, told.unbounded) == (-0.5, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("multi_spike=maybe", "--rules multi_spike: 'maybe' is no value of it. Give yes or no"),
        ("v_min=low", "--rules v_min: 'low' is no value of it. Give a number, in units of the threshold, or none"),
        ("spike_delay=-1", "--rules spike_delay: '-1' is no value of it. Give a number of steps"),
        ("decay=slow", "--rules decay: 'slow' is no value of it. Give euler or exponential"),
        ("decay", "--rules decay: '' is no value of it"),
    ],
)
def test_wrong_values(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        assumed(PLAIN, text)


@pytest.mark.parametrize("text", ["reset=zero", "v_mim=none", "=", ""])
def test_wrong_names(text: str) -> None:
    with pytest.raises(UnknownName, match="rule "):
        assumed(PLAIN, text)


def test_a_file_is_read_with_them(tmp_path: Path) -> None:
    neuron = nir.IF(np.ones(2), np.ones(2), np.zeros(2))
    nir.write(tmp_path / "net.nir", chain({"i": input_node((2,)), "n": neuron, "o": output_node((2,))}))
    read = read_nir(tmp_path / "net.nir", reset="subtract", rules="v_min=none,multi_spike=no")
    assert read.convention is not None
    assert (read.convention.v_min, read.convention.multi_spike) == (None, False)
    assert "the user says multi_spike = False" in read.evidence
    still_open = read_nir(tmp_path / "net.nir", rules="v_min=none")
    assert still_open.convention is None
