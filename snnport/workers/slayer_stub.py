"""Stand-ins for torch and slayer, so that lava-dl's netx can be imported where neither is installed.

    import slayer_stub
    slayer_stub.install()
    from lava.lib.dl import netx

Of torch, netx asks whether something is a tensor (nothing is). Of slayer, it asks for the parameters of resonate-and-fire
neurons, which are refused. lava-dl 0.6.0: netx/sequential_modules.py, netx/hdf5.py.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

SLAYER = ("lava.lib.dl.slayer", "lava.lib.dl.slayer.neuron", "lava.lib.dl.slayer.neuron.rf")


def install() -> None:
    """Put the stand-ins where `import` finds them; what is really there stays."""
    if find_spec("torch") is not None:
        return
    spec = find_spec("lava.lib.dl")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("lava-dl is missing")
    # Lava's compiler imports every file beside each loaded module, so the stand-ins say that they lie beside netx's.
    beside = Path(next(iter(spec.submodule_search_locations))) / "netx" / "__init__.py"
    _module("torch", beside, tensor=type("tensor", (), {}), is_tensor=lambda value: False)
    for name in SLAYER:
        _module(name, beside)
    sys.modules[SLAYER[-1]].__dict__["neuron_params"] = _refused


def _module(name: str, file: Path, **content: Any) -> None:
    module = ModuleType(name, "A stand-in.")
    module.__dict__.update(content, __file__=str(file), __path__=[])
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)


def _refused(*_: Any, **__: Any) -> Any:
    raise NotImplementedError("resonate-and-fire neurons need torch and lava.lib.dl.slayer")
