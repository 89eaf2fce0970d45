"""What `train` shows on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from snnport.report.view import seeds_sentence


def recipe_list(data: Mapping[str, Any]) -> RenderableType:
    """The recipes. `data`: the document of `train --list --json`."""
    table = Table("recipe", "what", "must reach", "resets", "its own settings", box=None, pad_edge=False)
    for recipe in data["recipes"]:
        bar = "" if recipe["must_reach"] is None else f"{recipe['must_reach']:g}"
        options = " ".join(f"--{option['name']}" for option in recipe["options"])
        table.add_row(recipe["name"], recipe["about"], bar, recipe["reset"], options)
    return table


def trained(data: Mapping[str, Any]) -> RenderableType:
    """What a training gave. `data`: its --json document."""
    if not data["finished"]:
        done = len(data.get("epochs", ()))
        return Text(f"stopped after {done} whole epochs; the same line goes on from the checkpoint")
    lines = []
    if data.get("accuracy") is not None:
        bar = data.get("must_reach")
        goal = "" if bar is None else f", the recipe asks for {bar:g}"
        lines.append(Text(f"accuracy {data['accuracy']:.4f} on {data['test_samples']} samples{goal}"))
    for entry in data.get("epochs", ())[-1:]:
        told = ", ".join(f"{name} {value:.4g}" for name, value in entry.items() if name != "epoch")
        lines.append(Text(f"epoch {entry['epoch']:.0f}: {told}"))
    lines += [Text(f"warning: {warning}", style="yellow") for warning in data["warnings"]]
    lines.append(Text(seeds_sentence(data.get("seeds", {}))))
    lines.append(Text(f"wrote {data['output']} and its log"))
    return Group(*lines)
