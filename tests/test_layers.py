"""The structure of the package: who may import whom, who may print, how long a file may be, what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import snnport
from snnport import registry
from snnport.errors import SnnportError

PACKAGE = Path(snnport.__file__).parent
MAX_LINES = 400

LADDER = (
    {"__main__"},
    {"cli"},
    {"commands"},
    {"options", "progress"},
    {"completion"},
    {"api"},
    {"flow"},
    {"report"},
    {"targets"},
    {"exporters", "sim"},
    {"training"},
    {"passes", "importers"},
    {"reference"},
    {"models"},
    {"program", "trace", "encoders", "datasets", "ledger"},
    {"convention", "chip", "nirdata"},
    {"graph", "quant", "events"},
    {"fixed", "registry", "nodes", "spelling"},
    {"errors"},
)
RUNG = {name: height for height, names in enumerate(LADDER) for name in names}

FILES = sorted(path for path in PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(module: str, node: ast.AST) -> Iterator[str]:
    """The full names of what an import statement in `module` brings; `from a import b` is a.b where that is a module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
            base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], *filter(None, [base])])
        yield from (f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names)


def imports(module: str) -> set[str]:
    """The modules of this package that `module` imports anywhere: at the top, inside functions, for type checkers."""
    found = {name for node in ast.walk(tree_of(MODULES[module])) for name in imported(module, node)}
    return {name for name in found if name.split(".")[0] == "snnport"}


def eager_imports(module: str) -> set[str]:
    """The modules of this package that are imported when `module` is: not inside functions, not for type checkers."""
    found: set[str] = set()
    waiting: list[ast.stmt] = list(tree_of(MODULES[module]).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        found |= set(imported(module, node))
        waiting += [child for child in ast.walk(node) if isinstance(child, ast.stmt) and child is not node]
    return {name for name in found if name in MODULES and name != module}


def room(module: str) -> str:
    """The name on the ladder: the folder or file right under the package; '' for the package itself."""
    return module.split(".")[1] if "." in module else ""


def test_every_module_has_a_place_on_the_ladder() -> None:
    assert {room(module) for module in MODULES} - {"", "workers"} <= set(RUNG)


@pytest.mark.parametrize("module", [m for m in MODULES if room(m) not in ("", "workers")])
def test_imports_go_downward(module: str) -> None:
    upward = []
    for other in imports(module):
        here, there = room(module), room(other)
        if here == there or not there:
            continue
        if RUNG.get(there, -1) <= RUNG[here]:
            upward.append(other)
    assert not upward, f"{module} imports {upward}"


def test_the_package_itself_imports_nothing_of_its_own() -> None:
    assert eager_imports("snnport") == set()


def test_a_worker_runs_in_an_interpreter_that_has_no_snnport() -> None:
    workers = [module for module in MODULES if room(module) == "workers"]
    assert {module: imports(module) for module in workers if imports(module)} == {}
    assert [module for module in MODULES if any(room(other) == "workers" for other in imports(module))] == []


def test_targets_do_not_know_one_another() -> None:
    chips = {path.name for path in (PACKAGE / "targets").iterdir() if any(path.glob("chip*.toml"))}

    def chip(module: str) -> str:
        parts = module.split(".")
        return parts[2] if parts[1:2] == ["targets"] and len(parts) > 2 and parts[2] in chips else ""

    crossings = [(m, other) for m in MODULES for other in imports(m) if chip(other) and chip(other) != chip(m)]
    within = [(m, other) for m, other in crossings if room(m) == "targets"]
    assert chips
    assert within == []


def test_no_import_cycle_when_modules_load() -> None:
    order = TopologicalSorter({module: eager_imports(module) for module in MODULES}).static_order()
    assert set(order) == set(MODULES)


def uses_of(path: Path, name: str) -> list[int]:
    """Lines that name sys.`name`, or import it from sys."""
    lines = []
    for node in ast.walk(tree_of(path)):
        attribute = isinstance(node, ast.Attribute) and node.attr in (name, f"__{name}__")
        bare = isinstance(node, ast.ImportFrom) and node.module == "sys" and name in [alias.name for alias in node.names]
        if (attribute and ast.unparse(node.value) == "sys") or bare:
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize("name", NAMES)
def test_only_the_command_line_prints(name: str) -> None:
    path = PACKAGE / name
    calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    prints = [call.lineno for call in calls if ast.unparse(call.func) in ("print", "typer.echo", "typer.secho")]
    if name != "cli.py":
        assert (prints, uses_of(path, "stdout")) == ([], [])
    # A worker is a process of its own, and standard error is where it tells how far it is.
    if name not in ("cli.py", "progress.py") and not name.startswith("workers/"):
        assert uses_of(path, "stderr") == []


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_not_too_long(name: str) -> None:
    lines = len((PACKAGE / name).read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"snnport/{name} has {lines} lines, the limit is {MAX_LINES}"


REGISTRIES = {name: value for name, value in vars(registry).items() if isinstance(value, registry.Registry)}
ENTRIES = [(registry_name, entry) for registry_name, table in REGISTRIES.items() for entry in table.names()]


@pytest.mark.parametrize(("registry_name", "entry"), ENTRIES)
def test_a_registered_name_loads_or_names_the_missing_extra(registry_name: str, entry: str) -> None:
    try:
        found, missing = REGISTRIES[registry_name].load(entry), ""
    except SnnportError as error:
        found, missing = None, error.remedy
    assert found is not None or "pip install 'snnport[" in missing


def loaded_by(statement: str) -> set[str]:
    """The top-level packages in memory after `statement`, in an interpreter of its own."""
    code = f"import sys; {statement}; sys.stdout.write(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_importing_the_package_costs_nothing() -> None:
    loaded = loaded_by("import snnport")
    assert "snnport" in loaded
    assert not loaded & {"numpy", "nir", "h5py", "typer", "rich", "numba", "onnx", "plotly", "jinja2", *registry.EXTRAS}


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    loaded = loaded_by("import snnport.cli")
    assert "typer" in loaded
    assert not loaded & {"numpy", "nir", "h5py", "numba", "onnx", "plotly", "jinja2", *registry.EXTRAS}


@pytest.mark.parametrize("name", snnport.__all__)
def test_public_names_are_there_on_first_use(name: str) -> None:
    assert getattr(snnport, name) is (
        snnport.__version__ if name == "__version__" else getattr(import_module("snnport.api"), name)
    )


def test_an_unknown_public_name() -> None:
    with pytest.raises(AttributeError, match="module 'snnport' has no attribute 'nonsense'"):
        _ = snnport.nonsense


def test_the_core_needs_no_optional_package() -> None:
    eager = {
        name.split(".")[0]
        for module in MODULES
        if room(module) not in ("training", "workers")
        for node in ast.walk(tree_of(MODULES[module]))
        for name in imported(module, node)
    }
    assert not eager & set(registry.EXTRAS)
