"""What a build says of itself beyond its version: its project, the revision that it was built from.

ESP-IDF writes both into each application (`esp_app_desc_t`, ESP-IDF programming guide, "App Image Format"):
`project_name`, and `version`, which is `git describe --always --tags --dirty` unless the project sets
another. MCUboot's header has a version alone, and none of its TLVs is for a name or a revision (MCUboot
design document, "Image format").
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from bench.errors import ImageError
from bench.firmware import esp32, mcuboot

DESCRIBED = re.compile(r"(?:^(?=[0-9]*[a-f])|-g)([0-9a-f]{7,64})(?:-dirty)?$")
"""How `git describe --always --dirty` ends where no tag is on the very commit (git-describe(1)).

Digits alone are taken for a date or a number.
"""
DIRTY = "-dirty"


@dataclass(frozen=True, slots=True)
class Told:
    """ "" for what the build does not say; `dirty` says that no revision holds all its sources."""

    project: str = ""
    revision: str = ""
    dirty: bool = False


def content_of(data: bytes, container: str) -> str:
    """The SHA-256 of what of a build runs, the same however it is signed and whatever lies behind it.

    Of an MCUboot image what its signature covers, of an ESP32's the image without what was appended; "" where
    nobody but the device can tell.
    """
    try:
        if container == "mcuboot":
            return hashlib.sha256(data[: mcuboot.parse(data).covered]).hexdigest()
        if container == "esp32":
            return hashlib.sha256(data[: esp32.parse(data).total_size]).hexdigest()
    except ImageError:
        pass
    return ""


def told_by(data: bytes, container: str) -> Told:
    """What a build tells of itself; nothing where it has no place for it."""
    if container != "esp32":
        return Told()
    try:
        image = esp32.parse(data)
    except ImageError:
        return Told()
    found = DESCRIBED.search(image.version)
    return Told(image.project, "" if found is None else found[1], image.version.endswith(DIRTY))
