"""Each hostile MCUboot image is wrong in the way it claims, and in no other: imgtool says so."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from imgtool import keys
from imgtool.image import Image, VerifyResult

from bench.errors import ImageError, NotApplicable
from bench.firmware.hostile import HostileKind, below
from bench.firmware.hostile_kinds import KINDS, with_raised_counter
from bench.firmware.image_set import ImageSet
from bench.firmware.mcuboot import Tlv, parse, parse_trailer
from bench.firmware.mcuboot_signing import Changes, load_key, made_anew
from bench.firmware.rebuilt import grown, renamed

OK, HASH, SIGNATURE = VerifyResult.OK, VerifyResult.INVALID_HASH, VerifyResult.INVALID_SIGNATURE
VERDICTS = {
    "flip-header": HASH,
    "flip-body": HASH,
    "flip-protected-tlv": HASH,
    "flip-signature": SIGNATURE,
    "wrong-hash": HASH,
    "oversized": OK,
    "wrong-magic": VerifyResult.INVALID_MAGIC,
    "wrong-board": OK,
    "wrong-key": SIGNATURE,
    "unsigned": SIGNATURE,
    "lower-version": OK,
    "lower-counter": OK,
    "counter-not-signed": OK,
    "leftover-trailer": OK,
    "dependency-unmet": OK,
    "random": VerifyResult.INVALID_MAGIC,
    "picture": VerifyResult.INVALID_MAGIC,
}
"""What imgtool says of each with the board's key; the two that it cannot read have tests of their own."""


@pytest.fixture
def images(image_sets: dict[str, ImageSet]) -> ImageSet:
    return image_sets["mcuboot"]


def kind(name: str) -> HostileKind:
    return next(k for k in KINDS["mcuboot"] if k.name == name)


def verdict(data: bytes, images: ImageSet, work: Path, *, with_key: bool = True) -> VerifyResult:
    image, key = work / "image.bin", work / "key.pem"
    image.write_bytes(data)
    key.write_bytes(images.signing_key or b"")
    return Image.verify(str(image), keys.load(str(key)) if with_key else None)[0]


def differing_bits(a: bytes, b: bytes) -> int:
    assert len(a) == len(b)
    return sum((x ^ y).bit_count() for x, y in zip(a, b, strict=True))


def test_the_good_images_are_good(images: ImageSet, tmp_path: Path) -> None:
    for image in (images.baseline, images.update, *images.variants.values()):
        assert verdict(image.data, images, tmp_path) is OK


def test_every_kind_is_checked_here() -> None:
    assert {k.name for k in KINDS["mcuboot"]} == {*VERDICTS, "truncated", "empty"}


@pytest.mark.parametrize(("name", "expected"), VERDICTS.items(), ids=VERDICTS)
def test_imgtool_finds_what_the_kind_claims(
    images: ImageSet, tmp_path: Path, name: str, expected: VerifyResult
) -> None:
    assert verdict(kind(name).derive(images), images, tmp_path) is expected


@pytest.mark.parametrize(
    "name", ["flip-header", "flip-body", "flip-protected-tlv", "flip-signature", "wrong-hash"]
)
def test_a_flipped_bit_is_one_bit(images: ImageSet, name: str) -> None:
    assert differing_bits(kind(name).derive(images), images.update.data) == 1


def test_bits_flip_where_the_kinds_say(images: ImageSet) -> None:
    good = parse(images.update.data)

    def place(name: str) -> int:
        data = kind(name).derive(images)
        return next(i for i, (a, b) in enumerate(zip(data, images.update.data, strict=True)) if a != b)

    body_end = good.header_size + good.body_size
    assert 20 <= place("flip-header") < 28
    assert good.header_size <= place("flip-body") < body_end
    assert body_end <= place("flip-protected-tlv") < good.covered
    assert images.update.data.index(good.tlvs[Tlv.SHA256]) <= place("wrong-hash")
    assert images.update.data.index(good.tlvs[Tlv.ECDSA]) <= place("flip-signature")


def test_only_the_signature_of_a_foreign_key_is_wrong(images: ImageSet, tmp_path: Path) -> None:
    foreign, good = parse(kind("wrong-key").derive(images)), parse(images.update.data)
    assert verdict(kind("wrong-key").derive(images), images, tmp_path, with_key=False) is OK
    assert foreign.protected == good.protected
    assert foreign.sha256 == good.sha256
    assert foreign.tlvs[Tlv.KEYHASH] != good.tlvs[Tlv.KEYHASH]


