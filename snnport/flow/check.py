"""Does it fit, and what would run: check and lower for any model file."""

from __future__ import annotations

from snnport.errors import InvalidInput
from snnport.flow.convert import ConvertOptions
from snnport.flow.model import Model
from snnport.flow.prepare import InputOptions, for_target, spiking
from snnport.program import Program
from snnport.targets.base import CheckResult, Target, resolve_target


def check(model: Model, target: str, inputs: InputOptions, options: ConvertOptions) -> tuple[CheckResult, tuple[str, ...]]:
    """What the rules of `target` find, and what was applied to the model before they were asked."""
    chip = resolve_target(target)
    if model.program is not None:
        return chip.check_program(own_program(model, chip)), ()
    prepared = for_target(spiking(model, inputs, options), chip)
    return chip.check(prepared.graph), prepared.done


def lower(model: Model, target: str, inputs: InputOptions, options: ConvertOptions) -> tuple[Program, tuple[str, ...]]:
    """The placed program. Raises DoesNotFit with every violation."""
    chip = resolve_target(target)
    if model.program is not None:
        return own_program(model, chip), ()
    prepared = for_target(spiking(model, inputs, options), chip)
    return chip.lower(prepared.graph), prepared.done


def own_program(model: Model, target: Target) -> Program:
    """The program that `model` is. Raises InvalidInput if it was lowered for another target."""
    program = model.program
    assert program is not None
    if program.target != target.name:
        what = f"it is a program for {program.target}, not for {target.name}"
        raise InvalidInput(str(model.path), what, f"Use --target {program.target}")
    return program
