"""The ledger's verdict in JUnit's XML, for what counts failures there.

pytest writes one `<testcase>` for each repetition, and what it takes an exception for. Here each test is one
case with its verdict: a failure of the product is `<failure>`, everything else that proves nothing is
`<error>`, what did not run or does not apply `<skipped>`; one more case, `run verdict`, is the run's.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from bench.evidence.run_verdict import Decision, Planned, RunVerdict
from bench.evidence.verdict import Judgement, Verdict

NODE = "node"
"""The property by which a case is found again."""
NAME = "run verdict"
OUTCOME: Mapping[Verdict, str] = {
    Verdict.FAILED: "failure",
    Verdict.FLAKY_PASS: "failure",
    Verdict.NOT_APPLICABLE: "skipped",
    Verdict.NOT_RUN: "skipped",
}
"""The element of a verdict; none for PASSED, `error` for all others."""
SPOKEN = ("failure", "error", "skipped")


def rewrite(file: Path, run: str, found: RunVerdict) -> None:
    """Put the verdicts of `run` into the XML that pytest has written. Raises `OSError`, `ET.ParseError`."""
    tree = ET.parse(file)
    suite = tree.getroot() if tree.getroot().tag == "testsuite" else tree.getroot().find("testsuite")
    if suite is None:
        return
    cases: dict[str, list[ET.Element]] = {}
    for case in suite.findall("testcase"):
        node = _property(case, NODE)
        if node in found.tests:
            cases.setdefault(node, []).append(case)
            suite.remove(case)
    for row in found.plan:
        suite.append(_case(row, found.tests[row.node], cases.get(row.node, []), run))
    suite.append(_of_run(run, found))
    every = suite.findall("testcase")
    suite.set("tests", str(len(every)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in every)))
    tree.write(file, encoding="utf-8", xml_declaration=True)


def _property(case: ET.Element, name: str) -> str:
    found = next((one for one in case.iter("property") if one.get("name") == name), None)
    return "" if found is None else str(found.get("value"))


def _case(row: Planned, judged: Judgement, seen: list[ET.Element], run: str) -> ET.Element:
    """One case, whatever there is of it: with what was printed, and what was told of each attempt."""
    file, _, name = row.node.partition("::")
    case = ET.Element("testcase", {"classname": file.removesuffix(".py").replace("/", "."), "name": name})
    for attribute in ("classname", "name"):
        if seen and seen[-1].get(attribute):
            case.set(attribute, str(seen[-1].get(attribute)))
    case.set("time", f"{sum(float(one.get('time') or 0) for one in seen):.3f}")
    told = [("run", run), ("verdict", judged.verdict.value)]
    told += [(name, value) for name, value in (("board", row.board), ("serial", row.serial)) if value]
    told += [("requirement", name) for name in row.requirements]
    known = {name for name, _ in told} | {NODE}
    others = seen[-1].iter("property") if seen else ()
    told += [(str(p.get("name")), str(p.get("value"))) for p in others if p.get("name") not in known]
    properties = ET.SubElement(case, "properties")
    for name, value in told:
        ET.SubElement(properties, "property", {"name": name, "value": value})
    if judged.verdict is not Verdict.PASSED:
        tag = OUTCOME.get(judged.verdict, "error")
        first = judged.reason.partition("\n")[0]
        said = ET.SubElement(
            case, tag, {"message": f"{judged.verdict}: {first}", "type": judged.verdict.value}
        )
        texts = [one.text or one.get("message") or "" for case_ in seen for one in case_ if one.tag in SPOKEN]
        said.text = "\n\n".join(text for text in texts if text) or judged.reason
    for one in seen:
        case.extend(child for child in one if child.tag in ("system-out", "system-err"))
    return case


def _of_run(run: str, found: RunVerdict) -> ET.Element:
    case = ET.Element("testcase", {"classname": "bench", "name": NAME, "time": "0.000"})
    properties = ET.SubElement(case, "properties")
    for name, value in (("run", run), ("verdict", str(found.decision))):
        ET.SubElement(properties, "property", {"name": name, "value": value})
    if found.decision is not Decision.GO:
        tag = "failure" if found.decision is Decision.NO_GO else "error"
        said = ET.SubElement(
            case, tag, {"message": f"{found.decision}: run {run}", "type": str(found.decision)}
        )
        said.text = "\n".join([*found.first, *found.why])
    return case
