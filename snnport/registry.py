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

EXTRAS = {
    "onnxruntime": "verify",
    "torch": "train",
    "norse": "train",
    "yaml": "sanafe",
    "dask": "sweep",
    "distributed": "sweep",
}
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
        "dynapcnn": "snnport.targets.speck.target:DYNAPCNN",
        "loihi1": "snnport.targets.loihi.target:LOIHI1",
        "loihi2": "snnport.targets.loihi.target:LOIHI2",
        "speck2e": "snnport.targets.speck.target:SPECK2E",
        "speck2f": "snnport.targets.speck.target:SPECK2F",
        "tinyodin": "snnport.targets.tinyodin.target:TINYODIN",
        "xylo_audio2": "snnport.targets.xylo.target:AUDIO2",
        "xylo_audio3": "snnport.targets.xylo.target:AUDIO3",
        "xylo_imu": "snnport.targets.xylo.target:IMU",
    },
)

RUNNERS = Registry(
    "runner",
    {
        "dynapcnn": "snnport.sim.asynchronous:run",
        "speck2e": "snnport.sim.asynchronous:run",
        "speck2f": "snnport.sim.asynchronous:run",
        "tinyodin": "snnport.targets.tinyodin.runner:run",
    },
)
"""What runs a target's programs where the engine does not: same arguments and result as sim.engine.run."""

BUILDERS = Registry(
    "builder",
    {
        "resnet20": "snnport.models.resnet20:resnet20",
        "sinabs-mnist": "snnport.models.sinabs_mnist:sinabs_mnist",
    },
)
"""Networks whose weights come without them: name -> array to a graph."""

RECIPES = Registry(
    "recipe",
    {
        "braille": "snnport.models.braille:RECIPE",
        "conv-lif": "snnport.models.conv_lif:RECIPE",
        "conv-lif-binary": "snnport.models.conv_lif:BINARY",
        "conv-lif-gray": "snnport.models.conv_lif:GRAY",
        "conv-lif-inverted": "snnport.models.conv_lif:INVERTED",
        "diehl-cook": "snnport.models.diehl_cook:RECIPE",
        "leaky-mlp": "snnport.models.leaky_mlp:RECIPE",
        "lsnn": "snnport.models.lsnn:RECIPE",
        "lsnn-eprop": "snnport.models.lsnn:EPROP",
        "lsnn-large": "snnport.models.lsnn:LARGE",
        "lsnn-pixels": "snnport.models.lsnn:PIXELS",
        "nef-addition": "snnport.models.nef_recipes:ADDITION",
        "nef-memory": "snnport.models.nef_recipes:MEMORY",
        "nef-product": "snnport.models.nef_recipes:PRODUCT",
        "nef-square": "snnport.models.nef_recipes:SQUARE",
    },
)
"""Networks that `snnport train` builds and trains: name -> snnport.models.recipe.Recipe."""

TRAINERS = Registry(
    "way of training",
    {
        "gradient": "snnport.training.by_gradient:train_graph",
        "objective": "snnport.training.objective:Objective",
        "quantised": "snnport.training.by_gradient:quantised_for",
        "distilled": "snnport.training.distillation:distilled",
    },
)
"""What `snnport train` trains with; needs the extra train."""

PASSES = Registry(
    "pass",
    {
        "alif-to-nir": "snnport.passes.alif_to_nir:AlifToNir",
        "nir-to-alif": "snnport.passes.alif_to_nir:NirToAlif",
        "if-neurons": "snnport.passes.if_neurons:IfNeurons",
        "hoist-relu": "snnport.passes.hoist_relu:HoistReLU",
        "fold-batchnorm": "snnport.passes.fold_batchnorm:FoldBatchNorm",
        "separate-paths": "snnport.passes.separate_paths:SeparatePaths",
        "merge-linear": "snnport.passes.merge_linear:MergeLinear",
        "convolve-pools": "snnport.passes.convolve_pools:ConvolvePools",
        "offset-pools": "snnport.passes.offset_pools:OffsetPools",
        "pair-signed": "snnport.passes.pair_signed:PairSigned",
        "sum-pool": "snnport.passes.sum_pool:SumPool",
        "split-signed-input": "snnport.passes.split_signed_input:SplitSignedInput",
        "equalize-channels": "snnport.passes.equalize_channels:EqualizeChannels",
        "quantize-activations": "snnport.passes.quantize_activations:QuantizeActivations",
        "quantize-weights": "snnport.passes.quantize_weights:QuantizeWeights",
        "align-steps": "snnport.passes.align_steps:AlignSteps",
        "fit-sums": "snnport.passes.fit_sums:FitSums",
        "bound-counts": "snnport.passes.bound_counts:BoundCounts",
        "spike": "snnport.passes.spike:Spike",
        "unclip": "snnport.passes.unclip:Unclip",
        "ramp": "snnport.targets.loihi.ramp:Ramp",
        "fit": "snnport.targets.loihi.ramp:Fit",
        "quantize-snn": "snnport.passes.quantize_snn:QuantizeSnn",
        "quantize-speck": "snnport.passes.quantize_speck:QuantizeSpeck",
        "quantize-shifts": "snnport.passes.quantize_shifts:QuantizeShifts",
        "xylo-form": "snnport.passes.xylo_form:XyloForm",
        "quantize-xylo": "snnport.passes.quantize_xylo:QuantizeXylo",
        "distill-xylo": "snnport.passes.distill_xylo:DistillXylo",
        "quantize-planes": "snnport.passes.quantize_planes:QuantizePlanes",
        "lava-scaling": "snnport.passes.lava_scaling:LavaScaling",
        "average-to-sum": "snnport.passes.fixes.nodes:AverageToSum",
        "conv1d-to-2d": "snnport.passes.fixes.nodes:Conv1dTo2d",
        "scale-to-conv": "snnport.passes.fixes.nodes:ScaleToConv",
        "ungroup": "snnport.passes.fixes.convolution:Ungroup",
        "spread-dilation": "snnport.passes.fixes.convolution:SpreadDilation",
        "square-kernel": "snnport.passes.fixes.convolution:SquareKernel",
        "pool-into-kernel": "snnport.passes.fixes.convolution:PoolIntoKernel",
        "fold-thresholds": "snnport.passes.fixes.channels:FoldThresholds",
        "split-channels": "snnport.passes.fixes.channels:SplitChannels",
        "duplicate-layer": "snnport.passes.fixes.channels:DuplicateLayer",
        "drop-dead-channels": "snnport.passes.fixes.channels:DropDeadChannels",
        "clip-channels": "snnport.passes.fixes.channels:ClipChannels",
        "extend-readout": "snnport.passes.fixes.channels:ExtendReadout",
    },
)
