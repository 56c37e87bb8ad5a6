"""Each hostile ESP32 image is wrong in the way it claims, and in no other: esptool and espsecure say so."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import espsecure
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from esptool.bin_image import ESP32FirmwareImage
from esptool.util import FatalError

from bench.errors import ImageError
from bench.firmware.esp32 import parse
from bench.firmware.esp32_signing import plain, sealed, signature_sector, signed
from bench.firmware.hostile import HostileKind
from bench.firmware.hostile_esp32 import secure_version
from bench.firmware.hostile_kinds import KINDS, with_raised_counter
from bench.firmware.image_set import ImageSet
from bench.firmware.rebuilt import grown, renamed

GOOD = (True, True, True)
FINDINGS = {
    # checksum right, SHA-256 right, signature right; None: esptool cannot read it
    "flip-header": (True, False, False),
    "flip-body": (False, False, False),
    "oversized": (True, True, False),
    "wrong-magic": None,
    "wrong-chip": GOOD,
    "bad-segment": None,
    "bad-checksum": (False, True, True),
    "bad-sha256": (True, False, False),
    "bad-sha256-signed": (True, False, True),
    "flip-signature": (True, True, False),
    "other-signature": (True, True, False),
    "wrong-key": (True, True, False),
    "unsigned": (True, True, False),
    "lower-version": GOOD,
    "lower-counter": GOOD,
    "truncated": None,
    "empty": None,
    "random": None,
}


@pytest.fixture
def images(image_sets: dict[str, ImageSet]) -> ImageSet:
    return image_sets["esp32"]


def kind(name: str) -> HostileKind:
    return next(k for k in KINDS["esp32"] if k.name == name)


def is_signed(data: bytes, images: ImageSet, work: Path) -> bool:
    assert images.signing_key is not None
    public = load_pem_private_key(images.signing_key, None).public_key()
    key, image = work / "key.pem", work / "image.bin"
    key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    image.write_bytes(data)
    with key.open("rb") as key_file, image.open("rb") as file:
        try:
            espsecure.verify_signature_v2(False, None, key_file, file)
        except FatalError:
            return False
    return True


def findings(data: bytes, images: ImageSet, work: Path) -> tuple[bool, bool, bool] | None:
    try:
        image = ESP32FirmwareImage(io.BytesIO(data))
    except Exception:  # esptool has no one way to say that it cannot read an image
        return None
    checksum = image.checksum == image.calculate_checksum()
    return checksum, image.stored_digest == image.calc_digest, is_signed(data, images, work)


def test_the_good_images_are_good(images: ImageSet, tmp_path: Path) -> None:
    for image in (images.baseline, images.update, *images.variants.values()):
        assert findings(image.data, images, tmp_path) == GOOD


def test_every_kind_is_checked_here() -> None:
    assert {k.name for k in KINDS["esp32"]} == set(FINDINGS)


@pytest.mark.parametrize(("name", "expected"), FINDINGS.items(), ids=FINDINGS)
def test_the_tools_find_what_the_kind_claims(
    images: ImageSet, tmp_path: Path, name: str, expected: tuple[bool, bool, bool] | None
) -> None:
    assert findings(kind(name).derive(images), images, tmp_path) == expected


def test_a_bad_segment_is_signed_all_the_same(images: ImageSet, tmp_path: Path) -> None:
    data = kind("bad-segment").derive(images)
    assert is_signed(data, images, tmp_path)
    with pytest.raises(ImageError, match=r"segment 0 .* runs beyond the file"):
        parse(data)


def test_only_what_a_kind_names_is_other(images: ImageSet) -> None:
    assert parse(images.update.data).chip_id == 0
    assert parse(kind("wrong-chip").derive(images)).chip_id == 9
    assert parse(kind("lower-version").derive(images)).version == "0.9.9"
    assert secure_version(images.update.data) == 1
    assert secure_version(kind("lower-counter").derive(images)) == 0
    raised = with_raised_counter(images, images.update)
    assert secure_version(raised.data) == 2
    assert parse(raised.data).version == images.update.version


def test_the_signature_block_of_another_image_is_whole(images: ImageSet) -> None:
    data = kind("other-signature").derive(images)
    assert espsecure.validate_signature_block(data, 0) is not None
    assert data.startswith(plain(images.update.data))
    assert signature_sector(data) == signature_sector(images.baseline.data)


def test_an_unsigned_image_lacks_nothing_but_the_sector(images: ImageSet) -> None:
    data = kind("unsigned").derive(images)
    assert images.update.data.startswith(data)
    assert images.update.size - len(data) == 4096


def test_sealing_a_good_image_changes_nothing(images: ImageSet) -> None:
    content = plain(images.update.data)
    assert sealed(content) == content
    assert content[-32:] == hashlib.sha256(content[:-32]).digest()


def test_a_product_without_signatures_gets_images_without_them(images: ImageSet) -> None:
    from dataclasses import replace

    bare = replace(images, update=replace(images.update, data=plain(images.update.data)), signing_key=None)
    data = kind("wrong-chip").derive(bare)
    assert signature_sector(data) == b""
    assert parse(data).checksum_right
    assert parse(data).hash_right


def test_a_key_that_does_not_sign_is_told_by_name(images: ImageSet) -> None:
    with pytest.raises(ImageError, match=r"images\.signing_key"):
        signed(plain(images.update.data), b"no key")


@pytest.mark.parametrize("more", [4096, 4097, 200_000])
def test_an_image_grows_by_whole_sectors(images: ImageSet, tmp_path: Path, more: int) -> None:
    """By a segment that is loaded nowhere; the others stay."""
    size = images.update.size + more
    image = grown(images, images.update, size)
    assert image.size == size // 4096 * 4096
    segments = ESP32FirmwareImage(io.BytesIO(plain(image.data))).segments
    before = ESP32FirmwareImage(io.BytesIO(plain(images.update.data))).segments
    assert [s.data for s in segments[:-1]] == [s.data for s in before]
    assert segments[-1].addr == 0
    found = parse(image.data)
    assert (found.version, found.checksum_right, found.hash_right) == (images.update.version, True, True)
    assert is_signed(image.data, images, tmp_path)


def test_an_image_does_not_shrink(images: ImageSet) -> None:
    with pytest.raises(ImageError, match="longer than 8192 bytes"):
        grown(images, images.update, 8192)


def test_another_version(images: ImageSet, tmp_path: Path) -> None:
    image = renamed(images, images.update, "3.10.0")
    found = parse(image.data)
    assert (image.version, found.version, found.hash_right) == ("3.10.0", "3.10.0", True)
    assert is_signed(image.data, images, tmp_path)
