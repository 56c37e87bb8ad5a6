"""Images are judged as ESP-IDF's bootloader judges them: see tests/truth/data/esp32_bootloader.md."""

from __future__ import annotations

import base64
import gzip
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.errors import ImageError
from bench.firmware.esp32_verify import image_length, revision_fault, signing_keys, verify
from bench.firmware.image_set import ImageSet

FILE = Path(__file__).parents[1] / "truth" / "data" / "esp32_images.jsonl.gz"
HEAD, *RECORDS = (json.loads(line) for line in gzip.decompress(FILE.read_bytes()).splitlines())


def content(image: str | list[Any]) -> bytes:
    parts = [image] if isinstance(image, str) else image
    return b"".join(base64.b64decode(p) if isinstance(p, str) else bytes([p["fill"]]) * p["n"] for p in parts)


def part(data: bytes, offset: int, length: int) -> bytes:
    return data[offset : offset + length]


def judge(record: dict[str, Any]) -> None:
    size = record["partition_size"]
    data = content(record["image"]).ljust(size, b"\xff")
    trusted = bytes.fromhex(HEAD["trusted_key_digest_hex"]) if record["config"] == "signed" else None
    length = image_length(
        partial(part, data), offset=HEAD["partition_offset"], size=size, revision=HEAD["chip_revision"]
    )
    verify(data, length, trusted=trusted)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: f"{r['config']}: {r['name']}")
def test_image_is_judged_as_by_the_bootloader(record: dict[str, Any]) -> None:
    if record["result"]["accepted"]:
        judge(record)
    else:
        with pytest.raises(ImageError):
            judge(record)


def test_length_needs_only_the_headers(image_sets: dict[str, ImageSet]) -> None:
    """They come over the wire, one by one."""
    data, read = image_sets["esp32"].baseline.data, []

    def headers(offset: int, length: int) -> bytes:
        read.append(length)
        return data[offset : offset + length]

    length = image_length(headers, offset=0x10000, size=0x180000, revision=300)
    assert read == [24] + [8] * data[1]
    assert len(data) == -(-length // 4096) * 4096 + 4096
    (key,) = signing_keys(data, length)
    verify(data, length, trusted=key)
    with pytest.raises(ImageError, match="not signed with the trusted key"):
        verify(data, length, trusted=bytes(32))
    assert signing_keys(data[:length], length) == []


def test_revisions_are_named() -> None:
    header = bytearray(24)
    header[15:19] = (301).to_bytes(2, "little") + (399).to_bytes(2, "little")
    assert revision_fault(bytes(header), 300) == "needs chip revision v3.1, the chip is v3.0"
    assert revision_fault(bytes(header), 301) is None
    header[15:19] = (0).to_bytes(2, "little") + (99).to_bytes(2, "little")
    assert revision_fault(bytes(header), 100) == "is for chips up to v0.99, the chip is v1.0"
