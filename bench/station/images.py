"""The images of whatever a bench file calls a board."""

from __future__ import annotations

from pathlib import Path

from bench.config import Bench, BoardSettings, BoardType, ProcessType
from bench.firmware.image_set import ImageSet
from bench.firmware.provider import load_images, load_packages


def images_of(bench: Bench, name: str, work: Path) -> ImageSet:
    """The images of one board of a bench file. Raises `ImageError` or `ConfigError`."""
    match bench.settings.boards[name], bench.type_of(name):
        case BoardSettings() as board, BoardType() as board_type:
            return load_images(board_type, board, work)
        case _, ProcessType() as process:
            return load_packages(process)
    raise AssertionError("the settings were checked when they were read")