def test_an_unsigned_image_has_the_right_hash_and_no_signature(images: ImageSet, tmp_path: Path) -> None:
    data = kind("unsigned").derive(images)
    assert verdict(data, images, tmp_path, with_key=False) is OK
    assert Tlv.ECDSA not in parse(data).tlvs


def test_what_is_lower_is_lower_and_nothing_else_is(images: ImageSet) -> None:
    good = parse(images.update.data)
    version = parse(kind("lower-version").derive(images))
    counter = parse(kind("lower-counter").derive(images))
    assert version.version == "0.9.9"
    assert version.protected == good.protected
    assert counter.version == good.version
    assert counter.protected[Tlv.SECURITY_COUNTER] == struct.pack("<I", 0)
    assert parse(with_raised_counter(images, images.update).data).protected[Tlv.SECURITY_COUNTER] == (
        struct.pack("<I", 256)
    )


def test_the_unmet_dependency_is_on_image_0(images: ImageSet) -> None:
    entry = parse(kind("dependency-unmet").derive(images)).protected[Tlv.DEPENDENCY]
    assert struct.unpack("<B3xBBHI", entry) == (0, 250, 0, 0, 0)


def test_the_leftover_trailer_fills_the_slot_and_says_confirmed(images: ImageSet) -> None:
    data = kind("leftover-trailer").derive(images)
    assert len(data) == images.slot_size
    trailer = parse_trailer(data)
    assert (trailer.magic_good, trailer.image_ok, trailer.copy_done) == (True, True, None)
    assert parse(data).version == images.update.version


def test_sizes(images: ImageSet) -> None:
    assert kind("empty").derive(images) == b""
    assert kind("oversized").derive(images)[: images.update.size] == images.update.data
    assert len(kind("oversized").derive(images)) > images.limit
    truncated = kind("truncated").derive(images)
    assert images.update.data.startswith(truncated)
    with pytest.raises(ImageError, match="do not fit"):
        parse(truncated)


def test_an_image_made_anew_without_changes_is_the_same(images: ImageSet) -> None:
    assert images.signing_key is not None
    assert made_anew(images.update.data, load_key(images.signing_key), Changes()) == images.update.data


def test_without_a_key_there_is_nothing_to_sign_with(images: ImageSet) -> None:
    from dataclasses import replace

    with pytest.raises(NotApplicable, match=r"images\.signing_key"):
        kind("lower-version").derive(replace(images, signing_key=None))
    assert kind("flip-body").derive(replace(images, signing_key=None))


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_is_none_is_told_by_name(pem: bytes) -> None:
    with pytest.raises(ImageError, match=r"images\.signing_key"):
        load_key(pem)


@pytest.mark.parametrize(("version", "lower"), [("1.0.1", "1.0.0"), ("1.1.0", "1.0.9"), ("2.0.0", "1.9.9")])
def test_a_version_below(version: str, lower: str) -> None:
    assert below(version) == lower


def test_nothing_is_below_zero() -> None:
    with pytest.raises(NotApplicable):
        below("0.0.0")


def test_the_key_is_not_shown(images: ImageSet) -> None:
    assert "PRIVATE" not in repr(images)


def test_a_counter_that_is_not_signed_is_the_higher_one_and_not_protected(images: ImageSet) -> None:
    data = kind("counter-not-signed").image(images).data
    image, lower = parse(data), parse(kind("lower-counter").image(images).data)
    assert image.protected == lower.protected
    assert image.tlvs[Tlv.SECURITY_COUNTER] > image.protected[Tlv.SECURITY_COUNTER]
    assert image.total_size == len(data)


@pytest.mark.parametrize("more", [1, 4095, 4096, 100_001])
def test_an_image_grows_to_the_byte(images: ImageSet, tmp_path: Path, more: int) -> None:
    size = images.update.size + more + 8  # a signature may be a few bytes longer than the update's
    image = grown(images, images.update, size)
    assert (image.size, parse(image.data).version) == (size, images.update.version)
    assert verdict(image.data, images, tmp_path) is OK
    body = slice(parse(images.update.data).header_size, parse(images.update.data).body_size)
    assert image.data[body] == images.update.data[body]


def test_an_image_does_not_shrink(images: ImageSet) -> None:
    with pytest.raises(ImageError, match="longer than 1000 bytes"):
        grown(images, images.update, 1000)


def test_another_version_and_build_number(images: ImageSet, tmp_path: Path) -> None:
    image = renamed(images, images.update, "3.10.0", build=9)
    assert (image.version, parse(image.data).version) == ("3.10.0", "3.10.0")
    assert struct.unpack_from("<I", image.data, 24) == (9,)
    assert verdict(image.data, images, tmp_path) is OK
