"""The result of `snnport port` as plain data: one source network, one or more targets. Written as JSON, rendered again at will.

Counts, cycles, times and energies are totals over all samples of a run, so that integers stay exact; the renderers divide.
Units: seconds, joules, cycles; accuracies and agreements are fractions 0..1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snnport.errors import InvalidInput
from snnport.ledger import Settled
from snnport.report.entrance import Entrance
from snnport.report.event_rates import EventReport
from snnport.report.evidence import Agreement, Invocation, Raster
from snnport.report.losses import Losses
from snnport.report.plain import read, write

SCHEMA = 1


@dataclass(frozen=True)
class Source:
    """The trained network: file name, format ("onnx", "nir", ...), sha256 of the file, input shape without batch."""

    file: str
    format: str
    sha256: str
    input_shape: tuple[int, ...]


@dataclass(frozen=True)
class DataFile:
    """A data file and its sha256."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Data:
    """The samples of the run; `scaling` says in words how the input was scaled."""

    files: tuple[DataFile, ...]
    n_samples: int
    scaling: str


@dataclass(frozen=True)
class PictureNode:
    """A node of the drawn graph; `shape` is what it gives, () where it is unknown."""

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Picture:
    """The final spiking graph, as far as a drawing needs it. edges: (source, target)."""

    nodes: tuple[PictureNode, ...]
    edges: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Stage:
    """One step of the accuracy waterfall. agreement: share of samples with the source network's arg-max.

    samples: how many of the first samples it ran on; None for all.
    """

    name: str
    accuracy: float | None
    agreement: float | None
    samples: int | None = None


@dataclass(frozen=True)
class Usage:
    """How much of a resource is used. limit: None where the chip sets none. where: the core or node, "" for the chip."""

    resource: str
    used: int | float
    limit: int | float | None
    unit: str = ""
    where: str = ""


@dataclass(frozen=True)
class Violation:
    """A rule that a network breaks, or, among the warnings, a finding of the same form."""

    rule: str
    where: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Check:
    """`check --json`: only violations decide whether the network fits."""

    target: str
    fits: bool
    usage: tuple[Usage, ...]
    violations: tuple[Violation, ...]
    warnings: tuple[Violation, ...]


@dataclass(frozen=True)
class Term:
    """One priced count of an energy model, with the band of its price."""

    count: int
    low_j: float
    mid_j: float
    high_j: float


@dataclass(frozen=True)
class Energy:
    """The energy of a run by one model. node_nm: process node in nm. unpriced: what the model has no price for.

    what_if: the model describes another machine than the target, doing the same work.
    """

    model: str
    provenance: str
    node_nm: int | float | None
    low_j: float
    mid_j: float
    high_j: float
    terms: Mapping[str, Term]
    unpriced: tuple[str, ...]
    voltage: float | None = None
    what_if: bool = False


@dataclass(frozen=True)
class Ann:
    """The same network without spikes, priced by the same model: joules for all samples."""

    name: str
    macs: int
    low_j: float
    mid_j: float
    high_j: float


@dataclass(frozen=True)
class BreakEven:
    """Spikes a neuron and step at which the spiking network costs as much as `against`; 0: it costs more even when silent."""

    against: str
    least: float | None
    mid: float | None
    most: float | None
    event_driven: float | None


@dataclass(frozen=True)
class Joules:
    """A band of energy."""

    low_j: float
    mid_j: float
    high_j: float


@dataclass(frozen=True)
class Baseline:
    """The spiking network beside quantised ANNs by one model. Only terms that both have take part; joules for all samples."""

    model: str
    spiking: Joules
    spike_rate: float
    spikes_per_synapse: float
    anns: tuple[Ann, ...]
    break_even: tuple[BreakEven, ...]


@dataclass(frozen=True)
class Spread:
    """Mean, least and most of a number over the samples."""

    mean: float
    min: int | float
    max: int | float


