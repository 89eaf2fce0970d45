"""What a target is: a chip's numbers, the rules that judge a network against them, and the lowering to a Program.

To add one: a folder with chip.toml (the numbers, each with its source), rules.py (named functions) and target.py (one
Target), and its line in registry.TARGETS. Rules never stop at the first finding and never raise for a network that does
not fit; lowering leaves out what a rule has refused and goes on, so that all violations are seen at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy.typing as npt

from snnport.chip import Chip, load_chip
from snnport.encoders import Stimulus
from snnport.errors import DoesNotFit, InvalidInput
from snnport.fixed import IntArray
from snnport.graph import Graph
from snnport.passes.base import Pass
from snnport.program import Program
from snnport.registry import TARGETS
from snnport.trace import Trace


@dataclass(frozen=True)
class Usage:
    """How much of a resource is used, in `unit`. where: a population, a projection, a core, or the chip's name."""

    resource: str
    where: str
    used: int
    limit: int
    unit: str


@dataclass(frozen=True)
class Violation:
    """A broken rule, or (among warnings) something that fits and yet deserves attention.

    message: what is, with its number and the limit. remedy: what to do next.
    """

    rule: str
    where: str
    message: str
    remedy: str

    def text(self, chip: str) -> str:
        """`<chip>: <where>: <message>. <remedy>.`"""
        return str(DoesNotFit(f"{chip}: {self.where}", self.message, self.remedy))


class Findings(NamedTuple):
    """What a rule returns. The rule's name is put into the violations and warnings by the target that runs it."""

    usage: tuple[Usage, ...] = ()
    violations: tuple[Violation, ...] = ()
    warnings: tuple[Violation, ...] = ()


GraphRule: TypeAlias = Callable[[Graph, Chip], Findings]
ProgramRule: TypeAlias = Callable[[Program, Chip], Findings]


CoreUse: TypeAlias = tuple[Mapping[tuple[int, int], Mapping[str, int]], Mapping[str, int]]
"""((chip, core) -> resource -> used, resource -> limit of one core)."""
Exporting: TypeAlias = Callable[[Program, Path, IntArray | None], tuple[Path, ...]]


@dataclass(frozen=True)
class Proposal:
    """A rewriting that would help a network onto a chip, at one place.

    name: of the pass, as in registry.PASSES. exact: it changes no output spike. cost: what it costs, or why it cannot be done.
    step: the pass itself; None where nothing can be done. asked: a broken rule asks for it; otherwise it is done only where
    it is named.
    """

    name: str
    where: str
    exact: bool
    cost: str
    step: Pass | None
    asked: bool = True


Proposing: TypeAlias = Callable[[Graph, Chip], tuple[Proposal, ...]]


@dataclass(frozen=True)
class Fixes:
    """What a target can rewrite. real: of a graph as it was read, in real numbers. codes: of one that is quantised.

    Each function gives its proposals for a graph; an empty tuple where nothing is broken. Earlier ones are tried first.
    """

    real: tuple[Proposing, ...] = ()
    codes: tuple[Proposing, ...] = ()


Running: TypeAlias = Callable[[Program, Stimulus, Collection[str], Collection[str], Callable[[int, int], None] | None], Trace]
"""Program, stimulus, populations whose spikes and whose v to record, progress (samples done, samples) to a trace."""


def finding(where: str, message: str, remedy: str) -> Violation:
    """A violation or warning that still lacks its rule's name."""
    return Violation("", where, message, remedy)


def rule_name(rule: Callable[..., Findings]) -> str:
    """The name of a rule: that of its function, with '-' for '_'."""
    return rule.__name__.replace("_", "-")


