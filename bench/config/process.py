"""Board files of kind "process": a LwM2M client that runs as a program on the bench PC."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, model_validator

from bench.config.board_type import DutType
from bench.config.images import DERIVED, VARIANTS
from bench.config.nearest import suggestion
from bench.config.table import Mistake, Table, refuse

PLACEHOLDERS = {
    "server": "the server's URI, coap://HOST:PORT (coaps:// with credentials)",
    "server_host": "its address",
    "server_port": "its port",
    "endpoint": "the endpoint name to register with",
    "lifetime": "the lifetime to register with, in seconds",
    "state": "a folder that survives power cycles and is empty after an installation",
    "image": "the installed baseline, a file of its own that the program may replace",
    "ca": "a PEM file with the CA certificate of the bench's https server",
    "psk_identity": "the identity for DTLS",
    "psk_key": "the key for DTLS, in hexadecimal digits; in `command` every user of this PC can see it",
    "psk_file": "a file with that key, which only the bench's user can read",
}
"""What a command may contain in braces. Braces of its own are doubled."""


class ProcessImage(Table):
    """A package (or, as baseline, what is installed) and the version that runs with it."""

    file: Path | None = None
    version: str = Field(min_length=1)


class ProcessImages(Table):
    """`baseline` may have no file where the program itself is all there is; `variants` and `components`
    as for any board.

    `limit` is the size of the largest package the client stores, in bytes, where it has one.
    """

    baseline: ProcessImage
    update: ProcessImage
    variants: dict[str, Path] = {}
    components: dict[str, Path] = {}
    limit: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.update.file is None:
            raise ValueError("update.file is missing: it is the package that is delivered")
        known = (*VARIANTS, *DERIVED)
        refuse(
            Mistake(
                ("variants", name),
                f"variant {name!r} is not one of {', '.join(known)}",
                suggestion(name, known, "variants"),
            )
            for name in self.variants
            if name not in known
        )
        return self


class ProcessType(DutType):
    """A client program.

    `command` is the program and its arguments, without a shell; `cwd` and a program given with a
    path are relative to the board file. `restart` says how it starts anew for an update: "exec", it
    replaces itself, or starts its successor and ends; "exit", it ends, and is started again after
    `restart_delay` seconds as an init system would do it, if its exit status is one of
    `restart_status` (None: any that is not a crash). A program that ends otherwise stays down until
    power is next switched on, and the testcase fails. `bootstrap_command` starts it in the place of `command`
    where it is to know its bootstrap server alone, which is then {server}. `pty` gives it a pseudo-terminal
    instead of pipes (not on Windows).
    """

    kind: Literal["process"]
    command: list[str] = Field(min_length=1)
    bootstrap_command: list[str] | None = Field(None, min_length=1)
    env: dict[str, str] = {}
    cwd: Path | None = None
    pty: bool = False
    restart: Literal["exec", "exit"] = "exec"
    restart_delay: NonNegativeFloat = 0.5
    restart_status: tuple[int, ...] | None = None
    lifetime: int = Field(300, gt=0)
    images: ProcessImages

    @model_validator(mode="after")
    def _image_given(self) -> Self:
        if self.images.baseline.file is None and any("{image}" in part for part in self.command):
            raise ValueError("the command uses {image}, but images.baseline has no file")
        return self

    @model_validator(mode="after")
    def _placeholders(self) -> Self:
        texts: list[tuple[tuple[str, ...], str]] = [(("command",), text) for text in self.command]
        texts += [(("bootstrap_command",), text) for text in self.bootstrap_command or ()]
        texts += [(("env", name), text) for name, text in self.env.items()]
        known = ", ".join("{" + name + "}" for name in PLACEHOLDERS)
        refuse(
            Mistake(
                key,
                f"{text!r}: {{{name}}} is not one of {known}",
                f"{suggestion(name, PLACEHOLDERS, 'placeholders')} A brace that is meant is doubled",
            )
            for key, text in texts
            for name in re.findall(r"\{([^}]*)\}?", text.replace("{{", "").replace("}}", ""))
            if name not in PLACEHOLDERS
        )
        return self
