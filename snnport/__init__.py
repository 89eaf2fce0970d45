"""snnport: port a trained network to neuromorphic hardware, exactly.

The public names are loaded on first use (PEP 562), so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snnport.api import check as check
    from snnport.api import convert as convert
    from snnport.api import port as port
    from snnport.api import run as run
    from snnport.api import validate as validate

__version__ = "0.1.0"
__all__ = ["__version__", "check", "convert", "port", "run", "validate"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("snnport.api"), name)
    raise AttributeError(f"module 'snnport' has no attribute '{name}'")
