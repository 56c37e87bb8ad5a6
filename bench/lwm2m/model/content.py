"""Content formats: payloads to values by path, and back, typed by the object model.

A path is (object, instance, resource[, resource instance]). Whatever is wrong with a payload is a
`CodecError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.lwm2m.codecs import cbor, json_1_0, lwm2m_cbor, senml
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import name_of
from bench.lwm2m.codecs.values import Entry, ObjectLink, Path, Single
from bench.lwm2m.model import objects, tlv_content

Values = dict[Path, Single]

TEXT, LINKS, OPAQUE, CBOR = 0, 40, 42, 60
SENML_JSON, SENML_CBOR, SENML_ETCH_JSON, SENML_ETCH_CBOR = 110, 112, 320, 322
TLV_OLD, JSON_OLD = 1542, 1543
"""Of drafts of LwM2M 1.0; some clients know no others."""
TLV, JSON, LWM2M_CBOR = 11542, 11543, 11544
STRUCTURED = (SENML_CBOR, SENML_JSON, LWM2M_CBOR, TLV, JSON, TLV_OLD, JSON_OLD)
"""Those that can hold more than one value; the order is the server's preference."""
RELATIVE_TIMES = 1 << 28
"""Times below are seconds from now, above from 1970 (RFC 8428, 4.5.3)."""


# ---- one plain value


def _one_path(base: Path) -> Path:
    if len(base) < 3:
        raise CodecError(f"one plain value for {name_of(base)}, which has several")
    return base


def _only(values: Mapping[Path, Single]) -> Single:
    if len(values) != 1:
        raise CodecError(f"{len(values)} values in a format for one")
    return next(iter(values.values()))


def _decode_text(base: Path, payload: bytes) -> list[Entry]:
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CodecError(f"text is not UTF-8: {error.reason}") from None
    return [Entry(_one_path(base), objects.from_text(objects.kind_of(base), text))]


def _encode_text(base: Path, values: Mapping[Path, Single]) -> bytes:
    return objects.to_text(_only(values)).encode()


def _decode_opaque(base: Path, payload: bytes) -> list[Entry]:
    return [Entry(_one_path(base), payload)]


def _encode_opaque(base: Path, values: Mapping[Path, Single]) -> bytes:
    value = _only(values)
    if not isinstance(value, bytes):
        raise CodecError(f"{type(value).__name__} is not opaque")
    return value


def _decode_cbor(base: Path, payload: bytes) -> list[Entry]:
    """One CBOR item (LwM2M 1.1, 7.4.3)."""
    return [Entry(_one_path(base), cbor.load(payload))]


def _encode_cbor(base: Path, values: Mapping[Path, Single]) -> bytes:
    value = _only(values)
    return cbor.dump(str(value) if isinstance(value, ObjectLink) else value)


# ---- what a format's own types leave open


def _decode_json(base: Path, payload: bytes) -> list[Entry]:
    """Opaque values are base64 text in LwM2M JSON."""
    entries = json_1_0.decode(base, payload)
    return [
        Entry(e.path, objects.from_base64(e.value), e.time)
        if isinstance(e.value, str) and objects.kind_of(e.path) == "bytes"
        else e
        for e in entries
    ]


@dataclass(frozen=True)
class Format:
    """`decode(base, payload)` and `encode(base, values)`; values are typed and below `base` already."""

    name: str
    decode: Callable[[Path, bytes], list[Entry]]
    encode: Callable[[Path, Mapping[Path, Single]], bytes]


def _by_name(
    name: str, decode: Callable[[bytes], list[Entry]], encode: Callable[[Mapping[Path, Single]], bytes]
) -> Format:
    """A format whose payload has whole paths in it."""
    return Format(name, lambda base, payload: decode(payload), lambda base, values: encode(values))


_TLV = Format("TLV", tlv_content.decode, tlv_content.encode)
_JSON = Format("LwM2M JSON", _decode_json, lambda base, values: json_1_0.encode(values))
_SENML_JSON = _by_name("SenML JSON", senml.decode_json, senml.encode_json)
_SENML_CBOR = _by_name("SenML CBOR", senml.decode_cbor, senml.encode_cbor)
FORMATS: dict[int, Format] = {
    TEXT: Format("text", _decode_text, _encode_text),
    OPAQUE: Format("opaque", _decode_opaque, _encode_opaque),
    CBOR: Format("CBOR", _decode_cbor, _encode_cbor),
    SENML_JSON: _SENML_JSON,
    SENML_CBOR: _SENML_CBOR,
    SENML_ETCH_JSON: _SENML_JSON,
    SENML_ETCH_CBOR: _SENML_CBOR,
    TLV_OLD: _TLV,
    JSON_OLD: _JSON,
    TLV: _TLV,
    JSON: _JSON,
    LWM2M_CBOR: _by_name("LwM2M CBOR", lwm2m_cbor.decode, lwm2m_cbor.encode),
}
"""By number (IANA, CoAP Content-Formats)."""


def decode(content_format: int, base: Path, payload: bytes) -> Values:
    """The values in a payload that answers, or is written to, `base`; of several times, the newest.

    Raises `CodecError`.
    """
    found: Values = {}
    for _, values in history(content_format, base, payload):
        found |= values
    _check_levels(found)
    return found


def history(content_format: int, base: Path, payload: bytes) -> list[tuple[float, Values]]:
    """The values of each time in a payload, oldest first. Times are as in `Entry`; 0 is now.

    Raises `CodecError`.
    """
    by_time: dict[float, Values] = {}
    for entry in _format(content_format).decode(base, payload):
        if entry.value is None:
            continue
        _check_below(base, entry.path)
        values = by_time.setdefault(entry.time, {})
        if entry.path in values:
            raise CodecError(f"{name_of(entry.path)} twice")
        values[entry.path] = objects.typed(entry.path, entry.value)
    return sorted(by_time.items(), key=lambda item: (item[0] < RELATIVE_TIMES, item[0]))


def encode(content_format: int, base: Path, values: Mapping[Path, Single]) -> bytes:
    """Values below `base` as a payload. Raises `CodecError` for what the format cannot hold."""
    for path in values:
        _check_below(base, path)
    _check_levels(values)
    typed = {path: objects.typed(path, value) for path, value in values.items()}
    return _format(content_format).encode(base, typed)


def paths_only(content_format: int, paths: Sequence[Path]) -> bytes:
    """What a composite Read sends: paths without values. Raises `CodecError` for no format of SenML."""
    named: dict[Path, Single | None] = dict.fromkeys(paths)
    match content_format:
        case 110 | 320:
            return senml.encode_json(named)
        case 112 | 322:
            return senml.encode_cbor(named)
    raise CodecError(f"content format {content_format} cannot name paths without values")


def _format(content_format: int) -> Format:
    found = FORMATS.get(content_format)
    if found is None:
        raise CodecError(f"content format {content_format} is not known here")
    return found


def _check_below(base: Path, path: Path) -> None:
    if path[: len(base)] != base or not 3 <= len(path) <= 4:
        raise CodecError(f"{name_of(path)} is not below {name_of(base)}")


def _check_levels(values: Mapping[Path, Single]) -> None:
    """No path may be both a value and have values below it."""
    for path in values:
        if len(path) == 4 and path[:3] in values:
            raise CodecError(f"{name_of(path[:3])} is a value, and has values below it")
