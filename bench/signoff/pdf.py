"""A sign-off for people: the first page says what was decided and why, the others hold what it rests on."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.evidence.measurements import in_words, quantity
from bench.signoff.sheet import COLOURS, GREY, Sheet
from bench.signoff.wording import FURTHER_ON, brief, readable, spoken, tried

SHOWN = 9
"""Reasons on the first page; all of them stand further on."""
NOTED = 7
"""Further points on the first page."""

EXCUSED = "deviation, excused"
"""How a line begins about what a board file lets its stack do otherwise."""

Told = Mapping[str, Any]


def write_pdf(told: Told, file: Path) -> None:
    """Write what the JSON says. Raises `OSError`."""
    sheet = Sheet(
        f"Sign-off: {told['decision']}", datetime.datetime.fromisoformat(told["made"]), told["decision"]
    )
    _first_page(sheet, told)
    _requirements(sheet, told)
    _reasons(sheet, told)
    _waivers(sheet, told)
    _measurements(sheet, told)
    _comparison(sheet, told)
    _history(sheet, told)
    _provenance(sheet, told)
    _appendix(sheet, told)
    sheet.save(file)


def _first_page(sheet: Sheet, told: Told) -> None:
    sheet.add_page()
    if told["first"]:
        sheet.strip(told["first"])
    sheet.banner(f"Firmware sign-off · {_where(told)}", told["decision"], told["meaning"])
    sheet.tiles(_tiles(told))
    sheet.facts(_facts(told))
    why = told["why"]
    sheet.heading("Why not GO" if why else "Why")
    if why:
        sheet.points([brief(text) for text in why[:SHOWN]], COLOURS["NO-GO"])
        if len(why) > SHOWN:
            sheet.note(f"and {len(why) - SHOWN} more reasons: see Reasons")
    else:
        sheet.points(_grounds(told), COLOURS[told["decision"]])
    used = [one for one in told["waivers"] if one["state"] != "not needed"]
    if used:
        sheet.heading("Waivers")
        sheet.table(
            ("ID", "state", "what", "approved by", "until"),
            [
                (one["id"], one["state"], _scope(one), one.get("approver", ""), one.get("expires", ""))
                for one in used
            ],
            (14, 12, 44, 20, 12),
        )
    excused = [text for text in told["attention"] if text.startswith(EXCUSED)]
    if excused:
        sheet.heading("Deviations that were excused")
        sheet.points([brief(text) for text in excused], COLOURS["GO WITH WAIVERS"])
    others = [text for text in told["attention"] if text not in excused]
    if others:
        sheet.heading("To be known")
        sheet.points([brief(text) for text in others[:NOTED]], GREY)
        if len(others) > NOTED:
            sheet.note(f"and {len(others) - NOTED} more points: see Reasons")


def _is_brief(told: Told) -> bool:
    """Whether the first page says all that there is to be said."""
    whole = [*told["why"], *told["attention"]]
    return (
        len(told["why"]) <= SHOWN
        and len(told["attention"]) <= NOTED
        and not any(brief(text).endswith(FURTHER_ON) for text in whole)
    )


def _where(told: Told) -> str:
    if told["virtual"]:
        return "virtual bench"
    kinds = {board["kind"] for run in told["runs"] for board in run["boards"]}
    return "programs on a PC, no board" if kinds == {"process"} else "test bench"


def _tiles(told: Told) -> list[tuple[str, str, str]]:
    """Figure, what it counts, and the decision whose colour it has."""
    counts = told["counts"]
    elsewhere = ("NOT TESTABLE", "NOT APPLICABLE")
    musts = [
        row for row in told["requirements"] if row["strength"] == "must" and row["status"] not in elsewhere
    ]
    proved, asked = sum(row["status"] == "PASSED" for row in musts), len(musts)
    bad = sum(counts.get(name, 0) for name in ("FAILED", "FLAKY_PASS"))
    other = counts["planned"] - counts["passed"] - bad - counts.get("NOT_APPLICABLE", 0)
    waived = counts.get("WAIVED", 0)
    return [
        (str(counts["planned"]), "tests planned", ""),
        (str(counts["ran"]), "ran", ""),
        (str(counts["passed"]), "passed", "GO" if counts["passed"] else "NO-GO"),
        (str(bad), "failed", "NO-GO" if bad else ""),
        (str(waived), "waived", "GO WITH WAIVERS" if waived else ""),
        (str(other - waived), "proved nothing", "INCONCLUSIVE" if other - waived else ""),
        (str(counts.get("NOT_APPLICABLE", 0)), "not applicable", ""),
        (f"{proved}/{asked}", "requirements", "GO" if asked and proved == asked else "INCONCLUSIVE"),
    ]


def _named(told: Told, given: str, by_image: str) -> str:
    """What the bench files give; where they give nothing, what the update images say of themselves."""
    names = dict.fromkeys(run[given] for run in told["runs"] if run[given])
    updates = [board["images"]["update"] for run in told["runs"] for board in run["boards"]]
    said = dict.fromkeys(one[by_image] for one in updates if one[by_image])
    return ", ".join(names) or ", ".join(f"{name} (as the update image says)" for name in said)


def _facts(told: Told) -> list[tuple[str, str]]:
    rows = []
    for product in told["products"] or [None]:
        text = (
            "not known"
            if product is None
            else (
                f"{product['title']}: {product['baseline_version']} to {product['update_version']}\n"
                f"update {product['update']}"
            )
        )
        rows.append(("Product", text))
    rows.insert(0, ("Sold as", _named(told, "product", "project") or "not given: product in [bench]"))
    of_firmware = _named(told, "firmware_revision", "revision")
    rows.append(("Its sources", of_firmware or "not given: firmware_revision in [bench]"))
    boards = {f"{board['name']} {board['serial']}": None for run in told["runs"] for board in run["boards"]}
    rows.append(("Boards", ", ".join(boards) or "none known"))
    benches = dict.fromkeys(
        f"{run['bench'] or 'not known'}{' (virtual: no product was there)' if run['virtual'] else ''}"
        for run in told["runs"]
    )
    rows.append(("Bench", ", ".join(benches)))
    rows.append(("Runs", "\n".join(f"{run['id']}: {run['verdict']}, {_span(run)}" for run in told["runs"])))
    sources = dict.fromkeys(
        f"{(run['git_revision'] or 'no revision')[:12]}{' (changed)' if run['git_dirty'] else ''}"
        for run in told["runs"]
    )
    rows.append(("Bench sources", ", ".join(sources)))
    tries = dict.fromkeys("; ".join(tried(run["options"])) for run in told["runs"] if run["options"])
    rows.append(("Tried", "\n".join(tries) or "not known"))
    rows.append(("Made", f"{_minute(told['made'])} UTC, computed from the ledgers of the runs"))
    rows.append(("Approved by", told["approver"] or "nobody is named (--approver)"))
    rows.append(("Signed with", told["signed_with"] or "not signed"))
    return rows


def _minute(iso: str) -> str:
    return iso[:16].replace("T", " ")


def _span(run: Told) -> str:
    begun, ended = (datetime.datetime.fromisoformat(run[key]) for key in ("began", "ended"))
    seconds = (ended - begun).total_seconds()
    took = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    if seconds >= 7200:
        took = f"{seconds / 3600:.1f} h"
    return f"{_minute(run['began'])} UTC, {took}"


def _grounds(told: Told) -> list[str]:
    counts = told["counts"]
    statuses = Counter(row["status"] for row in told["requirements"])
    grounds = [
        f"{counts['passed']} of {counts['planned']} planned tests passed; "
        f"{counts.get('NOT_APPLICABLE', 0)} not applicable, {counts.get('WAIVED', 0)} waived",
        "requirements: " + ", ".join(f"{n} {name.lower()}" for name, n in sorted(statuses.items())),
        "each ledger is whole, and every raw result is as its run left it",
    ]
    if told["virtual"]:
        grounds.insert(0, "all of it on virtual boards: it speaks of the testcases, and of no product")
    return grounds


def _scope(one: Told) -> str:
    if one["state"] == "REFUSED":
        return f"{one.get('test') or one.get('requirement') or ''}\n{one['why']}".strip()
    return f"{one.get('test') or one.get('requirement')}\non {one.get('serial')}: {one.get('reason')}"


def _requirements(sheet: Sheet, told: Told) -> None:
    sheet.add_page()
    sheet.chapter("Requirements")
    several = len(told["products"]) > 1
    for kind in dict.fromkeys(row["kind"] for row in told["requirements"]):
        sheet.heading(KINDS.get(kind, kind))
        rows = [
            (
                _asked(row) + (f"\n{row['product']}" if several else ""),
                row["status"],
                _shown_by(row["tests"]) or row["not_testable"],
            )
            for row in told["requirements"]
            if row["kind"] == kind
        ]
        sheet.table(("requirement", "status", "shown by"), rows, (44, 18, 58))


KINDS = {"oma": "OMA interoperability tests", "lwm2m": "LwM2M clauses", "project": "Of the project"}


def _asked(row: Told) -> str:
    """A requirement in a cell: its ID, how strongly it asks and where it stands, its sentence."""
    place = ", ".join(part for part in (row["strength"], row["clause"]) if part)
    return f"{row['id']} ({place})\n{row['text']}"


def _shown_by(tests: Sequence[Told]) -> str:
    """One line a testcase, whatever it is run with."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in tests:
        found[row["node"].partition("[")[0].rpartition("/")[2]][row["verdict"]] += 1
    return "\n".join(
        f"{name}: {', '.join(f'{n} {verdict}' for verdict, n in sorted(counted.items()))}"
        for name, counted in found.items()
    )


