"""Signatures by OpenSSH's `ssh-keygen -Y`: keys that people have anyway, a file of those who may sign."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench.errors import SignOffError

NAMESPACE = "lwm2m-fota-bench"
"""What the signatures are for: one of another namespace is refused."""
PATIENCE = 60.0
"""Wall seconds: a key on a token may want to be touched."""


def fingerprint(key: Path) -> str:
    """Of a key file, such as "256 SHA256:... (ED25519)". Raises `SignOffError`."""
    told = _run(["-l", "-f", str(key)], f"{key} is no key").split()
    return " ".join([*told[:2], *told[-1:]])


def sign(file: Path, key: Path) -> Path:
    """Sign `file` with the private key (or with the public one, where an agent holds the private one).

    Returns the signature, beside the file. Raises `SignOffError`.
    """
    made = file.with_name(f"{file.name}.sig")
    made.unlink(missing_ok=True)
    _run(["-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(file)], f"{key} cannot sign")
    if not made.is_file():
        raise SignOffError(f"{made}: ssh-keygen has written no signature", help="is OpenSSH at least 8.2?")
    return made


def signer(file: Path, signature: Path, allowed: Path) -> str | None:
    """Who of the file `allowed` (as of `man ssh-keygen`, ALLOWED SIGNERS) has signed `file`; None for nobody.

    Raises `SignOffError` when ssh-keygen or a file is missing.
    """
    if not allowed.is_file():
        raise SignOffError(f"{allowed} does not exist", help="one line a signer: NAME ssh-ed25519 KEY")
    named = _ask(["-Y", "find-principals", "-s", str(signature), "-f", str(allowed)], b"")
    for name in named.stdout.decode(errors="replace").splitlines() if named.returncode == 0 else []:
        command = ["-Y", "verify", "-f", str(allowed), "-I", name, "-n", NAMESPACE, "-s", str(signature)]
        if _ask(command, file.read_bytes()).returncode == 0:
            return name
    return None


def _run(command: list[str], what: str) -> str:
    done = _ask(command, b"")
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise SignOffError(
            f"{what}: {said[-1]}",
            help="give a private key that only you can read (chmod 600), without a passphrase or in an agent",
        )
    return done.stdout.decode(errors="replace")


def _ask(command: list[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise SignOffError(
            "there is no ssh-keygen on this PC",
            help="install OpenSSH's client (8.2 or later), or leave out --key",
        )
    try:
        return subprocess.run([program, *command], input=stdin, capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise SignOffError(
            f"ssh-keygen {command[1]} did not end in {PATIENCE:.0f} s", help="does the key wait for a touch?"
        ) from None
