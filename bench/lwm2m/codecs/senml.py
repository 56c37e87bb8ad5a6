"""SenML records (RFC 8428) in JSON and CBOR, as LwM2M 1.1 uses them for Send and composite operations."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import cbor2

from bench.lwm2m.codecs.error import CodecError

MAX_RECORDS = 4096
_CBOR_LABELS = {-2: "bn", -3: "bt", 0: "n", 2: "v", 3: "vs", 4: "vb", 6: "t", 8: "vd", "vlo": "vlo"}
"""RFC 8428, table 4; "vlo" (object link) is LwM2M's."""


def decode_cbor(payload: bytes) -> dict[str, Any]:
    """Path -> value. Raises `CodecError`."""
    stream = io.BytesIO(payload)
    try:
        packed = cbor2.load(stream)
    except (cbor2.CBORDecodeError, ValueError, EOFError, RecursionError, OverflowError, MemoryError) as error:
        raise CodecError(f"SenML-CBOR cannot be read: {error}") from None
    if stream.read(1):
        raise CodecError("bytes after the SenML pack")
    if not isinstance(packed, list):
        raise CodecError("a SenML pack is an array")
    try:
        records = [
            {_CBOR_LABELS.get(label, str(label)): value for label, value in record.items()}
            for record in packed[: MAX_RECORDS + 1]
        ]
    except (AttributeError, TypeError):
        raise CodecError("a SenML record is a map") from None
    return _resolve(records)


def decode_json(payload: bytes) -> dict[str, Any]:
    """Path -> value. Raises `CodecError`."""
    try:
        records = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"SenML-JSON cannot be read: {error}") from None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise CodecError("a SenML pack is an array of objects")
    values = _resolve(records)
    opaque = [str(r.get("n", "")) for r in records if "vd" in r]
    for path in values:
        if any(path.endswith(name) for name in opaque) and isinstance(values[path], str):
            values[path] = _base64(values[path])
    return values


def _base64(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise CodecError(f"{text[:20]!r} is no base64") from None


def _resolve(records: list[dict[str, Any]]) -> dict[str, Any]:
    if len(records) > MAX_RECORDS:
        raise CodecError(f"more than {MAX_RECORDS} SenML records")
    base, values = "", {}
    for record in records:
        base = record.get("bn", base)
        name = record.get("n", "")
        if not isinstance(base, str) or not isinstance(name, str):
            raise CodecError("a SenML name is a string")
        for label in ("v", "vs", "vb", "vd", "vlo"):
            if label in record:
                values[base + name] = record[label]
    return values
