"""N-MNIST recordings and NIRData as samples, and models with several inputs."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

from snnport.datasets import load_samples
from snnport.errors import InvalidInput

SHAPE = (2, 34, 34)


def event(x: int, y: int, polarity: int, microseconds: int) -> bytes:
    return bytes([x, y, polarity << 7 | microseconds >> 16, microseconds >> 8 & 255, microseconds & 255])


def test_an_event_falls_into_its_step_and_place(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(event(3, 5, 1, 70_999) + event(33, 0, 0, 0) + event(33, 0, 0, 999))
    samples = load_samples(tmp_path / "a.bin", None, SHAPE)
    raster = samples.raster(0, 1).reshape(1, 71, *SHAPE)
    assert (samples.n_samples, samples.n_steps, samples.y) == (1, 71, None)
    assert (raster.sum(), raster[0, 70, 1, 5, 3], raster[0, 0, 0, 0, 33]) == (3, 1, 2)
    assert load_samples(tmp_path / "a.bin", None, SHAPE, dt=1e-2).n_steps == 8


def test_folders_name_the_digits(tmp_path: Path) -> None:
    for digit, time in ((7, 0), (2, 2500)):
        (tmp_path / str(digit)).mkdir()
        (tmp_path / str(digit) / "00001.bin").write_bytes(event(0, 0, 0, time))
    samples = load_samples(tmp_path, None, SHAPE)
    assert samples.y is not None
    np.testing.assert_array_equal(samples.y, [2, 7])
    assert (samples.n_samples, samples.n_steps) == (2, 3)


def test_recordings_that_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"1234")
    with pytest.raises(InvalidInput, match="it has 4 bytes"):
        load_samples(file, None, SHAPE)
    file.write_bytes(event(34, 0, 0, 0))
    with pytest.raises(InvalidInput, match="an event at x 34, y 0"):
        load_samples(file, None, SHAPE)
    file.write_bytes(event(0, 0, 0, 8_000_000))
    with pytest.raises(InvalidInput, match=r"the model's input is \(4,\)"):
        load_samples(file, None, (4,))
    with pytest.raises(InvalidInput, match="less than a microsecond"):
        load_samples(file, None, SHAPE, dt=1e-9)
    with pytest.raises(InvalidInput, match="a recording spans 8000001 steps of 1 microseconds"):
        load_samples(file, None, SHAPE, dt=1e-6)
    with pytest.raises(InvalidInput, match="it cannot be read: No such file"):
        load_samples(tmp_path / "none.bin", None, SHAPE)


def test_nirdata_of_the_input_node(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 2, (2, 6, 4))
    nodes = {name: nir.NIRNodeData({"spikes": nir.TimeGriddedData(x > at, 1e-3)}) for at, name in enumerate(("other", "in"))}
    nir.write_data(str(tmp_path / "x.h5"), nir.NIRGraphData({**nodes, "in": nodes["other"]}))
    samples = load_samples(tmp_path / "x.h5", None, (4,), inputs={"in": (4,)})
    np.testing.assert_array_equal(samples.raster(0, 2), x)
    with pytest.raises(InvalidInput, match="it has no array 'x' but in, other"):
        load_samples(tmp_path / "x.h5", None, (4,))
    two = nir.NIRNodeData({k: nir.TimeGriddedData(x * 1.0, 1e-3) for k in ("i", "v")})
    nir.write_data(str(tmp_path / "y.h5"), nir.NIRGraphData({"in": two}))
    with pytest.raises(InvalidInput, match="it observes i, v, which of them is the input is open"):
        load_samples(tmp_path / "y.h5", None, (4,))


def test_several_inputs_stand_side_by_side(tmp_path: Path) -> None:
    a, b = np.ones((2, 5, 3)), np.zeros((2, 5, 1, 2, 2))
    np.savez(tmp_path / "x.npz", **{"x/b": b, "a": a, "y": np.array([0, 1])})
    inputs = {"a": (3,), "b": (1, 2, 2)}
    samples = load_samples(tmp_path / "x.npz", None, (7,), inputs=inputs)
    np.testing.assert_array_equal(samples.raster(0, 2), np.concatenate([a, b.reshape(2, 5, 4)], axis=2))
    np.savez(tmp_path / "x.npz", a=a)
    with pytest.raises(InvalidInput, match="none for the input b"):
        load_samples(tmp_path / "x.npz", None, (7,), inputs=inputs)
    np.savez(tmp_path / "x.npz", a=a, b=b[:1])
    with pytest.raises(InvalidInput, match="the inputs differ in samples and steps"):
        load_samples(tmp_path / "x.npz", None, (7,), inputs=inputs)
    np.savez(tmp_path / "x.npz", a=a, b=b[:, 0])
    with pytest.raises(InvalidInput, match="has no steps"):
        load_samples(tmp_path / "x.npz", None, (7,), inputs=inputs)


@pytest.mark.data
def test_a_real_recording(data_dir: Path) -> None:
    samples = load_samples(data_dir / "events" / "tonic_sample_nmnist.bin", None, SHAPE)
    assert samples.raster(0, 1).sum() == 4325
    assert samples.n_steps == 312
