"""A LwM2M client that runs as a host program: power off is SIGKILL, power on a start."""

from __future__ import annotations

import shutil
import tempfile
import urllib.parse
from pathlib import Path

from bench.clock import Clock
from bench.config import ProcessSettings, ProcessType
from bench.dut.console import Console
from bench.dut.dut import Dut
from bench.dut.program import Program, Start
from bench.dut.program_port import ProgramPort
from bench.errors import ConfigError
from bench.firmware.image import FirmwareImage
from bench.firmware.image_set import ImageSet
from bench.timeline import Timeline


class ProcessDut(Dut):
    """`type` is its board file, which says how the program is run."""

    type: ProcessType

    def __init__(
        self,
        name: str,
        settings: ProcessSettings,
        process_type: ProcessType,
        images: ImageSet,
        *,
        clock: Clock,
        timeline: Timeline,
    ) -> None:
        port = ProgramPort()
        console = Console(name, process_type.command[0], clock, timeline, opened_port=lambda: _opened(port))
        super().__init__(
            name, settings, process_type, images, console=console, clock=clock, timeline=timeline
        )
        self._settings = settings
        self._program = Program(name, port, self._note)
        self._folder = tempfile.TemporaryDirectory(prefix=f"bench-{name}-", ignore_cleanup_errors=True)
        self._server_uri = ""
        self._command_line = process_type.command

    @property
    def state(self) -> Path:
        """The folder that survives power cycles."""
        return Path(self._folder.name) / "state"

    def check(self) -> None:
        if self.type.cwd is not None and not self.type.cwd.is_dir():
            raise ConfigError(
                f"{self.name}: there is no folder {self.type.cwd}", help="correct `cwd` in the board file"
            )
        if self.type.command[0] != "{image}":  # else it is there once it was installed
            self._program.check(self._start())
        self.console.open()

    def make_safe(self) -> None:
        self._program.kill()

    def install(self, image: FirmwareImage) -> None:
        """An empty state folder, and a fresh copy of the baseline."""
        self._program.kill()
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir(parents=True)
        if image.path is not None:
            self._image.write_bytes(image.data)  # not the file, which may be another by now
            self._image.chmod(0o755)
        self.installed = image

    @property
    def _image(self) -> Path:
        return Path(self._folder.name) / "image"

    @property
    def _ca(self) -> Path:
        return Path(self._folder.name) / "ca.pem"

    @property
    def _key_file(self) -> Path:
        return Path(self._folder.name) / "psk"

    def commission(self, server_uri: str) -> None:
        if self._settings.security is not None:
            self._key_file.touch(mode=0o600)
            self._key_file.write_text(self._settings.security.key + "\n", encoding="ascii", newline="\n")
        if self.trusted_ca is not None:
            self._ca.write_bytes(self.trusted_ca)
        self._server_uri, self._command_line = server_uri, self.type.command
        self.power_on()

    def commission_by_bootstrap(self, server_uri: str) -> None:
        if self.type.bootstrap_command is None:
            raise ConfigError(
                f"{self.type.name} has the capability 'bootstrap', but no bootstrap_command",
                help="say in the board file how the program is told its bootstrap server",
            )
        self._server_uri, self._command_line = server_uri, self.type.bootstrap_command
        self.power_on()

    def check_supply(self) -> None:
        """A program needs none."""

    def power_on(self) -> None:
        self.on_restart()
        self.console.open()
        self._timeline.record(self.name, "power", "on")
        self._program.start(self._start())

    def power_off(self) -> None:
        self._program.kill()
        self._timeline.record(self.name, "power", "off")

    @property
    def gone(self) -> str | None:
        if self._program.ended is None:
            return None
        last = [line.text for line in self.console.lines()[-3:]]
        return f"{self._program.ended}; its last lines: {' | '.join(last) or 'none'}"

    def close(self) -> None:
        self._program.kill()
        self.console.close()
        self._folder.cleanup()

    def assert_running(self, image: FirmwareImage) -> None:
        self._timeline.record(
            self.name, "not checked", f"that {image} runs: a program has no flash to be read back"
        )

    def _start(self) -> Start:
        """The command of the board file, placeholders filled in."""
        uri = urllib.parse.urlsplit(self._server_uri)
        security = self._settings.security
        values = {
            "server": self._server_uri,
            "server_host": uri.hostname or "",
            "server_port": str(uri.port or (5684 if uri.scheme == "coaps" else 5683)),
            "endpoint": self.endpoint,
            "lifetime": str(self.type.lifetime),
            "state": str(self.state),
            "image": str(self._image),
            "ca": str(self._ca),
            "psk_identity": security.identity if security else "",
            "psk_key": security.key if security else "",
            "psk_file": str(self._key_file),
        }
        return Start(
            command=[part.format(**values) for part in self._command_line],
            env={name: text.format(**values) for name, text in self.type.env.items()},
            cwd=self.type.cwd,
            pty=self.type.pty,
            restart=self.type.restart,
            restart_delay=self.type.restart_delay,
            restart_status=self.type.restart_status,
        )

    def _note(self, event: str, status: int | None) -> None:
        details = {} if status is None else {"status": status}
        self._timeline.record(self.name, "program", event, **details)
        if self._program.ended is not None:
            self.on_gone()


def _opened(port: ProgramPort) -> ProgramPort:
    port.open()
    return port
