"""The `bench` command: one file for each of its commands, or for those that belong together.

A command's work is done in the room it belongs to, and imported when the command runs: `bench check`
must not wait for what draws pictures.
"""

from __future__ import annotations

import shutil
import signal
import sys
import textwrap

import click

from bench.cli.attached import calibrate, check, up
from bench.cli.measured import baseline
from bench.cli.mutants import mutants
from bench.cli.recover import recover
from bench.cli.report import report
from bench.cli.runs import coverage, verdict
from bench.cli.seeds import seeds
from bench.cli.signoff import signoff, verify
from bench.errors import BenchError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Hardware-in-the-loop test bench for LwM2M firmware updates."""


ATTACHED = (check, up, calibrate, recover)
RUNS = (coverage, verdict, baseline, mutants, seeds, signoff, verify, report)
for command in (*ATTACHED, *RUNS):
    commands.add_command(command)


def main() -> None:
    """Entry point of the console script: faults of the bench are one message, not a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended, as by Ctrl-C
    try:
        commands()
    except BenchError as error:
        text = f"bench: {error}"
        if sys.stderr.isatty():
            text = wrapped(text, shutil.get_terminal_size().columns)
        click.echo(text, err=True)
        sys.exit(3)


def wrapped(text: str, columns: int) -> str:
    """For a terminal; elsewhere a mistake stays one line, for grep and for a log."""
    lines: list[str] = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        lines += textwrap.wrap(
            line, columns - 1, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    return "\n".join(lines)
