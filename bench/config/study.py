"""Plain tables against a model: every mistake, and what is sound of the tables in spite of them.

pydantic names all wrong values at once, but looks at what belongs together only when each is right. So what
is wrong is mended as far as its meaning is plain, or left out, and the rest is looked at again.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from bench.config.finding import Finding, shown
from bench.config.nearest import nearest, suggestion
from bench.config.shape import Part, Place, dotted, place_of
from bench.config.table import Mistake, Several, Table

M = TypeVar("M", bound=Table)
PASSES = 8
"""How often a file is looked at: each time what was wrong before is out of the way."""

NEEDED = {
    "int_type": "give a whole number, without quotes",
    "int_parsing": "give a whole number, without quotes",
    "int_from_float": "give a whole number",
    "float_type": "give a number, without quotes",
    "float_parsing": "give a number, without quotes",
    "finite_number": "give a number that is finite",
    "bool_type": "give true or false, without quotes",
    "bool_parsing": "give true or false, without quotes",
    "string_type": "give text, in quotes",
    "path_type": "give a path, in quotes",
    "dict_type": "give a table here, [name] or { key = value }",
    "tuple_type": "give a list, [first, second]",
    "list_type": "give a list, [first, second]",
    "string_too_short": "give some text",
    "date_type": "give a date, such as 2027-03-31",
    "date_parsing": "give a date, such as 2027-03-31",
    "date_from_datetime_parsing": "give a date, such as 2027-03-31",
    "date_from_datetime_inexact": "give a date, such as 2027-03-31",
}
"""The cure by the type of pydantic's error; its message is the reason."""

PATTERNS = {
    "supply": "give INSTRUMENT:OUTPUT, such as 'psu:1'",
    "meter": "give INSTRUMENT:OUTPUT, such as 'ppk2:1'",
    "attenuator": "give INSTRUMENT:PATH, such as 'rf1:1'",
    "mac": "give six bytes in hexadecimal digits, such as '24:0A:C4:12:34:56'",
    "resource": "give /OBJECT/INSTANCE/RESOURCE, such as '/3/0/3'",
}
"""The cure by the key's name, where a pattern is not met."""


@dataclass
class Study(Generic[M]):
    """`sound` are the tables without what is wrong; `model` is made of them where that can be done."""

    sound: dict[str, Any]
    model: M | None = None
    findings: list[Finding] = field(default_factory=list)


def study(file: Path, tables: dict[str, Any], model: type[M], example: str) -> Study[M]:
    """Look at the tables of a file. `example` is the cure where there is none in particular."""
    found = Study[M](copy.deepcopy(tables))
    left_out: set[tuple[Part, ...]] = set()
    told: set[Finding] = set()
    for _ in range(PASSES):
        try:
            found.model = model.model_validate(found.sound)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        else:
            return found
        pass_ = _Pass(file, model, example, found.sound, left_out)
        new = [finding for finding in pass_.look_at(errors) if finding not in told]
        told.update(new)
        found.findings += new
        if not pass_.changed:
            return found
    return found


