from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import NAMES, integers_of, rasters

from snnport.errors import InvalidInput
from snnport.events import read_npz, write_npz
from snnport.trace import Divergence, Trace, first_divergence, spikes_compared

VOLTAGES = hnp.array_shapes(min_dims=3, max_dims=3, min_side=0, max_side=3).flatmap(
    lambda shape: integers_of(shape) | hnp.arrays(np.float64, shape, elements=st.floats(-9, 9))
)
TRACES = st.builds(
    Trace, st.dictionaries(NAMES, rasters(), min_size=1, max_size=3), st.dictionaries(NAMES, VOLTAGES, max_size=2)
)


def one(raster: Any, name: str = "out") -> Trace:
    return Trace({name: np.array(raster)})


@given(trace=TRACES, meta=st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4), max_size=3))
def test_a_trace_comes_back_from_its_file(trace: Trace, meta: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("trace") / "t.npz"
    Trace(trace.spikes, trace.v, meta).save(path)
    found = Trace.load(path)
    assert found.meta == meta
    for quantity in ("spikes", "v"):
        mine, back = getattr(trace, quantity), getattr(found, quantity)
        assert mine.keys() == back.keys()
        for name, array in mine.items():
            np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize(
    ("value", "kind"),
    [(0, "uint8"), (255, "uint8"), (256, "uint16"), (-1, "int8"), (-129, "int16"), (1 << 31, "uint32"), (-(1 << 40), "int64")],
)
def test_a_file_holds_the_smallest_type(tmp_path: Path, value: int, kind: str) -> None:
    Trace({"p": np.full((1, 1, 1), value, np.int64)}).save(tmp_path / "t.npz")
    array = read_npz(tmp_path / "t.npz")["spikes/p"]
    assert array.dtype == kind
    assert array.item() == value


def test_payloads_of_both_signs_keep_their_sign(tmp_path: Path) -> None:
    Trace({"p": np.array([[[-100, 127, 0]]])}).save(tmp_path / "t.npz")
    found = Trace.load(tmp_path / "t.npz").spikes["p"]
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, [[[-100, 127, 0]]])