def _reasons(sheet: Sheet, told: Told) -> None:
    odd = [row for row in told["tests"] if row["shown"] not in ("PASSED", "NOT_APPLICABLE")]
    short = _is_brief(told)
    if short and not odd:
        return
    sheet.chapter("Reasons")
    if not short:
        sheet.points([spoken(text) for text in told["why"]], COLOURS["NO-GO"])
        if told["attention"]:
            sheet.heading("To be known")
            sheet.points(told["attention"], GREY)
    if odd:
        sheet.heading("Tests that did not pass")
        sheet.table(
            ("test", "board", "verdict", "reason"),
            [(row["node"], row["serial"], _verdict(row), readable(row["reason"])) for row in odd],
            (50, 16, 18, 36),
        )


def _verdict(row: Told) -> str:
    return f"WAIVED by {row['waiver']}\n({row['verdict']})" if row["waiver"] else row["verdict"]


def _waivers(sheet: Sheet, told: Told) -> None:
    if not told["waivers"]:
        return
    sheet.chapter("Waivers")
    for one in told["waivers"]:
        sheet.heading(f"{one['id']}: {one['state']}")
        sheet.facts(
            [
                ("State", f"{one['state']}: {one['why']}"),
                *(
                    (key.capitalize(), str(one[key]))
                    for key in ("test", "requirement", "serial", "firmware", "approver", "expires", "reason")
                    if one.get(key)
                ),
            ]
        )


