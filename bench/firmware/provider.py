"""The images of one board, from the files that its bench file or board file names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.config import BoardSettings, BoardType, ProcessType
from bench.config.images import DERIVED
from bench.config.names import load_name
from bench.config.process import ProcessImage
from bench.errors import ImageError
from bench.firmware import esp32_layout, mcuboot
from bench.firmware.factory import Extent, misplaced
from bench.firmware.image import FirmwareImage, load_image, read_file
from bench.firmware.image_set import FactoryPart, ImageSet

OPAQUE = "package"
"""The container of a package that only the client under test can read."""


def load_images(board_type: BoardType, board: BoardSettings, work: Path) -> ImageSet:
    """Read, or have built, the images of one board. Raises `ImageError` or `ConfigError`."""
    files = board.images
    baseline, update, factory = files.baseline, files.update, _factory(files.factory.items())
    variants: dict[str, Path] = {str(name): path for name, path in files.variants.items()}
    components = files.components
    signing_key = files.signing_key
    if files.provider is not None:
        work.mkdir(parents=True, exist_ok=True)
        built = load_name(files.provider, "images.provider")(board_type.name, work)
        baseline = baseline or built.baseline
        update = update or built.update
        factory = factory or tuple(FactoryPart(p.address, p.path) for p in built.factory)
        variants = {**built.variants, **variants}
        components = {**built.components, **components}
        signing_key = signing_key or built.signing_key
    assert baseline is not None
    assert update is not None
    slot = board_type.image_limit
    container = board_type.firmware.container
    applications = [load_image(path, container=container, slot_size=slot) for path in (baseline, update)]
    if board_type.driver == "esp32":
        for image in applications:
            esp32_layout.check_chip(image.data, image.path)
    new = applications[1]
    images = ImageSet(
        baseline=applications[0],
        update=new,
        factory=_placed(factory, board_type),
        limit=slot,
        slot_size=min(board_type.regions[name].size for name in board_type.firmware.slots),
        variants={
            name: FirmwareImage(read_file(path), container, new.version, path)
            if name in DERIVED  # packages that no board takes: they may be anything
            else load_image(path, container=container, slot_size=slot)
            for name, path in variants.items()
        },
        components=_components(components),
        signing_key=None if signing_key is None else read_file(signing_key),
    )
    _spare_counter(images, board_type)
    return images


def _spare_counter(images: ImageSet, board_type: BoardType) -> None:
    """A counter that cannot be reset must not be counted up: the baseline would never boot again."""
    counter = board_type.firmware.counter
    if counter is None or counter in board_type.firmware.wiped:
        return
    kept = _counter(images.baseline)
    for image in (images.update, *images.variants.values()):
        if (found := _counter(image)) > kept:
            raise ImageError(
                f"{image.path}: its security counter is {found}, that of the baseline {kept}; {counter!r} of "
                f"{board_type.name} only counts up, so that the baseline would be refused for good",
                help="sign what is tested with the same security counter (imgtool --security-counter)",
            )


def _counter(image: FirmwareImage) -> int:
    """MCUboot's security counter of an image, 0 without one."""
    if image.container != "mcuboot":
        return 0
    return int.from_bytes(mcuboot.parse(image.data).tlvs.get(mcuboot.Tlv.SECURITY_COUNTER, b""), "little")


def _factory(items: Iterable[tuple[str, Path]]) -> tuple[FactoryPart, ...]:
    return tuple(FactoryPart(int(address, 0), path) for address, path in items)


def _placed(parts: tuple[FactoryPart, ...], board_type: BoardType) -> tuple[FactoryPart, ...]:
    """The same parts. Raises `ImageError` where one cannot lie where it is to lie."""
    extents = [Extent(str(p.path), p.address, p.address + len(p.data)) for p in parts]
    for extent, reason, cure in misplaced(extents, board_type):
        raise ImageError(f"factory part {extent.name} {reason}", help=cure)
    if board_type.driver == "esp32":
        esp32_layout.check_factory([(part.address, part.path) for part in parts], board_type)
    return parts


def load_packages(process: ProcessType) -> ImageSet:
    """The packages of a client program. Raises `ImageError` when a file cannot be read."""
    images = process.images
    return ImageSet(
        baseline=_package(images.baseline),
        update=_package(images.update),
        limit=images.limit or 0,
        variants={
            name: FirmwareImage(read_file(path), OPAQUE, images.update.version, path)
            for name, path in images.variants.items()
        },
        components=_components(images.components),
    )


def _components(files: Mapping[str, Path]) -> dict[str, FirmwareImage]:
    """Packages that only the device can read; their versions are for the device to tell."""
    return {name: FirmwareImage(read_file(path), OPAQUE, "", path) for name, path in files.items()}


def _package(image: ProcessImage) -> FirmwareImage:
    data = b"" if image.file is None else read_file(image.file)
    return FirmwareImage(data, OPAQUE, image.version, image.file)
