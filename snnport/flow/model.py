"""Opening FILE, whatever it is: an .onnx, a .nir, a netx .net or a Program .npz, read by the importer that knows it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import nir

from snnport.convention import Coding
from snnport.encoders import NUMBERS
from snnport.errors import InvalidGraph, InvalidInput
from snnport.graph import Graph, names_of, shapes
from snnport.importers.base import Imported
from snnport.importers.netx import read_netx
from snnport.importers.nir import read_nir
from snnport.importers.onnx import read_onnx
from snnport.importers.state_dict import read_state_dict
from snnport.importers.torch import read_module
from snnport.nodes import NEURON_NODES, Shape
from snnport.passes.alif_to_nir import NirToAlif, holds_values
from snnport.passes.base import Context, run_passes
from snnport.program import Program
from snnport.registry import BUILDERS

WEIGHTS = (".pt", ".pth", ".th")
SUFFIXES = (".onnx", ".nir", ".net", ".npz", *WEIGHTS)


@dataclass(frozen=True)
class ReadOptions:
    """What a .nir file may leave open: dialect name, dt in seconds, reset mode, steps until a neuron resets (0 or 1).

    rules: rules of the dialect that the framework was told otherwise, "NAME=VALUE,...". reset_interval: of a netx .net, as
    lava-dl's Network takes it. builder: of registry.BUILDERS, for files of weights alone.
    """

    dialect: str | None = None
    dt: float | None = None
    reset: str | None = None
    reset_delay: int | None = None
    rules: str | None = None
    reset_interval: int | None = None
    builder: str | None = None


@dataclass(frozen=True, eq=False)
class Model:
    """An opened file: an imported graph, or a program. sha256: of the file's bytes."""

    path: Path
    sha256: str
    imported: Imported | None
    program: Program | None

    @property
    def is_ann(self) -> bool:
        """Whether the file holds a network without neurons, which has to be converted first."""
        return self.imported is not None and not any(isinstance(n, NEURON_NODES) for n in self.imported.graph.nodes.values())

    @property
    def input_shape(self) -> Shape:
        """Shape of one sample as the model takes it: signed input counted once, several inputs one after another, flat."""
        if len(self.inputs) > 1:
            return (sum(math.prod(shape) for shape in self.inputs.values()),)
        shape = next(iter(self.inputs.values()))
        coding = self.coding
        encoder: Any = self.program.meta.get("encoder") if self.program is not None else coding and coding.encoder
        if encoder and encoder.get("signed") and encoder.get("kind") not in NUMBERS:
            return (shape[0] // 2, *shape[1:])
        return shape

    @property
    def inputs(self) -> dict[str, Shape]:
        """Name and shape of each input, in the order of the stimulus. Raises InvalidGraph if there is none."""
        if self.program is not None:
            return {name: self.program.population(name).shape for name in self.program.inputs}
        sizes = shapes(self.graph)
        found = {name: sizes[name] for name in names_of(self.graph, nir.Input)}
        if not found:
            raise InvalidGraph(str(self.path), "the graph has no Input node", "Export the network again")
        return found

    @property
    def dt(self) -> float | None:
        """Seconds a step, where the model says; a framework whose dt is 1 counts steps and says nothing of seconds."""
        if self.program is not None:
            dt = (self.program.meta.get("convention") or {}).get("dt", 1.0)
        else:
            convention = self.imported.convention if self.imported is not None else None
            dt = 1.0 if convention is None else convention.dt
        return None if dt == 1.0 else float(dt)

    @property
    def graph(self) -> Graph:
        """The imported graph. Raises InvalidInput for a program."""
        if self.imported is None:
            raise InvalidInput(str(self.path), "it is a lowered program; this needs a network", "Give the .nir or .onnx")
        return self.imported.graph

    @property
    def coding(self) -> Coding | None:
        """How a converted network carries numbers, None for any other."""
        return self.imported.coding if self.imported is not None else None


def module_model(module: Any, example_inputs: Any) -> Model:
    """The model of a torch.nn.Module, traced with `example_inputs`. Raises what importers.torch.read_module does."""
    return Model(Path(type(module).__name__), "", read_module(module, example_inputs), None)


def open_model(path: Path, options: ReadOptions | None = None) -> Model:
    """The model in the file at `path`. Raises InvalidInput or InvalidGraph, naming the file and what is wrong with it."""
    options = options or ReadOptions()
    if path.suffix not in SUFFIXES:
        raise InvalidInput(str(path), f"'{path.suffix}' is no model file", f"Give one of {', '.join(SUFFIXES)}")
    if (path.suffix in WEIGHTS) != (options.builder is not None):
        known = ", ".join(BUILDERS.names())
        if options.builder is not None:
            raise InvalidInput("--builder", f"it is for files of weights ({', '.join(WEIGHTS)})", "Leave it out")
        raise InvalidInput(str(path), "it holds weights and no network", f"Say whose they are with --builder {known}")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InvalidInput(str(path), "there is no such file") from None
    except OSError as error:
        raise InvalidInput(str(path), f"it cannot be read: {error.strerror}") from None
    if not content:
        raise InvalidGraph(str(path), "it is empty (0 bytes)")
    digest = hashlib.sha256(content).hexdigest()
    del content
    if options.builder is not None:
        return Model(path, digest, read_state_dict(path, options.builder), None)
    if path.suffix == ".npz":
        return Model(path, digest, None, Program.load(path))
    if path.suffix == ".onnx":
        return Model(path, digest, read_onnx(path), None)
    own = asdict(options)
    interval, _ = own.pop("reset_interval"), own.pop("builder")
    if path.suffix == ".net":
        return Model(path, digest, read_netx(path, reset_interval=interval), None)
    if interval is not None:
        raise InvalidInput("--reset-interval", "it belongs to netx networks (.net)", "Leave it out")
    return Model(path, digest, _whole(read_nir(path, **own)), None)


def _whole(imported: Imported) -> Imported:
    """The same with adaptive neurons whose reset only the metadata says."""
    if not holds_values(imported.graph):
        return imported
    return replace(imported, graph=run_passes(imported.graph, (NirToAlif(),), Context()))


def open_source(against: Path | None, file: Path, options: ReadOptions) -> tuple[Model | None, ReadOptions]:
    """The network that `file` was converted from, if one is given, and how to read `file` itself.

    --builder belongs to the one of the two that holds weights alone.
    """
    if against is None:
        return None, options
    if against.suffix in WEIGHTS:
        own = options if file.suffix in WEIGHTS else replace(options, builder=None)
        return open_model(against, ReadOptions(builder=options.builder)), own
    return open_model(against), options
