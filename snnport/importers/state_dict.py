"""Trained weights without their network: a torch state dict, put into the graph of a builder.

torch reads the file with weights_only=True, so that nothing in it is executed, and everything is mapped to the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from snnport.errors import InvalidInput
from snnport.importers.base import Imported
from snnport.ledger import Entry
from snnport.registry import BUILDERS


def read_state_dict(path: Path, builder: str) -> Imported:
    """The network of `builder` with the weights in the file at `path`.

    Raises UnknownName for the builder, InvalidInput if the file is no state dict or torch is missing, InvalidGraph if the
    weights do not fit.
    """
    build = BUILDERS.load(builder)
    arrays = _arrays(path)
    graph = build(arrays)
    evidence = (f"weights alone: {len(arrays)} arrays, put into the network of builder '{builder}'",)
    ledger = tuple(Entry(name, type(node).__name__, "became", (name,), "", "state dict") for name, node in graph.nodes.items())
    return Imported(graph, "state dict", ledger, evidence=evidence)


def _arrays(path: Path) -> dict[str, Any]:
    try:
        torch = import_module("torch")
    except ModuleNotFoundError:
        raise InvalidInput(str(path), "it needs torch, which is not installed", "Type: pip install 'snnport[train]'") from None
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InvalidInput(str(path), "there is no such file") from None
    except Exception as error:  # torch raises what its readers raise: zip, pickle, struct, runtime errors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput(str(path), f"it is no file of weights alone: {reason}", "Save model.state_dict()") from None
    inner = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(inner, Mapping) or not inner or not all(isinstance(v, torch.Tensor) for v in inner.values()):
        raise InvalidInput(str(path), f"it holds a {type(inner).__name__}, no state dict", "Save model.state_dict()")
    return {str(name): np.asarray(tensor.detach().to(torch.float64).numpy()) for name, tensor in inner.items()}
