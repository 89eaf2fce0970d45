"""A network as samna's configuration for DYNAP-CNN, Speck2e or Speck2f."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snnport.exporters.samna import document, write_samna
from snnport.flow.check import lower
from snnport.flow.convert import ConvertOptions
from snnport.flow.model import Model
from snnport.flow.prepare import InputOptions
from snnport.targets.base import resolve_target
from snnport.targets.speck.export import setup_of
from snnport.targets.speck.sensor import parse_preprocessing

TARGETS = ("dynapcnn", "speck2e", "speck2f")


def is_speck(target: str | None) -> bool:
    """Whether `target`, a name or the path of a .toml, has DYNAP-CNN's cores."""
    return target is not None and resolve_target(target).name in TARGETS


def export_samna(model: Model, output: Path, target: str, inputs: InputOptions, options: ConvertOptions) -> dict[str, Any]:
    """Write samna.json into the folder `output`; the document of `export --json`, with the core of every layer.

    Raises DoesNotFit, before anything is written, for what the chip cannot hold, and for an `inputs.sensor` that does not
    give what the network takes.
    """
    program, done = lower(model, target, inputs, options)
    setup = setup_of(program, parse_preprocessing(inputs.sensor) if inputs.sensor else None)
    files = write_samna(setup, output)
    whole = document(setup)
    said = {key: whole[key] for key in ("class", "layers", "inputs", "outputs", "slow_clock")}
    return {"schema": 1, "output": str(output), "files": [str(path) for path in files], "done": list(done), **said}
