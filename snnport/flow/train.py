"""Training: a recipe, or any graph of the user's, to a .nir file and a log beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Any

import nir
import numpy as np

from snnport.datasets import Samples
from snnport.datasets.splits import Splits
from snnport.errors import InvalidInput, UnknownName
from snnport.events import write_bytes, write_npz
from snnport.exporters.nir import write_nir
from snnport.flow.convert import CALIBRATION_SAMPLES
from snnport.flow.model import Model, open_model
from snnport.flow.prepare import InputOptions
from snnport.graph import Graph, names_of, predecessors
from snnport.models.recipe import Fit, Option, Recipe
from snnport.nodes import AdaptiveLIF
from snnport.passes.alif_to_nir import AlifToNir
from snnport.passes.base import Context, run_passes
from snnport.passes.fold_batchnorm import FoldBatchNorm
from snnport.passes.hoist_relu import HoistReLU
from snnport.passes.if_neurons import IfNeurons
from snnport.passes.quantize_snn import QuantizeSnn
from snnport.registry import RECIPES, TRAINERS
from snnport.targets.base import resolve_target

Progress = Callable[[int, int, str], None]
READOUTS = ("last", "mean", "sum", "max")
GENERAL = Fit(epochs=10, batch_size=64, lr=1e-3, loss="", validation=0.0)
"""What a graph of the user's is trained by where nothing is said."""
HYBRID = replace(GENERAL, loss="cross-entropy{of=membrane,over=last}", encoder="direct{steps=16}")
"""The same for an ANN, which becomes a spiking network first."""


@dataclass(frozen=True)
class TrainOptions:
    """What was asked for beside the recipe. settings: name -> value, of its network or its fit; words: the same as text, to be
    read as the recipe's options say. samples: of the training and the test part, for a short run. hold_out: fraction of a
    user's own samples that is the test part. test_input: where the encoded test part is written. target, bits: train for the
    integers of a target, or of so many bits; requantise: batches after which scales are chosen anew. teacher: an ANN (.onnx)
    whose answers to x / teacher_scale are learned beside the labels, softened by `temperature`, with the weight `share`."""

    settings: Mapping[str, Any]
    words: tuple[str, ...] = ()
    tiny: bool = False
    samples: tuple[int | None, int | None] = (None, None)
    checkpoint: Path | None = None
    every: int = 0
    seconds: float | None = None
    device: str = "auto"
    threads: int | None = None
    hold_out: float = 0.2
    test_input: Path | None = None
    target: str | None = None
    bits: int | None = None
    requantise: int = 1
    teacher: Path | None = None
    teacher_scale: float = 1.0
    temperature: float = 4.0
    share: float = 0.7


def listing() -> dict[str, Any]:
    """Every recipe with its settings, as plain data."""
    found = []
    for name in RECIPES.names():
        recipe: Recipe = RECIPES.load(name)
        found.append(
            {
                "name": name,
                "about": recipe.about,
                "source": recipe.source,
                "reset": recipe.reset,
                "must_reach": recipe.must_reach,
                "network": dict(recipe.network),
                "fit": _plain(recipe.fit),
                "options": [{"name": o.name, "help": o.help, "choices": list(o.choices)} for o in recipe.options],
            }
        )
    return {"schema": 1, "recipes": found}


def train_recipe(
    name: str, output: Path, data: Path | None, options: TrainOptions, progress: Progress | None = None
) -> dict[str, Any]:
    """Train the recipe `name` on the data in `data`; write the graph to `output` and a log beside it.

    Raises UnknownName for a recipe or a setting that does not exist, InvalidInput for what cannot be used.
    """
    recipe = _asked(RECIPES.load(name), options)
    graph = recipe.build(recipe.network, recipe.fit.seed)
    if not recipe.trained_by:
        _writable(graph)
    splits = recipe.data(data, recipe.network).first(*options.samples)
    if recipe.trained_by:
        module, _, function = recipe.trained_by.partition(":")
        told = None if progress is None else (lambda done, total: progress(done, total, recipe.name))
        train = getattr(import_module(module), function)
        trained, log = train(recipe, splits, recipe.fit.seed, told, options.checkpoint)
        log, encode = {"finished": True, **log}, partial(import_module(module).raster, recipe, recipe.fit.seed)
    else:
        trained, log = _by_gradient(graph, splits, recipe.fit, options, progress)
        encode = None
    found = {"recipe": name, "must_reach": recipe.must_reach, "network": _json(recipe.network), "fit": _plain(recipe.fit)}
    return _written(trained, output, splits, recipe.fit, options, {**found, **log}, encode)