@dataclass(frozen=True)
class Traffic:
    """What the spikes of a run sent between cores. hops: from tile to tile within a chip, None without a known mesh.

    barriers: steps of all samples, in each of which all cores of all `chips` wait for one another.
    """

    messages: int
    chip_messages: int
    hops: int | None
    barriers: int
    chips: int


@dataclass(frozen=True)
class Run:
    """`run --json` without the predictions, and what the pictures need beyond it.

    neuron_updates: None where nothing counted them. cycles, time_s: None where the target has no model of time.
    spikes_per_step: population -> spikes of all samples in each step. core_cycles: busy cycles of each core, chip after chip.
    never_fire: populations that are meant never to: read by their potential, or without a threshold within reach.
    """

    target: str
    engine: str
    samples: int
    steps: int
    accuracy: float | None
    correct: int | None
    spikes: Mapping[str, int]
    synaptic_operations: Mapping[str, int]
    neuron_updates: int | None
    cycles: int | None
    time_s: float | None
    energy: tuple[Energy, ...]
    wall_s: float
    cycles_per_sample: Spread | None = None
    spikes_per_step: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    core_cycles: tuple[int, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    traffic: Traffic | None = None
    events: EventReport | None = None
    never_fire: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placement:
    """Neurons start..stop-1 of a population on core `core` of chip `chip`."""

    population: str
    core: int
    start: int
    stop: int
    chip: int = 0


@dataclass(frozen=True)
class CoreUse:
    """What the neurons on one core use of each resource."""

    chip: int
    core: int
    used: Mapping[str, int]


@dataclass(frozen=True)
class TargetResult:
    """What one target made of the network. cores: cores of one chip, None if unknown. why_not: why it did not run.

    raster: spikes of one sample. agreement: the program beside the reference executor.
    core_use, core_limits: by resource, where the target counts them core by core. mesh: tiles across, tiles up, cores of a
    tile, () where nobody said.
    """

    target: str
    check: Check
    ran: bool
    why_not: str
    run: Run | None
    placements: tuple[Placement, ...] = ()
    cores: int | None = None
    notes: tuple[str, ...] = ()
    core_use: tuple[CoreUse, ...] = ()
    core_limits: Mapping[str, int] = field(default_factory=dict)
    mesh: tuple[int, ...] = ()
    raster: Raster | None = None
    agreement: Agreement | None = None


@dataclass(frozen=True)
class Report:
    """Everything `snnport port` found out.

    versions: name -> version (snnport, numpy, nir, python). created: UTC, ISO 8601. options: plain JSON data (code, levels,
    input_levels, bits, calibration, ...). passes: as spelled on the command line. logits_equal, logit_mismatches: None
    where there was nothing to compare. next_steps: findings in sentences, each with the next command. cost_models: sha256 of
    every file of prices and of the numbers of every chip. seeds: of every random choice. losses: layer by layer, neurons that
    do nothing, and what to try. entrance: how the input enters a converted network, and its price.
    """

    source: Source
    data: Data
    versions: Mapping[str, str]
    created: str
    options: Mapping[str, Any]
    passes: tuple[str, ...]
    graph: Picture
    ledger: tuple[Settled, ...]
    stages: tuple[Stage, ...]
    logits_equal: bool | None
    logit_mismatches: int | None
    targets: tuple[TargetResult, ...]
    next_steps: tuple[str, ...] = ()
    cost_models: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    invocation: Invocation | None = None
    losses: Losses | None = None
    entrance: Entrance | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data that from_json takes back."""
        return {"schema": SCHEMA, **write(self)}

    def to_text(self) -> str:
        """The JSON document."""
        return json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, data: Any, where: str = "report") -> Report:
        """The report that `data` describes. Raises InvalidInput, naming `where` and the entry, if it is malformed."""
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            raise InvalidInput(where, f"it is no report of schema {SCHEMA}", "Give the JSON report of snnport port")
        return read(cls, data, where)

    @classmethod
    def from_text(cls, text: str, where: str = "report") -> Report:
        """The report in a JSON document. Raises InvalidInput if it is damaged."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(where, f"it is no JSON document: {error}", "Give the JSON report of snnport port") from None
        return cls.from_json(data, where)
