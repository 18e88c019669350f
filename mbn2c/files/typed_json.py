"""Frozen dataclasses <-> JSON, by their type hints. The only door to msgspec.

Reading is strict: each value has the type that its field's hint says, no field is missing, none is too many or twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

import msgspec

T = TypeVar("T")
# Counts, sizes and addresses of a small device stay far below.
LARGEST_INTEGER = 1 << 53
# Field types that `from_plain` checks beyond their type: how many of something; a number whose sums stay finite.
Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_INTEGER)]
Real = Annotated[float, msgspec.Meta(gt=-1e300, lt=1e300)]


def to_plain(value: object) -> Any:
    """Dicts, lists, text and numbers; a dataclass becomes a dict of its fields, in their order."""
    if is_dataclass(value):
        return {one.name: to_plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} is not what JSON holds")


def from_plain(plain: object, kind: Any) -> Any:
    """The inverse of to_plain, for any type that hints can spell.

    raises  ValueError that names the place, as `$.layers[0].step`
    """
    value = msgspec.convert(plain, kind, str_keys=True)  # its ValidationError is a ValueError
    where = _difference(plain, to_plain(value), "$")
    if where:
        raise ValueError(where)
    return value


def schema_of(kind: type) -> dict[str, Any]:
    """The JSON Schema of what `to_plain` writes of a dataclass."""
    found: dict[str, Any] = msgspec.json.schema(kind)
    return found


def read_json(text: str | bytes, kind: type[T]) -> T:
    """A dataclass from JSON text. Raises ValueError for anything that to_plain would not have written."""
    value: T = from_plain(parse(text), kind)
    return value


def parse(text: str | bytes) -> Any:
    """JSON as dicts and lists; raises ValueError too where json is lenient: NaN, keys that come twice, deep nesting."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_int=_integer, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("it is nested deeper than mbn2c can follow") from None


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _integer(text: str) -> int:
    if len(text) > len(str(LARGEST_INTEGER)) + 1 or abs(number := int(text)) > LARGEST_INTEGER:
        raise ValueError("a number of more than 53 bits")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that comes twice")
    return found


def _difference(plain: Any, written: Any, where: str) -> str:
    """Where a text says more or less than its dataclass would; "" for nowhere."""
    if isinstance(plain, Mapping) and isinstance(written, Mapping):
        for key in plain.keys() ^ written.keys():
            return f"Object {'misses' if key in written else 'has an unknown'} field `{key}` - at `{where}`"
        return next(filter(None, (_difference(plain[key], written[key], f"{where}.{key}") for key in plain)), "")
    if isinstance(plain, list) and isinstance(written, list):
        pairs = enumerate(zip(plain, written, strict=True))
        return next(filter(None, (_difference(*pair, f"{where}[{index}]") for index, pair in pairs)), "")
    return "" if plain == written else f"{plain!r} is not as it would be written - at `{where}`"
