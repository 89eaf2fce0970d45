"""Named things that are imported only when they are used.

A registry is a table of `name -> "module:attribute"`. Listing it imports nothing; loading an entry imports its module,
and a missing optional package becomes a message that names the extra to install.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

from snnport.errors import InvalidInput, UnknownName

EXTRAS = {"onnxruntime": "verify", "torch": "train", "norse": "train", "yaml": "sanafe"}
"""Optional package -> the extra of snnport that installs it."""


@dataclass(frozen=True)
class Registry:
    """A frozen table of lazily imported objects of one `kind` (the word used in messages)."""

    kind: str
    entries: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", MappingProxyType(dict(self.entries)))

    def names(self) -> tuple[str, ...]:
        """All names, sorted; imports nothing."""
        return tuple(sorted(self.entries))

    def load(self, name: str) -> Any:
        """The object registered as `name`. Raises UnknownName with the nearest name, InvalidInput naming a missing extra."""
        if name not in self.entries:
            raise UnknownName.among(self.kind, name, self.names())
        module, _, attribute = self.entries[name].partition(":")
        try:
            return getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            package = (error.name or "").split(".")[0]
            if package not in EXTRAS:
                raise
            what, remedy = f"it needs {package}, which is not installed", f"Type: pip install 'snnport[{EXTRAS[package]}]'"
            raise InvalidInput(f"{self.kind} '{name}'", what, remedy) from None


TARGETS = Registry(
    "target",
    {
        "cpu": "snnport.targets.cpu.target:CPU",
        "loihi1": "snnport.targets.loihi.target:LOIHI1",
        "loihi2": "snnport.targets.loihi.target:LOIHI2",
        "speck2f": "snnport.targets.speck.target:SPECK2F",
        "tinyodin": "snnport.targets.tinyodin.target:TINYODIN",
        "xylo_audio2": "snnport.targets.xylo.target:AUDIO2",
        "xylo_audio3": "snnport.targets.xylo.target:AUDIO3",
        "xylo_imu": "snnport.targets.xylo.target:IMU",
    },
)

RUNNERS = Registry("runner", {"tinyodin": "snnport.targets.tinyodin.runner:run"})
"""What runs a target's programs where the engine does not: same arguments and result as sim.engine.run."""

BUILDERS = Registry(
    "builder",
    {
        "resnet20": "snnport.models.resnet20:resnet20",
        "sinabs-mnist": "snnport.models.sinabs_mnist:sinabs_mnist",
    },
)
"""Networks whose weights come without them: name -> array to a graph."""

PASSES = Registry(
    "pass",
    {
        "hoist-relu": "snnport.passes.hoist_relu:HoistReLU",
        "fold-batchnorm": "snnport.passes.fold_batchnorm:FoldBatchNorm",
        "separate-paths": "snnport.passes.separate_paths:SeparatePaths",
        "merge-linear": "snnport.passes.merge_linear:MergeLinear",
        "sum-pool": "snnport.passes.sum_pool:SumPool",
        "split-signed-input": "snnport.passes.split_signed_input:SplitSignedInput",
        "quantize-activations": "snnport.passes.quantize_activations:QuantizeActivations",
        "quantize-weights": "snnport.passes.quantize_weights:QuantizeWeights",
        "align-steps": "snnport.passes.align_steps:AlignSteps",
        "bound-counts": "snnport.passes.bound_counts:BoundCounts",
        "spike": "snnport.passes.spike:Spike",
        "unclip": "snnport.passes.unclip:Unclip",
        "ramp": "snnport.targets.loihi.ramp:Ramp",
        "fit": "snnport.targets.loihi.ramp:Fit",
        "quantize-snn": "snnport.passes.quantize_snn:QuantizeSnn",
        "xylo-form": "snnport.passes.xylo_form:XyloForm",
        "quantize-xylo": "snnport.passes.quantize_xylo:QuantizeXylo",
        "quantize-planes": "snnport.passes.quantize_planes:QuantizePlanes",
        "lava-scaling": "snnport.passes.lava_scaling:LavaScaling",
    },
)
