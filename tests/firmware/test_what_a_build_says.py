"""The project and the revision of a build, from its application descriptor."""

from __future__ import annotations

import pytest

from bench.firmware.image_set import ImageSet
from bench.firmware.told import Told, content_of, told_by

VERSION, PROJECT = 32 + 16, 32 + 48
"""Offsets in an image: header and first segment's are 32 bytes, then `esp_app_desc_t` (ESP-IDF,
esp_app_desc.h): magic, secure version, two words reserved, 32 bytes each of version and project."""


def renamed(data: bytes, version: str, project: str = "lamp") -> bytes:
    changed = bytearray(data)
    for at, text in ((VERSION, version), (PROJECT, project)):
        changed[at : at + 32] = text.encode().ljust(32, b"\0")
    return bytes(changed)


@pytest.mark.parametrize(
    ("version", "revision", "dirty"),
    [
        ("1.2.3", "", False),
        ("v1.2", "", False),
        ("v1.2-dirty", "", True),
        ("v1.2-14-g1a2b3c4", "1a2b3c4", False),
        ("v1.2-14-g1a2b3c4-dirty", "1a2b3c4", True),
        ("1a2b3c4", "1a2b3c4", False),
        ("1a2b3c4-dirty", "1a2b3c4", True),
        ("v5.1-g1234567", "1234567", False),
        ("20260101", "", False),
        ("release-feedback", "", False),
        ("", "", False),
    ],
)
def test_the_revision_as_git_describes_it(
    image_sets: dict[str, ImageSet], version: str, revision: str, dirty: bool
) -> None:
    data = renamed(image_sets["esp32"].update.data, version)
    assert told_by(data, "esp32") == Told("lamp", revision, dirty)


def test_what_has_no_place_for_it_says_nothing(image_sets: dict[str, ImageSet]) -> None:
    assert told_by(image_sets["mcuboot"].update.data, "mcuboot") == Told()
    assert told_by(b"anything", "package") == Told()
    assert told_by(b"anything", "esp32") == Told()


@pytest.mark.parametrize("container", ["mcuboot", "esp32"])
def test_what_lies_behind_a_build_makes_no_other_one(image_sets: dict[str, ImageSet], container: str) -> None:
    images = image_sets[container]
    content = content_of(images.update.data, container)
    assert content_of(images.update.data + b"\xff" * 64, container) == content
    assert content_of(images.baseline.data, container) not in ("", content)
    assert content_of(b"nothing of the kind", container) == ""
    assert content_of(images.update.data, "package") == ""
