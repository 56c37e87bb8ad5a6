"""Whether a build is signed with a key: said by those who sign it, imgtool and espsecure."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from bench.errors import ImageError


def why_not_signed_with(data: bytes, container: str, pem: bytes) -> str | None:
    """The reason why an image is not signed with a private key, or None. Raises `ImageError` for no key."""
    with tempfile.TemporaryDirectory(prefix="bench-check-") as work:
        image = Path(work) / "image.bin"
        image.write_bytes(data)
        return CONTAINERS[container](image, pem)


def _mcuboot(image: Path, pem: bytes) -> str | None:
    from imgtool.image import Image, VerifyResult

    from bench.firmware.mcuboot_signing import load_key

    key = load_key(pem)
    result = Image.verify(str(image), key)[0]
    if result == VerifyResult.OK:
        return None
    return {
        VerifyResult.INVALID_SIGNATURE: "is not signed with this key",
        VerifyResult.KEY_MISMATCH: "is signed with a key of another kind",
        VerifyResult.INVALID_HASH: "has a SHA-256 that does not fit it",
    }.get(result, f"cannot be verified: {result.name}")


def _esp32(image: Path, pem: bytes) -> str | None:
    # esptool takes a fifth of a second, which other boards need not wait for
    import espsecure

    from bench.firmware.esp32_signing import signature_sector

    public = io.BytesIO(_public(pem))
    if not signature_sector(image.read_bytes()):
        return "is not signed"
    try:
        with image.open("rb") as opened, contextlib.redirect_stdout(io.StringIO()):
            espsecure.verify_signature_v2(hsm=False, hsm_config=None, keyfile=public, datafile=opened)
    except Exception:  # esptool's FatalError, or cryptography's where the kinds differ
        return "is not signed with this key"
    return None


def _public(pem: bytes) -> bytes:
    """The public part alone: espsecure would look for half a second whether the other fits it."""
    try:
        key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ImageError(
            f"images.signing_key cannot be read: {error}", help="give the private key as PEM, not encrypted"
        ) from None
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


CONTAINERS: dict[str, Callable[[Path, bytes], str | None]] = {"mcuboot": _mcuboot, "esp32": _esp32}
