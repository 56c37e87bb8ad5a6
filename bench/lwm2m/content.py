"""Content formats: payloads to values by path, and back, typed by the object model.

A path is (object, instance, resource[, resource instance]). Whatever is wrong with a payload is a
`CodecError`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from bench.lwm2m import objects
from bench.lwm2m.codecs import json_1_0, lwm2m_cbor, senml, tlv
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.objects import Single

Path = tuple[int, ...]
Values = dict[Path, Single]

TEXT, LINKS, OPAQUE = 0, 40, 42
SENML_JSON, SENML_CBOR = 110, 112
TLV_OLD, JSON_OLD = 1542, 1543
TLV, JSON, LWM2M_CBOR = 11542, 11543, 11544
STRUCTURED = (SENML_CBOR, SENML_JSON, LWM2M_CBOR, TLV, JSON)
"""Those that can hold more than one value; the order is the server's preference."""


def path_of(text: str) -> Path:
    """The numbers of "/3/0/9". Raises `CodecError`."""
    parts = [part for part in text.split("/") if part]
    if len(parts) > 4 or not all(p.isascii() and p.isdigit() and len(p) <= 5 for p in parts):
        raise CodecError(f"{text[:40]!r} is no path")
    path = tuple(int(part) for part in parts)
    if any(number > 0xFFFF for number in path):
        raise CodecError(f"{text[:40]!r} is no path")
    return path


def name_of(path: Path) -> str:
    return "/" + "/".join(map(str, path))


def decode(content_format: int, base: Path, payload: bytes) -> Values:
    """The values in a payload that answers, or is written to, `base`. Raises `CodecError`."""
    match content_format:
        case 0:
            return {_resource(base): objects.from_text(objects.kind_of(base), _utf8(payload))}
        case 42:
            return {_resource(base): payload}
        case 1542 | 11542:
            return _from_tlv(base, tlv.decode(payload))
        case 110 | 112:
            named = senml.decode_json(payload) if content_format == SENML_JSON else senml.decode_cbor(payload)
            return _typed(base, {path_of(name): value for name, value in named.items() if value is not None})
        case 1543 | 11543:
            return _from_json(base, json_1_0.decode(payload))
        case 11544:
            return _typed(base, lwm2m_cbor.decode(payload))
    raise CodecError(f"content format {content_format} is not known here")


def encode(content_format: int, base: Path, values: Mapping[Path, Single]) -> bytes:
    """Values below `base` as a payload. Raises `CodecError` for what the format cannot hold."""
    match content_format:
        case 0:
            return objects.to_text(_only(values)).encode()
        case 42:
            value = _only(values)
            if not isinstance(value, bytes):
                raise CodecError(f"{type(value).__name__} is not opaque")
            return value
        case 11542:
            return tlv.encode(_to_tlv(base, values))
        case 110:
            return senml.encode_json({name_of(path): value for path, value in values.items()})
        case 112:
            return senml.encode_cbor({name_of(path): value for path, value in values.items()})
        case 11543:
            return json_1_0.encode({name_of(path): value for path, value in values.items()})
        case 11544:
            return lwm2m_cbor.encode(values)
    raise CodecError(f"content format {content_format} is not known here")


def paths_only(content_format: int, paths: Sequence[Path]) -> bytes:
    """What a composite Read sends: paths without values."""
    named: dict[str, None] = {name_of(path): None for path in paths}
    return senml.encode_json(named) if content_format == SENML_JSON else senml.encode_cbor(named)


def _utf8(payload: bytes) -> str:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CodecError(f"text is not UTF-8: {error.reason}") from None


def _resource(base: Path) -> Path:
    if len(base) < 3:
        raise CodecError(f"one plain value for {name_of(base)}, which has several")
    return base


def _only(values: Mapping[Path, Single]) -> Single:
    if len(values) != 1:
        raise CodecError(f"{len(values)} values in a format for one")
    return next(iter(values.values()))


def _typed(base: Path, values: Mapping[Path, Any]) -> Values:
    found: Values = {}
    for path, value in values.items():
        if path[: len(base)] != base or not 3 <= len(path) <= 4:
            raise CodecError(f"{name_of(path)} is not below {name_of(base)}")
        found[path] = objects.typed(path, value)
    return found


def _from_json(base: Path, named: Mapping[str, Any]) -> Values:
    """Names may be full paths, or relative to what was asked for; opaque values are base64."""
    values: dict[Path, Any] = {}
    for name, value in named.items():
        path = path_of(name)
        if path[: len(base)] != base or len(path) < 3:
            path = base + path
        if objects.kind_of(path) == "bytes" and isinstance(value, str):
            try:
                value = base64.b64decode(value, validate=True)
            except (ValueError, binascii.Error):
                raise CodecError(f"{value[:20]!r} is no base64") from None
        values[path] = value
    return _typed(base, values)


