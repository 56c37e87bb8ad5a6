"""`signoff` and `verify`: a release's record, and whether one that was received holds."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import click

from bench.evidence.ledger import RUNS

A_FILE = click.Path(path_type=Path, dir_okay=False)
A_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("runs", metavar="RUN...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--against", metavar="RELEASED", type=A_FOLDER, help="run or sign-off that was released last")
@click.option("--waivers", metavar="FILE", type=A_FILE, help="failures that somebody answers for (TOML)")
@click.option("--key", metavar="FILE", type=A_FILE, help="SSH key to sign with")
@click.option("--output", metavar="FOLDER", type=A_FOLDER, help="default: RESULTS/signoff/TIME")
@click.option("--history", metavar="FILE", type=A_FILE, help="past runs; default: history.sqlite beside them")
@click.option("--approver", metavar="NAME", default="", help="who signs: stands beside the key")
@click.option("--record", metavar="FILE", type=A_FILE, help="all runs on the boards; default: where they say")
@click.option(
    "--results", type=A_FOLDER, default=Path("results"), show_default=True, help="where RUN is looked for"
)
def signoff(
    runs: tuple[Path, ...],
    against: Path | None,
    waivers: Path | None,
    key: Path | None,
    output: Path | None,
    history: Path | None,
    record: Path | None,
    approver: str,
    results: Path,
) -> None:
    """Compute the sign-off of RUNs (folders, or names in RESULTS/runs): PDF, JSON, manifest, signature.

    Ends with 0 for GO alone; 1 NO-GO, 6 inconclusive, 7 GO with waivers, 8 virtual bench.
    """
    from bench.signoff.make import Order, make

    at = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    named = tuple(_run(path, results) for path in runs)
    folder = output or results / "signoff" / f"{at:%Y%m%dT%H%M%SZ}"
    found = make(
        Order(named, folder, against and _run(against, results), waivers, key, history, record, approver), at
    )
    for text in found.first:
        click.echo(text)
    click.echo(f"{found.decision}  {found.planned} planned, {found.ran} ran, {found.counts['PASSED']} passed")
    for text in found.why:
        click.echo(f"  {text.splitlines()[0]}")
    click.echo(f"sign-off: {folder}")
    sys.exit(found.decision.exit_status)


def _run(path: Path, results: Path) -> Path:
    inside = results / RUNS / path
    return inside if not path.exists() and inside.exists() else path


@click.command()
@click.argument("folder", type=A_FOLDER)
@click.option("--allowed-signers", metavar="FILE", type=A_FILE, help="who may sign (see man ssh-keygen)")
def verify(folder: Path, allowed_signers: Path | None) -> None:
    """Check the sign-off in FOLDER: its files, its signature, and its verdict, computed again.

    Ends with 0 only for a GO that holds and is signed by one of the signers; with the status of the
    decision for another that holds, 6 when nobody can tell who made it, 3 when something differs.
    """
    from bench.signoff.verify import verify as check

    found = check(folder, allowed_signers, datetime.datetime.now(datetime.UTC))
    for text in found.differences:
        click.echo(f"DIFFERS: {text}")
    if not found.differences:
        who = f"signed by {found.signer}" if found.signer else _nobody(found.signed)
        click.echo(f"everything holds; {who}")
    click.echo(f"decision: {found.decision or 'none'}")
    for text in found.since:
        click.echo(f"  {text}")
    sys.exit(found.exit_status)


def _nobody(signed: bool) -> str:
    if signed:
        return "signed by somebody, --allowed-signers tells by whom"
    return "not signed: nobody can tell who made it"
