"""Which table of a model a place in a file belongs to, and the key as it stands there."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union

from pydantic import Discriminator, Tag
from pydantic.fields import FieldInfo

from bench.config.table import Table

Part = int | str


@dataclass(frozen=True, slots=True)
class Place:
    """`key` is the path in the file, without what pydantic puts in between to tell kinds of a table apart;
    `tables` are the models of the tables on the way to it, from the top.
    """

    key: tuple[Part, ...]
    tables: tuple[type[Table], ...]


def place_of(model: type[Table], location: Sequence[Part]) -> Place:
    """Where pydantic's `location` of an error lies in a file of that `model`."""
    annotation: Any = model
    key: list[Part] = []
    tables: list[type[Table]] = []
    for part in location:
        if part == "[key]":  # the error is about the key before it
            break
        options = _tables_in(annotation)
        if len(options) > 1 and part in options:
            annotation = options[str(part)]
            continue
        key.append(part)
        if len(options) == 1:
            (table,) = options.values()
            tables.append(table)
            field = table.model_fields.get(str(part))
            annotation = None if field is None else _annotation(field)
        else:
            annotation = _item(annotation)
    if (options := _tables_in(annotation)) and len(options) == 1:
        tables += options.values()
    return Place(tuple(key), tuple(tables))


def dotted(key: Sequence[Part]) -> str:
    """A path as people write it: `boards.dk1.images`, `slots[1]`; names with dots in quotes."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[\w-]+", part) else repr(part)
            text += f".{name}" if text else name
    return text


def _annotation(field: FieldInfo) -> Any:
    """With its metadata, which pydantic keeps apart."""
    found = field.annotation
    if field.discriminator is not None or any(isinstance(m, Discriminator) for m in field.metadata):
        return typing.Annotated[found, "discriminated"]
    return found


def _tables_in(annotation: Any) -> dict[str, type[Table]]:
    """The tables that a value of this annotation may be, by the tags that tell them apart."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return {_kind(annotation): annotation}
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        inner, *metadata = arguments
        found = _tables_in(inner)
        tags = [m.tag for m in metadata if isinstance(m, Tag)]
        return dict(zip(tags, found.values(), strict=True)) if tags else found
    if origin in (Union, types.UnionType):
        return {tag: table for option in arguments for tag, table in _tables_in(option).items()}
    return {}


def _kind(table: type[Table]) -> str:
    """What `kind` says in such a table, or the table's name where it has none."""
    field = table.model_fields.get("kind")
    values = () if field is None else typing.get_args(field.annotation)
    return str(values[0]) if values else table.__name__


def _item(annotation: Any) -> Any:
    """What a dictionary or a list of this annotation holds."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _item(arguments[0])
    if origin in (Union, types.UnionType):
        found = [item for option in arguments if (item := _item(option)) is not None]
        return found[0] if found else None
    if origin is dict:
        return arguments[1]
    if origin in (list, tuple):
        return arguments[0]
    return None