# ---- TLV ------------------------------------------------------------------------------------------


def _from_tlv(base: Path, records: tuple[tlv.Record, ...]) -> Values:
    values: Values = {}
    for record in records:
        _take(base, record, values)
    return values


def _take(base: Path, record: tlv.Record, into: Values) -> None:
    match record.kind, len(base):
        case tlv.Kind.OBJECT_INSTANCE, 1 | 2:
            if len(base) == 2 and record.id != base[1]:
                raise CodecError(f"TLV of instance {record.id} for {name_of(base)}")
            for child in record.children:
                _take((base[0], record.id), child, into)
        case tlv.Kind.RESOURCE, 1:
            _value((base[0], 0, record.id), record, into)  # a single instance, without its header
        case tlv.Kind.RESOURCE, 2:
            _value((*base, record.id), record, into)
        case tlv.Kind.RESOURCE, 3:
            _same(base, record.id)
            _value(base, record, into)
        case tlv.Kind.MULTIPLE_RESOURCE, 1 | 2 | 3:
            path = {1: (base[0], 0, record.id), 2: (*base, record.id), 3: base}[len(base)]
            _same(path, record.id)
            for child in record.children:
                if child.kind is not tlv.Kind.RESOURCE_INSTANCE:
                    raise CodecError("a multiple resource holds resource instances")
                _value((*path, child.id), child, into)
        case tlv.Kind.RESOURCE_INSTANCE, 3:
            _value((*base, record.id), record, into)
        case tlv.Kind.RESOURCE_INSTANCE | tlv.Kind.RESOURCE, 4:
            _value(base, record, into)
        case _:
            raise CodecError(f"a TLV {record.kind.name.lower().replace('_', ' ')} for {name_of(base)}")


def _same(path: Path, number: int) -> None:
    if path[2] != number:
        raise CodecError(f"TLV of resource {number} for {name_of(path)}")


def _value(path: Path, record: tlv.Record, into: Values) -> None:
    if path in into:
        raise CodecError(f"{name_of(path)} twice")
    into[path] = objects.from_bytes(objects.kind_of(path), record.value)


def _to_tlv(base: Path, values: Mapping[Path, Single]) -> list[tlv.Record]:
    """Records below an object (with instance headers), an instance, or a resource."""
    instances: dict[int, dict[int, list[tlv.Record] | tlv.Record]] = {}
    for path, value in sorted(values.items()):
        if path[: len(base)] != base or not 3 <= len(path) <= 4:
            raise CodecError(f"{name_of(path)} is not below {name_of(base)}")
        resources = instances.setdefault(path[1], {})
        data = objects.to_bytes(value)
        if len(path) == 3:
            resources[path[2]] = tlv.Record(tlv.Kind.RESOURCE, path[2], data)
        else:
            held = resources.setdefault(path[2], [])
            assert isinstance(held, list)
            held.append(tlv.Record(tlv.Kind.RESOURCE_INSTANCE, path[3], data))
    found = {
        number: [_whole(key, held) for key, held in resources.items()]
        for number, resources in instances.items()
    }
    if len(base) == 1:
        return [
            tlv.Record(tlv.Kind.OBJECT_INSTANCE, number, children=tuple(records))
            for number, records in found.items()
        ]
    return [record for records in found.values() for record in records]


def _whole(number: int, held: list[tlv.Record] | tlv.Record) -> tlv.Record:
    """A single resource as it is, or the instances of a multiple one together."""
    if isinstance(held, list):
        return tlv.Record(tlv.Kind.MULTIPLE_RESOURCE, number, children=tuple(held))
    return held


# ---- shapes ---------------------------------------------------------------------------------------


def nested(base: Path, values: Mapping[Path, Single]) -> Any:
    """Values below `base` as people write them.

    A resource is its value, or {instance: value} when it is multiple; an instance {resource: ...};
    an object {instance: {resource: ...}}.
    """
    if base in values:
        return values[base]
    tree: dict[int, Any] = {}
    for path, value in values.items():
        level = tree
        rest = path[len(base) :]
        for number in rest[:-1]:
            level = level.setdefault(number, {})
        level[rest[-1]] = value
    return tree


def flat(base: Path, value: Any) -> Values:
    """The reverse of `nested`. Raises `CodecError` for what is no value."""
    if not isinstance(value, dict):
        return {base: value}
    found: Values = {}
    for number, inner in value.items():
        if type(number) is not int or len(base) > 3:
            raise CodecError(f"{number!r} below {name_of(base)} is no ID")
        found |= flat((*base, number), inner)
    return found