def train_model(
    model: Model, input_: Path, inputs: InputOptions, output: Path, options: TrainOptions, progress: Progress | None = None
) -> dict[str, Any]:
    """Train a graph of the user's on samples of his own; a part of them, drawn at random, is the test part.

    An ANN becomes a network of integrate-and-fire neurons first, which is then tuned (hybrid training). Raises InvalidInput for
    a converted network, samples without labels, and settings that do not exist.
    """
    if model.program is not None or model.coding is not None:
        what = "it was converted to integer codes"
        raise InvalidInput(str(model.path), what, "Give a spiking network in real numbers, or the ANN")
    samples = inputs.load(input_, model, labels=inputs.labels)
    if samples.y is None:
        raise InvalidInput(str(input_), "it has no labels", "Give --labels, or an .npz with y")
    known = {f.name for f in fields(Fit)}
    for name in options.settings:
        if name not in known:
            raise UnknownName.among("setting", name, sorted(known))
    how = replace(HYBRID if model.is_ann else GENERAL, **options.settings)
    graph = _start(model, samples, how) if model.is_ann else model.graph
    how = how if how.loss else replace(how, loss=_loss_of(graph))
    _writable(graph)
    x = samples.batch(0, samples.n_samples).astype(np.float32)
    whole = Splits(x, samples.y, x[:0], samples.y[:0])
    splits = whole.held_out(options.hold_out, how.seed).first(*options.samples) if options.hold_out else whole
    trained, log = _by_gradient(graph, splits, how, options, progress)
    return _written(trained, output, splits, how, options, {"file": str(model.path), "fit": _plain(how), **log})


def _by_gradient(
    graph: Graph, splits: Splits, how: Fit, options: TrainOptions, progress: Progress | None
) -> tuple[Graph, dict[str, Any]]:
    train = TRAINERS.load("gradient")
    running = import_module(train.__module__).Running(
        options.checkpoint, options.every, options.seconds, options.device, options.threads
    )
    quantise = _quantise(options)
    make = None if quantise is None else TRAINERS.load("quantised")(quantise, options.requantise)
    loss = None
    if options.teacher is not None:
        ann = open_model(options.teacher)
        if not ann.is_ann:
            raise InvalidInput(str(options.teacher), "it is no ANN", "Give a trained .onnx")
        given = (options.teacher_scale, options.temperature, options.share)
        loss = TRAINERS.load("distilled")(how, graph, ann.graph, *given)
    trained = train(graph, splits, how, running=running, progress=None if process() else progress, loss=loss, make=make)
    return trained.graph, trained.log


def _quantise(options: TrainOptions) -> Callable[[Graph], Graph] | None:
    """What makes integers of a graph: the target's passes, or those of so many bits; None for real numbers."""
    if options.target is None and options.bits is None:
        return None
    if options.target is not None and options.bits is not None:
        raise InvalidInput("--bits", "a target has bits of its own", "Give one of --target and --bits")
    if options.bits is not None:
        passes = (QuantizeSnn(options.bits),)
        return lambda graph: run_passes(graph, passes, Context())
    target = resolve_target(str(options.target))
    return lambda graph: run_passes(graph, target.passes_for(graph), Context())


def _written(
    graph: Graph,
    output: Path,
    splits: Splits,
    how: Fit,
    options: TrainOptions,
    found: dict[str, Any],
    encode: Callable[[Any], Any] | None = None,
) -> dict[str, Any]:
    """Write what was trained, the encoded test part where it is asked for, and the log; returns the log.

    encode: the test part as spikes, where the recipe's own trainer does that.
    """
    if process():
        return {**found, "process": process()}
    if options.test_input is not None:
        made = TRAINERS.load("objective").of(how, graph).raster if encode is None else encode
        wanted = np.asarray(splits.test_y)
        write_npz(options.test_input, {"x": made(splits.test_x), "y" if wanted.ndim == 1 else "target": wanted})
    ctx = Context()
    if found["finished"]:
        write_nir(run_passes(graph, (AlifToNir(),), ctx), output)
    found = {"warnings": [line for facts in ctx.findings.values() for line in facts.get("warnings", ())], **found}
    sizes = {"train_samples": len(splits.train_x), "test_samples": len(splits.test_x)}
    drawn = {"first weights, order of samples, random input": how.seed}
    document = {"schema": 1, "output": str(output), **sizes, **found, "seeds": drawn}
    write_bytes(output.with_suffix(".json"), json.dumps(document, indent=1).encode())
    return {**document, "process": 0}


