"""What readers of HDF5 files share."""

from __future__ import annotations

import numpy as np
import pytest

from snnport.errors import InvalidGraph
from snnport.importers.hdf5 import listed
from snnport.importers.nirfile import RawNode
from snnport.importers.nirnodes import raw_shape


def test_a_message_lists_a_few_numbers_and_counts_many() -> None:
    assert listed(np.array([2, -1])) == "[2, -1]"
    assert listed(np.arange(8.0)) == "[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]"
    assert listed(np.zeros(1 << 20, np.int64)) == "[0, 0, 0, 0, 0, 0, 0, 0, ..] (1048576 numbers)"


def test_a_shape_of_a_million_axes_is_refused_in_one_line() -> None:
    raw = RawNode("Input", {"shape": np.ones(1 << 20)})
    with pytest.raises(InvalidGraph, match=r"\(1048576 numbers\), which is no shape of up to 32 axes") as refused:
        raw_shape("input", raw)
    assert len(str(refused.value)) < 200
