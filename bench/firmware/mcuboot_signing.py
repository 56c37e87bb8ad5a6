"""MCUboot images made anew by imgtool from a good one: signed by another key, with other entries."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from imgtool import keys
from imgtool.image import DEP_IMAGES_KEY, DEP_VERSIONS_KEY, TLV_VALUES, Image
from imgtool.version import decode_version

from bench.errors import ImageError
from bench.firmware.mcuboot import Tlv, parse

_STRANGER = hashlib.sha256(b"a key that no product trusts").digest()
_OWN_ARGUMENTS = {Tlv.SECURITY_COUNTER, Tlv.DEPENDENCY}
_NAMES = {value: name for name, value in TLV_VALUES.items()}


@dataclass(frozen=True)
class Changes:
    """What is to be other than in the good image; None leaves it as it was.

    `entries` replaces protected TLVs by type; `depends_on` is the least version of image 0 that it asks
    for; `slot_size` (bytes) pads it to a whole slot with a trailer that says "confirmed"; `appended` follows
    the code. `version` may end with a build number, "1.2.3+4".
    """

    version: str | None = None
    security_counter: int | None = None
    entries: Mapping[int, bytes] | None = None
    depends_on: str | None = None
    slot_size: int | None = None
    appended: bytes = b""


def load_key(pem: bytes) -> Any:
    """imgtool's key. Raises `ImageError` when it cannot be read."""
    try:
        key = _from_pem(pem)
    except Exception as error:  # imgtool raises plain Exceptions, and cryptography what it likes
        raise ImageError(
            f"images.signing_key cannot be read: {error}", help="give the private key as PEM, not encrypted"
        ) from None
    if key is None or not hasattr(key, "export_private"):
        raise ImageError(
            "images.signing_key is encrypted, or no private key", help="give the private key as PEM"
        )
    return _reproducible(key)


def _from_pem(pem: bytes) -> Any:
    with tempfile.TemporaryDirectory(prefix="bench-key-") as work:
        path = Path(work) / "key.pem"
        path.write_bytes(pem)
        return keys.load(str(path))


def stranger(key: Any) -> Any:
    """Another key of the same kind."""
    if isinstance(key, keys.ECDSA256P1):
        number = int.from_bytes(_STRANGER, "big")
        return _reproducible(keys.ECDSA256P1(ec.derive_private_key(number, ec.SECP256R1())))
    if isinstance(key, keys.RSA):
        return keys.RSA.generate(key.key.key_size)
    return type(key).generate()


def _reproducible(key: Any) -> Any:
    """ECDSA with the nonces of RFC 6979, so that equal inputs give equal bytes."""
    if isinstance(key, keys.ECDSA256P1):
        key.raw_sign = partial(
            key.key.sign, signature_algorithm=ec.ECDSA(SHA256(), deterministic_signing=True)
        )
    return key


def made_anew(data: bytes, key: Any | None, changes: Changes = Changes()) -> bytes:
    """A good image once more, with `changes`, signed by `key` (None: not signed at all)."""
    good = parse(data)
    entries = {**good.protected, **(changes.entries or {})}
    counter = changes.security_counter
    if counter is None and Tlv.SECURITY_COUNTER in entries:
        counter = int.from_bytes(entries[Tlv.SECURITY_COUNTER], "little")
    image = Image(
        version=decode_version(changes.version or good.version),
        header_size=good.header_size,
        pad_header=True,
        align=4,
        slot_size=changes.slot_size or 0,
        pad=changes.slot_size is not None,
        confirm=changes.slot_size is not None,
        security_counter=counter,
    )
    dependencies = None
    if changes.depends_on is not None:
        wanted = decode_version(changes.depends_on)
        dependencies = {DEP_IMAGES_KEY: ["0"], DEP_VERSIONS_KEY: [wanted]}
    custom = {_NAMES.get(kind, kind): value for kind, value in entries.items() if kind not in _OWN_ARGUMENTS}
    with tempfile.TemporaryDirectory(prefix="bench-build-") as work:
        source, out = Path(work) / "body.bin", Path(work) / "signed.bin"
        source.write_bytes(data[good.header_size : good.header_size + good.body_size] + changes.appended)
        image.load(str(source))
        with contextlib.redirect_stdout(io.StringIO()):  # imgtool talks while it signs
            image.create(key, "hash", None, dependencies=dependencies, custom_tlvs=custom or None)
        image.save(str(out))
        return out.read_bytes()
