"""The packages of components: what the builder writes is what the device reads, and nothing else is."""

from __future__ import annotations

import hashlib
import struct

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.virtual.component_images import build_packages, bundle, package
from bench.virtual.firmware.update.component_package import Damaged, NoPackage, parse, version_key
from bench.virtual.firmware.update.component_store import BANK_SIZE

GOOD = package("sensors", "2.0.0", {"display": "1.1.0"}, size=100)


def sealed(head: bytes) -> bytes:
    return head + hashlib.sha256(head).digest()


def test_a_package_is_read_as_it_was_built() -> None:
    (read,) = parse(GOOD + b"\xff" * 50)
    assert (read.component, read.version, read.requires) == ("sensors", "2.0.0", {"display": "1.1.0"})
    assert read.data == GOOD


def test_a_bundle_gives_its_packages_whole() -> None:
    other = package("display", "2.1.0", size=70)
    assert [p.data for p in parse(bundle([GOOD, other]) + b"\xff")] == [GOOD, other]


def test_equal_inputs_give_equal_bytes(tmp_path) -> None:
    first, second = (build_packages(tmp_path) for _ in range(2))
    assert {n: p.read_bytes() for n, p in first.items()} == {n: p.read_bytes() for n, p in second.items()}
    assert all(path.stat().st_size <= BANK_SIZE for path in first.values())


@pytest.mark.parametrize("position", range(4, len(GOOD), 7))
def test_one_flipped_bit_is_damage(position: int) -> None:
    data = bytearray(GOOD)
    data[position] ^= 0x10
    with pytest.raises(Damaged):
        parse(bytes(data))


@pytest.mark.parametrize("length", [10, 11, 40, len(GOOD) - 1])
def test_a_truncated_package_is_damage(length: int) -> None:
    with pytest.raises(Damaged):
        parse(GOOD[:length])


@pytest.mark.parametrize("data", [b"", b"VCM", b"\xff" * 4096, b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_something_else_is_no_package(data: bytes) -> None:
    with pytest.raises(NoPackage):
        parse(data)


@pytest.mark.parametrize(
    "told",
    [
        [],
        {},
        {"component": "a", "version": "1.0.0"},
        {"component": "a", "version": "one", "requires": {}},
        {"component": "a", "version": "", "requires": {}},
        {"component": "a", "version": 1, "requires": {}},
        {"component": "a", "version": "1.0.0", "requires": ["b"]},
        {"component": "a", "version": "1.0.0", "requires": {"b": "?"}},
    ],
)
def test_a_wrong_description_under_a_right_hash_is_damage(told: object) -> None:
    description = cbor2.dumps(told)
    with pytest.raises(Damaged):
        parse(sealed(b"VCMP" + struct.pack("<HI", len(description), 0) + description))


@pytest.mark.parametrize("inner", [b"", GOOD[:-1], b"noise" * 20, GOOD + b"x", bundle([GOOD])])
def test_a_bundle_of_something_else_is_damage(inner: bytes) -> None:
    with pytest.raises(Damaged):
        parse(sealed(b"VCMB" + struct.pack("<HI", 1, len(inner)) + inner))


@given(st.binary(max_size=300), st.sampled_from([b"", b"VCMP", b"VCMB"]))
def test_noise_is_never_a_package(noise: bytes, magic: bytes) -> None:
    with pytest.raises((NoPackage, Damaged)):
        parse(magic + noise)


@given(st.binary(max_size=80))
def test_a_noisy_description_is_damage_and_nothing_worse(noise: bytes) -> None:
    with pytest.raises(Damaged):
        parse(sealed(b"VCMP" + struct.pack("<HI", len(noise), 0) + noise))


def test_versions_compare_by_number() -> None:
    assert sorted(["1.10.0", "1.9.0", "", "2.0.0"], key=version_key) == ["", "1.9.0", "1.10.0", "2.0.0"]
