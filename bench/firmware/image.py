"""A firmware image as a file: what it is, what version, and whether it fits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.errors import ImageError
from bench.firmware import esp32, mcuboot
from bench.outside_files import IMAGE, read_bytes

CONTAINERS: dict[str, Callable[[bytes], mcuboot.McubootImage | esp32.Esp32Image]] = {
    "mcuboot": mcuboot.parse,
    "esp32": esp32.parse,
}


@dataclass(frozen=True)
class FirmwareImage:
    """`data` is what travels to the device and lies in its slot; `version` is "major.minor.revision"."""

    data: bytes
    container: str
    version: str
    path: Path | None = None

    @property
    def size(self) -> int:
        return len(self.data)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def __repr__(self) -> str:
        return f"<{self.container} image {self.version}, {self.size} bytes, sha256 {self.sha256[:12]}>"


def load_image(path: Path, *, container: str, slot_size: int | None = None) -> FirmwareImage:
    """Read and check an image. `slot_size` is in bytes.

    Raises `FileError` when the file cannot be read, `ImageError` when it is no image, is one of another
    container, or is larger than the slot.
    """
    data = read_file(path)
    try:
        version = CONTAINERS[container](data).version
    except ImageError as error:
        other = _other_container(data, container)
        what = f"is for {other}, not {container}" if other else f"is not a {container} image: {error.message}"
        raise ImageError(f"image {path} {what}", help="give the signed build for this board") from None
    if slot_size is not None and len(data) > slot_size:
        raise ImageError(
            f"image {path} has {len(data)} bytes, the slot {slot_size}",
            help="build a smaller image, or correct the flash map in the board file",
        )
    return FirmwareImage(data, container, version, path)


def read_file(path: Path) -> bytes:
    """A firmware file, read once: what is flashed and what is hashed are the same bytes.

    Raises `FileError`.
    """
    return read_bytes(path, "an image", limit=IMAGE, help="correct the path in the bench file")


def _other_container(data: bytes, container: str) -> str | None:
    for name, parse in CONTAINERS.items():
        if name != container:
            try:
                parse(data)
            except ImageError:
                continue
            return name
    return None
