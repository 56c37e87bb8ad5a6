"""What each driver says to its instrument, and who confirms it: one file of data per driver, in `commands/`.

A row is a command with the source that confirms it; without one it is unconfirmed. Rows are in an order in
which each may be sent once to an idle instrument. `docs/instruments.md` shows them:
`python -m bench.instruments.command_table docs/instruments.md` writes them there anew.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from bench.errors import ConfigError

_PLACE = re.compile(r"<([\w-]+)>")
BEGIN, END = "<!-- command tables: begin -->\n", "<!-- command tables: end -->\n"


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `<name>` in its `form` stands for something without a comma, semicolon or space.

    `example` is the form filled in, which leaves an output off. `source` is None where nothing confirms the
    command, and `only` names the models that have it, where not all of the driver's do.
    """

    form: str
    example: str
    use: str
    source: str | None
    only: str | None

    @property
    def is_query(self) -> bool:
        """Whether it is answered."""
        return "?" in self.form

    def fits(self, line: str) -> bool:
        """Whether `line`, as it went over the wire, is this command."""
        parts = _PLACE.split(self.form)
        pattern = "".join(r"[^,;\s]+" if n % 2 else re.escape(part) for n, part in enumerate(parts))
        return re.fullmatch(pattern, line) is not None


@dataclass(frozen=True, slots=True)
class CommandTable:
    """What one driver sends. `sources`: the short names in `Command.source`, and what they stand for."""

    driver: str
    sources: Mapping[str, str]
    commands: tuple[Command, ...]

    def find(self, line: str) -> Command | None:
        """The command that `line` is, None where it is none of them."""
        return next((command for command in self.commands if command.fits(line)), None)

    def as_markdown(self) -> str:
        """Heading, table and legend."""
        rows = "".join(
            f"| `{c.form}` | {c.use}{f' ({c.only})' if c.only else ''} | {c.source or '**unconfirmed**'} |\n"
            for c in self.commands
        )
        legend = "; ".join(f"{name}: {title}" for name, title in self.sources.items())
        return f"### `{self.driver}`\n\n| command | use | source |\n|---|---|---|\n{rows}\n{legend}.\n"


@cache
def tables() -> Mapping[str, CommandTable]:
    """Name of the driver, as the bench file says it -> its commands, for each driver that has a file."""
    folder = resources.files("bench.instruments") / "commands"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {
        (name := file.name.removesuffix(".toml")): _table(name, file.read_text("utf-8")) for file in files
    }


def commands_of(driver: str) -> CommandTable:
    """The commands of a driver. Raises `ConfigError` for one that has no table."""
    try:
        return tables()[driver]
    except KeyError:
        raise ConfigError(
            f"driver {driver!r} has no table of commands", help=f"there are: {', '.join(tables())}"
        ) from None


def _table(driver: str, text: str) -> CommandTable:
    data = tomllib.loads(text)
    examples = data["examples"]
    commands = tuple(
        Command(
            form=form,
            example=_PLACE.sub(lambda place: examples[place[1]], form),
            use=row["use"],
            source=row.get("source"),
            only=row.get("only"),
        )
        for form, row in data["commands"].items()
    )
    return CommandTable(driver, data["sources"], commands)


def documented(text: str) -> str:
    """`text` with the present tables between its two marks. Raises `ConfigError` without the marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError(
            "no place for the tables of commands", help=f"it is between {BEGIN.strip()} and {END.strip()}"
        )
    shown = "\n".join(table.as_markdown() for table in tables().values())
    return f"{before}{begin}\n{shown}\n{end}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(documented(path.read_text("utf-8")), "utf-8")