# ---------------------------------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize("arrays", [{"x": np.zeros((1, 1, 1))}, {"spikes/": np.zeros((1, 1, 1))}, {"meta": np.array("{}")}])
def test_a_file_without_recordings(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    write_npz(tmp_path / "t.npz", arrays)
    with pytest.raises(InvalidInput, match=r"t\.npz: it holds no spikes/<population> and no v/<population>"):
        Trace.load(tmp_path / "t.npz")


def test_a_recording_that_holds_no_numbers(tmp_path: Path) -> None:
    """A fuzzed file: raw bytes where spikes were."""
    write_npz(tmp_path / "t.npz", {"spikes/a": np.zeros((1, 2, 3), "V1")})
    with pytest.raises(InvalidInput, match=r"t\.npz: spikes/a: its type is \|V1, numbers are needed"):
        Trace.load(tmp_path / "t.npz")


@pytest.mark.parametrize("key", ["spikes/a", "v/a"])
def test_a_recording_of_other_than_three_axes(tmp_path: Path, key: str) -> None:
    write_npz(tmp_path / "t.npz", {key: np.zeros((2, 3))})
    with pytest.raises(InvalidInput, match=rf"t\.npz: {key}: its shape is \(2, 3\), 3 axes are needed"):
        Trace.load(tmp_path / "t.npz")


def test_meta_that_is_no_json(tmp_path: Path) -> None:
    write_npz(tmp_path / "t.npz", {"spikes/a": np.zeros((1, 1, 1)), "meta": np.array("{")})
    with pytest.raises(InvalidInput, match=r"t\.npz: meta: it is no JSON text"):
        Trace.load(tmp_path / "t.npz")


@pytest.mark.parametrize("meta", [{}, {"meta": np.array("[1]")}])
def test_a_file_without_meta_or_with_a_list_has_none(tmp_path: Path, meta: dict[str, np.ndarray]) -> None:
    write_npz(tmp_path / "t.npz", {"spikes/a": np.zeros((1, 1, 1)), **meta})
    assert Trace.load(tmp_path / "t.npz").meta == {}


# -------------------------------------------------------------------------------------------------------- differences


@given(TRACES)
def test_a_trace_does_not_differ_from_itself(trace: Trace) -> None:
    assert first_divergence(trace, trace) is None


@given(rasters(), st.data())
def test_a_planted_difference_is_found(raster: np.ndarray, data: st.DataObject) -> None:
    if not raster.size:
        return
    place = tuple(data.draw(st.integers(0, n - 1)) for n in raster.shape)
    changed = raster.copy()
    changed[place] += 1
    found = first_divergence(one(raster), one(changed))
    assert found == Divergence("spikes", "out", *place, float(raster[place]), float(changed[place]))


@given(st.lists(rasters(), min_size=1, max_size=3), st.data())
def test_the_first_of_many_differences_is_the_earliest(expected: list[np.ndarray], data: st.DataObject) -> None:
    actual = [data.draw(hnp.arrays(np.int32, raster.shape, elements=st.integers(0, 3))) for raster in expected]
    places = [
        (step, which, sample, neuron)
        for which, (a, b) in enumerate(zip(expected, actual, strict=True))
        for sample, step, neuron in np.argwhere(a != b).tolist()
    ]
    found = first_divergence(*(Trace({str(i): r for i, r in enumerate(rs)}) for rs in (expected, actual)))
    if not places:
        assert found is None
        return
    assert found is not None
    assert (found.step, int(found.population), found.sample, found.neuron) == min(places)


def test_spikes_come_before_potentials_of_the_same_step() -> None:
    a = Trace({"p": np.array([[[0], [1]]])}, {"p": np.array([[[0.5], [1.5]]])})
    b = Trace({"p": np.array([[[0], [0]]])}, {"p": np.array([[[0.5], [2.0]]])})
    assert first_divergence(a, b) == Divergence("spikes", "p", 0, 1, 0, 1, 0)
    earlier = Trace(b.spikes, {"p": np.array([[[0.25], [1.5]]])})
    assert first_divergence(a, earlier) == Divergence("v", "p", 0, 0, 0, 0.5, 0.25)


def test_types_do_not_matter_values_do() -> None:
    assert first_divergence(one(np.ones((1, 2, 3), np.uint8)), one(np.ones((1, 2, 3), np.int64))) is None
    assert first_divergence(one(np.full((1, 1, 1), 255, np.uint8)), one(np.full((1, 1, 1), -1, np.int8))) is not None


def test_what_only_the_actual_trace_has_is_not_compared() -> None:
    actual = Trace({"out": np.zeros((1, 1, 1)), "more": np.ones((1, 1, 1))}, {"out": np.ones((1, 1, 1))})
    assert first_divergence(one(np.zeros((1, 1, 1))), actual) is None


def test_a_population_that_the_actual_trace_lacks() -> None:
    with pytest.raises(InvalidInput, match=r"spikes/out: only one of the two traces has it\. Record it with --record"):
        first_divergence(one(np.zeros((1, 1, 1))), one(np.zeros((1, 1, 1)), "other"))


def test_shapes_that_differ() -> None:
    with pytest.raises(InvalidInput, match=r"spikes/out: the shapes are \(1, 2, 3\) and \(1, 3, 3\)"):
        first_divergence(one(np.zeros((1, 2, 3))), one(np.zeros((1, 3, 3))))


def test_nothing_to_compare() -> None:
    with pytest.raises(InvalidInput, match="traces: the expected trace is empty"):
        first_divergence(Trace({}), one(np.zeros((1, 1, 1))))


def test_spikes_compared_counts_without_overflow() -> None:
    assert spikes_compared(Trace({"a": np.full((1, 300, 2), 255, np.uint8), "b": np.ones((1, 1, 1))})) == 153001