@dataclass(frozen=True)
class CheckResult:
    """Everything the rules of one target found in one network. Only violations decide whether it fits."""

    target: str
    usage: tuple[Usage, ...]
    violations: tuple[Violation, ...]
    warnings: tuple[Violation, ...]

    @property
    def fits(self) -> bool:
        """True if no rule is broken."""
        return not self.violations

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `check --json` prints it."""
        return {
            "target": self.target,
            "fits": self.fits,
            "usage": [asdict(u) for u in self.usage],
            "violations": [asdict(v) for v in self.violations],
            "warnings": [asdict(w) for w in self.warnings],
        }

    def require(self) -> None:
        """Raise DoesNotFit, listing every violation, unless the network fits."""
        if self.fits:
            return
        if len(self.violations) == 1:
            only = self.violations[0]
            raise DoesNotFit(f"{self.target}: {only.where}", only.message, only.remedy)
        lines = "\n".join(f"  {v.text(self.target)}" for v in self.violations)
        raise DoesNotFit(self.target, f"the network does not fit, {len(self.violations)} rules are broken:\n{lines}")


@dataclass(frozen=True)
class Target:
    """One kind of chip. An instance is a value: `with_chip` gives another one with other numbers.

    chip_file: its chip.toml. graph_rules, program_rules: named functions, run in this order. lowering: graph and chip to
    a Program that is not placed yet; it leaves out what the rules refuse. placing: gives every neuron of that program a
    core. preparing: the passes that a graph still needs before the rules make sense. export: writes a
    program and, where one is given, the raster (n_steps, n_neurons) of one sample as the files that the chip's own tools
    load, into a folder; None where there are none. vendor: runs a program on the vendor's own simulator, with the populations,
    steps and integers of the engine's trace; None where there is none. calibrate: `preparing` that also takes unlabelled
    spikes and chooses the scale by them; None where there is nothing to choose. core_use: what every core of a placed program
    uses of each resource, and what a core has; None where no resource is counted core by core. fixes: rewritings
    that it offers. draws: seeds of what its passes may draw at random, by what is drawn.
    """

    name: str
    chip_file: Path
    graph_rules: tuple[GraphRule, ...]
    program_rules: tuple[ProgramRule, ...]
    lowering: Callable[[Graph, Chip], Program]
    placing: Callable[[Program, Chip], Program]
    preparing: Callable[[Graph, Chip], tuple[Pass, ...]]
    export: Exporting | None = None
    vendor: Running | None = None
    calibrate: Callable[[Graph, Chip, npt.NDArray[Any]], tuple[Pass, ...]] | None = None
    core_use: Callable[[Program, Chip], CoreUse] | None = None
    fixes: Fixes = Fixes()
    variant: Chip | None = None
    draws: Mapping[str, int] = field(default_factory=dict, hash=False)

    @cached_property
    def chip(self) -> Chip:
        """The numbers: the variant's where there is one, else those of chip_file."""
        return self.variant if self.variant is not None else load_chip(self.chip_file)

    def with_chip(self, chip: Chip) -> Target:
        """This target with the numbers of `chip`. Raises InvalidInput if one is missing or of another kind."""
        own = load_chip(self.chip_file)
        missing = sorted(set(own.numbers) - set(chip.numbers))
        if missing:
            raise InvalidInput(
                f"chip {chip.name}", f"it lacks {', '.join(missing)}", f'Add them, or extends = "{own.name}" at the top'
            )
        for key, number in own.numbers.items():
            _same_kind(f"chip {chip.name}: numbers.{key}", number.value, chip[key])
        return replace(self, variant=chip)

    def passes_for(self, graph: Graph, raster: npt.NDArray[Any] | None = None) -> tuple[Pass, ...]:
        """The passes to run on `graph` before check and lower; empty if it is ready.

        raster: unlabelled spike counts (n_samples, n_steps, n_neurons) by which a target that can chooses its scale.
        """
        if raster is None or self.calibrate is None:
            return self.preparing(graph, self.chip)
        return self.calibrate(graph, self.chip, raster)

    def check(self, graph: Graph) -> CheckResult:
        """Everything all rules find. Raises InvalidGraph only for a graph that contradicts itself."""
        return self._examine(graph)[0]

    def check_program(self, program: Program) -> CheckResult:
        """What the rules for programs find in one that was lowered before; the graph it came from is not there to judge."""
        return self._result([_named(rule, rule(program, self.chip)) for rule in self.program_rules])

    def lower(self, graph: Graph) -> Program:
        """The placed program of `graph`. Raises DoesNotFit with all violations in one message."""
        result, program = self._examine(graph)
        result.require()
        return program

    def rules(self) -> tuple[tuple[str, str], ...]:
        """Name and documentation of every rule, in the order in which they run."""
        every: tuple[Callable[..., Findings], ...] = (*self.graph_rules, *self.program_rules)
        return tuple((rule_name(rule), " ".join((rule.__doc__ or "").split())) for rule in every)

    def _examine(self, graph: Graph) -> tuple[CheckResult, Program]:
        found = [_named(rule, rule(graph, self.chip)) for rule in self.graph_rules]
        program = self.placing(self.lowering(graph, self.chip), self.chip)
        found += [_named(rule, rule(program, self.chip)) for rule in self.program_rules]
        return self._result(found), program

    def _result(self, found: Sequence[Findings]) -> CheckResult:
        return CheckResult(
            self.chip.name,
            tuple(u for f in found for u in f.usage),
            _distinct(v for f in found for v in f.violations),
            _distinct(w for f in found for w in f.warnings),
        )


def resolve_target(name_or_path: str) -> Target:
    """A registered target by its name, or the variant that a .toml file describes, or a SANA-FE architecture (.yaml).

    Raises UnknownName or InvalidInput.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        from snnport.sim.sanafe_arch import load_architecture
        from snnport.sim.sanafe_chip import as_chip

        cpu = TARGETS.load("cpu")
        assert isinstance(cpu, Target)
        return replace(cpu, variant=as_chip(load_architecture(Path(name_or_path)), cpu.chip))
    if not name_or_path.endswith(".toml"):
        target = TARGETS.load(name_or_path)
        assert isinstance(target, Target)
        return target
    shipped = {name: TARGETS.load(name).chip_file for name in TARGETS.names()}
    chip = load_chip(Path(name_or_path), shipped)
    base = TARGETS.load(chip.target)
    assert isinstance(base, Target)
    return base.with_chip(chip)


def _named(rule: Callable[..., Findings], found: Findings) -> Findings:
    name = rule_name(rule)
    return Findings(
        found.usage,
        tuple(replace(v, rule=name) for v in found.violations),
        tuple(replace(w, rule=name) for w in found.warnings),
    )


def _distinct(items: Iterable[Violation]) -> tuple[Violation, ...]:
    return tuple(dict.fromkeys(items))


def _same_kind(where: str, own: Any, given: Any) -> None:
    if isinstance(own, tuple) != isinstance(given, tuple):
        kind = "a list of numbers" if isinstance(own, tuple) else "one number"
        raise InvalidInput(where, f"its value {given!r} is not {kind}", "Write it as the shipped chip does")
    values, owned = (v if isinstance(v, tuple) else (v,) for v in (given, own))
    whole, least = all(isinstance(v, int) for v in owned), min(0, *owned)
    if min(values) < least and least == 0:
        raise InvalidInput(where, f"its value {given!r} is below 0", "Write it as the shipped chip does")
    if whole and not all(isinstance(v, int) for v in values):
        raise InvalidInput(where, f"its value {given!r} is no whole number", "Write it as the shipped chip does")
