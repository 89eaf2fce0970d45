"""Frozen dataclasses to plain JSON data and back, checked field by field against their annotations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from snnport.errors import InvalidInput

T = TypeVar("T")
_REMEDY = "Write the file again with snnport"
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}


def write(value: Any) -> Any:
    """`value` as plain data: dataclasses become dictionaries by field name, tuples become lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: write(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: write(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [write(item) for item in value]
    return value


def read(kind: type[T], data: Any, where: str) -> T:
    """The dataclass `kind` that the mapping `data` describes; `where` names the document in messages.

    Keys that `kind` does not know are passed over, so that a document may say more than is asked for.
    Raises InvalidInput, naming the entry, where a field is missing or of another type than its annotation.
    """
    result: T = _dataclass(kind, data, where)
    return result


def _value(hint: Any, data: Any, where: str) -> Any:
    origin = get_origin(hint)
    if hint is Any:
        return data
    if origin in (Union, UnionType):
        return _union(get_args(hint), data, where)
    if origin is tuple:
        return _tuple(get_args(hint), data, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(data, Mapping):
            raise _wrong(where, data, "an object")
        return {str(key): _value(get_args(hint)[1], item, f"{where}.{key}") for key, item in data.items()}
    if is_dataclass(hint):
        return _dataclass(hint, data, where)
    return _scalar(hint, data, where)


def _union(kinds: tuple[Any, ...], data: Any, where: str) -> Any:
    # only "X | None" and "int | float | None" occur: None first, else the last kind, which is the widest
    if data is None and NoneType in kinds:
        return None
    return _value(next(k for k in reversed(kinds) if k is not NoneType), data, where)


def _tuple(kinds: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(data, list | tuple):
        raise _wrong(where, data, "a list")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_value(kinds[0], item, f"{where}[{i}]") for i, item in enumerate(data))
    if len(kinds) != len(data):
        raise _wrong(where, data, f"a list of {len(kinds)}")
    return tuple(_value(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, data, strict=True)))


def _dataclass(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise _wrong(where, data, "an object")
    given = {}
    for name, hint, optional in _fields(kind):
        if name in data:
            given[name] = _value(hint, data[name], f"{where}.{name}")
        elif not optional:
            raise InvalidInput(where, f"it has no entry '{name}'", _REMEDY)
    return kind(**given)


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    hints = get_type_hints(kind)
    return tuple(
        (f.name, hints[f.name], f.default is not MISSING or f.default_factory is not MISSING) for f in fields(kind) if f.init
    )


def _scalar(hint: Any, data: Any, where: str) -> Any:
    wanted = (int, float) if hint is float else (hint,)
    if not isinstance(data, wanted) or (isinstance(data, bool) and hint is not bool):
        raise _wrong(where, data, _WORDS[hint])
    if isinstance(data, float) and not math.isfinite(data):
        raise _wrong(where, data, "a finite number")
    return data


def _wrong(where: str, data: Any, wanted: str) -> InvalidInput:
    shown = repr(data)
    return InvalidInput(where, f"it is {shown if len(shown) <= 60 else shown[:57] + '...'}, {wanted} is needed", _REMEDY)
