"""Hostile and odd images: what each is, and which ends of an update with it are right.

The kinds are tables, one a container; each image is derived from the good update of a board.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.errors import NotApplicable
from bench.firmware.image import FirmwareImage
from bench.firmware.image_set import ImageSet

NO_FLASH, CONNECTION_LOST, INTEGRITY, UNSUPPORTED, FAILED = 2, 4, 5, 6, 8
"""Values of the Update Result (/5/0/5, OMA LwM2M object 5); FAILED is an image refused at boot."""


@dataclass(frozen=True, slots=True)
class HostileKind:
    """`what` says how the image is wrong; `results` are the Update Results that refuse it rightly.

    `needs` is the capability without which a board rightly takes the image: a choice of its bootloader's
    build.
    """

    name: str
    container: str
    what: str
    results: tuple[int, ...]
    derive: Callable[[ImageSet], bytes]
    needs: str | None = None

    def __str__(self) -> str:
        return self.name

    def image(self, images: ImageSet) -> FirmwareImage:
        """The image, from the update. Raises `NotApplicable` when something is missing for it."""
        return replace(images.update, data=self.derive(images), path=None)


def key_of(images: ImageSet) -> bytes:
    """The signing key, as PEM. Raises `NotApplicable` without one."""
    if images.signing_key is None:
        raise NotApplicable("the bench file gives no images.signing_key")
    return images.signing_key


def below(version: str) -> str:
    """A lower version than "major.minor.revision". Raises `NotApplicable` for 0.0.0."""
    major, minor, revision = (int(part) for part in version.split("."))
    if revision:
        return f"{major}.{minor}.{revision - 1}"
    if minor:
        return f"{major}.{minor - 1}.9"
    if major:
        return f"{major - 1}.9.9"
    raise NotApplicable("there is no version below the baseline's 0.0.0")
