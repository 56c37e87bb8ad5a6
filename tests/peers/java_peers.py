"""The Java peers: what Maven fetches and what javac makes of the sources here, in the user's cache folder."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
SOURCES = sorted(HERE.glob("*.java"))
TOOLS = ("java", "javac", "mvn")
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m")
"""These processes live for seconds: a quick start counts, not the speed of long runs."""


def missing() -> str | None:
    """Why the peers cannot be built on this PC, or None."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if not absent:
        return None
    return f"{', '.join(absent)}: not installed (Debian: apt-get install openjdk-17-jdk-headless maven)"


def _cache() -> Path:
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "lwm2m-fota-bench" / "java-peers"


def _made(folder: Path, *command: str) -> Path:
    """`folder`, made by a command in which {} stands for the place where it is made.

    Several processes may do it at a time; one of them puts it in its place.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            fresh = Path(work) / "made"
            fresh.mkdir()
            run = subprocess.run(
                [part.replace("{}", str(fresh)) for part in command],
                capture_output=True,
                text=True,
                timeout=600,
            )
            assert run.returncode == 0, f"{command[0]}:\n{run.stdout[-4000:]}{run.stderr[-4000:]}"
            try:
                fresh.rename(folder)
            except OSError:
                assert folder.exists()  # another process was quicker
    return folder


@functools.cache
def classpath() -> str:
    """Libraries and compiled peers, for `java -cp`. Raises `AssertionError` with what a tool said."""
    jars = _made(
        _cache() / f"jars-{_digest(POM)}",
        shutil.which("mvn") or "mvn",  # on Windows a script, which must be named in full
        *("-B", "-q", "-f", str(POM), "dependency:copy-dependencies", "-DoutputDirectory={}"),
    )
    libraries = os.pathsep.join(str(jar) for jar in sorted(jars.glob("*.jar")))
    classes = _made(
        _cache() / f"classes-{_digest(POM, *SOURCES)}",
        *("javac", "-proc:none", "--release", "17", "-cp", libraries, "-d", "{}"),
        *(str(source) for source in SOURCES),
    )
    return os.pathsep.join([str(classes), libraries])


def _digest(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
