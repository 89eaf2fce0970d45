from __future__ import annotations

import sys
from pathlib import Path

import pytest

from snnport.errors import InvalidInput, UnknownName
from snnport.registry import EXTRAS, Registry

THINGS = Registry("thing", {"b": "math:pi", "a": "os.path:join", "lost": "snnport.nowhere:x"})


def test_names_are_sorted() -> None:
    assert THINGS.names() == ("a", "b", "lost")


def test_loading_gives_the_object() -> None:
    assert THINGS.load("b") == pytest.approx(3.14159, abs=1e-5)


def test_listing_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy_thing_for_test.py").write_text("value = 7")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("thing", {"x": "lazy_thing_for_test:value"})
    assert registry.names() == ("x",)
    assert "lazy_thing_for_test" not in sys.modules
    assert registry.load("x") == 7
    assert "lazy_thing_for_test" in sys.modules


def test_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match="thing 'c': there is no such name"):
        THINGS.load("c")


@pytest.mark.parametrize(("package", "extra"), EXTRAS.items())
def test_a_missing_optional_package_names_its_extra(
    package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"needs_{package}.py").write_text(f"import {package}.part")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"^thing 'x': it needs {package}, which is not installed\. Type: pip install 'snnport\[{extra}\]'\.$"
    with pytest.raises(InvalidInput, match=message):
        Registry("thing", {"x": f"needs_{package}:y"}).load("x")


def test_a_missing_module_of_our_own_stays_a_fault() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"snnport\.nowhere"):
        THINGS.load("lost")


def test_a_registry_does_not_change_with_the_table_it_was_made_of() -> None:
    table = {"a": "math:pi"}
    registry = Registry("thing", table)
    table["b"] = "math:e"
    assert registry.names() == ("a",)
    with pytest.raises(TypeError, match="does not support item assignment"):
        registry.entries["b"] = "math:e"  # type: ignore[index]
