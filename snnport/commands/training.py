"""The verb that trains: a recipe, or a graph of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from snnport.commands.shown import Shown
from snnport.errors import InvalidInput
from snnport.options import Group, Json, MaybeInputs, MaybeOut, Reading, Samples
from snnport.progress import Progress

_WHAT = "RECIPE (see --list), GRAPH.nir or ANN.onnx"
_Values: TypeAlias = dict[str, Any]


def _option(kind: Any, name: str, text: str, default: Any = None) -> tuple[Any, Any]:
    return Annotated[kind, typer.Option(name, help=text)], default


_FIT = {
    "seed": _option(int | None, "--seed", "Of first weights, order of samples, random input."),
    "epochs": _option(int | None, "--epochs", "Times through the training part."),
    "batch_size": _option(int | None, "--batch-size", "Samples a step."),
    "lr": _option(float | None, "--lr", "Learning rate."),
    "clip_grad": _option(float | None, "--clip-grad", "Longest gradient."),
    "weight_decay": _option(float | None, "--weight-decay", "Of the optimiser."),
    "tbptt": _option(int | None, "--tbptt", "Steps after which gradients are cut; 0: never."),
    "validation": _option(float | None, "--validation", "Fraction of the training part that chooses the epoch."),
    "patience": _option(int | None, "--patience", "Epochs without a better one before it stops; 0: never."),
    "average": _option(
        float | None, "--average", "Decay a step of a moving average of what is learned, which is kept; 0: none."
    ),
    "loss": _option(str | None, "--loss", "As cross-entropy{of=membrane,over=last}."),
    "encoder": _option(str | None, "--encoder", "As direct{steps=25}."),
    "decoder": _option(str | None, "--decoder", "As population{classes=10}."),
    "optimiser": _option(str | None, "--optimiser", "adam, adamw or sgd{momentum=0.9}."),
    "schedule": _option(str | None, "--schedule", "As cosine{warmup=0.1}."),
    "surrogate": _option(str | None, "--surrogate", "As arctan{alpha=2}."),
    "regularisers": _option(list[str] | None, "--regulariser", "As upper{weight=1,bound=0.1}; several add up."),
    "augment": _option(list[str] | None, "--augment", "As time-shift{steps=12}; several follow one another."),
    "trainable": _option(str | None, "--trainable", "Fields of nodes that are learned: weight,bias,tau,..."),
}
_NETWORK = {
    "hidden_size": _option(int | None, "--hidden-size", "Recipe: hidden neurons."),
    "use_sfa": _option(bool | None, "--use-sfa/--no-sfa", "Recipe: adaptive thresholds."),
    "tau_m": _option(float | None, "--tau-m", "Recipe: membrane time constant in seconds."),
    "tau_adapt": _option(float | None, "--tau-adapt", "Recipe: time constant of thresholds in seconds."),
    "beta": _option(float | None, "--beta", "Recipe: decay, or how much spikes raise a threshold."),
    "v_threshold": _option(float | None, "--v-threshold", "Recipe: threshold."),
    "v_reset": _option(str | None, "--v-reset", "Recipe: potential after a spike; none: threshold taken off."),
    "readout_type": _option(str | None, "--readout-type", "Recipe: last, mean, sum or max of the potentials."),
    "task": _option(str | None, "--task", "Recipe: rows or pixels in a step."),
    "gain": _option(float | None, "--gain", "Recipe: width of the first input weights."),
    "conv": _option(int | None, "--conv", "Recipe: channels of the third convolution."),
    "fc": _option(int | None, "--fc", "Recipe: neurons of the first dense layer."),
    "dataset": _option(str | None, "--dataset", "Recipe: mnist or fashion-mnist."),
    "fold": _option(int | None, "--fold", "Recipe: which part is held out."),
    "neurons": _option(int | None, "--neurons", "Recipe: neurons of an ensemble."),
    "samples": _option(int | None, "--samples", "Recipe: pictures that it learns from."),
    "steps": _option(int | None, "--steps", "Recipe: steps of a picture."),
    "inhibition": _option(float | None, "--inhibition", "Recipe: what a spike takes off all other potentials."),
    "weight_step": _option(float | None, "--weight-step", "Recipe: what the learned weights are multiples of."),
}
_WAY = {
    "tiny": _option(bool, "--tiny", "The recipe's smallest size, for a run of seconds.", False),
    "train_samples": _option(int | None, "--train-samples", "Only the first so many."),
    "test_samples": _option(int | None, "--test-samples", "Only the first so many."),
    "checkpoint": _option(Path | None, "--checkpoint", "Folder to go on from and to leave off in."),
    "every": _option(int, "--every", "Batches between two checkpoints; 0: an epoch.", 0),
    "seconds": _option(float | None, "--seconds", "Stop after this time with a checkpoint."),
    "device": _option(str, "--device", "cpu, cuda, or auto: cuda where there is one.", "auto"),
    "threads": _option(int | None, "--threads", "Threads of torch."),
    "hold_out": _option(float, "--hold-out", "GRAPH.nir: fraction of --input kept for the test.", 0.2),
    "test_input": _option(Path | None, "--test-input", "Write the test part, encoded, here (.npz)."),
    "target": _option(str | None, "--target", "Train for the integers of this target."),
    "bits": _option(int | None, "--bits", "Train for integers of so many bits."),
    "requantise": _option(int, "--requantise", "Batches after which scales are chosen anew.", 1),
    "teacher": _option(Path | None, "--teacher", "An ANN (.onnx) to learn from beside the labels."),
    "teacher_scale": _option(float, "--teacher-scale", "The teacher takes x / SCALE.", 1.0),
    "temperature": _option(float, "--temperature", "Softens the teacher's answers.", 4.0),
    "share": _option(float, "--share", "Weight of the teacher's answers in the loss.", 0.7),
}


def _given(**values: Any) -> _Values:
    """The settings that were given: lists as tuples, `trainable` apart at its commas."""
    found: _Values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    if found.get("trainable"):
        found["trainable"] = tuple(str(found["trainable"]).split(","))
    return {name: value for name, value in found.items() if value is not None and value != ()}


def _as_they_are(**values: Any) -> _Values:
    return values


_Settings: TypeAlias = Annotated[Any, Group({**_FIT, **_NETWORK}, _given)]
_Way: TypeAlias = Annotated[Any, Group(_WAY, _as_they_are)]


def train(
    settings: _Settings,
    way: _Way,
    inputs: Samples,
    reading: Reading,
    what: Annotated[str | None, typer.Argument(metavar=_WHAT, show_default=False)] = None,
    output: MaybeOut = None,
    list_: Annotated[bool, typer.Option("--list", help="List the recipes.")] = False,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the recipe's data set.")] = None,
    input_: MaybeInputs = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE: any other setting of the recipe.")] = None,
    json_output: Json = False,
) -> Shown:
    """Train a recipe, or a network of your own on --input, and write it (.nir) with a log (.json) beside it."""
    from snnport.flow.model import open_model
    from snnport.flow.train import TrainOptions, listing, train_model, train_recipe
    from snnport.report.training import recipe_list, trained

    if list_:
        found = listing()
        return Shown(found, lambda: recipe_list(found))
    if what is None or output is None:
        raise typer.BadParameter("give a RECIPE or a network and -o OUT.nir, or --list")
    own_file = what.endswith((".nir", ".onnx"))
    if not own_file and reading.dt is not None:
        settings = {**settings, "dt": reading.dt}
    samples = (way.pop("train_samples"), way.pop("test_samples"))
    options = TrainOptions(settings, tuple(set_ or ()), samples=samples, **way)
    with Progress("batches") as progress:
        if own_file:
            if input_ is None:
                raise InvalidInput("--input", "a graph of your own is trained on samples of your own", "Give --input X.npz")
            found = train_model(open_model(Path(what), reading), input_, inputs, output, options, progress.batches)
        else:
            found = train_recipe(what, output, data, options, progress.batches)
    if found.pop("process"):
        raise typer.Exit
    return Shown(found, lambda: trained(found))