def _measurements(sheet: Sheet, told: Told) -> None:
    if not told["measurements"]:
        return
    sheet.chapter("Measurements")
    rows = [
        (
            f"{row['test']}\n{row['name']}",
            quantity(row["value"], row["unit"]),
            "" if row["limit"] is None else quantity(row["limit"], row["unit"]),
            "" if row["margin"] is None else in_words(row["margin"]),
            "" if row["limit"] is None else "PASSED" if row["within"] else "FAILED",
        )
        for row in sorted(told["measurements"], key=lambda row: row["limit"] is None)
    ]
    sheet.table(("measured", "value", "limit", "margin", "within"), rows, (58, 18, 18, 15, 11))


def _comparison(sheet: Sheet, told: Told) -> None:
    found = told["comparison"]
    if found is None:
        return
    sheet.chapter("Difference from the released run")
    sheet.note(f"{', '.join(found['runs'])}, whose verdict was {found['decision']}")
    for title, key in (
        ("Tests that changed their verdict", "tests"),
        ("Measurements that changed by more than 5 %", "figures"),
        ("Versions that changed", "versions"),
    ):
        sheet.heading(title)
        if found[key]:
            rows = [(one["what"], one["before"] or "-", one["after"] or "-") for one in found[key]]
            sheet.table(("what", "released", "now"), rows, (60, 30, 30))
        else:
            sheet.note("none")


