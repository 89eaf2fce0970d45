"""--sensor: events of a vision sensor on their way to the first layer, in run, check and export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import Command
from spiking import PLAIN_IF, conv, fire, plain

from snnport.exporters.nir import write_nir
from snnport.targets.speck.sensor import parse_preprocessing


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "net.nir"
    rule = PLAIN_IF.having(reset="subtract", multi_spike=True)
    write_nir(plain((1, 4, 4), {"c": conv(np.full((2, 1, 4, 4), 3)), "n": fire((2, 1, 1), 20)}, rule), path)
    return path


def test_events_of_a_sensor_run_as_what_they_become(network: Path, tmp_path: Path, snnport: Command) -> None:
    rng = np.random.default_rng(0)
    events = rng.integers(0, 2, (2, 6, 2, 16, 16))
    stage = parse_preprocessing("size=16x16,merge,pool=4,mirror=x")
    np.savez(tmp_path / "raw.npz", x=events)
    np.savez(tmp_path / "seen.npz", x=stage.apply(events))
    sample, time, index = np.nonzero(events.reshape(2, 6, -1))
    np.savez(tmp_path / "list.npz", sample=sample, t=time, index=index)
    spelled = ["--sensor", "size=16x16,merge,pool=4,mirror=x"]
    common = ["run", network, "--target", "cpu", "--json", "--input"]
    plain_run = snnport(*common, tmp_path / "seen.npz").data["spikes"]
    assert plain_run["n"] > 0
    for name in ("raw", "list"):
        assert snnport(*common, tmp_path / f"{name}.npz", *spelled).data["spikes"] == plain_run


def test_a_sensor_that_does_not_fit_is_refused(network: Path, tmp_path: Path, snnport: Command) -> None:
    np.savez(tmp_path / "raw.npz", x=np.zeros((1, 2, 2, 16, 16), int))
    answer = snnport("run", network, "--target", "cpu", "--input", tmp_path / "raw.npz", "--sensor", "size=16x16", "--json")
    assert answer.code == 1
    assert answer.data["error"]["message"] == "it makes (2, 16, 16) of events on (2, 16, 16), the network takes (1, 4, 4)"
    np.savez(tmp_path / "images.npz", x=np.zeros((1, 2, 16, 16)))
    images = snnport(
        "run", network, "--target", "cpu", "--input", tmp_path / "images.npz", "--sensor", "size=16x16,merge,pool=4", "--json"
    )
    assert images.data["error"]["message"] == "the input holds images, and the sensor's events are spikes"


def test_export_puts_the_stage_into_the_configuration(network: Path, tmp_path: Path, snnport: Command) -> None:
    answer = snnport(
        "export", network, "--target", "speck2f", "--sensor", "merge,pool=4,region=0:0:4:4,sensor", "-o", tmp_path, "--json"
    )
    assert answer.code == 0
    config = json.loads((tmp_path / "samna.json").read_text())["configuration"]
    layer = config["dvs_layer"]
    assert (layer["merge"], layer["pooling"], layer["cut"], layer["pass_sensor_events"]) == (
        True,
        {"x": 4, "y": 4},
        {"x": 3, "y": 3},
        True,
    )
    assert layer["destinations"][0] == {"layer": answer.data["layers"]["n"], "enable": True}
    blind = snnport(
        "export",
        network,
        "--target",
        "dynapcnn",
        "--sensor",
        "merge,pool=4,region=0:0:4:4,sensor",
        "-o",
        tmp_path / "d",
        "--json",
    )
    assert blind.data["error"]["message"] == "it has 0 sensors, and the events shall come from its own"
    assert not (tmp_path / "d").exists()
    other = snnport("export", network, "--target", "speck2f", "--sensor", "merge,pool=4", "-o", tmp_path / "d", "--json")
    assert other.data["error"]["message"] == "it makes (1, 32, 32) of events on (2, 128, 128), the network takes (1, 4, 4)"
    large = snnport("export", network, "--target", "speck2f", "--sensor", "size=200x200", "-o", tmp_path / "d", "--json")
    assert large.data["error"]["message"] == "events on (200, 200) pixels, the chip takes 128x128"