def process() -> int:
    """The number of this process among those that torchrun started; 0 for the first, which alone writes and tells."""
    return int(os.environ.get("RANK", "0"))


def _asked(recipe: Recipe, options: TrainOptions) -> Recipe:
    """The recipe with what was asked for: its tiny settings first, then those of the user."""
    settings = dict(options.settings)
    for word in options.words:
        name, separator, text = word.partition("=")
        if not separator:
            raise InvalidInput(f"--set {word}", "it is not NAME=VALUE")
        settings[name.replace("-", "_")] = _value(recipe, name, text)
    readout = settings.pop("readout_type", None)
    if readout is not None and "readout_type" not in recipe.network:
        settings["loss"] = _with_readout(recipe, str(readout))
    elif readout is not None:
        settings["readout_type"] = readout
    for option in recipe.options:
        value = settings.get(option.setting)
        if option.choices and value is not None and value not in option.choices:
            raise InvalidInput(f"--{option.name} {value}", "there is no such choice", f"Known: {', '.join(option.choices)}")
    return recipe.having(**{**(dict(recipe.tiny) if options.tiny else {}), **settings})


def _with_readout(recipe: Recipe, readout: str) -> str:
    """The recipe's loss with another way to read potentials."""
    if readout not in READOUTS:
        raise InvalidInput(f"--readout-type {readout}", "there is no such readout", f"Known: {', '.join(READOUTS)}")
    name, _, rest = recipe.fit.loss.partition("{")
    kept = [part for part in filter(None, rest.rstrip("}").split(",")) if not part.startswith("over=")]
    return f"{name}{{{','.join([*kept, f'over={readout}'])}}}"


def _value(recipe: Recipe, name: str, text: str) -> Any:
    """A setting's value from text, of the type that the recipe's option or its present value has."""
    option = next((o for o in recipe.options if o.name == name or o.setting == name), None)
    setting = name.replace("-", "_")
    now = recipe.network.get(setting, getattr(recipe.fit, setting, None))
    kind = option.kind if isinstance(option, Option) else type(now) if now is not None else str
    try:
        if kind is bool:
            return {"true": True, "false": False}[text]
        if kind is tuple:
            return tuple(filter(None, text.split(";")))
        return kind(text)
    except (ValueError, KeyError):
        raise InvalidInput(f"--set {name}={text}", f"'{text}' is no {kind.__name__}") from None


def _start(model: Model, samples: Samples, how: Fit) -> Graph:
    """A trained ANN with integrate-and-fire neurons in the place of its rectifiers, balanced on the first samples."""
    _, _, steps = how.encoder.partition("steps=")
    try:
        balance = IfNeurons(steps=int("".join(takewhile(str.isdigit, steps))))
    except ValueError:
        raise InvalidInput(f"encoder {how.encoder}", "it does not say how many steps", "As direct{steps=16}") from None
    ctx = Context(calibration=samples.batch(0, min(samples.n_samples, CALIBRATION_SAMPLES)))
    return run_passes(model.graph, (HoistReLU(), FoldBatchNorm(), balance), ctx)


def _loss_of(graph: Graph) -> str:
    """Cross entropy of counts where the output fires, of summed potentials where it does not."""
    sources = predecessors(graph, names_of(graph, nir.Output)[0])
    fires = len(sources) == 1 and hasattr(graph.nodes[sources[0]], "v_threshold")
    return "cross-entropy{of=count}" if fires else "cross-entropy{of=membrane,over=sum}"


def _writable(graph: Graph) -> None:
    """Raise PassFailed now rather than after the training if the graph could not be written."""
    if names_of(graph, AdaptiveLIF):
        run_passes(graph, (AlifToNir(),), Context())


def _plain(how: Fit) -> dict[str, Any]:
    return _json(vars(how))


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
