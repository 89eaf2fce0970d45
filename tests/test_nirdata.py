"""NIRData: what nir writes is read, what is written nir reads, and nothing is lost or followed on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from snnport.errors import InvalidInput
from snnport.nirdata import read_nirdata, write_nirdata
from snnport.trace import Trace, first_divergence

RNG = np.random.default_rng(3)


def theirs(path: Path, node: str) -> Any:
    """The observables that nir itself reads."""
    nodes: Any = nir.read_data(str(path)).nodes
    return nodes[node].observables


def written(folder: Path, **nodes: dict[str, Any]) -> Path:
    """A file that nir itself writes."""
    path = folder / "data.h5"
    nir.write_data(str(path), nir.NIRGraphData({name: nir.NIRNodeData(o) for name, o in nodes.items()}))
    return path


def test_a_grid_goes_through_nir_both_ways(tmp_path: Path) -> None:
    spikes, v = RNG.integers(0, 2, (2, 5, 3)), RNG.normal(0, 1, (2, 5, 3))
    write_nirdata(tmp_path / "a.h5", {"lif": {"spikes": spikes, "v": v}}, 1e-3)
    observed = theirs(tmp_path / "a.h5", "lif")
    assert observed["spikes"].data.dtype == bool
    assert observed["spikes"].dt == 1e-3
    np.testing.assert_array_equal(observed["spikes"].data, spikes)
    found, dt, _ = read_nirdata(written(tmp_path, lif=observed))
    assert dt == 1e-3
    np.testing.assert_array_equal(found["lif"]["spikes"], spikes)
    np.testing.assert_array_equal(found["lif"]["v"], v)


def test_a_trace_comes_back_with_counts_payloads_and_meta(tmp_path: Path) -> None:
    trace = Trace(
        {"a.b": np.array([[[0, 3]], [[1, 0]]]), "c": np.array([[[-5]], [[9]]])}, {"c": np.ones((2, 1, 1))}, {"dt": 0.5}
    )
    trace.save(tmp_path / "t.nirdata")
    found = Trace.load(tmp_path / "t.nirdata")
    assert first_divergence(trace, found) is None
    assert found.meta == {"dt": 0.5}
    assert theirs(tmp_path / "t.nirdata", "c")["spikes"].dt == 0.5


def test_events_are_counted_where_they_fall(tmp_path: Path) -> None:
    """0.3 / 0.1 is 2.9999999999999996, which nir's own converter floors; two events in one step are two spikes."""
    idx, time = np.array([[1, 1, 0, -1]]), np.array([[0.3, 0.35, 0.0, np.inf]])
    path = written(tmp_path, a={"spikes": nir.EventData(idx, time, 2, 0.5)})
    found, dt, _ = read_nirdata(path, 0.1)
    assert dt == 0.1
    np.testing.assert_array_equal(found["a"]["spikes"], [[[1, 0], [0, 0], [0, 0], [0, 2], [0, 0]]])
    valued = written(tmp_path, a={"current": nir.ValuedEventData(idx, time, 2, 0.5, np.array([[0.5, 2.0, -1.0, 0.0]]))})
    np.testing.assert_array_equal(read_nirdata(valued, 0.1)[0]["a"]["current"][0, 3], [0.0, 2.5])
    assert nir.EventData(idx, time, 2, 0.5).to_time_gridded(0.1).data[0, 3, 1] != 2, "nir mended it: read events through nir"


def test_what_is_refused(tmp_path: Path) -> None:
    events = nir.EventData(np.array([[0]]), np.array([[0.7]]), 1, 0.5)
    with pytest.raises(InvalidInput, match="whose times are seconds"):
        read_nirdata(written(tmp_path, a={"spikes": events}))
    with pytest.raises(InvalidInput, match=r"an event of neuron 0 at 0.7 s; there are 1 neurons and 0.5 s"):
        read_nirdata(written(tmp_path, a={"spikes": events}), 0.1)
    with pytest.raises(InvalidInput, match="make no grid"):
        read_nirdata(written(tmp_path, a={"spikes": events}), 1e-12)
    grids = {"a": nir.TimeGriddedData(np.zeros((1, 1, 1)), 0.1), "b": nir.TimeGriddedData(np.zeros((1, 1, 1)), 0.2)}
    with pytest.raises(InvalidInput, match=r"steps of 0.1, 0.2 s, one is needed"):
        read_nirdata(written(tmp_path, n=grids))
    with pytest.raises(InvalidInput, match="it has no 'nodes'"):
        read_nirdata(_hdf5(tmp_path, {}))
    with pytest.raises(InvalidInput, match="it holds no observables"):
        read_nirdata(_hdf5(tmp_path, {"nodes/a/observables": None}))
    with pytest.raises(InvalidInput, match=r"its shape is \(3,\)"):
        read_nirdata(_hdf5(tmp_path, {"nodes/a/observables/spikes/data": np.zeros(3)}))
    with pytest.raises(InvalidInput, match="it is no array of numbers"):
        read_nirdata(_hdf5(tmp_path, {"nodes/a/observables/spikes/data": np.array(b"text")}))
    (tmp_path / "torn.h5").write_bytes(b"\x89HDF\r\n\x1a\n torn")
    with pytest.raises(InvalidInput, match="it is no readable NIRData"):
        read_nirdata(tmp_path / "torn.h5")
    with pytest.raises(InvalidInput, match="there is no such file"):
        read_nirdata(tmp_path / "none.h5")
    with pytest.raises(InvalidInput, match="differ in their slashes only"):
        write_nirdata(tmp_path / "x.h5", {"a/b": {}, "a_b": {}}, 1.0)
    assert not (tmp_path / "x.h5").exists()


def test_links_are_not_followed(tmp_path: Path) -> None:
    path = _hdf5(tmp_path, {"nodes/a/observables": None})
    with h5py.File(path, "r+") as file:
        file["nodes/a/observables/spikes"] = h5py.ExternalLink("other.h5", "/secret")
    with pytest.raises(InvalidInput, match="'spikes' is a link, which is not followed"):
        read_nirdata(path)


def test_a_nested_graph_has_dotted_names(tmp_path: Path) -> None:
    path = _hdf5(tmp_path, {"nodes/a/nodes/b/observables/v/data": np.zeros((1, 2, 3))})
    assert list(read_nirdata(path, 1.0)[0]) == ["a.b"]


def test_other_observables_are_no_trace(tmp_path: Path) -> None:
    path = written(tmp_path, a={"i": nir.TimeGriddedData(np.zeros((1, 1, 1)), 0.1)})
    with pytest.raises(InvalidInput, match="it observes i, spikes or v are needed"):
        Trace.load(path)


def _hdf5(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "made.h5"
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            if value is None:
                file.create_group(name)
            else:
                file[name] = value
    return path
