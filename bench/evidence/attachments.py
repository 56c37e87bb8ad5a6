"""Slices of the timeline as text a newcomer can read: serial logs, CoAP, SCPI, flash, states, events.

Pure functions from entries to files; whoever keeps the report attaches them. Of a long serial log the end
is a text, because a report shows it in a page; the whole is in a ZIP archive. Every line begins with
bench time in seconds, with three decimals, so that two attachments can be read side by side.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.evidence.measurement_table import as_html
from bench.evidence.measurements import as_csv, measurements
from bench.timeline import Entry

SERIAL_KINDS = ("line", "partial", "sent", "port")
INSTRUMENT_KINDS = ("scpi", "command")
FLASH_KINDS = ("swd", "flash")
EVENT_KINDS = ("step", "power", "port", "registration", "state", "warning")

TAIL = 200
"""Lines of a serial log that are shown as text."""

STATES = {0: "Idle", 1: "Downloading", 2: "Downloaded", 3: "Updating"}
"""Values of /5/0/3. Source: OMA LwM2M object 5, resource 3."""

RESULTS = {
    0: "initial",
    1: "updated",
    2: "not enough flash",
    3: "out of RAM",
    4: "connection lost",
    5: "integrity check failed",
    6: "unsupported package type",
    7: "invalid URI",
    8: "update failed",
    9: "unsupported protocol",
    10: "cancelled",
    11: "deferred",
    12: "conflicting state",
    13: "dependency error",
}
"""Values of /5/0/5. Source: OMA LwM2M object 5, resource 5, versions 1.0 and 1.1; object 33629 (12, 13)."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """One attachment: `name` is its title in the report, `extension` without a dot."""

    name: str
    content: str | bytes
    extension: str = "txt"


def files(entries: Sequence[Entry]) -> list[AttachedFile]:
    """Everything worth attaching from these entries; what did not happen gives no file."""
    measured = measurements(entries)
    consoles = _sources(entries, SERIAL_KINDS)
    logs = {source: serial_log(entries, source) for source in consoles}
    found = [
        AttachedFile("measurements, with limits", as_html(measured), "html"),
        AttachedFile("measurements", as_csv(measured), "csv"),
        AttachedFile("state transitions", state_table(entries)),
        AttachedFile("events", events(entries)),
        *(AttachedFile(f"serial log {source}", tail(text)) for source, text in logs.items()),
        AttachedFile("serial logs, whole", _zipped(logs), "zip"),
        AttachedFile("CoAP trace", coap_trace(entries)),
        *(
            AttachedFile(f"SCPI log {source}", scpi_log(entries, source))
            for source in _sources(entries, INSTRUMENT_KINDS)
        ),
        *(
            AttachedFile(f"flash operations {source}", flash_operations(entries, source))
            for source in _sources(entries, FLASH_KINDS)
        ),
    ]
    return [file for file in found if file.content]


def tail(log: str) -> str:
    """The last `TAIL` lines of a log under its title, with what was left out."""
    title, _, body = log.partition("\n")
    rows = body.splitlines()[1:]
    if len(rows) <= TAIL:
        return log
    left_out = f"... {len(rows) - TAIL} lines before these are in the archive of the whole log"
    return "\n".join([title, "", left_out, *rows[-TAIL:]]) + "\n"


def _zipped(texts: Mapping[str, str]) -> bytes:
    """One text file for each; the same texts give the same bytes."""
    if not texts:
        return b""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            info = zipfile.ZipInfo(re.sub(r"[^\w.-]+", "_", name) + ".txt")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text)
    return out.getvalue()


def serial_log(entries: Iterable[Entry], source: str) -> str:
    """One console's lines with the time their first byte came. Colour codes are left out.

    `>` marks what the bench sent, `-` the port's own events, `~` text whose line end never came.
    """
    mine = [e for e in entries if e.source == source and e.kind in SERIAL_KINDS]
    marks = {"line": " ", "partial": "~", "sent": ">", "port": "-"}
    rows = [
        f"{_time(e)} {marks[e.kind]} {_clean(e.text)}"
        for number, e in enumerate(mine)
        if not (e.kind == "partial" and _continued(e, mine[number + 1 :]))
    ]
    return _text(
        f"Console {source}. Time in s | '>' sent by the bench, '-' the port itself, '~' no line end", rows
    )


def _continued(partial: Entry, later: Iterable[Entry]) -> bool:
    """Whether the same text comes again, longer or with its line end."""
    for entry in later:
        if entry.kind in ("line", "partial"):
            again = entry.time == partial.time and entry.text.startswith(partial.text)
            return again and (entry.kind == "partial" or "was_partial" in entry.data)
    return False


def coap_trace(entries: Iterable[Entry]) -> str:
    """Every CoAP message, by endpoint."""
    mine = [e for e in entries if e.kind == "coap"]
    width = max((len(e.source) for e in mine), default=0)
    rows = [f"{_time(e)} {e.source:<{width}} {_clean(e.text)}" for e in mine]
    return _text("CoAP as the server saw it. Time in s | endpoint | '->' received, '<-' sent", rows)


def scpi_log(entries: Iterable[Entry], source: str) -> str:
    """One instrument's commands and replies."""
    rows = [
        f"{_time(e)} {_clean(e.text)}" for e in entries if e.kind in INSTRUMENT_KINDS and e.source == source
    ]
    return _text(f"Instrument {source}. Time in s | '>' command, '<' reply", rows)


