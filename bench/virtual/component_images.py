"""Packages for the components of the virtual nRF9160 (object 33629), written from their description.

The format is described in `bench.virtual.firmware.update.component_package`, which reads it; this
writes it, from the description alone. Equal inputs give equal bytes.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import cbor2

BODY_SIZE = 1500
"""Bytes; two packages in one bundle fit a bank of 4096."""


def build_packages(out: Path) -> dict[str, Path]:
    """A later version of every component by its name, and "bundle" for two of them at once.

    That of one is later as a number, and not as text, than what another one requires.
    """
    sensors = package("sensors", "10.0.0")
    display = package("display", "2.0.0")
    files = {
        "sensors": sensors,
        "display": display,
        "positioning": package("positioning", "2.0.0", {"sensors": "9.0.0"}),
        "bundle": bundle([sensors, display]),
    }
    paths = {name: out / f"component-{name}.bin" for name in files}
    for name, path in paths.items():
        path.write_bytes(files[name])
    return paths


def package(
    component: str, version: str, requires: Mapping[str, str] | None = None, size: int = BODY_SIZE
) -> bytes:
    """One package with a body of `size` bytes."""
    told = {"component": component, "version": version, "requires": dict(requires or {})}
    description = cbor2.dumps(told, canonical=True)
    body = random.Random(f"{component}/{version}").randbytes(size)
    return _sealed(b"VCMP" + struct.pack("<HI", len(description), size) + description + body)


def bundle(packages: Sequence[bytes]) -> bytes:
    """One package for several components."""
    inner = b"".join(packages)
    return _sealed(b"VCMB" + struct.pack("<HI", len(packages), len(inner)) + inner)


def _sealed(data: bytes) -> bytes:
    return data + hashlib.sha256(data).digest()
