"""Packages for the components beside the application: what is in them, and whether they are whole.

A package is its head (magic "VCMP", 16 bits length of the description, 32 bits length of the body,
little-endian), the description in CBOR (`component`, `version`, `requires`: least versions of other
components), the body, and the SHA-256 of all that. A bundle is a head (magic "VCMB", number and
length of the packages), several packages one after the other, and the SHA-256 of all that.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import cbor2

MAGIC, BUNDLE_MAGIC = b"VCMP", b"VCMB"
_HEAD = struct.Struct("<4sHI")
_DIGEST = 32


class NoPackage(ValueError):
    """Something else altogether."""


class Damaged(ValueError):
    """A package, but not as it was built."""


@dataclass(frozen=True, slots=True)
class ComponentPackage:
    """`data` is all of it, `requires` the least version of each other component that it works with."""

    component: str
    version: str
    requires: Mapping[str, str]
    data: bytes


def version_key(version: str) -> tuple[int, ...]:
    """For comparison: "1.10.0" is later than "1.9.0", and "" (nothing sound is there) before everything."""
    return tuple(int(part) for part in version.split(".")) if version else ()


def parse(data: bytes) -> list[ComponentPackage]:
    """The packages at the start of `data`, which may go on behind them.

    Raises `NoPackage` or `Damaged`.
    """
    if len(data) < _HEAD.size or data[:4] not in (MAGIC, BUNDLE_MAGIC):
        raise NoPackage("no magic of a package")
    magic, count, length = _HEAD.unpack_from(data)
    inner = length if magic == BUNDLE_MAGIC else count + length
    whole = _checked(data, _HEAD.size + inner + _DIGEST)
    if magic == MAGIC:
        return [_package(whole, count)]
    packages, rest = [], whole[_HEAD.size : -_DIGEST]
    for _ in range(count):
        if rest[:4] != MAGIC:
            raise Damaged("a bundle holds something else than packages")
        packages += parse(rest)
        rest = rest[len(packages[-1].data) :]
    if rest or not packages:
        raise Damaged("a bundle's length does not fit its packages")
    return packages


def _checked(data: bytes, size: int) -> bytes:
    if size > len(data):
        raise Damaged(f"{size} bytes announced, {len(data)} there")
    if hashlib.sha256(data[: size - _DIGEST]).digest() != data[size - _DIGEST : size]:
        raise Damaged("the hash does not fit")
    return data[:size]


def _package(data: bytes, description_size: int) -> ComponentPackage:
    try:
        told = cbor2.loads(data[_HEAD.size : _HEAD.size + description_size])
        package = ComponentPackage(told["component"], told["version"], told["requires"], data)
        whole = all(version_key(v) for v in (package.version, *package.requires.values()))
    except (cbor2.CBORDecodeError, EOFError, KeyError, TypeError, ValueError, AttributeError):
        whole = False
    if not whole:
        raise Damaged("the description cannot be read")
    return package