def _history(sheet: Sheet, told: Told) -> None:
    sheet.chapter("History of these tests")
    unsteady = [one for one in told["history"] if one["runs"] != one["passed"] or one["repeated"]]
    most = max((one["runs"] for one in told["history"]), default=0)
    sheet.note(
        f"{len(told['history'])} tests, at most {most} times each; "
        f"{len(told['history']) - len(unsteady)} have passed every time"
    )
    if unsteady:
        keys = ("runs", "passed", "failed", "flaky", "changes", "repeated")
        rows = [(f"{one['node']}\n{one['serial']}", *(str(one[key]) for key in keys)) for one in unsteady]
        sheet.table(("test", *keys), rows, (60, 10, 10, 10, 10, 12, 12))
        sheet.note("changes: of the verdict from a run to the next with the same firmware")


def _appendix(sheet: Sheet, told: Told) -> None:
    """Every test, so that nothing is only counted."""
    sheet.chapter("Appendix: every test")
    rows = [(row["node"], row["serial"], row["transport"], _verdict(row)) for row in told["tests"]]
    sheet.table(("test", "board", "way", "verdict"), rows, (72, 18, 14, 18))


def _provenance(sheet: Sheet, told: Told) -> None:
    sheet.chapter("Provenance")
    for run in told["runs"]:
        sheet.heading(f"Run {run['id']}")
        testcases = run["testcases"] or {}
        sheet.facts(
            [
                ("Verdict", "\n".join([run["verdict"], *run["why"][:SHOWN]])),
                ("Began, ended", f"{run['began']}, {run['ended']}"),
                ("Bench file", f"{run['bench_file']}, SHA-256 {run['bench_sha256']}"),
                ("Bench sources", _revision(run)),
                ("Testcases", _revision(testcases)),
                ("Seed", str(run["seed"])),
                ("Tried", "\n".join(tried(run["options"])) or "not known"),
                ("Code that ran", _code(run["ran"])),
                ("Plug-ins", ", ".join(run["plugins"]) or "not known"),
                *(("Variables", f"{name}={value}") for name, value in run["variables"].items()),
                ("PC", f"{run['platform']}, Python {run['python']}"),
                ("Raw results", f"{run['files']} files, all in the manifest"),
            ]
        )
        if run["findings"]:
            sheet.heading("Findings")
            sheet.table(("test", "found"), [(one["node"], one["text"]) for one in run["findings"]], (50, 70))
        for board in run["boards"]:
            _board(sheet, board)
        if run["instruments"]:
            sheet.heading("Instruments")
            none = "virtual: none" if run["virtual"] else "not given"
            rows = [(one["name"], one["idn"], one["calibration_due"] or none) for one in run["instruments"]]
            sheet.table(("instrument", "identification", "calibration due"), rows, (20, 76, 24))
        sheet.heading("Packages")
        sheet.small(", ".join(f"{name} {version}" for name, version in (run["packages"] or {}).items()))
        sheet.heading("Distributions that ran, SHA-256 of their RECORD")
        held = run["ran"]["distributions"].items()
        sheet.small(", ".join(f"{name} {one['version']} {one['record'][:16]}" for name, one in held))


def _code(ran: Told) -> str:
    trees = [f"{name} at {one['revision']}" for name, one in ran["checkouts"].items()]
    return "\n".join(
        [*trees, f"{ran['files']} files of it, {len(ran['distributions'])} installed distributions by RECORD"]
    )


def _revision(state: Mapping[str, Any]) -> str:
    revision = state.get("git_revision") or "not known"
    words: dict[Any, str] = {True: "changed since", False: "clean"}
    dirty = words.get(state.get("git_dirty"), "not known whether changed")
    return f"{revision}, {dirty}"


def _board(sheet: Sheet, board: Told) -> None:
    sheet.heading(f"Board {board['name']}")
    modem = board["modem"]
    facts: list[tuple[str, str]] = [
        ("Type", board["title"]),
        ("Serial", f"{board['serial']}, endpoint {board['endpoint']}"),
        ("Probe", board["probe"] or "none"),
        ("Board file", f"{board['file']}, SHA-256 {board['file_sha256']}"),
    ]
    if modem is not None:
        facts.append(("Modem", f"IMEI {modem['serial'] or 'not told'}, {modem['firmware'] or 'not told'}"))
    sheet.facts(facts)
    rows: Iterable[tuple[str, ...]] = [
        (name, image["version"], image["sha256"] or "none") for name, image in board["images"].items()
    ]
    sheet.table(("image", "version", "SHA-256"), list(rows), (34, 16, 70))