class _Pass:
    """One look at the tables."""

    def __init__(
        self,
        file: Path,
        model: type[Table],
        example: str,
        sound: dict[str, Any],
        left_out: set[tuple[Part, ...]],
    ) -> None:
        self._file, self._model, self._example = file, model, example
        self._sound, self._left_out = sound, left_out
        self.changed = False

    def look_at(self, errors: list[Any]) -> Iterator[Finding]:
        missing = {
            place.key: error
            for error in errors
            if error["type"] == "missing" and (place := self._place(error)).key not in self._left_out
        }
        for error in errors:
            place = self._place(error)
            if error["type"] == "extra_forbidden":
                yield self._unknown(place, error["input"], missing)
        for error in errors:
            place = self._place(error)
            if error["type"] == "missing":
                if place.key in missing:
                    self._left_out.add(place.key)
                    yield self._finding(place, None, "missing", f"add it; {self._example}")
            elif error["type"] != "extra_forbidden":
                yield from self._wrong(place, error)

    def _place(self, error: Any) -> Place:
        return place_of(self._model, error["loc"])

    def _finding(self, place: Place, value: Any, reason: str, cure: str) -> Finding:
        key = dotted(place.key)
        if not key:
            return Finding(self._file, "", "", f"does not hold together: {reason}", cure)
        return Finding(self._file, key, shown(key, value), reason, cure)

    # ---- keys

    def _unknown(self, place: Place, value: Any, missing: dict[tuple[Part, ...], Any]) -> Finding:
        """A key that the table does not have. One that was meant for another is taken for it from now on."""
        *parents, name = place.key
        own = place.tables[-1].model_fields
        held = _at(self._sound, parents)
        self.changed = True
        held.pop(name, None)
        absent = [key for key in own if key not in held]
        lacking = [str(key[-1]) for key in missing if list(key[:-1]) == parents]
        if (meant := nearest(str(name), lacking)) is not None:
            needed = (*parents, meant)
            del missing[needed]
            held[meant] = value
            reason = f"no such key ({dotted(needed)}: missing)"
            return self._finding(place, value, reason, f"did you mean {meant!r}?")
        for depth in range(len(place.tables) - 2, -1, -1):
            if str(name) in place.tables[depth].model_fields:
                where = dotted(parents[: -(len(place.tables) - 1 - depth)])
                cure = f"it belongs to [{where}]: put it there"
                return self._finding(place, value, "no such key here", cure)
        if (meant := nearest(str(name), absent)) is not None:
            held[meant] = value
        meant = meant or nearest(str(name), own)
        cure = (
            f"did you mean {meant!r}?" if meant else suggestion(str(name), absent or own, "keys it may have")
        )
        return self._finding(place, value, "no such key", cure)

    # ---- values

    def _wrong(self, place: Place, error: Any) -> Iterator[Finding]:
        kind, context, value = error["type"], error.get("ctx", {}), error["input"]
        reason = error["msg"].removeprefix("Value error, ").replace("Input should", "should", 1)
        raised = context.get("error")
        mistakes = raised.mistakes if isinstance(raised, Several) else (Mistake((), reason),)
        whole = isinstance(value, (dict, Table)) and kind in ("value_error", "assertion_error")
        if kind in ("union_tag_invalid", "union_tag_not_found"):
            yield self._kind(place, context, value)
            return
        if kind == "literal_error" and error["loc"][-1] != "[key]":
            self._mend(place, self._literal(str(value), context))
        elif not whole:
            self._mend(place, None)
        if kind == "literal_error":
            known = _expected(context)
            if error["loc"][-1] == "[key]":
                value = None
            word = str(place.key[-1]) if value is None else str(value)
            yield self._finding(place, value, "not one of the names known", suggestion(word, known, "names"))
            return
        cure = NEEDED.get(kind, self._example)
        if kind == "string_pattern_mismatch" and place.key:
            cure = PATTERNS.get(str(place.key[-1]), cure)
        if kind in ("model_type", "model_attributes_type") and place.tables:
            cure = place.tables[-1].written
        if "greater" in kind or "less" in kind:
            cure = "give a number within these limits"
        for mistake in mistakes:
            inner = Place((*place.key, *mistake.key), place.tables)
            held = _at(value, mistake.key) if mistake.key else value
            yield self._finding(inner, held, mistake.reason, mistake.cure or cure)
            if mistake.key:  # without it there may be more to say of the table
                self._mend(inner, None)

    def _literal(self, value: str, context: dict[str, Any]) -> str | None:
        return nearest(value, _expected(context))

    def _kind(self, place: Place, context: dict[str, Any], value: Any) -> Finding:
        """A table that comes in several kinds, of an unknown kind."""
        name = str(context.get("discriminator", "'kind'")).strip("'")
        known = re.findall(r"'([^']*)'", str(context.get("expected_tags", "")))
        inner = Place((*place.key, name), place.tables)
        if not isinstance(value, dict) or name not in value:
            self._mend(place, None)
            return self._finding(
                inner, None, "missing", suggestion("", known, "kinds") if known else self._example
            )
        word = str(value[name])
        found = self._finding(inner, word, "no such kind", suggestion(word, known, "kinds"))
        meant = nearest(word, known)
        if meant is None:
            self._mend(place, None)
        else:
            self._mend(inner, meant)
        return found

    # ---- mending

    def _mend(self, place: Place, value: Any) -> None:
        """Put another value into its place, or (None) take it away."""
        if not place.key:
            return
        held = _at(self._sound, place.key[:-1])
        name = place.key[-1]
        self.changed = True
        if isinstance(held, list) or value is None:
            for depth in range(len(place.key), 0, -1):  # a list is taken away as a whole
                if not isinstance(_at(self._sound, place.key[: depth - 1]), list):
                    key = place.key[:depth]
                    self._left_out.add(key)
                    holder = _at(self._sound, key[:-1])
                    if isinstance(holder, dict):
                        holder.pop(key[-1], None)
                    return
        elif isinstance(held, dict):
            held[name] = value


def _at(tables: Any, key: tuple[Part, ...] | list[Part]) -> Any:
    """What stands there; an empty table where there is nothing."""
    for part in key:
        if isinstance(tables, dict):
            tables = tables.get(part, {})
        elif isinstance(tables, list) and isinstance(part, int) and part < len(tables):
            tables = tables[part]
        else:
            return {}
    return tables


def _expected(context: dict[str, Any]) -> list[str]:
    return re.findall(r"'([^']*)'", str(context.get("expected", "")))
