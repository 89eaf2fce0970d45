"""Targets dynapcnn, speck2e and speck2f: nine asynchronous convolution cores of integrate-and-fire neurons."""

from __future__ import annotations

from pathlib import Path

from snnport.targets.base import Target
from snnport.targets.speck.choosing import calibrate, prepare
from snnport.targets.speck.export import export
from snnport.targets.speck.fixes import FIXES
from snnport.targets.speck.lower import lower, place
from snnport.targets.speck.program_rules import PROGRAM_RULES
from snnport.targets.speck.rules import GRAPH_RULES


def _target(name: str, file: str) -> Target:
    return Target(
        name,
        Path(__file__).with_name(file),
        GRAPH_RULES,
        PROGRAM_RULES,
        lower,
        place,
        prepare,
        export=export,
        calibrate=calibrate,
        fixes=FIXES,
    )


DYNAPCNN = _target("dynapcnn", "chip_dynapcnn.toml")
SPECK2E = _target("speck2e", "chip_speck2e.toml")
SPECK2F = _target("speck2f", "chip.toml")
