"""JSON documents as dataclasses: what is declared is verified, what is not is passed over."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping as AbstractMapping
from typing import (
    Any,
    Dict,
    Mapping,
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from ._errors import DocumentError

_D = TypeVar("_D")
# The field of a document that holds it as it came.
_WHOLE = "document"
# In a field's metadata: not of the document.
OURS = "ours"


def decode(shape: Type[_D], document: object) -> _D:
    """Makes a `shape` of a JSON object.

    A field that is missing takes its default. Fields that this package does not know are in
    `document` only: a later envbox may have more.
    """
    try:
        return cast(_D, _object(shape, document, shape.__name__))
    except _Wrong as wrong:
        raise DocumentError(
            f"envbox printed a document that is none of its schema: {wrong}",
            hints=["install package and program of one version"],
        ) from None


class _Wrong(Exception):
    """Where something is wrong, and what."""


@functools.lru_cache(maxsize=None)
def fields_of(shape: type) -> Mapping[str, Tuple[str, Any, bool]]:
    """The names of a document's fields, each with that in Python, its type, and if it must be."""
    hints = get_type_hints(shape)
    found = {}
    for field in dataclasses.fields(cast(Any, shape)):
        if field.name != _WHOLE and OURS not in field.metadata:
            needed = field.default is dataclasses.MISSING
            name = field.metadata.get("name", field.name)
            found[name] = (field.name, hints[field.name], needed)
    return found


def _object(shape: type, value: object, at: str) -> object:
    if not isinstance(value, dict):
        raise _Wrong(f"{at} is no object")
    members: Dict[str, Any] = {}
    for name, (attribute, kind, needed) in fields_of(shape).items():
        if name in value:
            members[attribute] = _value(kind, value[name], f"{at}.{name}")
        elif needed:
            raise _Wrong(f"{at}.{name} is missing")
    if any(field.name == _WHOLE for field in dataclasses.fields(cast(Any, shape))):
        members[_WHOLE] = value
    return shape(**members)


def _value(kind: Any, value: object, at: str) -> object:
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _object(cast(type, kind), value, at)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Union:
        # Of the kind `Optional` alone.
        return None if value is None else _value(arguments[0], value, at)
    if origin is tuple:
        if not isinstance(value, list):
            raise _Wrong(f"{at} is no array")
        return tuple(_value(arguments[0], item, f"{at}[{i}]") for i, item in enumerate(value))
    if origin is AbstractMapping:
        if not isinstance(value, dict):
            raise _Wrong(f"{at} is no object")
        return {name: _value(arguments[1], item, f"{at}.{name}") for name, item in value.items()}
    # A bool is an int for Python, and not for JSON.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _Wrong(f"{at} is no {kind.__name__}")
    return value
