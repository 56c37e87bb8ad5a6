"""What Allure is told about a run as a whole: its environment, who ran it, and how failures are sorted.

Files beside the results, by the names that Allure 2 and 3 look for. They are written when the run begins,
so that a run that is killed has them too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bench.evidence import allure_categories
from bench.evidence.ledger import Line
from bench.evidence.run_verdict import first_of

ENVIRONMENT = "environment.properties"
EXECUTOR = "executor.json"
PACKAGES = ("lwm2m-fota-bench", "aiocoap", "allure-pytest", "esptool", "pyocd", "pytest", "PyVISA")
"""Those whose versions stand in the environment; the provenance names all."""


def write(folder: Path, lines: Iterable[Line], environ: Mapping[str, str]) -> None:
    """Describe the run of these ledger lines in Allure's results folder."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        allure_categories.FILE: allure_categories.as_json(),
        ENVIRONMENT: as_properties(environment(lines)),
        EXECUTOR: json.dumps(executor(environ), indent=1) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def provenance_json(lines: Iterable[Line]) -> str:
    """Everything that the run has written down about where it comes from."""
    begin = _of_kind(lines, "begin")
    return json.dumps({key: begin[key] for key in begin if key not in ("prev", "sha", "seq")}, indent=1)


def environment(lines: Iterable[Line]) -> dict[str, str]:
    """The rows of the report's environment, most telling first."""
    lines = list(lines)
    begin, plan = _of_kind(lines, "begin"), _of_kind(lines, "plan")
    rows = {text.partition(":")[0]: text.partition(":")[2].strip() for text in first_of(lines)}
    rows |= {"run": str(begin.get("run", "?")), "bench": _bench(begin)}
    for test in plan.get("tests", ()):
        if test.get("board") and not test.get("deselected"):
            rows[f"board {test['board']}"] = f"serial {test.get('serial', '?')}"
    rows["testcases"] = _revision(begin)
    rows["seed"] = str(begin.get("seed", "?"))
    rows["python"] = str(begin.get("python", "?"))
    rows["platform"] = str(begin.get("platform", "?"))
    packages = begin.get("packages", {})
    rows |= {name: str(packages[name]) for name in PACKAGES if name in packages}
    return rows


def _of_kind(lines: Iterable[Line], kind: str) -> Line:
    return next((line for line in lines if line["kind"] == kind), {})


def _bench(begin: Line) -> str:
    digest = begin.get("bench_sha256")
    name = begin.get("bench") or "none"
    return f"{name} ({begin.get('bench_file')}, SHA-256 {digest[:16]}...)" if digest else str(name)


def _revision(begin: Line) -> str:
    revision = begin.get("git_revision")
    if revision is None:
        return "revision unknown"
    changed = {True: ", with changes that are not committed", None: ", perhaps with changes"}
    return f"{revision[:12]}{changed.get(begin.get('git_dirty'), '')}"


def as_properties(rows: Mapping[str, str]) -> str:
    """Java's format for properties; a key ends at its first blank unless that is escaped."""
    return "".join(f"{_escaped(key, ' :=#!')} = {_escaped(value, '')}\n" for key, value in rows.items())


def _escaped(text: str, special: str) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    for sign in special:
        text = text.replace(sign, f"\\{sign}")
    return text


def executor(environ: Mapping[str, str]) -> dict[str, Any]:
    """Who ran it, from the variables that CI systems set. Nothing else of the environment is looked at."""
    for found in (_github(environ), _gitlab(environ), _jenkins(environ)):
        if found:
            return found
    return {"name": "local", "type": "local", "buildName": "run by hand"}


def _github(environ: Mapping[str, str]) -> dict[str, Any]:
    if environ.get("GITHUB_ACTIONS") != "true":
        return {}
    run = environ.get("GITHUB_RUN_ID", "")
    home = f"{environ.get('GITHUB_SERVER_URL', '')}/{environ.get('GITHUB_REPOSITORY', '')}"
    name = environ.get("GITHUB_WORKFLOW", "workflow")
    return _build(
        "GitHub Actions", "github", name, environ.get("GITHUB_RUN_NUMBER"), f"{home}/actions/runs/{run}"
    )


def _gitlab(environ: Mapping[str, str]) -> dict[str, Any]:
    if environ.get("GITLAB_CI") != "true":
        return {}
    url = environ.get("CI_JOB_URL") or environ.get("CI_PIPELINE_URL", "")
    return _build(
        "GitLab CI", "gitlab", environ.get("CI_JOB_NAME", "job"), environ.get("CI_PIPELINE_IID"), url
    )


def _jenkins(environ: Mapping[str, str]) -> dict[str, Any]:
    if "JENKINS_URL" not in environ:
        return {}
    url = environ.get("BUILD_URL", "")
    return _build("Jenkins", "jenkins", environ.get("JOB_NAME", "job"), environ.get("BUILD_NUMBER"), url)


def _build(name: str, kind: str, job: str, number: str | None, url: str) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "type": kind, "buildName": f"{job} #{number}" if number else job}
    plain = _without_credentials(url)
    return row | {"buildUrl": plain} if plain else row


def _without_credentials(url: str) -> str:
    """Without what may be a token: before the host, behind a question mark. "" for what is no web address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
