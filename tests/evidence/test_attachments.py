"""Timeline slices as readable text."""

import io
import zipfile

from bench.evidence import attachments
from bench.timeline import Entry

AT = {"instance": "/5/0"}


def entry(time, source, kind, text, **data):
    return Entry(time, 0, source, kind, text, data)


RUN = [
    entry(0.0, "nrf.console", "port", "open", url="COM7"),
    entry(0.5, "nrf", "step", "boot", phase="begin"),
    entry(0.5, "psu", "scpi", "> OUTP 1,(@1)"),
    entry(0.501, "psu", "scpi", '< +0,"No error"'),
    entry(1.25, "nrf.console", "line", "\x1b[0;32mI (29) boot: \x07ok\x1b[0m"),
    entry(2.0, "nrf.console", "partial", "Erasing..."),
    entry(2.0, "nrf.console", "line", "Erasing... done", was_partial=True),
    entry(3.0, "nrf.console", "sent", "AT+CFUN=1"),
    entry(4.0, "nrf.console", "partial", "uart:~$ "),
    entry(5.0, "nrf.swd", "swd", "program", address=0x10000, length=4096),
    entry(6.0, "nrf", "step", "boot", phase="end", outcome="passed"),
    entry(7.0, "urn:imei:1", "coap", "-> CON POST /rd?ep=urn:imei:1"),
    entry(8.0, "urn:imei:1", "state", "IDLE result 0", **AT, state=0, result=0, origin="read"),
    entry(
        19.5,
        "urn:imei:1",
        "state",
        "DOWNLOADING result 0",
        instance="/5/0",
        state=1,
        result=0,
        origin="notification",
    ),
    entry(
        1234.5678,
        "urn:imei:1",
        "state",
        "IDLE result 5",
        instance="/5/0",
        state=0,
        result=5,
        origin="notification",
    ),
]


def test_serial_log_has_every_line_once_with_its_time():
    rows = attachments.serial_log(RUN, "nrf.console").splitlines()
    assert "nrf.console" in rows[0]
    assert rows[2:] == [
        "     0.000 - open",
        "     1.250   I (29) boot: \\x07ok",
        "     2.000   Erasing... done",
        "     3.000 > AT+CFUN=1",
        "     4.000 ~ uart:~$ ",
    ]


def test_partial_lines_are_dropped_only_when_they_come_again():
    growing = [
        entry(1, "c", "partial", "a"),
        entry(1, "c", "partial", "ab"),
        entry(2, "c", "partial", "x"),
        entry(3, "c", "line", "x"),
    ]
    assert attachments.serial_log(growing, "c").splitlines()[2:] == [
        "     1.000 ~ ab",
        "     2.000 ~ x",
        "     3.000   x",
    ]


def test_state_table_names_states_results_and_intervals():
    rows = attachments.state_table(RUN).splitlines()[2:]
    assert rows[0].split() == [
        "time",
        "s",
        "after",
        "s",
        "endpoint",
        "object",
        "state",
        "result",
        "learned",
        "by",
    ]
    assert rows[1].split() == ["8.000", "-", "urn:imei:1", "/5/0", "0", "Idle", "0", "initial", "read"]
    words = [" ".join(row.split()) for row in rows[2:]]
    assert words == [
        "19.500 11.500 urn:imei:1 /5/0 1 Downloading 0 initial notification",
        "1234.568 1215.068 urn:imei:1 /5/0 0 Idle 5 integrity check failed notification",
    ]
    for column in ("endpoint", "object", "state  ", "result", "learned"):
        at = rows[0].index(column)
        assert all(row[at - 1] == " " and row[at] != " " for row in rows), column


def test_files_cover_what_happened_and_nothing_else():
    found = {file.name: file.content for file in attachments.files(RUN)}
    assert list(found) == [
        "state transitions",
        "events",
        "serial log nrf.console",
        "serial logs, whole",
        "CoAP trace",
        "SCPI log psu",
        "flash operations nrf.swd",
    ]
    assert "     0.500 > OUTP 1,(@1)\n     0.501 < +0" in found["SCPI log psu"]
    assert "     5.000 program  (address=0x10000, length=4096)" in found["flash operations nrf.swd"]
    assert "     7.000 urn:imei:1 -> CON POST /rd" in found["CoAP trace"]
    assert attachments.files([]) == []


def test_of_a_long_serial_log_the_end_is_shown_and_the_whole_is_kept():
    rows = [entry(float(n), "nrf.console", "line", f"line {n}") for n in range(attachments.TAIL + 50)]
    found = {file.name: file.content for file in attachments.files(rows)}
    shown = found["serial log nrf.console"].splitlines()
    assert shown[2] == "... 50 lines before these are in the archive of the whole log"
    assert shown[3].endswith("  line 50")
    assert shown[-1].endswith(f"  line {attachments.TAIL + 49}")
    with zipfile.ZipFile(io.BytesIO(found["serial logs, whole"])) as archive:
        assert archive.namelist() == ["nrf.console.txt"]
        assert archive.read("nrf.console.txt").decode() == attachments.serial_log(rows, "nrf.console")


def test_events_show_steps_nested():
    rows = attachments.events(
        [
            entry(0, "a", "step", "outer", phase="begin"),
            entry(1, "a", "step", "inner", phase="begin"),
            entry(2, "a", "power", "on"),
            entry(3, "a", "step", "inner", phase="end", outcome="passed"),
            entry(4, "a", "step", "outer", phase="end", outcome="failed"),
        ]
    ).splitlines()[2:]
    assert [row[25:] for row in rows] == [
        " begin outer",
        "   begin inner",
        "     on",
        "   end   inner: passed",
        " end   outer: failed",
    ]
