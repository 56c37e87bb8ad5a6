"""ESP32 images made anew from a good one: the checksum is esptool's, the signature espsecure's."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.errors import ImageError
from bench.firmware.esp32 import SECTOR, parse

SIGNATURE_MAGIC = 0xE7
_DIGEST = 32
MOST_SIGNED = 16
"""Signed images that are kept: a testcase asks for its image before it begins, and again in it."""


def plain(data: bytes) -> bytes:
    """An image without the sector of its signature, and without what was padded before it."""
    return data[: parse(data).total_size]


def signature_sector(data: bytes) -> bytes:
    """The sector with the signature blocks; empty when the image is not signed."""
    start = -(-parse(data).total_size // SECTOR) * SECTOR
    sector = data[start : start + SECTOR]
    return sector if sector[:1] == bytes([SIGNATURE_MAGIC]) else b""


def sealed(content: bytes) -> bytes:
    """A plain image whose contents were changed, with the checksum and the SHA-256 that now fit."""
    # esptool takes a fifth of a second, which other boards need not wait for
    from esptool.bin_image import ESP32FirmwareImage

    built = ESP32FirmwareImage(io.BytesIO(content))
    end = len(content) - (_DIGEST if parse(content).hash_right is not None else 0)
    return hashed(content[: end - 1] + bytes([built.calculate_checksum()]) + content[end:])


def hashed(content: bytes) -> bytes:
    """A plain image with the SHA-256 that fits it, where it has one; the checksum stays as it is."""
    if content[23] != 1:  # no hash appended
        return content
    return content[:-_DIGEST] + hashlib.sha256(content[:-_DIGEST]).digest()


@functools.lru_cache(maxsize=MOST_SIGNED)
def signed(content: bytes, key: bytes) -> bytes:
    """A plain image with its signature sector. `key` is RSA-3072 or ECDSA as PEM.

    What was signed lately is not signed again: reading an RSA key proves it, which takes longest of all.
    Raises `ImageError` when espsecure does not take the key.
    """
    import espsecure  # as in `sealed`
    from esptool.util import FatalError

    with tempfile.TemporaryDirectory(prefix="bench-build-") as work:
        source, pem, out = (Path(work) / name for name in ("image", "key.pem", "signed"))
        source.write_bytes(content)
        pem.write_bytes(key)
        try:
            with (
                source.open("rb") as image,
                pem.open("rb") as key_file,
                contextlib.redirect_stdout(io.StringIO()),
            ):
                espsecure.sign_secure_boot_v2(
                    keyfile=[key_file],
                    output=str(out),
                    append_signatures=False,
                    hsm=False,
                    hsm_config=None,
                    pub_key=[],
                    signature=[],
                    datafile=image,
                )
        except (FatalError, ValueError) as error:
            raise ImageError(
                f"images.signing_key does not sign ESP32 images: {error}",
                help="give the Secure Boot v2 key (RSA-3072 for an ESP32) as PEM",
            ) from None
        return out.read_bytes()


@functools.cache
def stranger() -> bytes:
    """A key, as PEM, that no product trusts."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
