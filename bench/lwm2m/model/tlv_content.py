"""TLV records as values by path, typed by the object model, and back (OMA LwM2M 1.0, section 6.4.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.lwm2m.codecs import tlv
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import name_of
from bench.lwm2m.codecs.tlv import Kind, Record
from bench.lwm2m.codecs.values import Entry, Path, Single
from bench.lwm2m.model import objects


def decode(base: Path, payload: bytes) -> list[Entry]:
    """Raises `CodecError`."""
    return [entry for record in tlv.decode(payload) for entry in _below(base, record)]


def _below(base: Path, record: Record) -> Iterator[Entry]:
    """What one record of the first level says, in the answer for `base`."""
    match record.kind, len(base):
        case Kind.OBJECT_INSTANCE, 1 | 2:
            _same(base, (base[0], record.id))
            for child in record.children:
                yield from _resource((base[0], record.id), child)
        case Kind.RESOURCE | Kind.MULTIPLE_RESOURCE, 1:
            yield from _resource((*base, 0), record)  # a single instance, without its header
        case Kind.RESOURCE | Kind.MULTIPLE_RESOURCE, 2 | 3:
            _same(base, (*base[:2], record.id))
            yield from _resource(base[:2], record)
        case Kind.RESOURCE_INSTANCE, 3:
            yield _entry((*base, record.id), record)
        case Kind.RESOURCE_INSTANCE, 4:
            _same(base, (*base[:3], record.id))
            yield _entry(base, record)
        case Kind.RESOURCE, 4:
            yield _entry(base, record)  # some number it as the resource, some as the instance
        case Kind.MULTIPLE_RESOURCE, 4:
            _same(base[:3], (*base[:2], record.id))
            yield from _resource(base[:2], record)
        case _:
            raise CodecError(f"a TLV {_name(record)} for {name_of(base)}")


def _resource(instance: Path, record: Record) -> Iterator[Entry]:
    path = (*instance, record.id)
    if record.kind is Kind.RESOURCE:
        yield _entry(path, record)
        return
    if record.kind is not Kind.MULTIPLE_RESOURCE:
        raise CodecError(f"a TLV {_name(record)} in {name_of(instance)}")
    for child in record.children:
        if child.kind is not Kind.RESOURCE_INSTANCE:
            raise CodecError(f"a TLV {_name(child)} in {name_of(path)}")
        yield _entry((*path, child.id), child)


def _entry(path: Path, record: Record) -> Entry:
    return Entry(path, objects.from_bytes(objects.kind_of(path), record.value))


def _same(base: Path, path: Path) -> None:
    if path[: len(base)] != base[: len(path)]:
        raise CodecError(f"TLV of {name_of(path)} for {name_of(base)}")


def _name(record: Record) -> str:
    return record.kind.name.lower().replace("_", " ")


def encode(base: Path, values: Mapping[Path, Single]) -> bytes:
    """Values below an object (instance headers), an instance, a resource, or of a resource instance.

    Raises `CodecError`.
    """
    if not base:
        raise CodecError("TLV cannot tell values of several objects")
    instances: dict[int, dict[int, Record | list[Record]]] = {}
    for path, value in sorted(values.items()):
        resources = instances.setdefault(path[1], {})
        data = objects.to_bytes(objects.kind_of(path), value)
        if len(path) == 3:
            resources[path[2]] = Record(Kind.RESOURCE, path[2], data)
            continue
        held = resources.setdefault(path[2], [])
        if not isinstance(held, list):
            raise CodecError(f"{name_of(path)} is below a value")
        held.append(Record(Kind.RESOURCE_INSTANCE, path[3], data))
    found = {n: [_whole(key, held) for key, held in resources.items()] for n, resources in instances.items()}
    if len(base) == 1:
        return tlv.encode(Record(Kind.OBJECT_INSTANCE, n, children=tuple(rs)) for n, rs in found.items())
    records = [record for rs in found.values() for record in rs]
    if len(base) == 4:
        records = [child for record in records for child in record.children]
    return tlv.encode(records)


def _whole(number: int, held: Record | list[Record]) -> Record:
    """A single resource as it is, or the instances of a multiple one together."""
    return Record(Kind.MULTIPLE_RESOURCE, number, children=tuple(held)) if isinstance(held, list) else held
