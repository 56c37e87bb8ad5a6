"""How an MCUboot was built: its version and options, in the combinations that exist.

Source: MCUboot's boot/zephyr/Kconfig of v2.1.0 and of main at 2d4bacc; the choices and dependencies
are its. Host builds of bootutil, which `tests/truth` has recordings of, know more combinations: these
are made by naming the fields, not by `options_from`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from bench.errors import ConfigError


class Version(StrEnum):
    V2_1_0 = "2.1.0"
    MAIN = "main"
    """Commit 2d4bacc, between 2.4.0 and its successor."""


class Upgrade(StrEnum):
    """What becomes of an update (Kconfig choice BOOT_IMAGE_UPGRADE_MODE)."""

    MOVE = "move"
    SCRATCH = "scratch"
    OFFSET = "offset"
    OVERWRITE = "overwrite-only"
    DIRECT_XIP = "direct-xip"


class Signature(StrEnum):
    """Kconfig choice BOOT_SIGNATURE_TYPE."""

    NONE = "none"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    ECDSA_P256 = "ecdsa-p256"
    ED25519 = "ed25519"


SWAPS = (Upgrade.MOVE, Upgrade.SCRATCH, Upgrade.OFFSET)


@dataclass(frozen=True, slots=True)
class Options:
    """Names as in a descriptor's or bench file's text; in brackets Kconfig's.

    `validate_primary` (BOOT_VALIDATE_SLOT0); `by_version` (MCUBOOT_DOWNGRADE_PREVENTION) and with it
    `by_image_counter` (..._SECURITY_COUNTER), which compares the counters of the two images;
    `by_counter` (MCUBOOT_HW_DOWNGRADE_PREVENTION), which compares with the platform's; `allow_list`
    (MCUBOOT_USE_TLV_ALLOW_LIST), which 2.1.0 always has; `bootstrap` (BOOT_BOOTSTRAP); `revert`
    (BOOT_DIRECT_XIP_REVERT); `max_sectors` (BOOT_MAX_IMG_SECTORS).
    """

    version: Version = Version.MAIN
    upgrade: Upgrade = Upgrade.MOVE
    signature: Signature = Signature.ECDSA_P256
    validate_primary: bool = True
    by_version: bool = False
    by_image_counter: bool = False
    by_counter: bool = False
    allow_list: bool = True
    bootstrap: bool = False
    revert: bool = False
    max_sectors: int = 128

    @property
    def is_main(self) -> bool:
        return self.version is Version.MAIN

    @property
    def swaps(self) -> bool:
        return self.upgrade in SWAPS


def options_from(given: Mapping[str, object]) -> Options:
    """The options named in a bootloader's descriptor; other entries of it are not looked at.

    Raises `ConfigError` for values that are none, and for combinations that Kconfig does not allow.
    """
    named = {field.name: given[field.name] for field in fields(Options) if field.name in given}
    for name, kind in (("version", Version), ("upgrade", Upgrade), ("signature", Signature)):
        if name in named:
            named[name] = _one_of(kind, name, named[name])
    options = Options(**named)  # type: ignore[arg-type]
    for wrong, what, cure in _combinations(options):
        if wrong:
            raise ConfigError(f"there is no MCUboot with {what}", help=cure)
    return options


def _one_of(kind: type[StrEnum], name: str, value: object) -> StrEnum:
    try:
        return kind(str(value))
    except ValueError:
        raise ConfigError(
            f"{value!r} is no {name} of an MCUboot", help=f"one of: {', '.join(kind)}"
        ) from None


def _combinations(options: Options) -> list[tuple[bool, str, str]]:
    direct = options.upgrade is Upgrade.DIRECT_XIP
    return [
        (
            options.upgrade is Upgrade.OFFSET and not options.is_main,
            "swap by offset in version 2.1.0",
            'it came later: version = "main"',
        ),
        (
            options.by_version and options.by_counter,
            "downgrade prevention by version and by the platform's counter",
            "one of by_version and by_counter: Kconfig's BOOT_DOWNGRADE_PREVENTION_CHOICE",
        ),
        (
            options.by_version and direct,
            "downgrade prevention by version and direct-xip",
            "direct-xip always runs the highest version",
        ),
        (
            options.by_image_counter and not (options.by_version and options.swaps),
            "by_image_counter without by_version and a swap",
            "set by_version, and swap",
        ),
        (
            options.revert and not direct,
            f"revert in direct-xip and upgrade {options.upgrade}",
            "a swap reverts by itself: leave it out",
        ),
        (
            not options.allow_list and not options.is_main,
            "no allow-list of TLVs in version 2.1.0",
            "it came later: leave allow_list out",
        ),
        (
            options.bootstrap and direct,
            "bootstrap and direct-xip",
            "direct-xip runs the image where it is",
        ),
    ]