def flash_operations(entries: Iterable[Entry], source: str) -> str:
    """What a flasher did over SWD or the serial ROM loader."""
    rows = [
        f"{_time(e)} {_clean(e.text)}{_details(e)}"
        for e in entries
        if e.kind in FLASH_KINDS and e.source == source
    ]
    return _text(f"Flash access {source}. Time in s | operation", rows)


def state_table(entries: Iterable[Entry]) -> str:
    """Each state and result, how long after the one before, and how the server learned it."""
    mine = [e for e in entries if e.kind == "state"]
    width = max([len("endpoint"), *(len(e.source) for e in mine)])
    rows = [
        f"{'time s':>10} {'after s':>9}  {'endpoint':<{width}}  {'object':<9} "
        f"{'state':<14} {'result':<28} learned by"
    ]
    last: dict[tuple[str, str], float] = {}
    for e in mine:
        where = e.source, str(e.data.get("instance", ""))
        after = f"{e.time - last[where]:.3f}" if where in last else "-"
        last[where] = e.time
        rows.append(
            f"{_time(e)} {after:>9}  {e.source:<{width}}  {where[1]:<9} {_value(e, 'state', STATES):<14} "
            f"{_value(e, 'result', RESULTS):<28} {e.data.get('origin', '')}".rstrip()
        )
    return _text("Firmware update objects (state .../3, result .../5)", rows if mine else [])


def events(entries: Iterable[Entry]) -> str:
    """The run in outline: steps (indented as they nest), power, registrations, states, warnings."""
    mine = [e for e in entries if e.kind in EVENT_KINDS]
    width = max((len(e.source) for e in mine), default=0)
    depth = 0
    rows = []
    for e in mine:
        text = _clean(e.text)
        if e.kind == "step":
            ends = e.data.get("phase") == "end"
            depth = max(0, depth - 1) if ends else depth
            text = f"end   {text}: {e.data.get('outcome', '')}" if ends else f"begin {text}"
        rows.append(f"{_time(e)} {e.source:<{width}} {e.kind:<12} {'  ' * depth}{text}")
        depth += e.kind == "step" and e.data.get("phase") == "begin"
    return _text("What happened, in outline. Time in s | who | kind | what", rows)


def _sources(entries: Iterable[Entry], kinds: Sequence[str]) -> list[str]:
    return sorted({e.source for e in entries if e.kind in kinds})


def _value(entry: Entry, key: str, names: dict[int, str]) -> str:
    value = entry.data.get(key)
    return f"{value} {names.get(value, '?')}" if isinstance(value, int) else "?"


def _details(entry: Entry) -> str:
    shown = [
        f"{key}={value:#x}" if key == "address" and isinstance(value, int) else f"{key}={value}"
        for key, value in entry.data.items()
    ]
    return f"  ({', '.join(shown)})" if shown else ""


def _time(entry: Entry) -> str:
    return f"{entry.time:10.3f}"


def _clean(text: str) -> str:
    """Without colour codes; other control characters made visible."""
    return _CONTROL.sub(lambda c: f"\\x{ord(c[0]):02x}", _ANSI.sub("", text))


def _text(title: str, rows: Sequence[str]) -> str:
    return "\n".join([title, "", *rows]) + "\n" if rows else ""
