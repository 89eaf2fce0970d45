"""Label codes: patterns, readings back to labels, and what a file says of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from snnport.datasets.label_codes import LABEL_CODES, MARK, LabelCode, code_of, code_to_json, readout_of
from snnport.errors import InvalidGraph, UnknownName


@pytest.mark.parametrize("name", sorted(LABEL_CODES))
def test_every_pattern_is_read_as_its_label(name: str) -> None:
    patterns = LABEL_CODES[name](10)
    counts = (patterns * 7).astype(np.int64)
    assert LabelCode(name, 10, 3.5).scores(counts, 20).argmax(axis=1).tolist() == list(range(10))
    # In codes of 1/4, potentials summed over 20 steps, half on at 0.1 a step.
    sums = (patterns * 4 - 0.5) * 20
    assert LabelCode(name, 10, 0.1, each_step=True).scores(sums / 0.25, 20, 0.25).argmax(axis=1).tolist() == list(range(10))


def test_scores_of_whole_numbers_are_whole_numbers() -> None:
    scores = LabelCode("gray", 4).scores(np.array([[5, -3]]), 8)
    assert scores.dtype.kind == "i"
    assert scores.tolist() == [[-2, 8, 2, -8]]


def test_what_the_metadata_say() -> None:
    code = LabelCode("binary", 10, 0.5, True)
    assert code_of({MARK: json.dumps(code_to_json(code))}) == code_of({MARK: code_to_json(code)}) == code
    assert code_of({}) is None
    for wrong in ("no json", "[]", '{"code": "gray"}', 3):
        with pytest.raises(InvalidGraph, match="is no label code"):
            code_of({MARK: wrong})
    with pytest.raises(UnknownName, match="grey"):
        LabelCode("grey", 10)
    with pytest.raises(InvalidGraph, match="has 4 neurons, 10 are read"):
        LabelCode("gray", 10).scores(np.zeros((1, 10)), 5)


def test_how_potentials_are_read() -> None:
    assert [readout_of({}), readout_of({"readout": "last"})] == ["sum", "last"]
    with pytest.raises(InvalidGraph, match="there is no readout 'middle'"):
        readout_of({"readout": "middle"})
