"""Bench file and board files -> validated settings. A mistake names file, key, value and reason."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bench.config.attached import AnyBoardSettings, BenchSettings, BoardSettings
from bench.config.board_type import BoardType
from bench.config.process import ProcessImage, ProcessType
from bench.config.table import Table
from bench.errors import ConfigError

M = TypeVar("M", bound=Table)
BOARD_HELP = "see docs/board-files.md for a board, docs/process-boards.md for a program"
UNION_TAGS = ("swd", "rom-serial", "board", "process")
"""What pydantic puts into the place of an error where a table comes in several kinds."""


AnyBoardType = BoardType | ProcessType


class Bench(Table):
    """Everything a station is built from."""

    path: Path
    settings: BenchSettings
    types: dict[str, BoardType | ProcessType]

    def type_of(self, board: str) -> AnyBoardType:
        return self.types[self.settings.boards[board].type]

    def board_type_of(self, board: str) -> BoardType:
        """That of a board with a supply, never of a program."""
        found = self.type_of(board)
        assert isinstance(found, BoardType)
        return found


def load_bench(path: Path, boards: tuple[str, ...] = ()) -> Bench:
    """Read a bench file and the board files beside it; keep only the named boards if any are named.

    Raises `ConfigError` naming file, key, value and reason.
    """
    settings = _read(path, BenchSettings, "bench file", "see boards/virtual.toml for a complete example")
    for name in boards:
        if name not in settings.boards:
            raise ConfigError(
                f"{path}: no board {name!r}; the file has {', '.join(sorted(settings.boards))}",
                help="give one of these to --board, or add the board to the bench file",
            )
    if boards:
        kept = {name: b for name, b in settings.boards.items() if name in boards}
        settings = settings.model_copy(update={"boards": kept})
    types = {}
    for name, board in settings.boards.items():
        types[board.type] = _board_type(path, name, board)
    base = path.parent
    server, own = settings.server, settings.bench.requirements
    files = {name: getattr(server, name) for name in ("certificate", "certificate_key", "client_ca")}
    settings = settings.model_copy(
        update={
            "boards": {n: _absolute(b, base) for n, b in settings.boards.items()},
            "server": server.model_copy(update={n: p and base / p for n, p in files.items()}),
            "bench": settings.bench.model_copy(update={"requirements": own and base / own}),
        }
    )
    return Bench(path=path, settings=settings, types=types)


def _board_type(path: Path, name: str, board: AnyBoardSettings) -> AnyBoardType:
    file = path.parent / f"{board.type}.toml"
    if not file.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.toml") if "[board]" in p.read_text("utf-8"))
        raise ConfigError(
            f"{path}: boards.{name}.type = {board.type!r}: there is no board file {file}",
            help=f"board files in that folder: {', '.join(known) or 'none'}",
        )
    if _toml(file, "board file", BOARD_HELP).get("board", {}).get("kind") == "process":
        if isinstance(board, BoardSettings):
            raise ConfigError(
                f"{path}: boards.{name}: a board of kind 'process' has no console, flasher or supply",
                help=f"remove these keys; {file} says how the program is run",
            )
        return _absolute_process(_read(file, ProcessType, "board file", BOARD_HELP, table="board"), file)
    board_type = _read(file, BoardType, "board file", BOARD_HELP, table="board")
    if not isinstance(board, BoardSettings):
        raise ConfigError(
            f"{path}: boards.{name}: a {board_type.driver} needs console, flasher, supply and images",
            help="see boards/virtual.toml for a complete example",
        )
    wanted = {"nrf9160": "swd", "esp32": "rom-serial"}[board_type.driver]
    if board.flasher.kind != wanted:
        raise ConfigError(
            f"{path}: boards.{name}.flasher.kind = {board.flasher.kind!r}: "
            f"a {board_type.driver} needs {wanted!r}",
            help="correct the flasher, or the board's type",
        )
    return board_type


def _absolute_process(board_type: ProcessType, file: Path) -> ProcessType:
    """Paths of a board file are relative to it; a program without a folder is looked up in PATH."""
    base = file.parent.resolve()
    images = board_type.images
    program = Path(board_type.command[0])
    if len(program.parts) > 1 and "{" not in board_type.command[0]:
        program = base / program

    def placed(image: ProcessImage) -> ProcessImage:
        return image.model_copy(update={"file": image.file and base / image.file})

    return board_type.model_copy(
        update={
            "command": [str(program), *board_type.command[1:]],
            "cwd": board_type.cwd and base / board_type.cwd,
            "images": images.model_copy(
                update={
                    "baseline": placed(images.baseline),
                    "update": placed(images.update),
                    "variants": {n: base / p for n, p in images.variants.items()},
                    "components": {n: base / p for n, p in images.components.items()},
                }
            ),
        }
    )


def _absolute(board: AnyBoardSettings, base: Path) -> AnyBoardSettings:
    if not isinstance(board, BoardSettings):
        return board
    images = board.images
    update = {
        "baseline": images.baseline and base / images.baseline,
        "update": images.update and base / images.update,
        "factory": {a: base / p for a, p in images.factory.items()},
        "variants": {n: base / p for n, p in images.variants.items()},
        "signing_key": images.signing_key and base / images.signing_key,
        "components": {n: base / p for n, p in images.components.items()},
    }
    return board.model_copy(update={"images": images.model_copy(update=update)})


def _toml(path: Path, what: str, help: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{what} {path} does not exist", help=help) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} {path} cannot be read: {error}", help=help) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{what} {path} is not TOML: {error}", help=help) from None


def _read(path: Path, model: type[M], what: str, help: str, table: str | None = None) -> M:
    raw = _toml(path, what, help)
    if table is not None:
        raw = {**raw.pop(table, {}), **raw}
    if table is None and "board" in raw:
        raise ConfigError(f"{path} is a board file, not a {what}", help=help)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, e) for e in error.errors()), help=help) from None


def _explain(path: Path, error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"] if part not in UNION_TAGS)
    reason = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{path}: {key}: missing"
    if error["type"] == "extra_forbidden":
        return f"{path}: {key} = {error['input']!r}: no such key"
    if not key:
        return f"{path}: {reason}"
    if key.endswith(("psk_key", "password")) or "@" in str(error["input"]):
        # a key or a password, even a wrong one or one in a URL, is nobody's business
        return f"{path}: {key}: {reason}"
    return f"{path}: {key} = {error['input']!r}: {reason}"
