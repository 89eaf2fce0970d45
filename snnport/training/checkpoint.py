"""Checkpoints: everything that training needs to go on as if nothing had happened, in one file that is whole or absent.

The file is written beside its place, forced to the disk and then renamed, so that a kill at any moment leaves the old one or
the new one. Reading it executes nothing (torch's weights_only).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

from snnport.errors import InvalidInput

FILE = "checkpoint.pt"
VERSION = 2


def path_in(folder: Path) -> Path:
    """Where the checkpoint of a training that is kept in `folder` lies."""
    return folder / FILE


def write(folder: Path, state: Mapping[str, Any]) -> None:
    """Put `state` (tensors, numbers, text, lists and mappings of them) into the checkpoint of `folder`.

    Raises InvalidInput if the folder cannot be written to.
    """
    path = path_in(folder)
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            torch.save({"version": VERSION, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise InvalidInput(str(path), f"it cannot be written ({error.strerror})", "Choose another folder") from None
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def read(folder: Path) -> dict[str, Any] | None:
    """The state in the checkpoint of `folder`; None if there is none. Raises InvalidInput if it is damaged or not ours."""
    path = path_in(folder)
    if not path.is_file():
        return None
    remedy = "Delete it to begin anew"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError, EOFError, KeyError, ValueError):
        raise InvalidInput(str(path), "it is damaged or no checkpoint", remedy) from None
    if not isinstance(state, dict) or "version" not in state:
        raise InvalidInput(str(path), "it is no checkpoint of snnport", remedy)
    if state["version"] != VERSION:
        raise InvalidInput(str(path), f"its version is {state['version']}, this snnport reads {VERSION}", remedy)
    return {key: value for key, value in state.items() if key != "version"}


def random_states() -> dict[str, Any]:
    """The states of torch's generators, of the CPU and of every CUDA device."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random(states: Mapping[str, Any]) -> None:
    """Set torch's generators to what `random_states` gave."""
    torch.set_rng_state(states["cpu"])
    if states["cuda"] and torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])


def seed_all(seed: int) -> np.random.Generator:
    """Seed torch's generators; returns a numpy generator of the same seed."""
    torch.manual_seed(seed)
    return np.random.default_rng(seed)
