"""SANA-FE's architecture files: what is read, what is refused, and the process that runs SANA-FE."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from random_programs import chip_with
from test_sanafe import ARCHITECTURES, GOLDEN, NETWORKS, layers

from snnport.errors import InvalidInput, UnsupportedNode
from snnport.sim import sanafe_arch
from snnport.sim.network import Mesh
from snnport.sim.sanafe_arch import Architecture, load_architecture
from snnport.sim.sanafe_chip import as_chip, chip_prices
from snnport.sim.sanafe_process import run_sanafe

ODD = GOLDEN / "odd.yaml"


def test_a_file_is_read():
    got = load_architecture(ODD)
    assert got == ARCHITECTURES["odd"]
    assert (got.mesh, got.cores, got.neurons_per_core) == (Mesh(8, 4, 4), 128, 1024)
    assert (got.hops.east, got.hops.south, got.message_in, got.message_out) == (1.1e-12, 1.9e-12, 2.3e-12, 7.1e-12)
    assert list(got.synapses) == ["sparse", "dense", "conv"]
    assert len(got.somas) == 1025
    assert got.somas["stimulus[1023]"].spike_out == 0.53e-12


def test_json_is_the_same_architecture():
    for architecture in ARCHITECTURES.values():
        assert Architecture.from_json(architecture.to_json()) == architecture


def test_an_architecture_is_a_chip():
    base = chip_with(cores=3, state_bits=32)
    chip = as_chip(load_architecture(ODD), base)
    assert (chip.name, chip.target, chip["cores"], chip["mesh_height"]) == ("odd", "cpu", 128, 4)
    assert chip["neurons_per_core"] == 1024
    assert "lanes" not in chip.numbers
    assert "SANA-FE architecture 'odd'" in chip.numbers["cores"].source


def test_its_energies_are_the_chip_s_numbers():
    architecture = load_architecture(ODD)
    model = chip_prices(as_chip(architecture, chip_with(state_bits=32)))
    assert model is not None
    assert model.terms["dense synapses"].pj.mid == architecture.synapses["dense"] * 1e12
    assert model.terms["idle neurons"].pj.low == 0
    assert chip_prices(chip_with()) is None


def test_an_architecture_without_neurons_is_no_chip(tmp_path):
    path = edited(tmp_path, lambda a: [unit["attributes"].update(model="input") for unit in core(a)["soma"]])
    with pytest.raises(UnsupportedNode, match="no soma unit of model leaky_integrate_fire"):
        as_chip(load_architecture(path), chip_with(state_bits=32))


def test_energies_without_a_point_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(ODD.read_text(encoding="utf-8").replace("7.1e-12", "7e-12"), encoding="utf-8")
    assert load_architecture(path).message_out == 7e-12


def edited(tmp_path, change) -> Path:
    data = yaml.safe_load(ODD.read_text(encoding="utf-8"))
    change(data["architecture"])
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def core(a):
    return a["tile"][0]["core"][0]


@pytest.mark.parametrize(
    ("change", "kind", "match"),
    [
        (lambda a: a.pop("tile"), InvalidInput, "'tile' is no list of entries"),
        (lambda a: a.pop("attributes"), InvalidInput, "'attributes' is no table"),
        (lambda a: a["attributes"].update(width=9), InvalidInput, "it has 32 tiles on a mesh of 9 x 4"),
        (lambda a: a["attributes"].update(height="4"), InvalidInput, "'height' is '4', a whole number"),
        (lambda a: a["tile"].append(a["tile"][0]), UnsupportedNode, "it has 2 kinds of tile"),
        (lambda a: a["tile"][0]["core"].append(core(a)), UnsupportedNode, "it has 2 kinds of core"),
        (lambda a: core(a)["attributes"].update(buffer_position="axon_out"), UnsupportedNode, "messages wait at 'axon_out'"),
        (lambda a: core(a)["axon_in"].append(core(a)["axon_in"][0]), UnsupportedNode, "it has 2 units 'axon_in'"),
        (
            lambda a: core(a)["dendrite"][0]["attributes"].update(update_every_timestep=True),
            UnsupportedNode,
            "its dendrites are charged by the step",
        ),
        (lambda a: core(a)["soma"][1]["attributes"].update(force_update=True), UnsupportedNode, "updated in every step"),
        (
            lambda a: core(a)["synapse"][0]["attributes"].update(energy_process_spike=-1),
            InvalidInput,
            "'energy_process_spike' is -1, joules",
        ),
        (
            lambda a: core(a)["axon_out"][0]["attributes"].update(energy_message_out="much"),
            InvalidInput,
            "'energy_message_out' is 'much', joules",
        ),
    ],
)
def test_refused_files(change, kind, match, tmp_path):
    with pytest.raises(kind, match=match):
        load_architecture(edited(tmp_path, change))


def test_files_that_are_no_architecture(tmp_path):
    with pytest.raises(InvalidInput, match="there is no such architecture file"):
        load_architecture(tmp_path / "none.yaml")
    for name, text, match in (("a", "x: [", "it is no readable YAML file"), ("b", "x: 1", "it has no 'architecture'")):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InvalidInput, match=match):
            load_architecture(path)


def test_without_pyyaml_the_extra_is_named(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(sanafe_arch, "import_module", absent)
    with pytest.raises(InvalidInput, match=r"pip install 'snnport\[sanafe\]'"):
        load_architecture(ODD)


FAKE = """
import json, sys
import numpy as np
program, job, architecture, result = sys.argv[2:]
with np.load(job) as given:
    units, total = json.loads(str(given["units"])), int(given["raster"].sum())
energy = {"total": float(len(units["inputs"]))}
with open(result, "w") as file:
    json.dump({"spikes": total, "packets_sent": 2, "neurons_updated": 3, "neurons_fired": 4, "energy": energy}, file)
"""


def interpreter(tmp_path, script) -> Path:
    """Something that is run like a Python interpreter and runs `script` instead of the worker."""
    (tmp_path / "fake.py").write_text(script, encoding="utf-8")
    fake = tmp_path / "python"
    fake.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/fake.py" "$@"\n', encoding="utf-8")
    fake.chmod(0o755)
    return fake


def test_the_process_gets_the_job_and_its_result_comes_back(tmp_path):
    program, raster = NETWORKS["one core"]()
    got = run_sanafe(program, raster, ODD, interpreter(tmp_path, FAKE))
    assert (got.spikes, got.packets_sent, got.neurons_updated, got.neurons_fired) == (raster.sum(), 2, 3, 4)
    assert got.energy == {"total": 1024.0}


def test_a_process_that_fails_is_reported_by_its_last_line(tmp_path):
    program, raster = layers((3, 2), 5, 0)
    with pytest.raises(InvalidInput, match="SANA-FE: it failed: SystemExit: no licence"):
        run_sanafe(
            program, raster, ODD, interpreter(tmp_path, "import sys; sys.stderr.write('SystemExit: no licence'); exit(3)")
        )
    with pytest.raises(InvalidInput, match="it failed: 5"):
        run_sanafe(program, raster, ODD, interpreter(tmp_path, "exit(5)"))
    with pytest.raises(InvalidInput, match=r"it cannot be run: .*Type: make sanafe"):
        run_sanafe(program, raster, ODD, tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match=r"raster: \(5, 3\) with values to 2"):
        run_sanafe(program, raster + np.uint8(2 - raster.max()), ODD, tmp_path / "nowhere")
